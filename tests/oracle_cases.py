"""The oracle cases: found, read, and compared with churnsurv.

A case is a folder with ``input.csv``, ``expected.json`` and ``make.R``. What a number in ``expected.json`` means is read
from ``make.R``: a small interpreter runs the script with churnsurv in the place of R's ``survival``, so that a new case
of the same form is checked without a line written for it. What the interpreter does not know is skipped with its reason.

Cases are taken from ``tests/oracles``, from ``../shared/oracles`` beside the repository, and from the folder named by the
environment variable ORACLES. ``python -m tests.oracle_cases`` prints what is checked and what is skipped.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churnsurv.exceptions import ChurnSurvError
from tests.oracle_r.comparisons import COMPARISONS
from tests.oracle_r.cox import COX
from tests.oracle_r.effects import EFFECTS
from tests.oracle_r.evaluator import LANGUAGE, evaluate
from tests.oracle_r.fine_gray import FINE_GRAY
from tests.oracle_r.functions import FUNCTIONS
from tests.oracle_r.incidence import INCIDENCE
from tests.oracle_r.inference import INFERENCE
from tests.oracle_r.nonparametric import NONPARAMETRIC
from tests.oracle_r.parser import Call, parse
from tests.oracle_r.predictions import PREDICTIONS
from tests.oracle_r.propensity import PROPENSITY
from tests.oracle_r.residuals import RESIDUALS
from tests.oracle_r.scores import SCORES
from tests.oracle_r.summaries import SUMMARIES
from tests.oracle_r.values import Builtin, Frame, Later, Outside, Pack, Scope, Special, settled

HERE = Path(__file__).parent
#: R's functions that stand for something churnsurv does not (yet) do
CAPABILITY_OF = {
    "glmnet": "penalized-cox",
    "cv.glmnet": "penalized-cox",
    "etmCIF": "R package etm",
}
#: R's functions whose results are ranges over seeds, and what compares them
RANGES = {"ranger": "ranges over seeds, which tests/test_oracles_forest.py compares"}
STATED = "stated by the case: nothing is estimated"
#: blocks whose difference from R is explained, by the beginning of their name
DIFFERENT = {
    "edge_few_events.single_event.coef": "the estimate is infinite: every program stops elsewhere",
    "edge_few_events.single_event.se": "the estimate is infinite: every program stops elsewhere",
    "edge_zero_event_level.r_coef_at_stop": "the estimate is infinite: every program stops elsewhere",
    "iptw_rotterdam.smd.overlap": "zero up to the rounding of either side",
    "cox_hdfail_large.martingale.sum": "zero up to the rounding of either side",
    "cr_pbc.csc_absolute_risk_death.upper": "exponential survival gives a risk above 1, of which log(-log) is none",
    "edge_scale.time_1em9": "R takes different tiny times for ties; held to the reference in test_oracles_cox.py",
}
_APPROXIMATE = (
    "riskRegression takes influences on β that are not coxph's dfbeta (up to 3 % of their spread apart); ours are the "
    "numerical derivative"
)
#: blocks held to less, by a part and the end of their name: relative tolerance and why
LOOSER = {
    ("cr_mgus2.crr_cause1", ""): (1e-6, "cmprsk's iterations stopped at 3e-7"),
    ("score_gbsg.poisson_calibration", ".se"): (1e-6, "glm's weights are of its last step but one; 1/√299 is exact"),
    (".csc_absolute_risk_", ".se"): (0.05, _APPROXIMATE),
    (".csc_absolute_risk_", ".lower"): (0.1, _APPROXIMATE),
    (".csc_absolute_risk_", ".upper"): (0.1, _APPROXIMATE),
}
_NOT_A_NUMBER = {"NA": np.nan, "NaN": np.nan, "Inf": np.inf, "-Inf": -np.inf}


class NotDerivedError(Exception):
    """What a number means could not be read from make.R."""


@dataclass(frozen=True)
class Check:
    """One block of a case: where it stands, what churnsurv makes of it, and the numbers expected."""

    case: str
    path: tuple[str, ...]
    kind: str
    ours: Any
    expected: Any

    def __str__(self) -> str:
        return ".".join((self.case, *self.path))


def folders() -> list[Path]:
    """Give the folders of the cases; a case found twice is taken from the first place."""
    places = [HERE / "oracles", HERE.parent.parent / "shared" / "oracles"]
    if "ORACLES" in os.environ:
        places.append(Path(os.environ["ORACLES"]))
    found: dict[str, Path] = {}
    for place in places:
        for file in sorted(place.glob("*/expected.json")):
            found.setdefault(file.parent.name, file.parent)
    return [found[name] for name in sorted(found)]


def read(case: str) -> dict[str, Any]:
    """Give ``expected.json`` of a case: meta and expected."""
    folder = next(folder for folder in folders() if folder.name == case)
    content: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return content


def input_of(case: str) -> pd.DataFrame:
    """Give ``input.csv`` of a case."""
    folder = next(folder for folder in folders() if folder.name == case)
    return pd.read_csv(folder / "input.csv", keep_default_na=False, na_values=["", "NA"], float_precision="round_trip")


@cache
def checks_of(folder: Path) -> list[Check]:
    """Give the blocks of a case."""
    content = json.loads((folder / "expected.json").read_text())
    try:
        ours = _run(folder)
    except (SyntaxError, FileNotFoundError) as error:
        ours = Outside(f"make.R is not understood: {error}")
    return list(_blocks(folder.name, (), ours, content["expected"]))


def checks(*kinds: str) -> list[Check]:
    """Give the blocks of all cases that are of one of the kinds."""
    return [check for folder in folders() for check in checks_of(folder) if check.kind in kinds]


#: statements of a case read otherwise: the script starts from R's own copy of the data that input.csv holds
STANDS_FOR = {
    "weights_lung": {"l": "get_csv()"},
    "tvcoef_veteran": {
        "veteran": "with(get_csv()[rev(!duplicated(rev(get_csv()$id))), ], data.frame(time = stop, status = event, "
        "trt = trt2 + 1, prior = prior * 10, karno = karno_g1 + karno_g2 + karno_g3))"
    },
}


def _run(folder: Path) -> Any:
    """Run ``make.R`` and give what it hands to ``finish()``."""
    finished: list[Any] = []

    def read_csv(file: Any = None) -> Frame:
        name = "input.csv" if file is None else file[0]
        frame = pd.read_csv(folder / name, keep_default_na=False, na_values=["", "NA"], float_precision="round_trip")
        return Frame({str(column): frame[column].to_numpy() for column in frame})

    def finish(node: Call, scope: Scope) -> None:
        finished.append(evaluate(node.arguments[1][1], scope))

    reserved = {name: Outside(f"outside the scope: capability {c}") for name, c in CAPABILITY_OF.items()}
    reserved |= {name: Outside(reason) for name, reason in RANGES.items()}
    models = (
        COX
        | PREDICTIONS
        | PROPENSITY
        | NONPARAMETRIC
        | INCIDENCE
        | SUMMARIES
        | COMPARISONS
        | RESIDUALS
        | INFERENCE
        | FINE_GRAY
        | EFFECTS
        | SCORES
    )
    own = {"get_csv": Builtin(read_csv), "finish": Special(finish)}
    scope = Scope(reserved | LANGUAGE | FUNCTIONS | models | own)
    user = Scope(outer=scope)
    stands_for = STANDS_FOR.get(folder.name, {})
    for statement in parse((folder / "make.R").read_text()):
        evaluate(statement, user)
        for name, text in stands_for.items():
            user.names[name] = evaluate(parse(text)[0], user)
    return finished[-1] if finished else Outside("make.R hands nothing to finish()")


def _blocks(case: str, path: tuple[str, ...], ours: Any, expected: Any) -> Iterator[Check]:
    if path[:1] == ("hand",):
        yield Check(case, path, "outside", Outside("closed forms, which tests/test_oracles_hand.py compares"), expected)
    elif isinstance(ours, Outside):
        yield Check(case, path, "outside", ours, expected)
    elif isinstance(ours, Pack):
        yield Check(case, path, ours.kind, ours, expected)
    elif isinstance(ours, list) and isinstance(expected, list) and len(ours) == len(expected):
        for position, (mine, theirs) in enumerate(zip(ours, expected, strict=True), 1):
            yield from _blocks(case, (*path, str(position)), mine, theirs)
    elif isinstance(ours, dict) and isinstance(expected, dict):
        for name in expected:
            mine = ours.get(name, Outside("make.R was not followed to this number"))
            yield from _blocks(case, (*path, name), mine, expected[name])
    elif isinstance(ours, Later):
        yield Check(case, path, "value", ours, expected)
    else:
        yield Check(case, path, "outside", Outside(STATED), expected)


# ---- comparison ----

#: quantities in the tail of a distribution or at the end of an interval are held to the README's 1e-6
_LOOSE = ("p", "lr_p", "wald_p", "score_p", "hr_lower95", "hr_upper95")
RTOL, LOOSE_RTOL = 1e-8, 1e-6


#: entries of a block that say where its numbers belong
_CIRCUMSTANCES = {"time", "strata", "times", "layout", "newdata", "path", "conf_type", "rmtl"}


def _looser(name: str) -> float:
    fitting = [rtol for (part, end), (rtol, _) in LOOSER.items() if part in name and name.endswith(end)]
    return max(fitting, default=0.0)


def differences(check: Check, tolerances: dict[str, float] | None = None, least_rtol: float = 0.0) -> list[str]:
    """Say which quantities of a block differ, with both values; empty when all agree."""
    tolerances = tolerances or {}
    found: list[str] = []
    for name, ours, expected in _quantities(check):
        last = name.rsplit(".", 1)[-1]
        is_loose = last in _LOOSE or last.startswith(("lower", "upper"))
        rtol = max(tolerances.get(last, LOOSE_RTOL if is_loose else RTOL), least_rtol)
        problem = _difference(ours, expected, rtol)
        if problem:
            found.append(f"{name or check}: {problem}")
    return found


def not_compared(check: Check) -> dict[str, str]:
    """Give the quantities of a block that are left out, with the reason."""
    if not isinstance(check.ours, Pack):
        return {}
    return {
        name: value.reason
        for name, value in check.ours.items()
        if isinstance(value, Outside) and name in check.expected
    }


def _quantities(check: Check) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(check.ours, Pack):
        yield "", check.ours, check.expected
        return
    yield from _parts(str(check), check.ours, check.expected)


def _parts(block: str, ours: Pack, expected: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    missing = set(expected) - set(ours) - _CIRCUMSTANCES
    if missing:
        raise NotDerivedError(f"nothing is said about {sorted(missing)}")
    for name, value in ours.items():
        if isinstance(value, Outside) or name not in expected or name in _CIRCUMSTANCES:
            continue
        if isinstance(value, Pack):
            yield from ((f"{name}.{inner}", *pair) for inner, *pair in _parts(block, value, expected[name]))
        else:
            yield name, value(expected) if callable(value) else value, expected[name]


def _difference(ours: Any, expected: Any, rtol: float) -> str | None:
    ours = settled(ours)
    if isinstance(ours, Outside):
        raise NotDerivedError(ours.reason)
    if isinstance(ours, dict):
        ours = pd.Series({name: np.asarray(value).ravel()[0] for name, value in ours.items()})
    if isinstance(expected, dict) and isinstance(ours, pd.Series):
        if set(ours.index) != set(expected):
            return f"terms {sorted(ours.index)} instead of {sorted(expected)}"
        ours, expected = ours[list(expected)].to_numpy(), list(expected.values())
    if isinstance(expected, bool) or (isinstance(expected, str) and expected not in _NOT_A_NUMBER):
        return None if np.asarray(ours).ravel()[0] == expected else f"{ours!r} instead of {expected!r}"
    mine = np.asarray(ours)
    if mine.dtype == object or mine.dtype.kind == "U":
        theirs = np.atleast_1d(np.asarray(expected, dtype=object))
        return None if sorted(mine.ravel()) == sorted(theirs.ravel()) else f"{mine} instead of {expected}"
    return _numeric_difference(mine.astype(float).ravel(), _numbers(expected), rtol)


def _numbers(expected: Any) -> np.ndarray:
    if isinstance(expected, dict):
        expected = list(expected.values())
    flat: list[Any] = []

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for inner in part:
                walk(inner)
        else:
            flat.append(np.nan if part is None else _NOT_A_NUMBER.get(part, part))

    walk(expected)
    return np.array(flat, dtype=float)


def _numeric_difference(mine: np.ndarray, theirs: np.ndarray, rtol: float) -> str | None:
    if len(mine) != len(theirs):
        return f"{len(mine)} numbers instead of {len(theirs)}"
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(mine - theirs))
        relative = error / np.where(theirs == 0, 1.0, np.abs(theirs))
    relative[np.isnan(relative)] = np.inf
    # numbers written as 0 carry rounding of either side
    relative[error <= 1e-13] = 0.0
    worst = int(np.argmax(relative)) if len(relative) else 0
    if not len(relative) or relative[worst] <= rtol:
        return None
    return f"{mine[worst]} instead of {theirs[worst]} (position {worst}, relative error {relative[worst]:.2e})"


def verify(check: Check, tolerances: dict[str, float] | None = None) -> None:
    """Assert that a block agrees with churnsurv; skip one whose difference is explained, or that is refused for cause."""
    explained = next((reason for part, reason in DIFFERENT.items() if str(check).startswith(part)), None)
    if explained is not None:
        pytest.skip(explained)
    try:
        found = differences(check, tolerances, _looser(str(check)))
    except ChurnSurvError as error:
        if "edge-case" not in read(check.case)["meta"]["capabilities"]:
            raise
        pytest.skip(f"refused: {error}")
    except NotDerivedError as error:
        if (HERE / "oracles" / check.case).exists():
            raise
        pytest.skip(f"{check}: {error}")
    assert not found, f"{check}\n" + "\n".join(found)


# ---- the list of what is checked ----


@dataclass(frozen=True)
class LeftOut:
    """Blocks of a case that are not checked for one reason."""

    case: str
    reason: str
    blocks: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.case}: {self.reason}"


def skipped() -> list[LeftOut]:
    """Give the blocks that are not checked though something is estimated there, by case and reason."""
    return [left_out for folder in folders() for left_out in _left_out(folder)]


def _left_out(folder: Path) -> list[LeftOut]:
    blocks: dict[str, list[str]] = {}
    for check in checks_of(folder):
        if check.kind == "outside" and check.ours.reason != STATED:
            blocks.setdefault(check.ours.reason, []).append(".".join(check.path))
    return [LeftOut(folder.name, reason, tuple(paths)) for reason, paths in blocks.items()]


def main() -> None:
    """Print, for each case, the blocks checked and the blocks skipped by reason."""
    totals: Counter[str] = Counter()
    quantities: Counter[str] = Counter()
    for folder in folders():
        found = checks_of(folder)
        counts = Counter(check.kind for check in found if check.kind != "outside")
        totals += counts
        print(f"{folder.name}: checked {', '.join(f'{n} {kind}' for kind, n in sorted(counts.items())) or 'nothing'}")
        for left_out in _left_out(folder):
            totals["skipped"] += len(left_out.blocks)
            print(f"    skipped {len(left_out.blocks)}: {left_out.reason} ({', '.join(left_out.blocks)})")
        quantities.update(f"{name}: {reason}" for check in found for name, reason in not_compared(check).items())
    print("\nBlocks: " + ", ".join(f"{n} {kind}" for kind, n in sorted(totals.items())))
    print("Quantities left out of blocks that are checked:")
    for quantity, n in sorted(quantities.items()):
        print(f"    {n} {quantity}")


if __name__ == "__main__":
    main()
