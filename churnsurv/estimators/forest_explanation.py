"""What a forest tells about itself: which columns matter to how well it judges, and to the risk of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.estimators import forest_shap, importance
from churnsurv.estimators.inputs import RowArgument
from churnsurv.outcome import Outcome


class ForestExplanation:
    """Explanations of a fitted :class:`churnsurv.RandomSurvivalForest`, which inherits them."""

    def permutation_importance(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        cause: str | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        n_repeats: int = 10,
        out_of_bag: bool = True,
        metric: Literal["concordance", "brier"] = "concordance",
        horizon: float | None = None,
        sample_weight: RowArgument = None,
        level: float = 0.95,
        random_state: int | None = None,
        n_jobs: int | None = None,
        progress: bool = False,
    ) -> importance.PermutationImportance:
        r"""Measure how much worse the forest judges when the customers' values of a column change hands.

        The values of a column (of all columns of a group, together) are permuted among the **subjects**: each subject gets
        those of another. With several rows per subject, each row gets the value that the giver had at the same time (its
        last row that begins no later; before the giver's first row, the value of that one), so that a path stays together
        and the values keep their trend over time. The importance is the mean fall of the concordance of the mortality, or
        the mean rise of the Brier score of the risk at a horizon, over the permutations (Breiman 2001; Ishwaran 2007).
        With delayed entry the concordance compares customers under observation at the same time; with several causes it
        is cause-specific.

        A column's importance is what the forest loses without it **given the others**: of two columns that tell the same,
        each has little. Permute them together (`groups`).

        Parameters
        ----------
        X, y
            By default the rows of the fit (the forest keeps none), each judged by the trees that did not draw its subject;
            with ``out_of_bag=False`` other, held-out rows.
        cause : str, optional
            Cause to be judged; needed when there are several.
        groups : mapping, optional
            Columns to be permuted together, by the name of the group. Default: each column by itself.
        n_repeats : int
            Permutations, at least 2. All groups get the same ones.
        out_of_bag : bool
            True: X and y are the rows of the fit. False: they are new to the forest. Rows of the fit judged as new ones
            make columns look important that are not.
        metric : {"concordance", "brier"}
            Harrell's concordance, or the Brier score at `horizon` (needs customers followed from time 0, one row each).
        horizon : float, optional
            For ``metric="brier"``.
        sample_weight : array of n, or name of a column of X
            How many customers a row stands for (out of bag: as in the fit). Givers are drawn in proportion to it.
        level : float
            Confidence level.
        random_state : int, optional
            Seed of the permutations; the order of rows and columns does not matter.
        n_jobs : int, optional
            Threads of the predictions; default: those of the forest.
        progress : bool
            Show a progress bar.

        Returns
        -------
        PermutationImportance
            Sorted; ``.to_frame()`` gives columns importance, se, lower, upper. The intervals (Student's t, from the influence
            functions of the paired difference, summed by subject) cover the sampling of the subjects that are judged, as
            receivers and as givers of values, and the random permutations; not that other data would have grown another
            forest. Out of bag the sampling variance is doubled, as subjects also grew the trees that judge the others.
            In simulations with 400 subjects, 97 of 100 intervals of level 0.95 held the 0 of a continuous column that does
            nothing, 85 of a binary one that 4 % have; 88 to 95 held the mean importance over samples of one that does
            something (held-out rows: 90 to 95 that of the forest given).

        Raises
        ------
        DataError
            Out of bag: other rows than those of the fit; fewer than ten subjects; a group with unknown columns.
        NotIdentifiedError
            Out of bag with ``bootstrap=False``; a Brier score with delayed entry.
        NoEventsError
            No event of the cause.

        References
        ----------
        Breiman (2001), Mach. Learn. 45. Ishwaran (2007), Electron. J. Stat. 1. Therneau and Watson (2015), Mayo Clinic
        technical report 85 (influence of a row on the concordance).

        Examples
        --------
        >>> import churnsurv as cs, numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300), "noise": rng.normal(size=300)})
        >>> months = np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"])))
        >>> y = cs.Outcome(np.minimum(months, 36), months <= 36)
        >>> forest = cs.RandomSurvivalForest(n_estimators=30, random_state=0).fit(X, y)
        >>> table = forest.permutation_importance(X, y, random_state=0).to_frame()
        >>> table.index[0], bool(table["lower"].iloc[0] > 0)
        ('rate_incentive', True)
        """
        return importance.permutation_importance(
            cast(Any, self), X, y, cause=cause, groups=groups, n_repeats=n_repeats, out_of_bag=out_of_bag,
            metric=metric, horizon=horizon, sample_weight=sample_weight, level=level, random_state=random_state,
            n_jobs=n_jobs, progress=progress,
        )  # fmt: skip

    def shap_values(
        self,
        X: pd.DataFrame | ArrayLike,
        *,
        horizon: float,
        cause: str | None = None,
        start: float | None = None,
        background: pd.DataFrame | ArrayLike | None = None,
        progress: bool = False,
    ) -> forest_shap.ShapValues:
        r"""Divide the risk of single customers among their columns, by SHAP values (needs ``churnsurv[explain]``).

        **What is explained is not exactly what the forest predicts.** The forest pools the counts of a customer's leaves
        before it makes a curve of them, which is no sum over trees. Explained is the mean over the trees of the leaf's own
        cumulative incidence of the cause between `start` and `start` + `horizon` (topped up to one customer at risk, as a
        forest of that tree alone would predict). The result has both, their correlation and their mean absolute
        difference: look at them before reading the values.

        The value of a column is its mean contribution, over all orders in which columns are set to the customer's values
        from those of a background customer (Lundberg and Lee 2017; interventional: columns are set without regard to which
        go together), averaged over the background. It says how the model comes to its answer, not what would happen.

        Parameters
        ----------
        X : frame or array
            The customers to explain.
        horizon : float
            Time after `start`.
        cause : str, optional
            Needed when there are several.
        start : number, optional
            Current age, one for all customers. Default: the first age the forest knows.
        background : frame or array, optional
            Customers to compare with, at most 1,000. Default: 100 of X, evenly spaced in the order of their risk; needed where
            fewer than 20 rows of X have a prediction.
        progress : bool
            Show a progress bar.

        Returns
        -------
        ShapValues
            ``base_value + values.sum(axis=1)`` is ``explained``, up to rounding. ``to_explanation()`` gives a
            ``shap.Explanation``. A row without a prediction is NaN.

        Raises
        ------
        ChurnSurvError
            The library shap is not installed.
        DataError
            A horizon past the follow-up, an unknown cause or category, a background too large.

        References
        ----------
        Lundberg and Lee (2017), NeurIPS 30. Lundberg et al. (2020), Nat. Mach. Intell. 2.

        Examples
        --------
        >>> import churnsurv as cs, numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300), "noise": rng.normal(size=300)})
        >>> months = np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"])))
        >>> y = cs.Outcome(np.minimum(months, 36), months <= 36)
        >>> forest = cs.RandomSurvivalForest(n_estimators=20, random_state=0).fit(X, y)
        >>> result = forest.shap_values(X.iloc[:20], horizon=12)
        >>> bool(np.allclose(result.base_value + result.values.sum(axis=1), result.explained))
        True
        """
        return forest_shap.shap_values(
            cast(Any, self), X, horizon=horizon, cause=cause, start=start, background=background, progress=progress
        )
