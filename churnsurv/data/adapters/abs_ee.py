"""Auto loans in the asset-level files of public securitisations (SEC form ABS-EE, exhibit 102).

Layout: Regulation AB, Item 1125, Schedule AL, item 3 (automobile loans), and the SEC's technical specification of asset-data
files. A trust files one document a month with one row per loan.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import ibis

from churnsurv.data.adapters.asset_xml import SEPARATOR, assets_as_parquet
from churnsurv.data.adapters.delimited import duckdb_connection
from churnsurv.data.adapters.fields import FILE, Field, first_known, months_later, refuse_unreadable, typed
from churnsurv.data.adapters.files import Paths, column_names, find_files, first_lines
from churnsurv.data.adapters.tables import LenderTables, adapted
from churnsurv.data.adapters.zero_balance import MATURED, OPEN
from churnsurv.data.config import did_you_mean
from churnsurv.exceptions import DataError
from churnsurv.messages import counted

Rates = Literal["fraction", "percent"]

#: of several codes in one month the first in this order counts: a charge-off is not undone by a repurchase
_EXITS = {
    "4": "charged off",
    "3": "repurchased or replaced",
    "2": "sold to a third party",
    "5": "servicing transferred",
    "1": "prepaid",
    "99": "ended for an unknown reason",
}

#: how conversions to tables write that there is no value
_NONE = ("-", "NONE", "None", "NULL", "null", "nan")

_KEY = {
    "loan_id": Field("assetNumber"),
    "month": Field("reportingPeriodEndingDate", "month", form="MM-DD-YYYY"),
}

_LOAN_FIELDS = {
    "origination": Field("originationDate", "month", _NONE, form="MM/YYYY"),
    "term": Field("originalLoanTerm", "number", _NONE),
    "amount": Field("originalLoanAmount", "number", _NONE),
    "contract_rate": Field("originalInterestRatePercentage", "number", _NONE),
    "credit_score": Field("obligorCreditScore", "number", (*_NONE, "0")),
    "credit_score_type": Field("obligorCreditScoreType", missing=_NONE),
    "income_verification": Field("obligorIncomeVerificationLevelCode", missing=_NONE),
    "employment_verification": Field("obligorEmploymentVerificationCode", missing=_NONE),
    "payment_to_income": Field("paymentToIncomePercentage", "number", _NONE),
    "co_obligor": Field("coObligorIndicator", missing=_NONE),
    "state": Field("obligorGeographicLocation", missing=_NONE),
    "subvented": Field("subvented", missing=_NONE),
    "vehicle_manufacturer": Field("vehicleManufacturerName", missing=_NONE),
    "vehicle_model": Field("vehicleModelName", missing=_NONE),
    "vehicle_year": Field("vehicleModelYear", "number", _NONE),
    "vehicle_new_used": Field("vehicleNewUsedCode", missing=_NONE),
    "vehicle_type": Field("vehicleTypeCode", missing=_NONE),
    "vehicle_value": Field("vehicleValueAmount", "number", _NONE),
    "originator": Field("originatorName", missing=_NONE),
}

_MONTH_FIELDS = {
    "maturity": Field("loanMaturityDate", "month", _NONE, form="MM/YYYY"),
    "balance": Field("reportingPeriodActualEndBalanceAmount", "number", _NONE),
    "current_rate": Field("reportingPeriodInterestRatePercentage", "number", _NONE),
    "remaining_months": Field("remainingTermToMaturityNumber", "number", _NONE),
    "payment_due": Field("nextReportingPeriodPaymentAmountDue", "number", _NONE),
    "days_past_due": Field("currentDelinquencyStatus", "number", _NONE),
    "modified": Field("reportingPeriodModificationIndicator", missing=_NONE),
    "extended_months": Field("paymentExtendedNumber", "number", _NONE),
    "repossessed": Field("repossessedIndicator", missing=_NONE),
    "charged_off": Field("chargedoffPrincipalAmount", "number", _NONE),
    "zero_balance_code": Field("zeroBalanceCode", missing=_NONE),
    "zero_balance_month": Field("zeroBalanceEffectiveDate", "month", _NONE, form="MM/YYYY"),
}

_FIELDS = {**_KEY, **_LOAN_FIELDS, **_MONTH_FIELDS}

#: a table without one of these tells no spells
_NEEDED = ("assetNumber", "reportingPeriodEndingDate", "originationDate", "loanMaturityDate", "zeroBalanceCode")

_WHAT = "asset-level file (ABS-EE)"

_NOTES = (
    "Code 1 is given to loans repaid early and at their end: those whose balance became zero in the month of the scheduled "
    "maturity or later are 'matured', the others are attrition. Why a loan was repaid (trade-in, refinancing, the insurance "
    "after a total loss) is not told, so 'renewed' is not a cause here.",
    "Default is the charge-off: code 4, or a balance run down to zero with a charged-off amount and no code. When a lender "
    "charges off (often about 120 days past due) differs between trusts.",
    "Loans repurchased, replaced, sold, transferred to another servicer or ended for an unknown reason are stated "
    "censorings, and may be informative.",
    "A loan is seen from the first file given, long after its origination (late entry); loans that ended before a trust was "
    "formed are in none of its files. Loans that were closed before they are first seen are left out.",
    "A loan may vanish without a code; it then counts as open when last observed, and the reconciliation counts it.",
    "The scheduled end is the latest maturity that is told of a loan, so that extensions move it. Identifiers are unique "
    "within a trust only, and borrowers are not identified: every loan is a customer of its own.",
)


def abs_ee_auto(
    files: Paths,
    *,
    rates: Rates = "fraction",
    cache: str | Path | None = None,
    rules: Mapping[str, Any] | None = None,
    connection: Any = None,
) -> LenderTables:
    """Read the monthly asset-level files of a securitisation of auto loans.

    Parameters
    ----------
    files : path or sequence of paths
        The monthly files of one trust: names, or patterns such as "2024-1/*.xml". XML as filed (exhibit 102), or tables
        (.csv) whose columns have the names of its elements; plain or compressed with gzip.
    rates : {"fraction", "percent"}
        How the files write interest rates; the SEC asks for fractions (0.0595), some filers give percent (5.95). The tables
        have percent.
    cache : path, optional
        Folder in which the XML is kept as Parquet, so that it is read once for all: a file takes some seconds per
        hundred megabytes. By default a temporary folder that is removed when Python ends.
    rules : mapping, optional
        Keys of :class:`~churnsurv.data.SpellRules` that replace those of the adapter, e.g. the covariates.
    connection : ibis DuckDB backend, optional
        The connection to read with; by default a new one in memory.

    Returns
    -------
    LenderTables
        ``loans`` (loan_id, origination, scheduled_end, credit_score, …), ``performance`` (loan_id, month, status, balance,
        days_past_due, …), the rules (causes attrition and default; stated censorings repurchased, sold, transferred and
        unknown), notes.

    Raises
    ------
    DataError
        A file that is not there or broken, assets of another kind, values or codes that are not documented.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from churnsurv.data.adapters import abs_ee_auto
    >>> def asset(ending, code=""):
    ...     return f'''<assets><assetNumber>A1</assetNumber><reportingPeriodEndingDate>{ending}</reportingPeriodEndingDate>
    ...         <originationDate>05/2023</originationDate><loanMaturityDate>05/2028</loanMaturityDate>{code}</assets>'''
    >>> space = 'xmlns="http://www.sec.gov/edgar/document/absee/autoloan/assetdata"'
    >>> temporary = tempfile.TemporaryDirectory()
    >>> for name, row in {
    ...     "january.xml": asset("01-31-2024"),
    ...     "february.xml": asset("02-29-2024", "<zeroBalanceCode>1</zeroBalanceCode>"),
    ... }.items():
    ...     _ = (Path(temporary.name) / name).write_text(f"<assetData {space}>{row}</assetData>")
    >>> tables = abs_ee_auto(Path(temporary.name) / "*.xml")
    >>> tables.performance.order_by("month").to_pandas()["status"].tolist()
    ['open', 'prepaid']
    """
    if rates not in get_args(Rates):
        raise DataError(f"rates={rates!r} is not known; give 'fraction' or 'percent'.")
    connection = duckdb_connection(connection)
    raw = _raw(connection, find_files(files, what=_WHAT), cache)
    refuse_unreadable(raw, _FIELDS, what=_WHAT, key="loan_id")
    table = typed(raw, _FIELDS)
    _refuse_unknown_codes(table)
    _refuse_other_rates(table, rates)
    loans, months = _split(_with_status(_in_percent(table, rates)))
    return LenderTables(loans=loans, performance=months, rules=adapted(_RULES, rules), notes=_NOTES)


_RULES = {
    "period": "month",
    "loan_id": "loan_id",
    "origination": "origination",
    "maturity": "scheduled_end",
    "observed": "month",
    "status": "status",
    "open": [OPEN],
    "matured": [MATURED],
    "causes": {"attrition": ["prepaid"], "default": ["charged off"]},
    "censored": {
        "repurchased": [_EXITS["3"]],
        "sold": [_EXITS["2"]],
        "transferred": [_EXITS["5"]],
        "unknown": [_EXITS["99"]],
    },
    "covariates": {"loans": ["credit_score", "payment_to_income", "contract_rate", "amount", "vehicle_new_used"]},
    "keep": ["state", "originator", "vehicle_manufacturer"],
}


def _raw(connection: Any, files: list[Path], cache: str | Path | None) -> Any:
    """Give the elements that are used as text, of XML and of tables."""
    elements = list(dict.fromkeys(field.source for field in _FIELDS.values()))
    tables = [file for file in files if ".csv" in file.suffixes]
    xml = [file for file in files if file not in tables]
    parts = []
    if xml:
        folder = _temporary_folder() if cache is None else Path(cache)
        parquet = [assets_as_parquet(file, folder, kind="autoloan", elements=elements) for file in xml]
        parts.append(connection.read_parquet([str(file) for file in parquet]))
    parts += [_csv(connection, file, elements) for file in tables]
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="churnsurv-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _csv(connection: Any, file: Path, elements: list[str]) -> Any:
    columns = column_names(file, first_lines(file, 1)[0])
    for name in _NEEDED:
        if name not in columns:
            raise DataError(
                f"{str(file)!r} has no column {name!r}. {did_you_mean(name, columns)} The columns of a table must have the "
                "names of the elements of the asset data."
            )
    options = {"header": True, "delim": ",", "quote": '"', "escape": '"'}
    table = connection.read_csv(str(file), columns=dict.fromkeys(columns, "VARCHAR"), **options)
    there = {name: table[name] if name in columns else ibis.null("string") for name in elements}
    return table.select(**there, **{FILE: ibis.literal(file.name)})


def _codes(table: Any) -> Any:
    """Give the codes of a month as text with a separator on either side."""
    return ibis.literal(SEPARATOR) + table["zero_balance_code"] + SEPARATOR


def _refuse_unknown_codes(table: Any) -> None:
    known = rf"^({'|'.join(_EXITS)})({SEPARATOR}({'|'.join(_EXITS)}))*$"
    bad = table.filter(table["zero_balance_code"].notnull() & ~table["zero_balance_code"].re_search(known))
    code = bad["zero_balance_code"].min()
    found = bad.aggregate(rows=bad.count(), code=code, loan=bad["loan_id"].min()).to_pandas().iloc[0]
    if found["rows"]:
        raise DataError(
            f"Element 'zeroBalanceCode' holds {found['code']!r} in {counted(int(found['rows']), 'row')} (e.g. loan "
            f"{found['loan']}), where one of the codes {', '.join(sorted(_EXITS))} is expected."
        )


def _refuse_other_rates(table: Any, rates: Rates) -> None:
    """Refuse fractions that cannot be: 100 % a year and more."""
    highest = table["contract_rate"].max().to_pandas()
    if rates == "fraction" and highest is not None and highest >= 1:
        raise DataError(
            f"Element 'originalInterestRatePercentage' reaches {highest:g}, which is {highest:.0%} a year if it is a "
            "fraction: pass rates='percent' when the files give percent."
        )


def _in_percent(table: Any, rates: Rates) -> Any:
    if rates == "percent":
        return table
    return table.mutate(contract_rate=table["contract_rate"] * 100, current_rate=table["current_rate"] * 100)


def _with_status(table: Any) -> Any:
    """Give the column ``status``, in which loans repaid at their end are not yet told from those repaid early."""
    codes = _codes(table)
    coded = [(codes.contains(f"{SEPARATOR}{code}{SEPARATOR}"), status) for code, status in _EXITS.items()]
    written_off = (table["charged_off"] > 0) & (table["balance"] <= 0) & table["zero_balance_code"].isnull()
    return table.mutate(status=ibis.cases(*coded, (written_off, _EXITS["4"]), else_=OPEN))


def _split(table: Any) -> tuple[Any, Any]:
    """Give the loans, and the months of those that were not closed before they were first seen."""
    is_open = table["status"] == OPEN
    loans = table.group_by("loan_id").aggregate(
        **{name: first_known(table[name], table["month"]) for name in _LOAN_FIELDS},
        maturity=table["maturity"].max(),
        first_seen=table["month"].min(),
        open_at=table["month"].min(where=is_open),
        over_at=table["zero_balance_month"].min(where=~is_open),
    )
    # some trusts keep closed loans in every later file: the end of those was not observed
    seen = (loans["open_at"] == loans["first_seen"]) | (loans["over_at"] >= loans["first_seen"])
    ends = loans.filter(seen).select("loan_id", scheduled=loans["maturity"])
    months = table.select(*_KEY, "status", *_MONTH_FIELDS).drop("maturity")
    months = months.inner_join(ends, "loan_id")
    at_zero = ibis.coalesce(months["zero_balance_month"], months["month"])
    matured = (months["status"] == _EXITS["1"]) & (at_zero >= months["scheduled"])
    months = months.mutate(status=ibis.ifelse(matured, MATURED, months["status"]))
    loans = loans.mutate(scheduled_end=months_later(loans["maturity"], ibis.literal(1)))
    return loans.drop("open_at", "over_at"), months.drop("scheduled")
