"""Every recorded curve of cerebras_pytorch 2.10.0: ours match it where it follows its own docs.

For each case where it does not, DEVIATIONS gives the first differing step, its value and ours.
"""

import math

import pytest
from float32 import UNIT, tolerance
from golden_cases import CASES, build, recorded, uses_a_power

from accelsched import ArgumentError, reference

# case: why, the first step that differs, their value there, ours.
CYCLE = "cycle=True has no effect there; it cycles as Keras does here"
SQUARE = "after the first period theirs is a square wave; ours restarts"
PAST = "past the end theirs turns back; ours holds the minimum"
TWICE = "theirs multiplies the initial value in once for each function; ours once"
NESTED = "a nested scheduler's counter stands still there"
DEVIATIONS = {
    "PolynomialLR/04": (CYCLE, 21, 0.01, 0.05275),
    "LinearLR/03": (CYCLE, 21, 0.01, 0.05275),
    "LambdaLR/01": (TWICE, 1, 0.000316666701, 0.1 * (1 / 30) * 0.95),
    "LambdaLR/05": (TWICE, 0, 0.01, 0.1),
    "LambdaLR/06": (TWICE, 0, 0.001, 0.1),
    "LambdaLR/07": ("without functions theirs is 1; ours the initial value", 0, 1.0, 0.1),
    "CosineAnnealingWarmRestarts/01": (SQUARE, 11, 0.1, 0.0975528258),
    "CosineAnnealingWarmRestarts/02": (SQUARE, 11, 0.1, 0.0977975432),
    "CosineAnnealingWarmRestarts/03": (SQUARE, 2, 0.0, 0.1),
    "CosineAnnealingWarmRestarts/04": (SQUARE, 8, 1.0, 0.975242217),
    "CosineAnnealingWarmRestarts/05": (SQUARE, 51, 0.1, 0.0999013364),
    "CosineAnnealingWarmRestarts/07": (SQUARE, 6, 0.1, 0.0923606798),
    "CyclicLR/06": ("scale_mode is overridden there and obeyed here", 2, 0.0272872057, 0.02764),
    "OneCycleLR/02": (PAST, 100, 5.07478399e-05, 4e-07),
    "OneCycleLR/03": (PAST, 100, -0.00142815709, 4e-07),
    "OneCycleLR/04": (PAST, 100, 6.26784822e-06, 4e-07),
    "OneCycleLR/05": (PAST, 100, -9.71509144e-05, 4e-07),
    "OneCycleLR/06": (PAST, 60, 0.00127116521, 0.001),
    "OneCycleLR/07": ("a rise of no steps is 0/0 there; ours is at the top", 0, math.nan, 0.1),
    "OneCycleLR/09": (PAST, 25, 0.00099177321, 4e-07),
    "OneCycleLR/10": (PAST, 1000, 9.03657238e-09, 4e-09),
    "OneCycleLR/11": (PAST, 20, 0.00125399989, 4e-07),
    "SequentialLR/08": (NESTED, 5, 0.0, 0.02),
    "SequentialLR/11": ("last_epoch does not move the children there", 5, 0.0, 0.05),
    "ChainedLR/06": ("a factor relative to 0 is NaN there", 0, math.nan, 0.0),
    "ChainedLR/07": (NESTED, 1, 0.0, 0.0186606598),
    "ChainedScheduler/06": ("a factor relative to 0 is NaN there", 0, math.nan, 0.0),
    "ChainedScheduler/07": (NESTED, 1, 0.0, 0.0186606598),
    "ScalePerParamLR/08": ("the inner scaling is lost there", 0, 0.05, 0.025),
}
# case: the argument that we refuse and theirs silently accepts.
REFUSED = {
    "PiecewiseConstantLR/05": "learning_rates",
    "PiecewiseConstantLR/06": "learning_rates",
    "MultiStepLR/05": "milestones",
    "CyclicLR/07": "mode",
    "OneCycleLR/08": "anneal_strategy",
    "SequentialLR/15": "milestones",
}
# cases that theirs refuses and ours supports.
ONLY_OURS = {"CosineAnnealingWarmRestarts/06", "ChainedLR/05", "ChainedScheduler/05"}


def name(case):
    return case["id"].removeprefix("cerebras/")


def differing(case, scheduler):
    """Yield (step, theirs, ours) where the two differ by more than rounding."""
    rows = recorded(case)
    peak = max((abs(v) for _, row in rows for v in row if math.isfinite(v)), default=0.0)
    driven = dict(zip(scheduler.group_values.indices, scheduler.schedules, strict=True))
    power, start = uses_a_power(case), scheduler.last_epoch
    for count, row in rows:
        step = scheduler.last_epoch = start + count
        for index, theirs in enumerate(row):
            ours = float(scheduler.optimizer.param_groups[index]["lr"])
            if index not in driven:
                assert ours == case["groups"][index]["lr"] == pytest.approx(theirs, rel=UNIT)
                continue

            def curve(t, schedule=driven[index]):
                return reference.value(schedule, t)

            assert ours == pytest.approx(curve(step), rel=1e-12, abs=1e-300)
            if not abs(theirs - ours) <= tolerance(curve, step, peak, power):
                yield step, theirs, ours


@pytest.mark.parametrize("case", CASES, ids=name)
def test_recorded_curve(case):
    if name(case) in REFUSED:
        with pytest.raises(ArgumentError, match=f"^{REFUSED[name(case)]}="):
            build(case)
        return
    assert bool(case.get("error")) == (name(case) in ONLY_OURS)
    differences = list(differing(case, build(case)))
    if name(case) not in DEVIATIONS:
        assert differences == []
        return
    _, step, theirs, ours = DEVIATIONS[name(case)]
    assert differences[0] == (
        step,
        pytest.approx(theirs, rel=2 * UNIT, nan_ok=True),
        pytest.approx(ours, rel=2 * UNIT),
    )


def test_all_recorded_curves_are_here():
    assert len(CASES) == 154
    names = {name(case) for case in CASES}
    assert names >= {*DEVIATIONS, *REFUSED, *ONLY_OURS}


def test_stepping_reaches_what_jumping_reaches():
    """The cases above set last_epoch; a training run steps."""
    for case in CASES:
        if name(case) in REFUSED or case["how"] != "step" or len(case["steps"]) > 110:
            continue
        stepped, jumped = build(case), build(case)
        start = stepped.last_epoch
        for step in range(start, max(case["steps"], default=20)):
            jumped.last_epoch = step
            assert stepped.get_last_lr() == jumped.get_last_lr(), (case["id"], step)
            stepped.step()


def test_the_tolerance_is_none_that_always_passes():
    case = next(case for case in CASES if name(case) == "CosineDecayLR/01")
    scheduler = build(case)
    scheduler.initial_learning_rate *= 1 + 4 * 17 * UNIT
    assert list(differing(case, scheduler))
