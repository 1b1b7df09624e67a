"""How far the float32 arithmetic of cerebras_pytorch may be from the float64 curve."""

import math

UNIT = 2.0**-24  # the relative error of one float32 rounding


def tolerance(curve, step, peak, power):
    """How far float32 arithmetic may carry theirs from the curve at one step.

    It converts the step to float32 and works on it with some four roundings, so its value is
    that of a step up to 4 step 2**-24 away; some 16 roundings more are of the size of the peak,
    as its forms cancel; and a base in float32 that is raised to the step errs by step 2**-24.
    """
    moved = 4 * step * UNIT
    reach = max(1, math.ceil(moved))
    around = range(max(0, step - reach), step + reach + 1)
    change = max(abs(curve(other) - curve(step)) for other in around) * min(1, moved)
    return change + 16 * UNIT * peak + (step * UNIT * abs(curve(step)) if power else 0)
