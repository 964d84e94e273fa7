"""P-values adjusted for the number of tests, as :mod:`churnsurv.kernels.multiplicity` does it."""

from churnsurv.kernels.multiplicity import Adjustment, adjusted_p_values, check_adjustment

__all__ = ["Adjustment", "adjusted_p_values", "check_adjustment"]
