"""Freddie Mac's Single-Family Loan-Level Dataset: an origination file and a monthly performance file per quarter.

Layouts: Single-Family Loan-Level Dataset, File Layout and General User Guide, Freddie Mac; the one before July 2026, and
the one since then (release 47), which moved two fields between the files and added two.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis

from churnsurv.data.adapters.delimited import Layout, duckdb_connection, text_table
from churnsurv.data.adapters.fields import Field, months_later
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
from churnsurv.exceptions import DataError
from churnsurv.messages import counted

_OLD, _NEW = "before July 2026", "since July 2026"

_LOAN = (
    "credit_score", "first_payment_date", "first_time_homebuyer", "maturity_date", "msa", "mortgage_insurance_percentage",
    "number_of_units", "occupancy_status", "original_cltv", "original_dti", "original_upb", "original_ltv",
    "original_interest_rate", "channel", "prepayment_penalty", "amortization_type", "property_state", "property_type",
    "postal_code", "loan_sequence_number", "loan_purpose", "original_loan_term", "number_of_borrowers", "seller_name",
)  # fmt: skip

_ORIGINATION = (
    Layout(_OLD, (
        *_LOAN, "servicer_name", "super_conforming_flag", "pre_harp_loan_sequence_number", "program_indicator",
        "harp_indicator", "property_valuation_method", "interest_only_indicator", "mi_cancellation_indicator",
    )),
    Layout(_NEW, (
        *_LOAN, "super_conforming_flag", "pre_harp_loan_sequence_number", "program_indicator", "harp_indicator",
        "property_valuation_method", "interest_only_indicator", "vantagescore",
    )),
)  # fmt: skip

_MONTHLY = (
    "loan_sequence_number", "monthly_reporting_period", "current_actual_upb", "current_loan_delinquency_status", "loan_age",
    "remaining_months_to_legal_maturity", "defect_settlement_date", "modification_flag", "zero_balance_code",
    "zero_balance_effective_date", "current_interest_rate", "current_non_interest_bearing_upb",
    "due_date_of_last_paid_installment", "mi_recoveries", "net_sale_proceeds", "non_mi_recoveries", "total_expenses",
    "legal_costs", "maintenance_and_preservation_costs", "taxes_and_insurance", "miscellaneous_expenses",
    "actual_loss", "cumulative_modification_cost", "interest_rate_step_indicator", "payment_deferral_flag", "estimated_ltv",
    "zero_balance_removal_upb", "delinquent_accrued_interest", "delinquency_due_to_disaster", "borrower_assistance_status",
    "current_month_modification_cost", "interest_bearing_upb",
)  # fmt: skip

_PERFORMANCE = (
    Layout(_OLD, _MONTHLY),
    Layout(_NEW, (*_MONTHLY, "mi_cancellation_indicator", "servicer_name", "bankruptcy_cramdown_costs")),
)

_EXITS = {
    "02": Exit("third-party sale", "default"),
    "03": Exit("short sale or charge-off", "default"),
    "09": Exit("foreclosed property sold", "default"),
    "15": Exit("note sold", "default"),
    "16": Exit("reperforming loan sold", "sold", censored=True),
    "96": Exit("repurchased", "repurchased", censored=True),
}

_LOAN_FIELDS = {
    "loan_id": Field("loan_sequence_number"),
    "first_payment": Field("first_payment_date", "month", form="YYYYMM"),
    "maturity": Field("maturity_date", "month", form="YYYYMM"),
    "term": Field("original_loan_term", "number"),
    "amount": Field("original_upb", "number"),
    "contract_rate": Field("original_interest_rate", "number"),
    "credit_score": Field("credit_score", "number", missing=("9999",)),
    "debt_to_income": Field("original_dti", "number", missing=("999",)),
    "loan_to_value": Field("original_ltv", "number", missing=("999",)),
    "combined_loan_to_value": Field("original_cltv", "number", missing=("999",)),
    "mortgage_insurance": Field("mortgage_insurance_percentage", "number", missing=("999",)),
    "units": Field("number_of_units", "number", missing=("99",)),
    "borrowers": Field("number_of_borrowers", "number", missing=("99",)),
    "first_time_buyer": Field("first_time_homebuyer", missing=("9",)),
    "occupancy": Field("occupancy_status", missing=("9",)),
    "channel": Field("channel", missing=("9",)),
    "purpose": Field("loan_purpose", missing=("9",)),
    "property_type": Field("property_type", missing=("99",)),
    "prepayment_penalty": Field("prepayment_penalty"),
    "amortisation": Field("amortization_type"),
    "interest_only": Field("interest_only_indicator"),
    "super_conforming": Field("super_conforming_flag"),
    "harp": Field("harp_indicator"),
    "state": Field("property_state"),
    "msa": Field("msa"),
    "postal_code": Field("postal_code"),
    "seller": Field("seller_name"),
}

_DELINQUENCY = "current_loan_delinquency_status"
_FORECLOSED = ("RA", "R")
_UNKNOWN = ("XX", "XXX")

_MONTH_FIELDS = {
    "loan_id": Field("loan_sequence_number"),
    "month": Field("monthly_reporting_period", "month", form="YYYYMM"),
    "balance": Field("current_actual_upb", "number"),
    "current_rate": Field("current_interest_rate", "number"),
    "delinquency": Field(_DELINQUENCY, "number", missing=(*_UNKNOWN, *_FORECLOSED)),
    "reo": Field(_DELINQUENCY),
    "loan_age": Field("loan_age", "number"),
    "remaining_months": Field("remaining_months_to_legal_maturity", "number"),
    "estimated_loan_to_value": Field("estimated_ltv", "number", missing=("999",)),
    "modified": Field("modification_flag"),
    "assistance": Field("borrower_assistance_status"),
    "disaster": Field("delinquency_due_to_disaster"),
    "zero_balance_code": Field("zero_balance_code", "code", known=(REPAID, *_EXITS), width=2),
    "zero_balance_month": Field("zero_balance_effective_date", "month", form="YYYYMM"),
}

_ORIGIN = (
    "The date of origination is not told: age counts from the month before the first payment, as the loan age in the file "
    "does, but it does not begin again after a modification. A modified loan is followed to its original maturity only."
)


def freddie_mac(
    origination: Paths,
    performance: Paths,
    *,
    default_at: DefaultAt = "disposition",
    rules: Mapping[str, Any] | None = None,
    extract_to: str | Path | None = None,
    connection: Any = None,
) -> LenderTables:
    """Read Freddie Mac's Single-Family Loan-Level Dataset.

    The files are read once to check them; the tables given are lazy, and nothing is held in memory.

    Parameters
    ----------
    origination, performance : path or sequence of paths
        The origination files and the monthly performance files: names, or patterns such as "historical_data_time_*.txt".
        Plain text, gzip, or with `extract_to` the zip archives as delivered (the same ones for both).
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
        delinquency in months, …), the rules (causes attrition and default; stated censorings sold and repurchased), notes.

    Raises
    ------
    DataError
        A file that is not there or broken, another layout, values or codes that are not documented.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from churnsurv.data.adapters import freddie_mac
    >>> temporary = tempfile.TemporaryDirectory()
    >>> folder = Path(temporary.name)
    >>> loan = "751|202003|N|205002||0|1|P|80|36|200|80|3.5|R|N|FRM|TX|SF|75000|F20Q10000001|P|360|2|A seller|A servicer"
    >>> _ = (folder / "orig.txt").write_text(loan + "|||||||" + chr(10))
    >>> months = ["202002|200|00|0|360|||||3.5", "202003|0|00|1|359|||01|202003|3.5"]
    >>> _ = (folder / "perf.txt").write_text("".join(f"F20Q10000001|{m}{'|' * 21}{chr(10)}" for m in months))
    >>> tables = freddie_mac(folder / "orig.txt", folder / "perf.txt")
    >>> tables.performance.order_by("month").to_pandas()["status"].tolist()
    ['open', 'prepaid']
    >>> tables.rules.cause_names
    ('attrition', 'default')
    """
    check_default_at(default_at)
    connection = duckdb_connection(connection)
    loans = _loans(connection, find_files(origination, what=_FIRST, extract_to=extract_to, member=_is_origination))
    months = find_files(performance, what=_SECOND, extract_to=extract_to, member=_is_performance)
    table = text_table(connection, months, _PERFORMANCE, _MONTH_FIELDS, what=_SECOND, key="loan_id")
    table = table.mutate(reo=table["reo"].isin(_FORECLOSED).fill_null(False))
    return LenderTables(
        loans=loans,
        performance=mortgage_status(table, loans, _EXITS, default_at),
        rules=adapted(mortgage_rules(_EXITS, default_at), rules),
        notes=(_ORIGIN, *mortgage_notes(default_at)),
    )


_FIRST = "origination file of Freddie Mac"
_SECOND = "performance file of Freddie Mac"


def _is_performance(name: str) -> bool:
    return name.endswith(".txt") and any(word in name for word in ("time", "svcg", "perf"))


def _is_origination(name: str) -> bool:
    return name.endswith(".txt") and not _is_performance(name)


def _loans(connection: Any, files: list[Path]) -> Any:
    table = text_table(connection, files, _ORIGINATION, _LOAN_FIELDS, what=_FIRST, key="loan_id")
    _refuse_repeated(table)
    return table.mutate(
        # interest runs from the first day of the month before the first payment
        origination=months_later(table["first_payment"], ibis.literal(-1)),
        scheduled_end=months_later(table["maturity"], ibis.literal(1)),
    )


def _refuse_repeated(loans: Any) -> None:
    """Refuse loans that are in two files: their months would be doubled."""
    number = loans.group_by("loan_id").aggregate(rows=loans.count())
    twice = number.filter(number["rows"] > 1)
    found = twice.aggregate(loans=twice.count(), first=twice["loan_id"].min()).to_pandas().iloc[0]
    if found["loans"]:
        raise DataError(
            f"{counted(int(found['loans']), 'loan')} of the {_FIRST} {'is' if found['loans'] == 1 else 'are'} there twice "
            f"(e.g. {found['first']}): do the files overlap, such as a sample and the quarter it was drawn from?"
        )
