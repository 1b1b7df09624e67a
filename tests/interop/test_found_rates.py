"""From an lr that it finds in the group, ours continues as torch's scheduler would."""

import pytest
import torch
from binding import optimizer
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

from accelsched import ArgumentError, from_torch

KINDS = pytest.mark.parametrize("kind", ["host", "graph"])


def sequence(*made, at):
    return lambda o: theirs.SequentialLR(o, [make(o) for make in made], list(at))


def chain(*made):
    return lambda o: theirs.ChainedScheduler([make(o) for make in made])


def warm(o):
    return theirs.LinearLR(o, 0.1, 1.0, 5)


def cosine(half, low=0.0):
    return lambda o: theirs.CosineAnnealingLR(o, half, low)


SCHEDULERS = {
    "cosine": cosine(10),
    "cosine with a minimum": cosine(10, 1e-4),
    "cosine of one step": cosine(1),
    "warm-up, then cosine": sequence(warm, cosine(12, 1e-4), at=[5]),
    "cosine, then steps": sequence(cosine(7), lambda o: theirs.StepLR(o, 3, 0.5), at=[9]),
    "warm-up, cosine, exponential": sequence(
        warm, cosine(6), lambda o: theirs.ExponentialLR(o, 0.9), at=[5, 14]
    ),
    "warm-up times cosine": chain(warm, cosine(12)),
    "cosine times warm-up": chain(cosine(4), warm),
    "cosine between two": chain(
        lambda o: theirs.ExponentialLR(o, 0.95), cosine(6), lambda o: theirs.StepLR(o, 7, 0.5)
    ),
    "two cosines": chain(cosine(5), warm, cosine(12)),
    "a chain in a chain": chain(chain(warm, cosine(7)), lambda o: theirs.ExponentialLR(o, 0.95)),
    "exponential": lambda o: theirs.ExponentialLR(o, 0.9),
    "polynomial": lambda o: theirs.PolynomialLR(o, 9),
    "function": lambda o: theirs.LambdaLR(o, lambda step: 0.9**step),
    "plain function": lambda o: theirs.LambdaLR(o, lambda step: max(0.1, 1 - step / 20)),
    "factors": lambda o: theirs.MultiplicativeLR(o, lambda step: min(0.95, 0.5 + step / 20)),
    "restarts": lambda o: theirs.CosineAnnealingWarmRestarts(o, 7),
    "averaging": lambda o: SWALR(o, 0.0005, 8),
}
STEPS = 45
# Chains whose cosine is at its minimum: an lr of 0 reveals nothing about the other factors.
AT_MINIMUM = ((SCHEDULERS["cosine times warm-up"], 20), (SCHEDULERS["cosine between two"], 30))


def tolerance(kind):
    # As in test_from_torch, torch rounds 8 times a step. A cosine is divided by its height, which
    # near the minimum has lost 2 * log2(12 steps) digits. In float32, the lr that is found is
    # rounded once, and so is each value.
    return 8 * STEPS * 2**-53 * 12**2 if kind == "host" else 2**-22


def live(make, kind, start, found=None):
    """Return a scheduler after some steps in floats, with one group's lr set from outside."""
    made = make(optimizer({}, {}))
    for _ in range(start):
        made.step()
    if found is not None:
        made.optimizer.param_groups[0]["lr"] = found
    for group in made.optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"]) if kind == "graph" else group["lr"]
    return made


def require_alike(make, kind, start, found=None):
    want, got = live(make, "host", start, found), from_torch(live(make, kind, start, found))
    unit, peak = tolerance(kind), 0.0
    for step in range(start, STEPS):
        rates = [float(group["lr"]) for group in want.optimizer.param_groups]
        peak = max([peak, *map(abs, rates)])
        ours = [float(group["lr"]) for group in got.optimizer.param_groups]
        assert ours == pytest.approx(rates, rel=unit, abs=unit * peak), step
        want.step()
        got.step()


@KINDS
@pytest.mark.parametrize("start", [0, 1, 4, 13, 22])
@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_as_it_would_have_gone_on(make, start, kind):
    require_alike(make, kind, start)


# "cosine" has its minimum at steps 10 and 30 and its peak at 20; 9 and 11 are beside a minimum.
@KINDS
@pytest.mark.parametrize("start", [0, 1, 9, 10, 11, 20, 30])
@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_from_another_rate_in_one_of_two_groups(make, start, kind):
    if make is SCHEDULERS["averaging"] and start > 8:
        pytest.skip("torch itself divides by 0 there" if start == 9 else "it is over")
    if (make, start) in AT_MINIMUM:
        with pytest.raises(ArgumentError, match="formula gives 0, .*: give total_iters"):
            from_torch(live(make, kind, start, found=2e-4))
        return
    require_alike(make, kind, start, found=2e-4)


def test_a_second_stage():
    """The second stage finds its lr in the group, beside the initial_lr of the first stage."""

    def stage(convert):
        opt = optimizer()
        first = theirs.LinearLR(opt, 0.1, 1.0, 5)
        for _ in range(8):
            first.step()
        opt.param_groups[0]["lr"] = 1e-5
        second = theirs.CosineAnnealingLR(opt, 20, 1e-7)
        return from_torch(second) if convert else second

    want, got = stage(False), stage(True)
    for _ in range(20):
        rates = [s.optimizer.param_groups[0]["lr"] for s in (want, got)]
        assert rates[0] <= 1e-5
        assert rates[1] == pytest.approx(rates[0], rel=1e-12)
        want.step()
        got.step()


def test_a_rate_that_nothing_can_be_stepped_on_from():
    made = live(lambda o: theirs.StepLR(o, 2, 0.0), "host", 3, found=1e-4)
    with pytest.raises(ArgumentError, match="its formula gives 0.*give total_iters"):
        from_torch(made)
    ours = from_torch(made, total_iters=9)
    rates = [ours.optimizer.param_groups[0]["lr"]]
    for _ in range(3):
        ours.step()
        rates.append(ours.optimizer.param_groups[0]["lr"])
    assert rates == [1e-4, 0.0, 0.0, 0.0]


def test_two_cosines_at_their_minimum_at_once_are_refused():
    with pytest.raises(ArgumentError, match="at once: give total_iters"):
        from_torch(live(chain(cosine(5), cosine(15)), "host", 0))


# SWALR anneals from the step at which it is built.


@KINDS
@pytest.mark.parametrize("start", [0, 1, 3, 8])
def test_averaging_that_is_built_in_mid_run(start, kind):
    def make(o):
        for group in o.param_groups:
            group["initial_lr"] = 0.001
        return SWALR(o, 0.0005, 8, last_epoch=20)

    want, got = live(make, "host", start), from_torch(live(make, kind, start))
    assert got.last_epoch == 21 + start
    for _ in range(12):
        rates = [float(s.optimizer.param_groups[1]["lr"]) for s in (want, got)]
        assert rates[1] == pytest.approx(rates[0], rel=tolerance(kind))
        want.step()
        got.step()
