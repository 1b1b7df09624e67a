"""A schedule as text and as a picture."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np
import pytest
from drawing import CLASSES
from generator.docstrings import made

from accelsched import ArgumentError, Schedule, schedules
from accelsched.schedules import (
    Constant,
    CosineDecay,
    Cyclic,
    Exponential,
    Lambda,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from accelsched.schedules._outline import outline, shown_steps, value_range
from accelsched.schedules._svg import HEIGHT, MARGINS, SPANS, WIDTH, svg

SVG = "{http://www.w3.org/2000/svg}"
LONG = Linear(0.0, 0.1, 10).then(CosineDecay(0.1, 0.0, 90), at=10) * 0.5 + Constant(1e-3)
MANY = MultiStep(0.1, gamma=0.5, milestones=range(10_000))


# Text.


def test_repr_leaves_out_defaults_and_evaluates():
    assert repr(Linear(0.0, 0.1, 10)) == "Linear(initial=0.0, end=0.1, total_iters=10)"
    cycling = Polynomial(0.1, 0.0, 10, 2.0, cycle=True)
    assert repr(cycling).endswith("total_iters=10, power=2.0, cycle=True)")
    for schedule in (cycling, LONG, MANY, Cyclic(0.1, 0.2, 5, mode="exp_range", gamma=0.5)):
        assert eval(repr(schedule), vars(schedules)) == schedule


@pytest.mark.parametrize("cls", CLASSES)
def test_a_schedule_is_a_line_of_a_terminal(cls):
    line = str(made(cls))
    assert len(line) <= 79 and "\n" not in line and line.startswith(f"{cls.__name__}(")


def test_what_is_too_long_is_cut_from_the_inside():
    assert str(LONG) == "Sum(schedules=(Scaled(...), Constant(...)))"
    cut = "MultiStep(initial=0.1, gamma=0.5, milestones=(0, 1, 2, ... 9,997 more))"
    assert str(MANY) == cut
    nested = Constant(0.1)
    for _ in range(30):
        nested = nested.then(Step(0.1, 5, 0.5), at=5) * 0.5
    assert len(str(nested)) <= 79


def test_a_class_of_a_user_has_both():
    @dataclass(frozen=True)
    class Mine(Schedule):
        initial: float
        half_life: int = 3

        def formula(self, step):
            return self.initial / (step + self.half_life)

    @dataclass(frozen=True)
    class Named(Mine):
        def __repr__(self):
            return "mine"

    assert repr(Mine(1)) == str(Mine(1)) == "Mine(initial=1.0)"
    assert repr(Mine(1.0, 4)) == "Mine(initial=1.0, half_life=4)"

    @dataclass(frozen=True)
    class NamedToo(Named):
        pass

    assert repr(Named(1.0)) == repr(NamedToo(1.0)) == "mine"


# What a picture shows.


def test_a_picture_goes_shortly_past_the_last_change_or_shows_two_periods():
    assert shown_steps([Linear(0.0, 1.0, 1000)]) == 1100
    assert shown_steps([Linear(0.0, 1.0, 5), Linear(0.0, 1.0, 50)]) == 55
    assert shown_steps([Cyclic(0.0, 1.0, 2000)]) == 8000
    assert shown_steps([Exponential(initial=0.1, total_iters=10, rate=0.5)]) == 1000
    assert shown_steps([Linear(0.0, 1.0, 2**62 - 1)]) == 2**62 - 1


def test_zero_is_in_a_picture_unless_it_is_far_off():
    ranges = {
        (0.01, 0.1): (0.0, 0.1),
        (0.85, 0.95): (0.85, 0.95),
        (-0.1, -0.02): (-0.1, 0.0),
        (-1.0, 1.0): (-1.0, 1.0),
        (0.2, 0.2): (0.1, 0.3),
        (-0.2, -0.2): (-0.3, -0.1),
        (0.0, 0.0): (-0.5, 0.5),
        (0.5, np.inf): (0.25, 0.75),
        (np.nan, np.inf): (-0.5, 0.5),
    }
    for values, want in ranges.items():
        assert value_range(np.array(values)) == pytest.approx(want)


# SVG.


def points(picture):
    lines = ElementTree.fromstring(picture).findall(f"{SVG}polyline")
    return [np.array([p.split(",") for p in line.get("points").split()], float) for line in lines]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_line_of_a_picture_is_the_curve(cls):
    schedule = made(cls)
    (line,) = points(schedule._repr_html_())
    left, right, above, below = MARGINS
    steps = shown_steps([schedule])
    at, values = outline(schedule, steps, SPANS)
    low, high = value_range(values)
    x = left + at / steps * (WIDTH - left - right)
    y = above + (high - values) / (high - low) * (HEIGHT - above - below)
    # A corner may be 0.1 off, and rounding moves each end of a line by up to 0.05 in x and in y.
    assert distances(np.stack([x, y], 1), line).max() < 0.1 + 0.05 * 2**0.5


def distances(at, line):
    """Return the distance of each point from a polyline."""
    start, along = line[:-1], np.diff(line, axis=0)
    from_start = at[:, None] - start
    length = (along**2).sum(1)
    part = ((from_start * along).sum(2) / np.where(length, length, 1)).clip(0, 1)
    return np.linalg.norm(from_start - part[..., None] * along, axis=2).min(1)


def test_a_straight_line_has_three_points_and_a_picture_is_small():
    (line,) = points(Linear(0.0, 0.1, 100)._repr_html_())
    assert line.tolist() == [[58.0, 194.0], [428.9, 14.0], [466.0, 14.0]]
    for cls in CLASSES:
        assert len(made(cls)._repr_html_()) < 5000, cls


def test_lines_and_letters_have_the_colour_of_the_page():
    picture = svg([Linear(0.0, 0.1, 10), Constant(0.05)], 'of "a" & <b>')
    assert "currentColor" in picture and "var(--accelsched-curve," in picture
    assert ElementTree.fromstring(picture).get("aria-label") == 'of "a" & <b>'
    assert len(points(picture)) == 2


def test_values_past_float64_are_left_out():
    growing = Exponential(initial=1.0, total_iters=1, rate=10.0)
    (line,) = points(svg([growing], "growing", steps=1000))
    assert np.isfinite(line).all() and line[-1, 0] < 58 + 394 / 2
    assert len(points(svg([Lambda(1.0, [lambda t: t * float("nan")])], "nothing"))[0]) == 0


# matplotlib.


@pytest.fixture
def pyplot():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


def test_plot_draws_on_the_current_axes_and_returns_them(pyplot):
    schedule = CosineDecay(0.1, 0.0, 100)
    axes = schedule.plot()
    assert axes is pyplot.gca() is Linear(0.0, 0.1, 10).plot()
    curve, other = axes.lines
    steps, values = curve.get_data()
    assert list(steps) == list(range(111)) and list(values) == list(schedule.curve(0, 111))
    assert [curve.get_label(), other.get_label()] == [str(schedule), str(Linear(0.0, 0.1, 10))]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "value")


def test_plot_takes_axes_and_steps(pyplot):
    _, (left, right) = pyplot.subplots(1, 2)
    assert Step(0.1, 5, 0.5).plot(20, left) is left and not right.lines
    assert left.lines[0].get_xdata()[-1] == 20
    for steps in (0, -1, 1.5, "20"):
        with pytest.raises(ArgumentError, match="steps"):
            Step(0.1, 5, 0.5).plot(steps)


WITHOUT = """
import sys
import accelsched
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    accelsched.schedules.Constant(1.0).plot()
except ImportError as error:
    print(error)
assert "svg" in accelsched.schedules.Constant(1.0)._repr_html_()
"""


def test_matplotlib_is_imported_to_plot_which_says_what_to_install():
    run = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == "plot needs matplotlib: pip install accelsched[plot]\n"
