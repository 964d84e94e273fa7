"""Numerics of churnsurv: arrays in, arrays out.

Lives here: loops and sums over plain NumPy arrays, each headed by its contract and the equation it computes.
May not: pandas, scikit-learn, our own classes, input checks, files, figures.
"""
