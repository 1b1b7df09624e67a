"""Functions in torch's schedulers: those of transformers, called ones and tabulated ones."""

import functools
import itertools

import pytest
import torch
from binding import optimizer
from torch.optim import lr_scheduler as theirs

from accelsched import from_torch
from accelsched._interop.called import Accumulated
from accelsched.schedules import Tabulated
from accelsched.schedules._called import Called

KINDS = pytest.mark.parametrize("kind", ["host", "graph"])


def rate(made):
    return float(made.optimizer.param_groups[0]["lr"])


# transformers.

LONG = 2_000_000


def transformers_schedules():
    """Yield each function name with its step counts and options."""
    short = {"num_warmup_steps": 10, "num_training_steps": 100}
    long = {"num_warmup_steps": 2000, "num_training_steps": LONG}
    none = {"num_warmup_steps": 0, "num_training_steps": 64}
    for steps in (short, long, none):
        warmup = {"num_warmup_steps": steps["num_warmup_steps"]}
        yield "get_constant_schedule_with_warmup", warmup
        yield "get_linear_schedule_with_warmup", steps
        yield "get_cosine_schedule_with_warmup", steps
        yield "get_cosine_schedule_with_warmup", {**steps, "num_cycles": 1.0}
        yield "get_cosine_with_hard_restarts_schedule_with_warmup", {**steps, "num_cycles": 2}
        yield "get_polynomial_decay_schedule_with_warmup", {**steps, "power": 2.0}
        yield "get_inverse_sqrt_schedule", warmup
        yield "get_inverse_sqrt_schedule", {**warmup, "timescale": 500}
        yield "get_cosine_with_min_lr_schedule_with_warmup", {**steps, "min_lr_rate": 0.1}
        if warmup["num_warmup_steps"]:
            ahead = "get_cosine_with_min_lr_schedule_with_warmup_lr_rate"
            yield ahead, {**steps, "min_lr_rate": 0.1}
            yield ahead, {**steps, "min_lr_rate": 0.1, "warmup_lr_rate": 0.01}
        for rise, fall in itertools.product(["linear", "cosine", "1-sqrt"], repeat=2):
            types = {"warmup_type": rise, "decay_type": fall, "min_lr_ratio": 0.05}
            third = steps["num_training_steps"] // 3
            yield "get_wsd_schedule", {**warmup, "num_decay_steps": third,
                                       "num_stable_steps": third, **types}  # fmt: skip


CASES = list(transformers_schedules())


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_schedule_of_transformers_is_a_formula(name, options):
    """The formula matches the function, past its end too, at any length."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is installed by `make test` only"
    )
    old = getattr(transformers.optimization, name)(optimizer(), **options)
    function = old.lr_lambdas[0]
    (schedule,) = from_torch(old).schedules
    assert "Tabulated" not in repr(schedule) and "Called" not in repr(schedule)
    end = 2 * sum(value for key, value in options.items() if key.endswith("steps"))
    steps = sorted({*range(250), *range(0, end, 1 + end // 3000), end})
    want = [0.001 * float(function(step)) for step in steps]
    got = schedule.formula(torch.tensor(steps)).tolist()
    # transformers takes cosines of up to 8 * pi. A factor is at most 1; the lr is 1e-3 of it.
    assert got == pytest.approx(want, rel=2**-46, abs=0.001 * 2**-46)


@KINDS
@pytest.mark.parametrize("start", [0, 5])
def test_a_long_decay_of_transformers_comes_to_its_end(kind, start):
    transformers = pytest.importorskip(
        "transformers", reason="transformers is installed by `make test` only"
    )
    make = transformers.optimization.get_linear_schedule_with_warmup
    old = make(optimizer(kind=kind), 1000, LONG)
    function = old.lr_lambdas[0]
    for _ in range(start):
        old.step()
    made = from_torch(old)
    for step in (start, 524_288, 1_048_577, 1_500_000, LONG - 1, LONG, LONG + 10):
        made.last_epoch = step
        assert rate(made) == pytest.approx(0.001 * function(step), rel=2**-22)


def test_what_only_looks_like_a_function_of_transformers(monkeypatch):
    """A known name, but another function."""

    def _get_linear_schedule_with_warmup_lr_lambda(step, *, num_warmup_steps, num_training_steps):
        return max(0.0, 1.0 - step / num_training_steps) ** 2

    plan = _get_linear_schedule_with_warmup_lr_lambda
    monkeypatch.setattr(plan, "__module__", "transformers.optimization")
    plan = functools.partial(plan, num_warmup_steps=5, num_training_steps=50)
    made = from_torch(theirs.LambdaLR(optimizer(), plan))
    made.last_epoch = 20
    assert rate(made) == 0.001 * plan(20)
    for broken in ({}, {"num_warmup_steps": None, "num_training_steps": None}):
        odd = functools.partial(plan.func, **broken)
        with pytest.raises(TypeError):
            odd(1)
        old = theirs.LambdaLR(optimizer(), plan)
        old.lr_lambdas = [odd]
        with pytest.raises(TypeError):
            from_torch(old)


def test_half_steps_are_taken_as_they_are():
    """A cosine of 1.5 turns in 100 steps has its minimum between steps: its function is called."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is installed by `make test` only"
    )
    make = transformers.optimization.get_cosine_schedule_with_warmup
    old = make(optimizer(), 0, 100, num_cycles=1.5)
    function, made = old.lr_lambdas[0], from_torch(old)
    for step in (0, 33, 34, 99, 150):
        made.last_epoch = step
        assert rate(made) == 0.001 * function(step)


# Other functions.


def stairs(step):
    return [1.0, 0.5, 0.25, 0.125][min(step // 50, 3)]


def drops_late(step):
    return 1.0 if step < 3_000_000 else 0.1


def test_a_plain_function_is_called_as_torch_calls_it():
    """It is called with an int, once a step, without a table."""
    seen = []

    def plain(step):
        seen.append(step)
        return max(0.1, 1.0 - step / 4_000_000) if isinstance(step, int) else 1 / 0

    old = theirs.LambdaLR(optimizer({}, {}), plain)
    seen.clear()
    made = from_torch(old)
    assert len(seen) < 50
    made.last_epoch = 3_999_999
    assert rate(made) == 0.001 * 0.1
    made.last_epoch = 1_999_999
    seen.clear()
    made.step()
    assert rate(made) == 0.001 * 0.5
    assert seen == [2_000_000]  # once for the two groups that share it


def test_a_plain_function_sees_what_changes():
    factor = {"now": 1.0}
    made = from_torch(theirs.LambdaLR(optimizer(), lambda step: min(factor["now"], step + 1)))
    factor["now"] = 0.25
    made.step()
    assert rate(made) == 0.001 * 0.25


def test_on_a_device_a_plain_function_that_goes_on_is_warned_of():
    old = theirs.LambdaLR(optimizer(kind="graph"), lambda step: 1.0 / (1 + max(step, 0)))
    with pytest.warns(UserWarning, match=r"give total_iters.*first 1048576 steps"):
        made = from_torch(old)
    assert "Tabulated" in repr(made)
    old = theirs.LambdaLR(optimizer(kind="graph"), stairs)
    made = from_torch(old)
    made.last_epoch = 120
    assert rate(made) == pytest.approx(0.001 * 0.25, rel=2**-22)


def test_a_table_is_made_once_for_all_optimizers_that_have_its_function_at_a_time():
    factor, factors = 0.5, [0.5]

    def reads_a_number(step):
        return max(factor, 1.0 - step / 10)

    def reads_a_list(step):
        return max(factors[0], 1.0 - step / 10)

    def tabulated(function):
        scheduler = from_torch(theirs.LambdaLR(optimizer(kind="graph"), function), total_iters=20)
        return scheduler.schedule.schedule

    tables = [tabulated(function) for function in (reads_a_number, reads_a_list)]
    assert [type(table) for table in tables] == [Tabulated, Tabulated]
    assert tabulated(reads_a_number) is tables[0]
    factor = factors[0] = 0.25
    assert [tabulated(function)(20) for function in (reads_a_number, reads_a_list)] == [0.25, 0.25]


def test_a_phase_needs_no_more_steps_than_it_has():
    """A function that indexes a list is not called past the end of its phase."""
    factors = [1.0 - step / 20 for step in range(10)]
    for lowering in ("host", "graph"):
        opt = optimizer()
        first = theirs.LambdaLR(opt, lambda step: factors[int(step)])
        old = theirs.SequentialLR(opt, [first, theirs.ConstantLR(opt, 0.5, 100)], [10])
        made = from_torch(old, lowering=lowering)
        rates = []
        for _ in range(12):
            rates.append(rate(made))
            made.step()
        base = rates[0]
        assert rates == pytest.approx([*(base * f for f in factors), *[base / 2] * 2], rel=2**-22)


@pytest.mark.parametrize("start", [0, 7])
def test_factors_go_on_without_end(start):
    def live():
        made = theirs.MultiplicativeLR(optimizer(), lambda step: 1.0 - min(step, 50) * 1e-4)
        for _ in range(start):
            made.step()
        return made

    want, made = live(), from_torch(live())
    for _ in range(100):
        assert rate(made) == pytest.approx(rate(want), rel=8 * 107 * 2**-53)
        want.step()
        made.step()
    assert isinstance(made.schedules[0].schedule, Called)


def test_what_grows_past_float64_stays_at_its_last_number():
    products = Accumulated(lambda step: 1e100)
    assert [products(step) for step in (3, 4, 0, 1)] == [1e300, 1e300, 1.0, 1e100]


class Unhashable:
    """A callable that is compared by value, as a dataclass is."""

    __hash__ = None

    def __eq__(self, other):
        return isinstance(other, Unhashable)

    def __call__(self, step):
        return 0.5**step if self.traced else min(1.0, (step + 1) / 10)


@KINDS
@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("cls", [theirs.LambdaLR, theirs.MultiplicativeLR])
def test_a_callable_without_a_hash(cls, traced, kind):
    function = Unhashable()
    function.traced = traced

    def live(kind="host"):
        return cls(optimizer({}, {}, kind=kind), function)

    want = live()
    made = from_torch(live(kind), total_iters=None if kind == "host" else 40)
    assert repr(made)
    for _ in range(20):
        assert rate(made) == pytest.approx(rate(want), rel=2**-20)
        want.step()
        made.step()
    made.reschedule([*made.schedules])


def test_a_table_of_a_function_is_made_if_asked_for():
    made = from_torch(theirs.LambdaLR(optimizer(), stairs), total_iters=500)
    assert isinstance(made.schedules[0].schedule, Tabulated)
