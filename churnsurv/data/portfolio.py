"""Portfolio: the four tables of a simulated lender with the truth they were drawn from; the shipped example."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from churnsurv.data.rules import SpellRules
from churnsurv.data.synthetic_truth import PORTFOLIO_RULES
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
        One row per loan: identifiers, origination, amount, term, contract rate, branch, region.
    performance : DataFrame
        One row per loan and month from the start of observation: status and covariates at the end of the month.
    macro : DataFrame
        One row per month and region: market rate, unemployment.
    interventions : DataFrame
        ``loan_id``, ``intervention``, ``assigned_on``, ``arm``.
    truth : dict
        Seed, formula, coefficients and effects of the simulation.
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


def load_example() -> Portfolio:
    """Give the shipped portfolio: about 5,000 simulated loans, observed monthly until 2026-09-30.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> len(portfolio.loans)
    5000
    """
    return Portfolio.load(example_folder())
