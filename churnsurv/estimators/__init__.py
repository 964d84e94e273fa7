"""Models of the time to attrition, in scikit-learn's manner: ``fit(X, y)``, fitted attributes ending in ``_``.

Lives here: Cox models, random survival forests, and what reads their inputs and encodes covariates for them.
May not: plotting, printing, reading files.
"""
