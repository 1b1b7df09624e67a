"""Docstrings teach: their examples run, their formulas are right, and no argument is left out."""

import contextlib
import dataclasses
import doctest
import importlib
import inspect
import io
import math
import pkgutil
import re
from textwrap import dedent

import pytest
from binding import BY_METRIC
from drawing import CLASSES

import accelsched
import accelsched.kernels
from accelsched import (
    export,
    lr_scheduler,
    modelzoo,
    policy,
    scheduler,
    schedules,
    weight_decay_scheduler,
)
from accelsched._binding.arguments import argument_names
from accelsched.lr_scheduler import LRScheduler
from accelsched.policy import MappingPolicy, Policy
from accelsched.weight_decay_scheduler import WeightDecayScheduler

# An editable install maps the kernels by a hook that pkgutil does not ask.
MODULES = sorted(
    {
        info.name
        for package in (accelsched, accelsched.kernels)
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    }
)
BASES = [LRScheduler, WeightDecayScheduler, Policy, MappingPolicy, accelsched.Scheduler]
OTHER_NAMES = [lr_scheduler.ChainedScheduler]
GENERIC, LR, WD, POLICIES = (
    [cls for name in module.__all__ if (cls := getattr(module, name)) not in BASES + OTHER_NAMES]
    for module in (scheduler, lr_scheduler, weight_decay_scheduler, policy)
)
WITH_FORMULA = [*CLASSES, *GENERIC, *LR, *WD, *POLICIES]
PUBLIC = [*WITH_FORMULA, Policy, MappingPolicy, accelsched.Scheduler, accelsched.SchedulerList]
PUBLIC += [
    accelsched.capture,
    accelsched.update,
    accelsched.check,
    accelsched.from_torch,
    accelsched.from_spec,
]
PUBLIC += [
    schedules.minimum,
    schedules.maximum,
    accelsched.to_spec,
    export.program,
    export.stablehlo,
    modelzoo.schedulers,
]


def each(items):
    name = "{0.__module__}.{0.__qualname__}"
    return pytest.mark.parametrize("item", items, ids=[name.format(item) for item in items])


# What every docstring says.


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_print_what_they_say(name):
    runner, printed = doctest.DocTestRunner(verbose=False), io.StringIO()
    for test in doctest.DocTestFinder().find(importlib.import_module(name), name):
        runner.run(test, out=printed.write)
    assert not printed.getvalue()


def test_the_modules_are_those_of_the_package_and_of_the_kernels():
    assert {"accelsched.schedules.decay", "accelsched.kernels.jit"} <= set(MODULES)


@each(PUBLIC)
def test_the_first_line_is_one_sentence(item):
    first, *others = inspect.getdoc(item).split("\n")
    assert first.endswith(".") and len(first) < 100 and not others[0]


@each(PUBLIC)
def test_every_argument_is_described_in_the_order_of_the_signature(item):
    (section,) = re.findall(r"^Args:\n((?: .+\n)+)", inspect.getdoc(item) + "\n", re.MULTILINE)
    described = re.findall(r"^    (\w+): ", section, re.MULTILINE)
    assert described == list(inspect.signature(item).parameters)


@each(WITH_FORMULA)
def test_a_class_says_what_it_raises_and_what_it_is_called_elsewhere(item):
    doc = inspect.getdoc(item)
    assert re.search(r"^Raises:\n    ArgumentError: \S", doc, re.MULTILINE)
    assert re.search(r"^Elsewhere: \S", doc, re.MULTILINE)


@each([*GENERIC, *WD])
def test_a_class_of_another_value_says_nothing_of_a_rate(item):
    assert not re.search(r"\brates?\b", inspect.getdoc(item), re.IGNORECASE)


# The formula.


def formula(item):
    """The block of lines below "The value at step ``t``::"."""
    pattern = r"^The [\w ]+ at step ``t``[^:]*::\n\n((?:    .+\n)+)"
    (lines,) = re.findall(pattern, inspect.getdoc(item), re.MULTILINE)
    return dedent(lines)


def evaluated(item, **names):
    known = {
        name: getattr(math, name) for name in ("ceil", "cos", "floor", "log", "pi", "prod", "sqrt")
    }
    names = {**known, "around": around, **names}
    exec(formula(item), names)
    return names["value"]


def around(t, points):
    """The points on both sides of a step, without the phases that are left no steps."""
    (start, value), *others = points
    for end, next_value in others:
        if t < end:
            return (start, value), (end, next_value)
        start, value = max(start, end), next_value
    return (start, value), (math.inf, value)


def ran(item):
    """Each line of a docstring's examples, and the names that are known once it was run."""
    names = dict(vars(importlib.import_module(item.__module__)))
    for example in doctest.DocTestParser().get_examples(inspect.getdoc(item)):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(example.source, item.__name__, "single"), names)
        yield example.source, names


def made(cls):
    """The first schedule that the docstring of its class makes."""
    return next(names["schedule"] for _, names in ran(cls) if "schedule" in names)


# In which each part of each formula counts.
VARIANTS = """
OneMinusPower(0.1, 0.02, 100, 2.0)
Shifted(Linear(0.1, 0.02, 100), 30)
WarmupStableDecay(0.1, 100, 30, 50, 0.01, 0.02, "cosine", "1-sqrt")
WarmupStableDecay(0.1, 100, 30, 70, 0.01, 0.02, "logarithmic", "cosine")
WarmupStableDecay(0.1, 100, 0, 30, 0.01, 0.02)
WarmupCosine(0.1, 100, 0)
CosineAnnealingWarmRestarts(0.1, 30, 1.5)
Minimum((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
Maximum((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
Linear(0.1, 0.02, 100, cycle=True)
Polynomial(0.1, 0.02, 100, 3.0, cycle=True)
Exponential(0.1, total_iters=100, rate=0.5, staircase=True)
InverseExponentialTimeDecay(0.1, step_exponent=2.0, total_iters=100, rate=0.5)
InverseExponentialTimeDecay(0.1, step_exponent=1.0, total_iters=100, rate=0.5, staircase=True)
CosineAnnealingWarmRestarts(0.1, 30)
Cyclic(0.1, 0.5, 30, 70)
Cyclic(0.1, 0.5, 30, 70, "exp_range", 0.99)
Cyclic(0.1, 0.5, 30, 70, "exp_range", 0.9, "cycle")
OneCycle(0.1, 0.5, 100, 0.25, 100.0, three_phase=True)
OneCycle(0.1, 0.5, 100, 0.25, 100.0, anneal_strategy="linear")
OneCycle(0.1, 0.5, 100, 0.001, 100.0)
Lambda(0.1, (lambda step: step / 30, lambda step: 0.9**step), 50)
Tabulated(Linear(0.1, 0.0, 100), 50, "cycle")
Chained((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
Product((CosineDecay(0.5, 0.1, 30), Step(0.2, 7, 0.5)))
"""


@each(CLASSES)
def test_the_formula_of_a_schedule_gives_its_values(item):
    variants = [eval(line, vars(schedules)) for line in VARIANTS.strip().split("\n")]
    for schedule in [made(item), *(s for s in variants if type(s) is item)]:
        fields = [field.name for field in dataclasses.fields(item) if field.init]
        arguments = {name: getattr(schedule, name) for name in fields}
        values = schedule.curve(0, 400)
        # The plain form of a formula cancels where a value nears 0.
        allowed = 16 * math.ulp(abs(values).max())
        for t, value in enumerate(values):
            assert evaluated(item, t=t, **arguments) == pytest.approx(value, 0, allowed), t


@each([cls for cls in (*GENERIC, *LR, *WD) if cls.__name__ not in BY_METRIC])
def test_the_formula_of_a_scheduler_is_that_of_its_schedule(item):
    schedule = re.findall(r"accelsched\.schedules\.(\w+)", inspect.getdoc(item))[0]
    names = {"schedule": "scheduler", "schedules": "schedulers", "factor": "adjust_learning_rate"}
    names |= argument_names(item)
    expected = formula(getattr(schedules, schedule))
    # But for the left side, `value =`, which is a field of Constant as well.
    renamed = re.sub(r"(?!value = )\b\w+", lambda word: names.get(word[0], word[0]), expected)
    assert formula(item) == renamed


@pytest.mark.parametrize("mapping", [{}, {0: 0.5}, {3: 0.5, 1: 0.1}], ids=str)
@each([policy.Multiply, policy.Switch])
def test_the_formula_of_a_policy_gives_its_values(item, mapping):
    curve = item(mapping, lr_init=0.2).undisturbed()
    for t in range(6):
        value = evaluated(item, t=t, mapping=mapping, lr_init=0.2)
        assert value == pytest.approx(curve(t), rel=2**-51)


# The values at the edges.


@each(CLASSES)
def test_a_schedule_shows_its_first_and_its_last_value_and_one_past_the_end(item):
    source, names = next(pair for pair in ran(item) if " for t in (" in pair[0])
    steps = eval(re.search(r" for t in (\(.*?\))", source)[1])
    assert_from_first_to_last(steps, names["schedule"].settles)


@each([*GENERIC, *LR, *WD, *POLICIES])
def test_a_scheduler_shows_its_first_and_its_last_value_and_one_past_the_end(item):
    steps = []
    for source, names in ran(item):
        if ".get_last_" in source:
            made = names.get("scheduler") or names["policy"]
            steps.append(made.last_epoch)
    ends = [schedule.settles for schedule in made.schedules]
    assert_from_first_to_last(steps, ends[0] if ends else None)


def assert_from_first_to_last(steps, end):
    assert steps[0] == 0 and len(steps) > 1
    if end is not None:
        assert end in steps and steps[-1] > end
