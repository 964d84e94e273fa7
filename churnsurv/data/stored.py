"""Spells in a file: for portfolios that do not fit into memory, and to keep what a model was fitted to.

The file is one Parquet file in the columns and the order of :attr:`churnsurv.data.Spells.frame`, with the rules and the
counts in its metadata. Rows of the period ahead (see :attr:`churnsurv.data.Spells.ahead`) have no cause.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from churnsurv.data.build import SpellExpression, expression_of, prepared, refuse_empty, split_spells
from churnsurv.data.engine import Workspace, to_pandas, workspace
from churnsurv.data.findings import Finding, findings_frame
from churnsurv.data.frames import as_rules
from churnsurv.data.landmark import Cohort, landmark_cohort
from churnsurv.data.rules import SpellRules
from churnsurv.data.spells import Spells, day_after
from churnsurv.data.summary import endings_of, findings_of, reconciled
from churnsurv.exceptions import DataError

_KEY = b"churnsurv"
_VERSION = 1


def write_spells(
    file: str | Path,
    loans: Any,
    performance: Any,
    rules: SpellRules | Mapping[str, Any],
    *,
    macro: Any = None,
    memory_limit: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> SpellFile:
    """Build spells into a Parquet file; they are never in memory as a whole.

    Parameters
    ----------
    file : path
        Written whole or not at all.
    loans, performance, rules, macro, progress
        As in :func:`churnsurv.data.build_spells`.
    memory_limit : str, optional
        What the engine may hold in memory, such as "1GB"; Python and what the engine does not count need some 0.5 GB beside
        it. The rest is put into the folder of temporary files.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    DataError
        As :func:`churnsurv.data.build_spells`; the file is there and `overwrite` is False.

    Examples
    --------
    >>> import tempfile
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = cs.data.write_spells(
    ...         f"{folder}/spells.parquet", portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro
    ...     )
    ...     cohort = stored.landmark("2025-09-30")
    >>> cohort.y.causes
    ('attrition', 'default', 'renewed')
    """
    rules = as_rules(rules)
    target = Path(file)
    _refuse_to_replace(target, overwrite)
    if not target.parent.is_dir():
        raise DataError(f"{str(target.parent)!r} is no folder; make it first.")
    # a name of its own: two may write at once
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with prepared(loans, performance, macro, rules, memory_limit=memory_limit, progress=progress) as work:
            made = expression_of(work, rules)
            _write(made, rules, work, unfinished)
        if pq.read_metadata(unfinished).num_rows == 0:
            refuse_empty(made.cleaned)
        _refuse_to_replace(target, overwrite)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return SpellFile.open(target)


def _refuse_to_replace(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise DataError(f"{str(target)!r} exists and is left as it is. Give another file, or overwrite=True.")


def _write(made: SpellExpression, rules: SpellRules, work: Workspace, file: Path) -> None:
    kept = {
        "version": _VERSION,
        "rules": rules.model_dump(mode="json", exclude_defaults=True),
        "loans_in": made.cleaned.loans_in,
        "left_out": made.cleaned.left_out,
        "findings": [asdict(finding) for finding in made.cleaned.findings],
        "categories": made.categories,
    }
    words = json.dumps(kept, default=str)
    if work.is_duckdb:
        quoted = words.replace("'", "''")
        path = str(file).replace("'", "''")
        options = f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{_KEY.decode()}: '{quoted}'}}"
        statement = f"COPY ({ibis.to_sql(made.rows, dialect='duckdb')}) TO '{path}' ({options})"
        work.run(lambda: work.backend.con.execute(statement).fetchall(), what="spells")
        return
    batches = work.run(made.rows.to_pyarrow_batches, what="spells")
    schema = batches.schema.with_metadata({_KEY: words.encode()})
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))


@dataclass(frozen=True, repr=False, eq=False)
class SpellFile:
    """Spells in a Parquet file, as :func:`churnsurv.data.write_spells` makes it.

    Attributes
    ----------
    path : Path
    rules : SpellRules
        The rules they were built with.
    loans_in : int
        Number of loans given.
    left_out : dict
        Reason → number of loans without any spell.
    """

    path: Path
    rules: SpellRules
    loans_in: int
    left_out: dict[str, int]
    _categories: dict[str, list[Any]]
    _of_tables: tuple[Finding, ...]

    @classmethod
    def open(cls, file: str | Path) -> SpellFile:
        """Open a file of spells.

        Raises
        ------
        DataError
            The file is absent, is no Parquet file, or was not written by :func:`churnsurv.data.write_spells`.
        """
        path = Path(file)
        if not path.is_file():
            raise DataError(f"There is no file {str(path)!r}.")
        try:
            metadata = pq.read_schema(path).metadata or {}
            kept = json.loads(metadata[_KEY])
        except (pa.ArrowException, KeyError, ValueError):
            raise DataError(f"{str(path)!r} is no file of spells; make one with churnsurv.data.write_spells.") from None
        if kept["version"] != _VERSION:
            raise DataError(f"{str(path)!r} was written by another version of churnsurv; write it again.")
        found = tuple(Finding(**(finding | {"examples": tuple(finding["examples"])})) for finding in kept["findings"])
        rules = SpellRules(**kept["rules"])
        return cls(path, rules, kept["loans_in"], kept["left_out"], kept["categories"], found)

    @cached_property
    def findings(self) -> list[Finding]:
        """What the clean-up counted."""
        with self._opened() as work:
            return [*self._of_tables, *findings_of(work.tables["spells"], self.rules, work)]

    @property
    def categories(self) -> dict[str, list[Any]]:
        """Categorical column → its categories in their order, which the file's text does not know."""
        return self._categories

    @property
    def cleaning(self) -> pd.DataFrame:
        """What was cleaned: rule, table, column, count, unit, action."""
        return findings_frame(self.findings)

    @cached_property
    def reconciliation(self) -> pd.DataFrame:
        """Loans in = loans out by reason (columns reason, loans); the first row is the sum of the others."""
        with self._opened() as work:
            endings = endings_of(work.tables["spells"], self.rules, work)
        counts = reconciled(endings, self.left_out, self.loans_in)
        return pd.DataFrame({"reason": list(counts), "loans": list(counts.values())})

    def load(self) -> Spells:
        """Read all spells into memory."""
        return split_spells(self._frame(lambda table: table), self, self.rules, self.findings)

    def landmark(self, date: Any) -> Cohort:
        """Give the loans under observation at the end of the day `date`, see :meth:`churnsurv.data.Spells.landmark`."""
        with self._opened() as work:
            period = work.tables["spells"].filter(ibis._.cause.notnull()).period
            first, last = work.records(period.as_table().aggregate(a=period.min(), b=period.max()), what="spells")[
                0
            ].values()
        start = day_after(date, (first, last), self.rules)

        def reduced(table: ir.Table) -> ir.Table:
            # the rows of the date, and the last one of each loan: what became of it
            cause = table.cause.notnull()
            later = table.mutate(
                after=table.start.lead().over(ibis.window(group_by=["loan_id", cause], order_by="start"))
            )
            wanted = (later.period == start) | (later.after.isnull() & later.cause.notnull() & (later.period > start))
            return later.filter(wanted).drop("after").order_by(["loan_id", "start"])

        frame = self._frame(reduced)
        ahead = frame["cause"].isna()
        return landmark_cohort(frame[~ahead], frame[ahead].drop(columns="cause"), self.rules, start)

    def batches(self, columns: Sequence[str] | None = None, *, size: int = 250_000) -> Iterator[pa.RecordBatch]:
        """Give the spells, without the periods ahead, as Arrow batches of at most `size` rows, by loan and age."""
        wanted = None if columns is None else [*dict.fromkeys([*columns, "cause"])]
        for batch in pq.ParquetFile(self.path).iter_batches(batch_size=size, columns=wanted):
            known = batch.filter(pa.compute.is_valid(batch.column("cause")))
            yield known if columns is None else known.select(list(columns))

    def __len__(self) -> int:
        with self._opened() as work:
            spells: ir.Table = work.tables["spells"]
            return work.count(spells.filter(spells.cause.notnull()), what="spells")

    def __repr__(self) -> str:
        return (
            f"SpellFile of {self.loans_in:,} loans, {pq.read_metadata(self.path).num_rows:,} rows in {str(self.path)!r}"
        )

    def _opened(self) -> AbstractContextManager[Workspace]:
        return workspace({"spells": self.path}, columns={})

    def _frame(self, wanted: Callable[[ir.Table], ir.Table]) -> pd.DataFrame:
        with self._opened() as work:
            table = work.run(wanted(work.tables["spells"]).to_pyarrow, what="spells")
        return to_pandas(table, self._categories)
