"""Portfolio: the four tables of a simulated lender with the truth they were drawn from; the shipped example."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from churnsurv.data.periods import one_date
from churnsurv.data.rules import SpellRules
from churnsurv.data.synthetic.rules import PORTFOLIO_RULES
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.messages import first_of

_TABLES = ("loans", "performance", "macro", "interventions")
_FILES = (*(f"{name}.parquet" for name in _TABLES), "truth.json")


@dataclass(frozen=True, repr=False, eq=False)
class Portfolio:
    """Tables of a portfolio.

    Attributes
    ----------
    loans : DataFrame
        One row per loan: identifiers, origination, amount, term, contract rate, application, branch, region.
    performance : DataFrame
        One row per loan and month from the start of observation: status and covariates at the end of the month.
    macro : DataFrame
        One row per month and region: market rate, rivals, economy, press, regulation, demography, disasters.
    interventions : DataFrame
        ``loan_id``, ``intervention``, ``assigned_on``, ``arm``, and ``uptake_on`` of those who took up an invitation.
    truth : dict
        Seed, formula, coefficients, cumulative incidences and effects of the simulation; drift and dirt, if any.
    """

    loans: pd.DataFrame
    performance: pd.DataFrame
    macro: pd.DataFrame
    interventions: pd.DataFrame
    truth: dict[str, Any]

    @property
    def rules(self) -> SpellRules:
        """The rules that make spells of these tables."""
        return PORTFOLIO_RULES

    def until(self, date: Any) -> Portfolio:
        """Give the portfolio as it was delivered at an earlier date: what was known at the end of that day.

        Loans, rows, market and assignments that came later are cut off, and so is what is true of them alone: a drift that
        had not begun, interventions that had not started. Effects of those that had are given over their full horizon, and
        ``truth["dirt"]`` goes on counting what is in the latest tables.

        Raises
        ------
        DataError
            The date lies outside the observed time.

        Examples
        --------
        >>> import churnsurv as cs
        >>> earlier = cs.data.load_example().until("2026-06-30")
        >>> earlier.truth["as_of"], earlier.truth["drift"]
        ('2026-06-30', None)
        """
        day = one_date(date)
        first, last = self.performance["month"].min(), self.performance["month"].max()
        if not first <= day <= last:
            raise DataError(
                f"{day.date()} lies outside the observed time: give a date from {first:%Y-%m-%d} to {last:%Y-%m-%d}."
            )
        performance = self.performance[self.performance["month"] <= day].reset_index(drop=True)
        loans = self.loans[self.loans["loan_id"].isin(performance["loan_id"])].reset_index(drop=True)
        interventions = self.interventions
        kept = (interventions["assigned_on"] <= day) & interventions["loan_id"].isin(loans["loan_id"])
        interventions = interventions[kept].reset_index(drop=True)
        return Portfolio(
            loans,
            performance,
            self.macro[self.macro["month"] <= day].reset_index(drop=True),
            interventions.assign(uptake_on=interventions["uptake_on"].where(interventions["uptake_on"] <= day)),
            _truth_until(self.truth, performance["month"].max(), len(loans)),
        )

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the tables as Parquet and the truth as JSON; the folder is made when it is missing.

        Raises
        ------
        ConfigError
            The folder has one of the files and `overwrite` is False, or is a file; nothing is written then.
        """
        target = Path(folder)
        there = [name for name in _FILES if (target / name).exists()]
        if there and not overwrite:
            raise ConfigError(
                f"The folder {str(target)!r} already has {first_of(there)}; nothing was written. "
                "Give another folder, or overwrite=True to replace them."
            )
        try:
            target.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(f"{str(target)!r} is a file or lies in one; give a folder.") from None
        for name in _TABLES:
            getattr(self, name).to_parquet(target / f"{name}.parquet", index=False, compression="zstd")
        (target / "truth.json").write_text(json.dumps(self.truth, indent=2) + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Portfolio:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            A file is absent or cannot be read.
        """
        source = Path(folder)
        absent = [name for name in _FILES if not (source / name).is_file()]
        if absent:
            raise DataError(
                f"The folder {str(source)!r} has no {absent[0]}; a portfolio consists of {', '.join(_FILES)}. "
                "Make one with churnsurv.data.simulate(...).save(folder)."
            )
        read = {name: _read(source / name) for name in _FILES}
        return cls(**{Path(name).stem: content for name, content in read.items()})

    def __repr__(self) -> str:
        return f"Portfolio of {len(self.loans):,} loans, {len(self.performance):,} loan-months"


def _truth_until(truth: dict[str, Any], day: pd.Timestamp, n_loans: int) -> dict[str, Any]:
    """Give what was true of the tables as they stood; ISO dates and months compare as text."""
    date, drift = f"{day:%Y-%m-%d}", truth["drift"]
    begun = drift is not None and drift["since"] <= date[:7]
    known = {name: what for name, what in truth["interventions"].items() if what["time_zero"] <= date}
    return truth | {
        "n_loans": n_loans,
        "as_of": date,
        "drift": drift if begun else None,
        "cumulative_incidence": {at: what for at, what in truth["cumulative_incidence"].items() if at <= date},
        "interventions": known,
    }


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".json":
            return json.loads(file.read_text(encoding="utf-8"))
        return pd.read_parquet(file)
    # a damaged file: pyarrow's errors and JSON's are OSErrors or ValueErrors
    except (OSError, ValueError) as error:
        raise DataError(
            f"{str(file)!r} cannot be read as {file.suffix[1:]} ({error}); save the portfolio again."
        ) from None


def example_folder(package: Path | None = None) -> Path:
    """Give the folder of the shipped portfolio: inside an installed package, else in the source tree."""
    home = Path(__file__).parent if package is None else package
    candidates = [home / "shipped", home.parent.parent / "data" / "synthetic"]
    for folder in candidates:
        if (folder / "loans.parquet").is_file():
            return folder
    raise DataError(f"The shipped portfolio is neither in {str(candidates[0])!r} nor in {str(candidates[1])!r}.")


def load_example(*, as_of: Any = None) -> Portfolio:
    """Give the shipped portfolio: about 5,000 simulated loans, observed monthly until 2026-09-30.

    Parameters
    ----------
    as_of : date, optional
        Give it as it was delivered at an earlier date, such as the end of the quarter before ("2026-06-30"); since then
        the customers have drifted, see ``truth["drift"]``.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> len(portfolio.loans)
    5000
    """
    latest = Portfolio.load(example_folder())
    return latest if as_of is None else latest.until(as_of)
