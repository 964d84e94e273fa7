"""The rules of the linter of spells: each module holds the rules of one idea, each rule is a function named after its leak.

Lives here: what a leak is and how it is seen in data. May not: raise or warn about one; that is
:mod:`churnsurv.data.leakage`.
"""
