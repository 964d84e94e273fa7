"""LendingClub's loan statistics: one row per personal loan as it stood at the day of the download.

Files: LoanStats*.csv, as LendingClub published them until 2020, and collections of them such as
accepted_2007_to_2018Q4.csv. Columns: LendingClub's data dictionary.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis

from churnsurv.data.adapters.delimited import duckdb_connection, refuse_broken_lines
from churnsurv.data.adapters.fields import FILE, Field, months_later, refuse_unreadable, typed
from churnsurv.data.adapters.files import Paths, column_names, find_files, first_lines
from churnsurv.data.adapters.tables import LenderTables, adapted
from churnsurv.data.adapters.zero_balance import MATURED, OPEN
from churnsurv.data.config import did_you_mean
from churnsurv.data.periods import one_date
from churnsurv.exceptions import DataError
from churnsurv.messages import counted

_WHAT = "loan statistics of LendingClub"

_NEEDED = ("loan_amnt", "term", "issue_d", "loan_status", "last_pymnt_d")

#: file and number of a loan in it, for files that were published without identifiers
_NUMBERED = "numbered_row"

#: loans that LendingClub would not have granted later carry this before their status
_POLICY = "Does not meet the credit policy. Status:"

_STATUS = {
    "Current": OPEN,
    "Issued": OPEN,
    "In Grace Period": OPEN,
    "Late (16-30 days)": OPEN,
    "Late (31-120 days)": OPEN,
    "Fully Paid": "prepaid",
    "Charged Off": "charged off",
    "Default": "in default",
}

#: what became of the loan: known only after its origination, and never among the columns of the loans
_AFTERWARDS = (
    "last_", "next_", "out_prncp", "total_pymnt", "total_rec_", "recoveries", "collection_recovery_fee", "hardship",
    "settlement", "debt_settlement", "deferral_term", "payment_plan", "pymnt_plan", "orig_projected", "loan_status",
)  # fmt: skip

_NUMBERS = (
    "loan_amnt", "funded_amnt", "funded_amnt_inv", "installment", "annual_inc", "annual_inc_joint", "dti", "dti_joint",
    "delinq_2yrs", "fico_range_low", "fico_range_high", "inq_last_6mths", "inq_last_12m", "inq_fi", "open_acc", "open_acc_6m",
    "open_act_il", "open_il_12m", "open_il_24m", "open_rv_12m", "open_rv_24m", "pub_rec", "pub_rec_bankruptcies",
    "revol_bal", "revol_bal_joint", "total_acc", "mths_since_last_delinq", "mths_since_last_record",
    "mths_since_last_major_derog", "mths_since_rcnt_il", "mths_since_recent_bc", "mths_since_recent_bc_dlq",
    "mths_since_recent_inq", "mths_since_recent_revol_delinq", "collections_12_mths_ex_med", "chargeoff_within_12_mths",
    "acc_now_delinq", "acc_open_past_24mths", "avg_cur_bal", "tot_coll_amt", "tot_cur_bal", "tot_hi_cred_lim",
    "total_bal_il", "total_bal_ex_mort", "total_bc_limit", "total_cu_tl", "total_il_high_credit_limit", "total_rev_hi_lim",
    "il_util", "all_util", "bc_util", "bc_open_to_buy", "max_bal_bc", "delinq_amnt", "mort_acc", "tax_liens",
    "mo_sin_old_il_acct", "mo_sin_old_rev_tl_op", "mo_sin_rcnt_rev_tl_op", "mo_sin_rcnt_tl", "num_accts_ever_120_pd",
    "num_actv_bc_tl", "num_actv_rev_tl", "num_bc_sats", "num_bc_tl", "num_il_tl", "num_op_rev_tl", "num_rev_accts",
    "num_rev_tl_bal_gt_0", "num_sats", "num_tl_120dpd_2m", "num_tl_30dpd", "num_tl_90g_dpd_24m", "num_tl_op_past_12m",
    "pct_tl_nvr_dlq", "percent_bc_gt_75",
)  # fmt: skip

_FORMS = {
    "term": Field("term", "number", form="months"),
    "int_rate": Field("int_rate", "number", form="%"),
    "revol_util": Field("revol_util", "number", form="%"),
    **{name: Field(name, "month", form="Mon-YYYY") for name in ("issue_d", "last_pymnt_d", "earliest_cr_line")},
    "emp_length": Field("emp_length", missing=("n/a",)),
    **{name: Field(name, "number") for name in _NUMBERS},
}

_COVARIATES = (
    "int_rate", "loan_amnt", "annual_inc", "dti", "fico_range_low", "revol_util", "home_ownership", "purpose",
)  # fmt: skip
_KEEP = ("grade", "addr_state", "application_type")

_NOTES = (
    "The file tells one row per loan, its last: the loan was observed in every month from its issue to the month of its last "
    "payment (repaid, defaulted) or of the snapshot (open). Nothing is told of the months between, so covariates are those "
    "of the application.",
    "Loans repaid in the month of the last scheduled payment or later are 'matured', earlier ones are attrition. A loan "
    "repaid with a new loan of LendingClub looks the same as one refinanced elsewhere: 'renewed' is not a cause here.",
    "The month of a charge-off is not told: a default is dated by the last payment plus charge_off_after months. "
    "LendingClub charges off at about 150 days past due, so that 5 comes near the charge-off itself; loans that never paid "
    "count from their issue.",
    "Loans that are late at the snapshot are open: some of them will default.",
    "A file that holds closed loans only (many prepared ones do) is length-biased and cannot be repaired: use the full one.",
    "Columns that are known only afterwards (last_*, total_pymnt*, total_rec_*, recoveries, out_prncp*, hardship and "
    "settlement) are left out of the tables.",
)


def lending_club(
    files: Paths,
    *,
    snapshot: Any = None,
    charge_off_after: int = 0,
    rules: Mapping[str, Any] | None = None,
    extract_to: str | Path | None = None,
    connection: Any = None,
) -> LenderTables:
    """Read LendingClub's loan statistics.

    The files are read once to check them; the tables given are lazy. The columns keep LendingClub's names; those that are
    known only after the origination are left out.

    Parameters
    ----------
    files : path or sequence of paths
        Names, or patterns such as "LoanStats*.csv". A line of notes before the header and the totals at the end are passed
        over. Plain text, gzip, or with `extract_to` zip archives.
    snapshot : date or str, optional
        Day on which the files were downloaded, such as "2019-03-31": open loans are observed until its month. By default
        the month of the latest payment in the files.
    charge_off_after : int
        Months from the last payment to the default, see the notes.
    rules : mapping, optional
        Keys of :class:`~churnsurv.data.SpellRules` that replace those of the adapter, e.g. the covariates.
    extract_to : path, optional
        Folder in which archives are unpacked.
    connection : ibis DuckDB backend, optional
        The connection to read with; by default a new one in memory.

    Returns
    -------
    LenderTables
        ``loans`` (loan_id, issue_d, scheduled_end, int_rate, …), ``performance`` (loan_id, month, status; one row per
        loan), the rules (causes attrition and default), notes.

    Raises
    ------
    DataError
        A file that is not there or broken, columns that are absent, values or statuses that are not documented.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from churnsurv.data.adapters import lending_club
    >>> temporary = tempfile.TemporaryDirectory()
    >>> lines = ["id,loan_amnt,term,int_rate,issue_d,loan_status,last_pymnt_d",
    ...          "1,10000, 36 months,13.56%,Dec-2015,Fully Paid,Jan-2018", "2,5000, 36 months,7.9%,Dec-2015,Current,Mar-2018"]
    >>> file = Path(temporary.name) / "LoanStats.csv"
    >>> _ = file.write_text(chr(10).join(lines))
    >>> lending_club(file).performance.order_by("loan_id").to_pandas()
      loan_id      month   status
    0       1 2018-01-01  prepaid
    1       2 2018-03-01     open
    """
    if not isinstance(charge_off_after, int) or charge_off_after < 0:
        raise DataError(f"charge_off_after={charge_off_after!r} is no number of months; give 0 or more.")
    connection = duckdb_connection(connection)
    found = find_files(files, what=_WHAT, extract_to=extract_to, member=lambda name: name.endswith(".csv"))
    raw, columns = _raw(connection, found)
    fields = {name: _FORMS.get(name, Field(name)) for name in columns}
    table = typed(raw, {**fields, _NUMBERED: Field(_NUMBERED)})
    last = _facts(table)
    month = _snapshot(snapshot, last["latest"])
    loan_id = table["id"] if last["without_id"] < last["rows"] else table[_NUMBERED]
    table = table.mutate(loan_id=loan_id, scheduled_end=months_later(table["issue_d"], table["term"] + 1))
    carried = [name for name in columns if name != "id" and not name.startswith(_AFTERWARDS)]
    return LenderTables(
        loans=table.select("loan_id", "scheduled_end", *carried),
        performance=_performance(table, month, charge_off_after),
        rules=adapted(_rules(carried), rules),
        notes=_NOTES,
    )


def _rules(columns: list[str]) -> dict[str, Any]:
    return {
        "period": "month",
        "rows": "loan",
        "loan_id": "loan_id",
        "origination": "issue_d",
        "maturity": "scheduled_end",
        "observed": "month",
        "status": "status",
        "open": [OPEN],
        "matured": [MATURED],
        "causes": {"attrition": ["prepaid"], "default": ["charged off", "in default"]},
        "covariates": {"loans": [name for name in _COVARIATES if name in columns]},
        "keep": [name for name in _KEEP if name in columns],
        # 999 and −1 stand for ratios that could not be computed
        "plausible": {"dti": [0, 100]} if "dti" in columns else {},
    }


def _raw(connection: Any, files: list[Path]) -> tuple[Any, list[str]]:
    """Give the rows of loans as text, after one reading to check them, and the columns that any file has."""
    headers = {file: _header(file) for file in files}
    columns = list(dict.fromkeys([name for _, names in headers.values() for name in names] + ["id"]))
    rejects = {file: ibis.util.gen_name("rejects") for file in files}
    checked = [_scan(connection, file, *headers[file], columns, rejects[file]) for file in files]
    fields = {name: _FORMS.get(name, Field(name)) for name in columns}
    together = ibis.union(*checked, distinct=False) if len(files) > 1 else checked[0]
    refuse_unreadable(together, fields, what=_WHAT, key="id", needed=False)
    refuse_broken_lines(connection, rejects, _WHAT)
    plain = [_scan(connection, file, *headers[file], columns, None) for file in files]
    return (ibis.union(*plain, distinct=False) if len(files) > 1 else plain[0]), columns


def _header(file: Path) -> tuple[int, list[str]]:
    """Give how many lines stand before the header, and the names in it."""
    lines = first_lines(file, 2)
    before = next((i for i, line in enumerate(lines) if "loan_status" in line or "issue_d" in line), None)
    if before is None:
        raise DataError(f"{str(file)!r} has no header with the columns {', '.join(_NEEDED)} in its first two lines.")
    names = column_names(file, lines[before])
    for name in _NEEDED:
        if name not in names:
            raise DataError(f"{str(file)!r} has no column {name!r}, separated by ','. {did_you_mean(name, names)}")
    return before, names


def _scan(connection: Any, file: Path, before: int, names: list[str], columns: list[str], rejects: str | None) -> Any:
    options: dict[str, Any] = {"header": True, "skip": before, "delim": ",", "quote": '"', "escape": '"'}
    # the totals at the end have one field; padding and line breaks inside quotes need one reader
    options |= {"null_padding": True, "parallel": False}
    if rejects is not None:
        options |= {"store_rejects": True, "rejects_table": rejects, "rejects_scan": f"{rejects}_scan"}
    table = connection.read_csv(str(file), columns=dict.fromkeys(names, "VARCHAR"), **options)
    table = table.filter(table["loan_amnt"].notnull() | table["loan_status"].notnull())
    there = {name: table[name] if name in names else ibis.null("string") for name in columns}
    numbered = ibis.literal(f"{file.name}:") + (ibis.row_number() + 1).cast("string")
    return table.select(**there, **{FILE: ibis.literal(file.name), _NUMBERED: numbered})


def _status(table: Any) -> Any:
    return table["loan_status"].replace(_POLICY, "").strip()


def _facts(table: Any) -> Any:
    """Give the latest payment and what is missing; refuse statuses that are not known."""
    status = _status(table)
    unknown = status.notnull() & status.notin(tuple(_STATUS))
    facts = table.aggregate(
        rows=table.count(),
        without_id=table["id"].isnull().sum(),
        latest=table["last_pymnt_d"].max().strftime("%Y-%m-%d"),
        unknown=unknown.sum(),
        status=table["loan_status"].min(where=unknown),
    )
    found = facts.to_pandas().iloc[0]
    if found["unknown"]:
        raise DataError(
            f"Column 'loan_status' holds {found['status']!r} in {counted(int(found['unknown']), 'row')}, which is not a "
            f"status of LendingClub. Known are {', '.join(_STATUS)}."
        )
    return found


def _snapshot(snapshot: Any, latest: str | None) -> Any:
    """Give the first day of the month of the snapshot."""
    if snapshot is None and latest is None:
        raise DataError("No loan in the files has a payment: pass the day of the download, e.g. snapshot='2019-03-31'.")
    day = one_date(latest if snapshot is None else snapshot).date()
    if latest is not None and day < datetime.date.fromisoformat(latest):
        raise DataError(
            f"snapshot is {day}, but the files hold payments of {latest[:7]}: give the day of the download."
        )
    return ibis.date(day.year, day.month, 1)


def _performance(table: Any, snapshot: Any, charge_off_after: int) -> Any:
    """Give the last month of every loan and what it was."""
    status = _status(table).cases(*_STATUS.items())
    paid = table["last_pymnt_d"]
    at_end = (status == "prepaid") & (paid >= months_later(table["issue_d"], table["term"]))
    written_off = months_later(ibis.coalesce(paid, table["issue_d"]), ibis.literal(charge_off_after))
    month = ibis.cases(
        (status == OPEN, snapshot),
        (status == "prepaid", paid),
        else_=ibis.least(written_off, snapshot),
    )
    return table.select("loan_id", month=month, status=ibis.ifelse(at_end, MATURED, status))
