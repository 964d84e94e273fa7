"""The world of a simulated portfolio: a lender, its loans and customers, lived through month by month.

During a month every loan at risk is exposed to the hazards of :mod:`churnsurv.data.synthetic.hazards`, given the covariates at
the end of the month before; then the world moves on, interventions are assigned, and the month's rows are written.
Observation starts in month `HISTORY`: loans originated earlier are simulated from their origination and enter late, if they
are still there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from churnsurv.data.synthetic.book import Book, drawn_loans
from churnsurv.data.synthetic.branches import N_BRANCHES, Branches
from churnsurv.data.synthetic.customers import Customers
from churnsurv.data.synthetic.drift import Drift, remixed
from churnsurv.data.synthetic.hazards import CAUSES, COEFFICIENTS, hazards
from churnsurv.data.synthetic.interventions import HORIZON, INTERVENTIONS, Unit
from churnsurv.data.synthetic.market import REGIONS, drawn_market
from churnsurv.data.synthetic.programmes import Programme, Sight
from churnsurv.data.synthetic.rules import PORTFOLIO_RULES
from churnsurv.data.synthetic.states import Columns, Floats, Ints

#: months in which loans were originated before observation starts, and months under observation
HISTORY, WINDOW = 36, 45
LAST_MONTH = HISTORY + WINDOW - 1
#: loans originated before the window, as a share of the loans asked for; not all of them last until it starts
_OLD_SHARE = 0.55
#: customers per loan
_CUSTOMERS = 0.75

#: how a loan stands at the end of a month: open, left by a cause (1, 2, ...), matured
OPEN = 0
MATURED = len(CAUSES) + 1


class World:
    """State of the simulation; month 0 is the first month of originations, months are counted by their end.

    Parameters
    ----------
    seed : int
        Every part of the world draws from a stream of its own, so that a change to one leaves the others as they were.
    n_loans : int
        Loans under observation at some time.
    drift : Drift, optional
        What changes in the last months.
    drift_month : int
        The first month that is concerned.
    forced : mapping
        Intervention → True: everyone eligible gets it at its time zero, False: nobody ever does.
    """

    def __init__(
        self,
        seed: int,
        n_loans: int,
        *,
        drift: Drift | None = None,
        drift_month: int = LAST_MONTH + 1,
        forced: Mapping[str, bool] | None = None,
    ) -> None:
        streams = np.random.default_rng(seed).spawn(7 + len(INTERVENTIONS))
        self._exit_stream = streams[0]
        self.drift, self.drift_month = drift or Drift(), drift_month
        self.n_loans, self._n_old = n_loans, round(_OLD_SHARE * n_loans)
        # one month more than is lived through: the first hazards use the month before
        self.market = drawn_market(streams[1], LAST_MONTH + 2)
        self.branches = Branches(streams[2])
        self.customers = Customers(streams[3], max(1, round(_CUSTOMERS * (self._n_old + n_loans))), self.branches)
        self.book = Book(streams[4], self._drawn(streams[5], streams[6]))
        #: candidates at risk in the months to come; new ones are cut to the number asked for when the window opens
        self.in_use = np.arange(len(self.book.balance)) < self._n_old
        self.exit = np.full(len(self.in_use), OPEN, np.int8)
        self.programmes = {
            spec.name: Programme(spec, stream, self._n_units(spec.unit), LAST_MONTH, (forced or {}).get(spec.name))
            for spec, stream in zip(INTERVENTIONS, streams[7:], strict=True)
        }
        self.rows: list[Columns] = []
        #: loan-months at risk by age, and exits expected of them by cause
        self.at_risk = np.zeros(HISTORY + WINDOW + 1)
        self.expected = np.zeros((len(CAUSES), HISTORY + WINDOW + 1))
        self.customers.advance(-1, self.market, self.branches)

    def _drawn(self, stream: np.random.Generator, drifting: np.random.Generator) -> Columns:
        n = self._n_old + self.n_loans
        old = np.arange(n) < self._n_old
        origination = np.where(old, stream.integers(0, HISTORY, n), stream.integers(HISTORY, LAST_MONTH + 1, n))
        fixed = drawn_loans(stream, origination, HISTORY + WINDOW, self.customers)
        if self.drift.segments:
            late = np.flatnonzero(origination >= self.drift_month)
            fixed["customer"] = remixed(drifting, fixed["customer"], late, self.drift, self.customers)
        return fixed

    def live(self, month: int, before_assignment: Callable[[int], None] = lambda month: None) -> None:
        """Go through one month: exits, then the new state of the world, then assignments, then the rows."""
        if month == HISTORY:
            survivors = int(np.count_nonzero(self.exit[: self._n_old] == OPEN))
            self.in_use[self._n_old : self._n_old + self.n_loans - survivors] = True
        here = self.open_loans(month)
        age = month - self.book.fixed["origination"][here]
        self._sign(here[age == 0], month)
        hazard = self.hazards(here, month)
        if month >= HISTORY:
            self._expect(age, hazard)
        ends = self._exits(here, hazard)
        ends = np.where((ends == OPEN) & (age + 1 == self.book.fixed["term"][here]), MATURED, ends)
        self.exit[here] = ends
        self.move(here, month)
        before_assignment(month)
        self.assign(month)
        if month >= HISTORY:
            self._write(here, ends, month)

    def open_loans(self, month: int) -> Ints:
        """Give the loans that are there: originated by the month and not left."""
        return np.flatnonzero(self.in_use & (self.exit == OPEN) & (self.book.fixed["origination"] <= month))

    def hazards(self, here: Ints, month: int) -> dict[str, Floats]:
        """Give each cause's hazard in the month for the listed loans."""
        age = (month - self.book.fixed["origination"][here]).astype(float)
        return hazards(age, self.columns(here, month - 1), self.coefficients(month))

    def coefficients(self, month: int) -> Mapping[str, Mapping[str, float]]:
        """Give the coefficients in force in the month."""
        if month < self.drift_month:
            return COEFFICIENTS
        changed = self.drift.coefficients
        return {cause: {**of_cause, **changed.get(cause, {})} for cause, of_cause in COEFFICIENTS.items()}

    def columns(self, here: Ints, month: int) -> Columns:
        """Give the covariates of loans at the end of a month, as stored; the world must have reached it."""
        customer = self.book.fixed["customer"][here]
        market = {name: values[self.customers.region[customer]] for name, values in self.market.at(month).items()}
        return {
            "rate_incentive": self.book.fixed["contract_rate"][here] - market["market_rate"],
            "burnout": self.book.burnout[here],
            **self.book.columns(here),
            **self.customers.columns(customer),
            **market,
            **{
                name: programme.in_force(month)[self.unit(programme.spec.unit, here)]
                for name, programme in self.programmes.items()
            },
        }

    def move(self, here: Ints, month: int) -> None:
        """Let branches, customers and loans move to the end of the month."""
        self.branches.advance()
        drifted = self.drift.covariates if month >= self.drift_month else {}
        self.customers.advance(month, self.market, self.branches, self._acting(month), drifted)
        region = self.unit("region", here)
        self.book.advance(month, here, self.market.at(month - 1)["market_rate"][region])

    def assign(self, month: int) -> None:
        """Assign interventions at the end of the month."""
        for programme in self.programmes.values():
            programme.force_rollout(month)
            if programme.needs_sight(month):
                programme.assign(self.sight(programme, month))

    def sight(self, programme: Programme, month: int) -> Sight:
        """Give the eligible loans at the end of a month, and what is known of their units."""
        spec, fixed = programme.spec, self.book.fixed
        loans = self.open_loans(month)
        age = month + 1 - fixed["origination"][loans]
        loans = loans[(age >= spec.least_age) & (fixed["term"][loans] - age >= HORIZON)]
        unit = np.unique(self.unit(spec.unit, loans))
        customer = fixed["customer"][unit] if spec.unit == "loan" else unit
        known: Columns = {}
        if spec.inclined:
            known = self.customers.columns(customer) | {"loyalty": self.customers.loyalty[customer]}
        return Sight(month, loans, unit, known)

    def unit(self, kind: Unit, loans: Ints) -> Ints:
        """Give the unit of each loan: itself, its customer, branch or region."""
        if kind == "loan":
            return loans
        customer = self.book.fixed["customer"][loans]
        return customer if kind == "customer" else np.asarray(getattr(self.customers, kind)[customer])

    def fork(self) -> World:
        """Give a twin that has the same past and the same random numbers ahead."""
        twin = copy.copy(self)
        for part in ("branches", "customers", "book", "programmes"):
            setattr(twin, part, copy.deepcopy(getattr(self, part)))
        return twin

    def _n_units(self, kind: Unit) -> int:
        return {
            "loan": len(self.book.balance),
            "customer": self.customers.n,
            "branch": N_BRANCHES,
            "region": len(REGIONS),
        }[kind]

    def _acting(self, month: int) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Give the factors and shifts of columns by the interventions in force, by customer."""
        factor: dict[str, Floats] = {}
        shift: dict[str, Floats] = {}
        for programme in self.programmes.values():
            kind = programme.spec.unit
            for through in programme.spec.through:
                reached = programme.reached(month, through.months)
                if kind != "customer":
                    reached = reached[getattr(self.customers, kind)]
                factor[through.column] = factor.get(through.column, 1.0) * (1 - (1 - through.factor) * reached)
                shift[through.column] = shift.get(through.column, 0.0) + (through.shift + through.chance) * reached
        return factor, shift

    def _sign(self, new: Ints, month: int) -> None:
        """Sign the contracts of the month, at the rate of the month before."""
        customer = self.book.fixed["customer"][new]
        market = self.market.at(month - 1)["market_rate"][self.customers.region[customer]]
        self.book.sign(new, market, self.customers.columns(customer)["credit_score"])

    def _expect(self, age: Ints, hazard: dict[str, Floats]) -> None:
        size = len(self.at_risk)
        self.at_risk += np.bincount(age, minlength=size)
        for code, probability in enumerate(exit_probabilities(hazard).values()):
            self.expected[code] += np.bincount(age, probability, size)

    def _exits(self, here: Ints, hazard: dict[str, Floats]) -> NDArray[np.int8]:
        """Draw who leaves in the month, and by which cause."""
        uniform = self._exit_stream.random(len(self.exit))[here]
        below = np.cumsum(list(exit_probabilities(hazard).values()), axis=0)
        # the causes stand in line on the unit interval; who lies beyond all of them stays
        cause = len(CAUSES) - np.count_nonzero(uniform < below, axis=0)
        return np.where(cause == len(CAUSES), OPEN, cause + 1).astype(np.int8)

    def _write(self, here: Ints, ends: NDArray[np.int8], month: int) -> None:
        columns = self.columns(here, month)
        # who defaults has not paid in the month, who leaves otherwise owes nothing
        owed = np.where(ends == CAUSES.index("default") + 1, self.book.owed(month - 1, here), 0)
        columns["balance"] = np.where(ends == OPEN, columns["balance"], owed).astype(np.int32)
        stored = {name: columns[name] for name in PORTFOLIO_RULES.covariates.performance}
        number: Columns = {"loan": here.astype(np.int32), "month": np.full(len(here), month, np.int16), "status": ends}
        self.rows.append(number | stored)


def exit_probabilities(hazard: Mapping[str, Floats]) -> dict[str, Floats]:
    """Give the probability of leaving within the month by each cause, the hazards being constant in it."""
    total = np.sum(list(hazard.values()), axis=0)
    leaves = -np.expm1(-total)
    return {cause: leaves * of_cause / total for cause, of_cause in hazard.items()}
