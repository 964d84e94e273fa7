"""Made-up files in the public formats: every value stands at its documented position, counted from 1."""

import re


def line(width, values):
    """Give a line of `width` fields separated by "|" from position → value."""
    assert max(values) <= width
    return "|".join(str(values.get(position, "")) for position in range(1, width + 1))


def write(path, lines):
    """Write lines to a file and give its path."""
    path.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    return path


#: Freddie Mac, origination file: position → value, the same in both layouts up to the seller (24)
ORIGINATION = {
    1: 751, 2: "200003", 3: "N", 4: "203002", 5: "12420", 6: 0, 7: 1, 8: "P", 9: 85, 10: 36, 11: 200000, 12: 80, 13: 6.75,
    14: "R", 15: "N", 16: "FRM", 17: "TX", 18: "SF", 19: "75000", 21: "P", 22: 360, 23: 2, 24: 'O\'Hare "First" Bank',
}  # fmt: skip


def freddie_loan(loan, *, width=32, **by_position):
    """Give a line of an origination file; p4="201502" changes position 4."""
    return line(width, ORIGINATION | {20: loan} | _changes(by_position))


def freddie_month(loan, month, *, width=32, **by_position):
    """Give a line of a performance file."""
    plain = {1: loan, 2: month, 3: "199000.00", 4: "00", 5: 1, 6: 359, 11: 6.75, 12: "0.00"}
    return line(width, plain | _changes(by_position))


#: Fannie Mae: position → value of the fields that repeat in every month
STATIC = {
    4: "R", 5: "A seller", 6: "A servicer", 8: 3.5, 9: 3.5, 10: 200000, 12: 199000, 13: 360, 14: "012020", 15: "032020",
    17: 359, 19: "022050", 20: 80, 21: 85, 22: 2, 23: 36, 24: 751, 25: 740, 26: "N", 27: "P", 28: "SF", 29: 1, 30: "P",
    31: "TX", 32: "12420", 33: "750", 35: "FRM", 36: "N", 37: "N", 40: "00", 42: "N",
}  # fmt: skip


def fannie_month(loan, month, *, width=113, **by_position):
    """Give a line of a loan performance file."""
    return line(width, STATIC | {2: loan, 3: month} | _changes(by_position))


def _changes(by_position):
    return {int(name.removeprefix("p")): value for name, value in by_position.items()}


#: element → value of an asset; the names are those of Schedule AL, item 3
ASSET = {
    "assetTypeNumber": "Sponsor Assigned",
    "reportingPeriodBeginningDate": "01-01-2024",
    "originatorName": "A bank",
    "originationDate": "05/2023",
    "originalLoanAmount": "25000.00",
    "originalLoanTerm": "60",
    "loanMaturityDate": "05/2028",
    "originalInterestRatePercentage": "0.0595",
    "vehicleManufacturerName": "Marque",
    "vehicleNewUsedCode": "1",
    "obligorCreditScore": "701",
    "paymentToIncomePercentage": "0.07",
    "obligorGeographicLocation": "OH",
    "reportingPeriodActualEndBalanceAmount": "23000.00",
    "currentDelinquencyStatus": "0",
}

SPACE = 'xmlns="http://www.sec.gov/edgar/document/absee/autoloan/assetdata"'


def asset(loan, ending, **elements):
    """Give one asset; None leaves an element out, a list repeats it."""
    given = ASSET | {"assetNumber": loan, "reportingPeriodEndingDate": ending} | elements
    inside = "".join(
        f"<{name}>{value}</{name}>"
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
        if value is not None
    )
    return f"<assets>{inside}</assets>"


def document(*assets, space=SPACE):
    """Give an exhibit 102 with these assets."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<assetData {space}>\n' + "\n".join(assets) + "\n</assetData>\n"


def as_csv(assets):
    """Give assets as a table whose columns are the elements."""
    rows = [dict(re.findall(r"<(\w+)>([^<]*)</\1>", text.removeprefix("<assets>"))) for text in assets]
    names = sorted({name for row in rows for name in row})
    return [",".join(names), *(",".join(row.get(name, "-") for name in names) for row in rows)]


#: LendingClub: column → value of a loan repaid early
LOAN = {
    "id": "1", "member_id": "", "loan_amnt": "10000", "term": " 36 months", "int_rate": " 13.56%", "installment": "339.65",
    "grade": "C", "emp_length": "10+ years", "home_ownership": "RENT", "annual_inc": "52000", "issue_d": "Dec-2015",
    "loan_status": "Fully Paid", "purpose": "credit_card", "addr_state": "CA", "dti": "18.2", "earliest_cr_line": "Aug-1998",
    "fico_range_low": "705", "revol_util": "56.1%", "total_acc": "24", "out_prncp": "0", "total_pymnt": "11999.5",
    "total_rec_prncp": "10000", "recoveries": "0", "last_pymnt_d": "Jan-2018", "last_fico_range_low": "680",
    "hardship_flag": "N", "debt_settlement_flag": "N", "settlement_amount": "",
}  # fmt: skip


def lending_loan(loan, **columns):
    """Give a loan as column → value."""
    return LOAN | {"id": str(loan)} | columns


def lending_lines(*loans):
    """Give the lines of a file with these loans, every value in quotes as LendingClub wrote them."""
    rows = [list(loans[0])] + [list(loan.values()) for loan in loans]
    return [",".join(f'"{value}"' for value in row) for row in rows]
