"""A small interpreter of R that runs the oracles' ``make.R`` with churnsurv in the place of R's ``survival``.

``parser`` makes a tree of a script, ``evaluator`` and ``functions`` are the language, ``formula`` reads model formulas, and
``cox``, ``predictions``, ``nonparametric``, ``incidence`` and ``comparisons`` answer R's models with churnsurv's.
"""
