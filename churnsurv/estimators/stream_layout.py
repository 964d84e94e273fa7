"""The first pass of a fit from batches: rows checked, and what all later passes need fixed before them.

Fixed are the distinct event times by stratum, levels of categories, ranges, keys of subjects and clusters. What is wrong
is refused here, naming column and batch, since one missing value would poison every sum.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from churnsurv.estimators.stream_roles import Roles
from churnsurv.estimators.stream_source import Distinct, Levels, keys_of, numbers
from churnsurv.exceptions import DataError, ZeroDurationWarning
from churnsurv.kernels.buckets import Grid, grid_of
from churnsurv.kernels.times import distinct_times, snapped
from churnsurv.messages import counted
from churnsurv.outcome import Missing
from churnsurv.outcome_checks import cause_codes, checked_parts
from churnsurv.rows import row_labels, row_weights

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class Piece(NamedTuple):
    """Rows of a batch that are used, without covariates: times as they are, codes, `kept` (mask over the batch)."""

    kept: NDArray[np.bool_]
    start: Floats | None
    stop: Floats
    code: Codes
    stratum: Codes | None
    weight: Floats
    offset: Floats | None


class Layout(NamedTuple):
    """What the first pass fixed."""

    grid: Grid
    known_times: Floats | None
    strata_labels: list[Any] | None
    stratum_of: Codes
    causes: tuple[str, ...]
    first: list[float]
    last: list[float]
    n_rows: int
    n_dropped: int
    n_events: int
    n_subjects: int
    mean_weight: float
    offset_center: float
    offset_bound: float
    empty_strata: list[str]
    keys: Codes | None

    def snapped(self, times: Floats) -> Floats:
        """Give times with those that differ by rounding alone made one; `known_times` is None where none do."""
        return times if self.known_times is None else snapped(self.known_times, times)


class FirstPass:
    """Reads pieces of batches; what it has seen becomes a :class:`Layout`."""

    def __init__(
        self,
        roles: Roles,
        missing: Missing,
        categorical: Sequence[str],
        categories: Mapping[str, list[Any]],
        cause: str | None,
    ) -> None:
        self.roles, self.missing, self.cause = roles, missing, cause
        self.levels = {name: Levels(name, categories.get(name)) for name in categorical}
        self._strata = [Levels(name, categories.get(name)) for name in roles.strata]
        self._combinations: dict[tuple[int, ...], int] = {}
        self._codes: dict[Any, int] = {}
        self.causes: tuple[str, ...] = ()
        self.n_rows = self.n_dropped = self._at_zero = 0
        self._times, self._subjects, self._clusters = Distinct(), Distinct(), Distinct()
        self._events: list[tuple[Codes, Floats]] = []
        self._least, self._most, self._latest = np.empty(0), np.empty(0), np.empty(0)
        self._sizes = np.empty(0)
        self._weight, self._weighted, self._offset, self._offset_range = 0.0, 0, 0.0, (np.inf, -np.inf)
        self.n_events = 0
        self._carried: tuple[Any, float, int] | None = None

    def read(self, batch: pa.RecordBatch, *, learn: bool) -> Piece:
        """Give the used rows of a batch, `learn`: with all checks and new levels."""
        roles = self.roles
        kept = self._complete(batch, learn)
        start = None if roles.start is None else numbers(batch.column(roles.start), roles.start)[kept]
        stop = numbers(batch.column(roles.stop), roles.stop)[kept]
        code = self._event_codes(batch.column(roles.event), learn)[kept]
        stratum = self._stratum_codes(batch, learn)[kept] if roles.strata else None
        weight = np.ones(len(stop))
        if roles.sample_weight:
            weight = numbers(batch.column(roles.sample_weight), roles.sample_weight)[kept]
        offset = None if roles.offset is None else numbers(batch.column(roles.offset), roles.offset)[kept]
        return Piece(kept, start, stop, code, stratum, weight, offset)

    def add(self, batch: pa.RecordBatch, number: int) -> Piece:
        """Check a batch and take from it what the layout needs."""
        roles = self.roles
        try:
            for name in roles.needed():
                if name not in roles.covariates and batch.column(name).null_count:
                    n = batch.column(name).null_count
                    raise DataError(
                        f"Column {name!r} has {counted(n, 'missing value')}. Correct or leave out these rows."
                    )
            piece = self.read(batch, learn=True)
            for name, levels in self.levels.items():
                levels.codes(batch.column(name), learn=True)
                if len(levels) > 10_000:
                    raise DataError(f"Column {name!r} is text with more than 10,000 different values: an identifier?")
            self._check(batch, piece)
        except DataError as error:
            # rows in the message count from the batch's first
            raise type(error)(f"Batch {number} (rows from {self.n_rows + self.n_dropped:,} on): {error}") from None
        self._take(batch, piece)
        return piece

    def _complete(self, batch: pa.RecordBatch, learn: bool) -> NDArray[np.bool_]:
        """Tell which rows have all covariates; without missing="drop" all must."""
        kept = np.ones(batch.num_rows, dtype=bool)
        for name in self.roles.covariates:
            column = batch.column(name)
            missing = column.is_null(nan_is_null=True) if pa.types.is_floating(column.type) else column.is_null()
            if not (column.null_count or pa.types.is_floating(column.type)) or missing.true_count == 0:
                continue
            if self.missing == "raise" and learn:
                rows = np.flatnonzero(missing.to_numpy(zero_copy_only=False))
                raise DataError(
                    f"Column {name!r} has {counted(len(rows), 'missing value')} (row {rows[0]} of the batch). Drop such rows "
                    "(missing='drop', counted) or impute the values."
                )
            kept &= ~missing.to_numpy(zero_copy_only=False)
        return kept

    def _event_codes(self, column: pa.Array, learn: bool) -> Codes:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        unknown = [v for v in values if v not in self._codes]
        if unknown and learn:
            used = set(np.unique(encoded.indices.to_numpy(zero_copy_only=False)).tolist())
            new = [v for k, v in enumerate(values) if v in unknown and k in used]
            try:
                if new:
                    codes, self.causes = cause_codes(
                        pd.Series(new), self.roles.event, self.roles.causes, self.roles.censored
                    )
                    self._codes |= dict(zip(new, codes.tolist(), strict=True))
            except DataError:
                # again on all rows, whose numbers the message then gives
                cause_codes(column.to_pandas(), self.roles.event, self.roles.causes, self.roles.censored)
                raise
        number = np.array([self._codes.get(v, 0) for v in values], dtype=np.int64)
        return np.asarray(number[encoded.indices.to_numpy(zero_copy_only=False)])

    def _stratum_codes(self, batch: pa.RecordBatch, learn: bool) -> Codes:
        """Give codes of strata in the order of their appearance; :class:`Layout` says what becomes of them."""
        parts = [levels.codes(batch.column(levels.name), learn=learn) for levels in self._strata]
        if len(parts) == 1:
            return parts[0]
        unique, inverse = np.unique(np.column_stack(parts), axis=0, return_inverse=True)
        keys = [tuple(row) for row in unique.tolist()]
        if learn:
            for key in keys:
                self._combinations.setdefault(key, len(self._combinations))
        return np.array([self._combinations.get(key, -1) for key in keys], dtype=np.int64)[inverse.ravel()]

    def _check(self, batch: pa.RecordBatch, piece: Piece) -> None:
        if not len(piece.stop):
            return
        roles = self.roles
        subject = None if roles.subject is None else batch.column(roles.subject).to_numpy(zero_copy_only=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZeroDurationWarning)
            names = {"start": roles.start, "stop": roles.stop, "event": roles.event, "subject": roles.subject}
            whose = None if subject is None else subject[piece.kept]
            checked_parts(piece.stop, piece.code, piece.start, whose, self.causes or ("event",), False, names)
        if roles.sample_weight and np.any(piece.weight > 0):
            row_weights(piece.weight, len(piece.weight), roles.sample_weight)
        elif roles.sample_weight and np.any(~(piece.weight >= 0)):
            raise DataError(f"Column {roles.sample_weight!r} has weights below 0.")
        if piece.offset is not None and not np.isfinite(piece.offset).all():
            raise DataError(f"Column {roles.offset!r} is not finite in some rows.")
        if subject is not None:
            self._check_boundary(subject[piece.kept], piece)

    def _check_boundary(self, subject: NDArray[Any], piece: Piece) -> None:
        """Hold the rows of the subject that the end of the last batch cut to what came before."""
        start = np.zeros(len(piece.stop)) if piece.start is None else piece.start
        if self._carried is not None:
            label, until, code = self._carried
            same = np.flatnonzero(subject == label)
            if len(same) and (start[same].min() < until or code > 0):
                what = "rows after its event" if code > 0 else "overlapping rows"
                raise DataError(
                    f"{self.roles.subject} {label} has {what} in two batches. Correct the intervals; events that recur are "
                    "fitted without subject= and with cluster=."
                )
        mine = np.flatnonzero(subject == subject[-1])
        last = mine[np.argmax(piece.stop[mine])]
        self._carried = (subject[-1], float(piece.stop[last]), int(piece.code[last]))

    def _take(self, batch: pa.RecordBatch, piece: Piece) -> None:
        roles, n = self.roles, len(piece.stop)
        self.n_rows += n
        self.n_dropped += batch.num_rows - n
        self._times.add(piece.stop)
        if piece.start is not None:
            self._times.add(piece.start)
        if roles.subject:
            self._subjects.add(keys_of(batch, [roles.subject])[piece.kept])
        used = piece.weight > 0
        if roles.cluster:
            self._clusters.add(keys_of(batch, roles.cluster)[piece.kept][used])
        stratum = np.zeros(n, dtype=np.int64) if piece.stratum is None else piece.stratum
        self._extend(int(stratum.max(initial=-1)) + 1)
        start = np.zeros(n) if piece.start is None else piece.start
        np.minimum.at(self._least, stratum[used], start[used])
        np.maximum.at(self._latest, stratum[used], start[used])
        np.maximum.at(self._most, stratum[used], piece.stop[used])
        self._sizes += np.bincount(stratum, minlength=len(self._sizes))
        event = piece.code == self.modelled()
        found = pd.DataFrame({"s": stratum[event], "t": piece.stop[event]}).drop_duplicates()
        self._events.append((found["s"].to_numpy(), found["t"].to_numpy()))
        self.n_events += int(np.count_nonzero(event & used))
        self._at_zero += int(np.count_nonzero((piece.stop == 0) & (piece.code > 0)))
        self._weight += float(piece.weight[used].sum())
        self._weighted += int(np.count_nonzero(used))
        if piece.offset is not None and n:
            self._offset += float(piece.offset.sum())
            low, high = self._offset_range
            self._offset_range = (min(low, float(piece.offset.min())), max(high, float(piece.offset.max())))

    def _extend(self, n_strata: int) -> None:
        more = n_strata - len(self._least)
        if more > 0:
            self._least = np.append(self._least, np.full(more, np.inf))
            self._most = np.append(self._most, np.full(more, -np.inf))
            self._latest = np.append(self._latest, np.full(more, -np.inf))
            self._sizes = np.append(self._sizes, np.zeros(more))

    def modelled(self) -> int:
        """Give the code of the modelled cause."""
        if self.cause is None and len(self.causes) > 1:
            raise DataError(
                f"The outcome has {len(self.causes)} causes {list(self.causes)}: name the one to model, e.g. "
                f"CoxPH(cause={self.causes[0]!r})."
            )
        if self.cause is None or not self.causes:
            return 1
        if self.cause not in self.causes:
            raise DataError(f"Cause {self.cause!r} is unknown; the outcome has the causes {list(self.causes)}.")
        return self.causes.index(self.cause) + 1

    def finished(self, by_subject: bool, stacklevel: int) -> Layout:
        """Give the layout; `by_subject`: subjects are the clusters of a robust variance."""
        if self.n_rows == 0:
            raise DataError("The source has 0 rows to use: there is nothing to analyse. Was everything filtered out?")
        if self._weighted == 0:
            raise DataError(f"Every {self.roles.sample_weight} is zero: no row is left.")
        if self._at_zero:
            warnings.warn(
                f"{counted(self._at_zero, 'event')} at time 0: kept, at risk at time 0.",
                ZeroDurationWarning,
                stacklevel=stacklevel,
            )
        labels, place = self._ordered_strata()
        n_strata = 1 if labels is None else len(labels)
        seen = self._times.sorted()
        known = distinct_times(seen, with_zero=self.roles.start is None)
        merged = not np.isin(seen, known).all()
        stratum = place[np.concatenate([s for s, _ in self._events])]
        time = snapped(known, np.concatenate([t for _, t in self._events]))
        grid = grid_of(time, None if labels is None else stratum, n_strata)
        back = np.zeros(n_strata, dtype=np.int64)
        there = np.flatnonzero(place >= 0)
        back[place[there]] = there
        latest = self._latest[back]
        begin = grid.buckets.begin
        filled = np.flatnonzero(np.diff(begin) > 0)
        late = self.roles.start is not None and bool(np.any(latest[filled] >= grid.buckets.time[begin[filled]]))
        low, high = self._offset_range
        center = self._offset / self.n_rows
        empty = [] if labels is None else [s for s in range(n_strata) if begin[s] == begin[s + 1]]
        subjects = self._subjects.sorted()
        keys = self._clusters.sorted() if self.roles.cluster else subjects if by_subject else None
        return Layout(
            grid=grid._replace(buckets=grid.buckets._replace(late=late)),
            known_times=known if merged else None,
            strata_labels=labels,
            stratum_of=place,
            causes=self.causes or ("event",),
            first=[float(t) if np.isfinite(t) else 0.0 for t in self._least[back]],
            last=[float(t) if np.isfinite(t) else 0.0 for t in self._most[back]],
            n_rows=self.n_rows,
            n_dropped=self.n_dropped,
            n_events=self.n_events,
            n_subjects=len(subjects) if self.roles.subject else self.n_rows,
            mean_weight=self._weight / self._weighted if self.roles.sample_weight else 1.0,
            offset_center=center,
            offset_bound=max(abs(low - center), abs(high - center)) if self.roles.offset else 0.0,
            empty_strata=[f"{labels[s]}: 0 events of {int(self._sizes[back][s]):,}" for s in empty] if labels else [],
            keys=keys,
        )

    def _ordered_strata(self) -> tuple[list[Any] | None, Codes]:
        """Give the sorted labels of the strata, and the place of each code by appearance (−1: it did not occur)."""
        if not self.roles.strata:
            return None, np.zeros(1, dtype=np.int64)
        if len(self._strata) == 1:
            values: pd.Series | pd.DataFrame = self._strata[0].series()
            numbers_, size = values.index.to_numpy(), len(self._strata[0])
        else:
            columns = [levels.series() for levels in self._strata]
            keys = np.array(list(self._combinations), dtype=np.int64)
            values = pd.DataFrame({c.name: c.reindex(keys[:, k]).reset_index(drop=True) for k, c in enumerate(columns)})
            numbers_, size = np.arange(len(keys)), len(keys)
        codes, labels = row_labels(values, len(values), "strata")
        place = np.full(size + 1, -1, dtype=np.int64)
        place[numbers_] = codes
        return labels.tolist(), place
