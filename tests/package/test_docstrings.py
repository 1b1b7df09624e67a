"""Docstrings teach: their examples run, their formulas are right, and no argument is left out."""

import dataclasses
import doctest
import importlib
import inspect
import io
import math
import pkgutil
import re

import pytest
from binding import BY_METRIC
from drawing import CLASSES
from generator.docstrings import arguments, formula, made, ran, steps
from variants import VARIANTS

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

# An editable install maps the kernels with an import hook that pkgutil does not use.
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
    assert list(arguments(item)) == list(inspect.signature(item).parameters)


@each(WITH_FORMULA)
def test_a_class_says_what_it_raises_and_what_it_is_called_elsewhere(item):
    doc = inspect.getdoc(item)
    assert re.search(r"^Raises:\n    ArgumentError: \S", doc, re.MULTILINE)
    assert re.search(r"^Elsewhere: \S", doc, re.MULTILINE)


@each([*GENERIC, *WD])
def test_a_class_of_another_value_says_nothing_of_a_rate(item):
    assert not re.search(r"\brates?\b", inspect.getdoc(item), re.IGNORECASE)


# The formula.


def evaluated(item, **names):
    known = {
        name: getattr(math, name) for name in ("ceil", "cos", "floor", "log", "pi", "prod", "sqrt")
    }
    names = {**known, "around": around, **names}
    exec(formula(item), names)
    return names["value"]


def around(t, points):
    """Return the points on both sides of a step, skipping phases that have no steps."""
    (start, value), *others = points
    for end, next_value in others:
        if t < end:
            return (start, value), (end, next_value)
        start, value = max(start, end), next_value
    return (start, value), (math.inf, value)


@each(CLASSES)
def test_the_formula_of_a_schedule_gives_its_values(item):
    for schedule in [made(item), *(s for s in VARIANTS if type(s) is item)]:
        fields = [field.name for field in dataclasses.fields(item) if field.init]
        given = {name: getattr(schedule, name) for name in fields}
        values = schedule.curve(0, 400)
        # The plain form of a formula loses digits to cancellation near 0.
        allowed = 16 * math.ulp(abs(values).max())
        for t, value in enumerate(values):
            assert evaluated(item, t=t, **given) == pytest.approx(value, 0, allowed), t


@each([cls for cls in (*GENERIC, *LR, *WD) if cls.__name__ not in BY_METRIC])
def test_the_formula_of_a_scheduler_is_that_of_its_schedule(item):
    schedule = re.findall(r"accelsched\.schedules\.(\w+)", inspect.getdoc(item))[0]
    names = {"schedule": "scheduler", "schedules": "schedulers", "factor": "adjust_learning_rate"}
    names |= argument_names(item)
    expected = formula(getattr(schedules, schedule))
    # The left side `value =` stays, although Constant has a field of that name.
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
    names = next(names for source, names in ran(item) if " for t in (" in source)
    assert_from_first_to_last(steps(item), names["schedule"].settles)


@each([*GENERIC, *LR, *WD, *POLICIES])
def test_a_scheduler_shows_its_first_and_its_last_value_and_one_past_the_end(item):
    shown = []
    for source, names in ran(item):
        if ".get_last_" in source:
            bound = names.get("scheduler") or names["policy"]
            shown.append(bound.last_epoch)
    ends = [schedule.settles for schedule in bound.schedules]
    assert_from_first_to_last(shown, ends[0] if ends else None)


def assert_from_first_to_last(steps, end):
    assert steps[0] == 0 and len(steps) > 1
    if end is not None:
        assert end in steps and steps[-1] > end
