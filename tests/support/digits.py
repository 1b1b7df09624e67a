"""The reference with all its operations in 50 digits, where no number is out of range."""

import importlib.util
from fractions import Fraction

import mpmath

from accelsched import reference

DIGITS = mpmath.mp.clone()
DIGITS.dps = 50


class Whole(int):
    """An int whose quotients have 50 digits."""

    def __truediv__(self, other):
        return exact(self) / exact(other)

    def __rtruediv__(self, other):
        return exact(other) / exact(self)


def exact(number):
    if isinstance(number, Fraction):
        return DIGITS.mpf(number.numerator) / number.denominator
    return DIGITS.mpf(number)


def in_digits():
    """Load the module again, with mpmath in place of float and math."""
    spec = importlib.util.spec_from_file_location("reference_in_digits", reference.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plain = module._plain

    def given(field):
        if isinstance(field, float):
            return exact(field)
        whole = isinstance(field, int) and not isinstance(field, bool)
        return Whole(field) if whole else plain(field)

    module._plain, module.float = given, exact
    # A factor means the decimal number that Python prints for the float.
    module.str = lambda number: str(float(number))
    for name in ("expm1", "log", "log1p", "pi", "sin", "sqrt"):
        setattr(module, name, getattr(DIGITS, name))
    return module


IN_DIGITS = in_digits()
