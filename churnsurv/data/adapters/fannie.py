"""Fannie Mae's Single-Family Loan Performance Data: one file per quarter, the static fields repeated in every month.

Layout: Single-Family Loan Performance Dataset and Credit Risk Transfer, Glossary and File Layout, Fannie Mae; 108 fields
since October 2020, to which later releases have added some at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis

from churnsurv.data.adapters.delimited import Layout, duckdb_connection, text_table
from churnsurv.data.adapters.fields import Field, first_known, months_later
from churnsurv.data.adapters.files import Paths, find_files
from churnsurv.data.adapters.tables import LenderTables, adapted
from churnsurv.data.adapters.zero_balance import (
    REPAID,
    DefaultAt,
    Exit,
    check_default_at,
    mortgage_notes,
    mortgage_rules,
    mortgage_status,
)

_FIELDS = (
    "reference_pool_id", "loan_identifier", "monthly_reporting_period", "channel", "seller_name", "servicer_name",
    "master_servicer", "original_interest_rate", "current_interest_rate", "original_upb", "upb_at_issuance",
    "current_actual_upb", "original_loan_term", "origination_date", "first_payment_date", "loan_age",
    "remaining_months_to_legal_maturity", "remaining_months_to_maturity", "maturity_date", "original_ltv", "original_cltv",
    "number_of_borrowers", "debt_to_income", "borrower_credit_score_at_origination",
    "co_borrower_credit_score_at_origination", "first_time_home_buyer_indicator", "loan_purpose", "property_type",
    "number_of_units", "occupancy_status", "property_state", "msa", "zip_code_short", "mortgage_insurance_percentage",
    "amortization_type", "prepayment_penalty_indicator", "interest_only_loan_indicator",
    "interest_only_first_principal_and_interest_payment_date", "months_to_amortization",
    "current_loan_delinquency_status", "loan_payment_history", "modification_flag",
    "mortgage_insurance_cancellation_indicator", "zero_balance_code", "zero_balance_effective_date",
    "upb_at_the_time_of_removal", "repurchase_date", "scheduled_principal_current", "total_principal_current",
    "unscheduled_principal_current", "last_paid_installment_date", "foreclosure_date", "disposition_date",
    "foreclosure_costs", "property_preservation_and_repair_costs", "asset_recovery_costs",
    "miscellaneous_holding_expenses_and_credits", "associated_taxes_for_holding_property", "net_sales_proceeds",
    "credit_enhancement_proceeds", "repurchase_make_whole_proceeds", "other_foreclosure_proceeds",
    "modification_related_non_interest_bearing_upb", "principal_forgiveness_amount", "original_list_start_date",
    "original_list_price", "current_list_start_date", "current_list_price", "borrower_credit_score_at_issuance",
    "co_borrower_credit_score_at_issuance", "borrower_credit_score_current", "co_borrower_credit_score_current",
    "mortgage_insurance_type", "servicing_activity_indicator", "current_period_modification_loss_amount",
    "cumulative_modification_loss_amount", "current_period_credit_event_net_gain_or_loss",
    "cumulative_credit_event_net_gain_or_loss", "special_eligibility_program", "foreclosure_principal_write_off_amount",
    "relocation_mortgage_indicator", "zero_balance_code_change_date", "loan_holdback_indicator",
    "loan_holdback_effective_date", "delinquent_accrued_interest", "property_valuation_method",
    "high_balance_loan_indicator", "arm_initial_fixed_rate_period_up_to_5_years", "arm_product_type",
    "initial_fixed_rate_period", "interest_rate_adjustment_frequency", "next_interest_rate_adjustment_date",
    "next_payment_change_date", "arm_index", "arm_cap_structure", "initial_interest_rate_cap_up_percent",
    "periodic_interest_rate_cap_up_percent", "lifetime_interest_rate_cap_up_percent", "mortgage_margin",
    "arm_balloon_indicator", "arm_plan_number", "borrower_assistance_plan", "high_ltv_refinance_option_indicator",
    "deal_name", "repurchase_make_whole_proceeds_flag", "alternative_delinquency_resolution",
    "alternative_delinquency_resolution_count", "total_deferral_amount",
)  # fmt: skip

_DEFERRAL = ("payment_deferral_modification_event_indicator", "interest_bearing_upb")
_FICO = ("origination_classic_fico", "issuance_classic_fico", "current_classic_fico")

#: releases that differ in fields at the end, none of which is used
_LAYOUTS = (
    Layout("since October 2020", _FIELDS),
    Layout("with the deferral fields", (*_FIELDS, *_DEFERRAL)),
    Layout("with the classic FICO scores", (*_FIELDS, *_DEFERRAL, *_FICO)),
    Layout("with the VantageScore", (*_FIELDS, *_DEFERRAL, *_FICO, "origination_vantagescore")),
)

_EXITS = {
    "02": Exit("third-party sale", "default"),
    "03": Exit("short sale", "default"),
    "06": Exit("repurchased", "repurchased", censored=True),
    "09": Exit("deed in lieu or foreclosed property", "default"),
    "15": Exit("note sold", "default"),
    "16": Exit("reperforming loan sold", "sold", censored=True),
    "96": Exit("removed for no credit event", "removed", censored=True),
    "97": Exit("credit event of 180 days past due", "default"),
    "98": Exit("other credit event", "default"),
}

_KEY = {
    "loan_id": Field("loan_identifier"),
    "month": Field("monthly_reporting_period", "month", form="MMYYYY"),
}

_LOAN_FIELDS = {
    "origination": Field("origination_date", "month", form="MMYYYY"),
    "first_payment": Field("first_payment_date", "month", form="MMYYYY"),
    "term": Field("original_loan_term", "number"),
    "amount": Field("original_upb", "number"),
    "contract_rate": Field("original_interest_rate", "number"),
    "credit_score": Field("borrower_credit_score_at_origination", "number"),
    "co_borrower_credit_score": Field("co_borrower_credit_score_at_origination", "number"),
    "debt_to_income": Field("debt_to_income", "number"),
    "loan_to_value": Field("original_ltv", "number"),
    "combined_loan_to_value": Field("original_cltv", "number"),
    "mortgage_insurance": Field("mortgage_insurance_percentage", "number"),
    "units": Field("number_of_units", "number"),
    "borrowers": Field("number_of_borrowers", "number"),
    "first_time_buyer": Field("first_time_home_buyer_indicator"),
    "occupancy": Field("occupancy_status"),
    "channel": Field("channel"),
    "purpose": Field("loan_purpose"),
    "property_type": Field("property_type"),
    "prepayment_penalty": Field("prepayment_penalty_indicator"),
    "amortisation": Field("amortization_type"),
    "interest_only": Field("interest_only_loan_indicator"),
    "high_balance": Field("high_balance_loan_indicator"),
    "relocation": Field("relocation_mortgage_indicator"),
    "state": Field("property_state"),
    "msa": Field("msa"),
    "postal_code": Field("zip_code_short"),
    "seller": Field("seller_name"),
}

_MONTH_FIELDS = {
    "balance": Field("current_actual_upb", "number"),
    "current_rate": Field("current_interest_rate", "number"),
    "delinquency": Field("current_loan_delinquency_status", "number", missing=("XX", "X")),
    "loan_age": Field("loan_age", "number"),
    "remaining_months": Field("remaining_months_to_legal_maturity", "number"),
    "maturity": Field("maturity_date", "month", form="MMYYYY"),
    "modified": Field("modification_flag"),
    "assistance": Field("borrower_assistance_plan"),
    "foreclosed": Field("foreclosure_date", "month", form="MMYYYY"),
    "zero_balance_code": Field("zero_balance_code", "code", known=(REPAID, *_EXITS), width=2),
    "zero_balance_month": Field("zero_balance_effective_date", "month", form="MMYYYY"),
}

_WHAT = "loan performance file of Fannie Mae"

_MODIFIED = (
    "The static values are those of the first month in which each is told. The scheduled end is the latest maturity that is "
    "told of a loan, so a modified loan is followed to its new end."
)


def fannie_mae(
    files: Paths,
    *,
    default_at: DefaultAt = "disposition",
    rules: Mapping[str, Any] | None = None,
    extract_to: str | Path | None = None,
    connection: Any = None,
) -> LenderTables:
    """Read Fannie Mae's Single-Family Loan Performance Data.

    The files are read once to check them; the tables given are lazy, and nothing is held in memory. Both are made of the
    same files: the loans by taking the first value of every static field, so using them costs a pass over the months.

    Parameters
    ----------
    files : path or sequence of paths
        Quarterly files: names, or patterns such as "20*Q*.csv". Plain text, gzip, or with `extract_to` the zip archives
        as delivered. They hold fields separated by "|" without a header, whatever their suffix.
    default_at : {"disposition", "d180"}
        When a default happens: at the disposition of the loan or property, or in the first month 180 days past due.
    rules : mapping, optional
        Keys of :class:`~churnsurv.data.SpellRules` that replace those of the adapter, e.g. the covariates.
    extract_to : path, optional
        Folder in which archives are unpacked.
    connection : ibis DuckDB backend, optional
        The connection to read with; by default a new one in memory.

    Returns
    -------
    LenderTables
        ``loans`` (loan_id, origination, scheduled_end, credit_score, …), ``performance`` (loan_id, month, status, balance,
        delinquency in months, …), the rules (causes attrition and default; stated censorings sold, repurchased and
        removed), notes.

    Raises
    ------
    DataError
        A file that is not there or broken, another layout, values or codes that are not documented.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from churnsurv.data.adapters import fannie_mae
    >>> def month(period, age, code="", effective=""):
    ...     known = ["", "100000000001", period, "R", "A seller", "A servicer", "", "3.5", "3.5", "200000", "", "199000"]
    ...     dates = ["360", "012020", "032020", age, "", "", "022050", "80", "80", "2", "36", "751"]
    ...     ending = [""] * 15 + ["00", "", "N", "", code, effective]
    ...     return "|".join(known + dates + ending + [""] * 63)
    >>> temporary = tempfile.TemporaryDirectory()
    >>> file = Path(temporary.name) / "2020Q1.csv"
    >>> _ = file.write_text(month("022020", "0") + chr(10) + month("032020", "1", "01", "032020"))
    >>> tables = fannie_mae(file)
    >>> tables.performance.order_by("month").to_pandas()["status"].tolist()
    ['open', 'prepaid']
    >>> tables.loans.to_pandas()["credit_score"].tolist()
    [751.0]
    """
    check_default_at(default_at)
    connection = duckdb_connection(connection)
    found = find_files(files, what=_WHAT, extract_to=extract_to, member=lambda name: name.endswith((".csv", ".txt")))
    table = text_table(
        connection, found, _LAYOUTS, {**_KEY, **_LOAN_FIELDS, **_MONTH_FIELDS}, what=_WHAT, key="loan_id"
    )
    loans = _loans(table)
    months = table.select(*_KEY, *_MONTH_FIELDS).drop("maturity")
    months = months.mutate(reo=months["foreclosed"].notnull() & (months["foreclosed"] <= months["month"]))
    return LenderTables(
        loans=loans,
        performance=mortgage_status(months, loans, _EXITS, default_at),
        rules=adapted(mortgage_rules(_EXITS, default_at), rules),
        notes=(_MODIFIED, *mortgage_notes(default_at)),
    )


def _loans(table: Any) -> Any:
    """Give one row per loan; months in which a field is empty are passed over."""
    first = {name: first_known(table[name], table["month"]) for name in _LOAN_FIELDS}
    loans = table.group_by("loan_id").aggregate(**first, maturity=table["maturity"].max())
    return loans.mutate(scheduled_end=months_later(loans["maturity"], ibis.literal(1)))
