"""How far the float32 arithmetic of cerebras_pytorch may be from the float64 curve."""

import math

UNIT = 2.0**-24  # the relative error of one float32 rounding


def tolerance(curve, step, peak, power):
    """Bound the float32 error of a value of cerebras_pytorch at one step.

    The package converts the step to float32 and does some four roundings on it, so its value is
    that of a step up to 4 step 2**-24 away. Its formulas cancel: some 16 more roundings are of the
    size of the peak. A float32 base raised to the step has a relative error of step 2**-24.
    """
    moved = 4 * step * UNIT
    reach = max(1, math.ceil(moved))
    around = range(max(0, step - reach), step + reach + 1)
    change = max(abs(curve(other) - curve(step)) for other in around) * min(1, moved)
    return change + 16 * UNIT * peak + (step * UNIT * abs(curve(step)) if power else 0)
