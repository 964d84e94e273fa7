"""Loans of a landmark cohort along a scenario: one row per loan and period ahead, covariates as the spells rules make them.

Period m of a loan covers the ages (a + m − 1, a + m]. A covariate with lag L has there the value of the calendar period
t + m − L, t being the landmark's; for m = 1 and L ≥ 1 that is what the cohort already knows. Derived columns are made as in
``churnsurv.data``: rate incentive = own rate − market rate, burnout grows by the positive part of the incentive passed over,
the season is the calendar's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.lags import seasons
from churnsurv.data.landmark import Cohort
from churnsurv.data.periods import last_complete_period
from churnsurv.data.rules import SpellRules
from churnsurv.evaluation.scenario_paths import Path, is_external
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import counted, first_of, numeric_column

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Book:
    """The open loans of a landmark, sorted by customer.

    frame: columns of the model; customer (n,) codes that do not fall; age, end (n,): ages at the landmark and at maturity or
    the horizon; matures (n,): whether `end` is maturity within the horizon; balance (n, H + 1): scheduled at the end of
    period m, None where it is not known; region (n,) or None; period: number of the landmark's calendar period.
    """

    frame: pd.DataFrame
    rules: SpellRules
    customer: NDArray[np.int64]
    age: Floats
    end: Floats
    matures: NDArray[np.bool_]
    balance: Floats | None
    region: NDArray[Any] | None
    own_rate: Floats | None
    incentive: Floats | None
    period: int
    horizon: int

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: Any) -> Book:
        """Give some of the loans."""
        parts: dict[str, Any] = {
            name: None if (value := getattr(self, name)) is None else value[rows]
            for name in ("customer", "age", "end", "matures", "balance", "region", "own_rate", "incentive")
        }
        return Book(self.frame.iloc[rows], self.rules, **parts, period=self.period, horizon=self.horizon)

    def kept(self, rows: NDArray[np.bool_]) -> Book:
        """Give the loans that are marked, customers numbered anew."""
        part = self.take(rows)
        return replace(part, customer=pd.factorize(part.customer)[0])

    @property
    def ages(self) -> Floats:
        """Give the age at the end of each period ahead, held at maturity, (n, H)."""
        return np.minimum(self.age[:, None] + np.arange(1, self.horizon + 1), self.end[:, None])

    def chunks(self, size: int) -> list[slice]:
        """Give slices of about `size` loans that keep customers together."""
        begins = np.flatnonzero(np.diff(self.customer, prepend=-1))
        cuts = [0]
        for begin in begins[1:]:
            if begin - cuts[-1] >= size:
                cuts.append(int(begin))
        return [slice(low, high) for low, high in zip(cuts, [*cuts[1:], len(self)], strict=True)]


def read_book(
    cohort: Cohort, features: Sequence[str], horizon: int, balance: str | None, term: str | None, rate: str | None
) -> tuple[Book, list[str]]:
    """Read the loans of a cohort, and say in words what was assumed about maturity and balance."""
    if not isinstance(cohort, Cohort) or isinstance(cohort.date, tuple):
        raise DataError("cohort: give the landmark cohort of one date, as of Spells.landmark(date).")
    rules = cohort.rules
    absent = [name for name in features if name not in cohort.frame.columns]
    if absent:
        raise DataError(f"The cohort lacks {first_of(map(repr, absent))}, which the model was fitted with.")
    order = np.argsort(pd.factorize(cohort.frame["customer_id"], sort=True)[0], kind="stable")
    frame = cohort.frame.iloc[order].reset_index(drop=True)
    gaps = frame[list(features)].isna()
    if gaps.to_numpy().any():
        raise DataError(
            f"{counted(int(gaps.any(axis=1).sum()), 'loan')} of the cohort lack covariates "
            f"({first_of(gaps.columns[gaps.any()])}): what becomes of them cannot be predicted. Take cohort.complete() and say "
            "how many were left out."
        )
    if frame["loan_id"].duplicated().any():
        raise DataError("The cohort has loans twice: give one row per open loan.")
    age, notes = numeric_column(frame["age"], "age"), list[str]()
    horizon_age, remaining = age + horizon, _remaining(frame, age, term, notes)
    open_rows = remaining > 0
    if not open_rows.all():
        notes.append(f"{counted(int((~open_rows).sum()), 'loan')} at or past the term at the landmark count as ended.")
        if not open_rows.any():
            raise DataError("Every loan of the cohort is at or past its term: nothing is left to follow.")
    end = np.minimum(horizon_age, age + remaining)
    schedule = _schedule(frame, remaining, horizon, balance, rate, notes, 12 if rules.period == "month" else 4)
    region, own = (
        rules.macro.region if rules.macro else None,
        rules.rate_incentive.own if rules.rate_incentive else None,
    )
    book = Book(
        frame=frame[list(features)],
        rules=rules,
        customer=pd.factorize(frame["customer_id"])[0],
        age=age,
        end=end,
        matures=age + remaining <= horizon_age,
        balance=schedule,
        region=frame[region].to_numpy() if region in frame.columns else None,
        own_rate=numeric_column(frame[own], own) if own is not None and own in frame.columns else None,
        incentive=numeric_column(frame["rate_incentive"], "rate_incentive") if rules.rate_incentive else None,
        period=last_complete_period(cohort.date, rules),
        horizon=horizon,
    )
    return (book if open_rows.all() else book.kept(open_rows)), notes


def _remaining(frame: pd.DataFrame, age: Floats, term: str | None, notes: list[str]) -> Floats:
    if term is None:
        notes.append("No term is given: no loan matures within the horizon.")
        return np.full(len(age), np.inf)
    if term not in frame.columns:
        raise DataError(f"The cohort has no column {term!r} of terms: keep it in the rules, or pass term=None.")
    terms = numeric_column(frame[term], term)
    if np.isnan(terms).any():
        raise DataError(
            f"{counted(int(np.isnan(terms).sum()), 'loan')} of the cohort have no {term!r}: leave them out."
        )
    notes.append(f"Exposure ends at the term ({term}).")
    return np.asarray(terms - age)


def _schedule(
    frame: pd.DataFrame,
    remaining: Floats,
    horizon: int,
    balance: str | None,
    rate: str | None,
    notes: list[str],
    per_year: int,
) -> Floats | None:
    """Give the balance at the end of the periods 0 … H."""
    if balance is None:
        notes.append("No balance is given: customers and loans only.")
        return None
    for name in (balance, *([] if rate is None else [rate])):
        if name not in frame.columns:
            raise DataError(f"The cohort has no column {name!r}: keep it in the rules, or leave it out.")
    now = numeric_column(frame[balance], balance)
    if np.isnan(now).any() or (now < 0).any():
        raise DataError(
            f"{balance!r} is missing or negative for some loans of the cohort: correct it, or pass balance=None."
        )
    if rate is None or not np.isfinite(remaining).all():
        notes.append("Balances stay as at the landmark (no contractual rate and term given).")
        return np.repeat(now[:, None], horizon + 1, axis=1)
    periods = np.maximum(remaining, 1.0)[:, None]
    done = np.minimum(np.arange(horizon + 1), periods)
    # level payment: B_m = B_0 ((1 + r)^n − (1 + r)^m) / ((1 + r)^n − 1), straight where r = 0
    r = numeric_column(frame[rate], rate)[:, None] / 100 / per_year
    if not np.isfinite(r).all() or (r < 0).any():
        raise DataError(f"{rate!r} must be a rate in % a year, 0 or more, for every loan.")
    growth = np.log1p(np.where(r > 0, r, 1.0))
    left = np.where(r > 0, -np.expm1((done - periods) * growth) / -np.expm1(-periods * growth), 1 - done / periods)
    notes.append(f"Balances follow level payments over the remaining term at {rate}.")
    return np.asarray(now[:, None] * left)


def movable(features: Sequence[str], path: Path, book: Book) -> list[str]:
    """Give the covariates of the model that follow the path, derived ones included."""
    incentive, rules = book.rules.rate_incentive, book.rules
    moved = [name for name in features if name in path.values]
    if incentive is not None and incentive.market in path.values:
        moved += [name for name in ("rate_incentive", "burnout") if name in features and name in rules.covariate_names]
    if rules.season and "season" in features:
        moved.append("season")
    return list(dict.fromkeys(moved))


def external_held(features: Sequence[str], followed: Sequence[str], rules: SpellRules) -> list[str]:
    """Give the external covariates for which there is no path."""
    return [name for name in features if name not in followed and is_external(name, rules)]


def followed_values(book: Book, path: Path, features: Sequence[str], scenario: str) -> dict[str, NDArray[Any]]:
    """Give the values (n, H) of what follows the path, by covariate."""
    found: dict[str, NDArray[Any]] = {}
    moved = movable(features, path, book)
    for name in moved:
        if name in path.values:
            found[name] = _along(book, path, name, scenario)
    if {"rate_incentive", "burnout"} & set(moved):
        incentive = _incentive(book, path, scenario)
        if "rate_incentive" in moved:
            found["rate_incentive"] = incentive
        if "burnout" in moved:
            start = numeric_column(book.frame["burnout"], "burnout")[:, None]
            passed = np.cumsum(np.maximum(incentive, 0.0), axis=1)
            found["burnout"] = start + np.hstack([np.zeros((len(book), 1)), passed[:, :-1]])
    if "season" in moved:
        names = np.array(seasons(book.rules), dtype=object)
        calendar = (book.period + np.arange(1, book.horizon + 1)) % len(names)
        found["season"] = np.broadcast_to(names[calendar], (len(book), book.horizon))
    return found


def _along(book: Book, path: Path, name: str, scenario: str) -> Floats:
    """Give a series at its lag; what was known at the landmark stays as the cohort has it."""
    lag = book.rules.lag_of(name)
    first = 1 if lag else 0
    now = [numeric_column(book.frame[name], name)[:, None]] if lag else []
    periods = book.period - lag + np.arange(1 + first, book.horizon + 1)
    if not len(periods):
        return now[0]
    ahead = path.at(name, periods, book.region, scenario)
    return np.hstack([*now, np.broadcast_to(ahead, (len(book), len(periods)))])


def _incentive(book: Book, path: Path, scenario: str) -> Floats:
    """Give own minus market rate: the cohort's, moved by the change of the market rate since what it was made with."""
    incentive = book.rules.rate_incentive
    assert incentive is not None
    lag = book.rules.lag_of(incentive.market)
    periods = book.period - lag + np.arange(1, book.horizon + 1)
    market = path.at(incentive.market, periods, book.region, scenario)
    if lag:
        assert book.incentive is not None
        now = book.incentive[:, None]
        return np.asarray(now - (market - market[:, :1]))
    if book.own_rate is None:
        raise NotIdentifiedError(
            f"The market rate acts without lag, so the incentive of the first period needs the own rate: keep "
            f"{incentive.own!r} in the cohort (`keep` of the rules)."
        )
    return np.asarray(book.own_rate[:, None] - market)


class Pieces(NamedTuple):
    """A row per loan and period until its end: the model's columns X, ages start and stop, position of the loan."""

    X: pd.DataFrame
    start: Floats
    stop: Floats
    loan: NDArray[np.int64]


def pieces_of(book: Book, values: dict[str, NDArray[Any]]) -> Pieces:
    """Give the loans along a path, `values` (n, H) by covariate taking the place of the cohort's."""
    n, horizon = len(book), book.horizon
    rows = np.repeat(np.arange(n), horizon)
    start, stop = (book.age[:, None] + np.arange(horizon)).ravel(), book.ages.ravel()
    used = stop > start
    columns: dict[str, Any] = {name: book.frame[name].array[rows[used]] for name in book.frame.columns}
    for name, array in values.items():
        column, dtype = array.reshape(-1)[used], book.frame[name].dtype
        columns[name] = pd.Categorical(column, dtype=dtype) if isinstance(dtype, pd.CategoricalDtype) else column
    return Pieces(pd.DataFrame(columns), start[used], stop[used], rows[used])
