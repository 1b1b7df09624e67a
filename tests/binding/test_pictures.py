"""Pictures of a scheduler: what drives each group, with what was planned."""

import pytest
import torch

from accelsched import ArgumentError, Scheduler
from accelsched.lr_scheduler import CosineDecayLR, ReduceLROnPlateau
from accelsched.policy import Multiply
from accelsched.schedules import Linear, WarmupStableDecay


@pytest.fixture
def axes():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield pyplot.figure().add_subplot()
    pyplot.close("all")


def optimizer(groups=1):
    return torch.optim.SGD([{"params": [torch.zeros(1)]} for _ in range(groups)], lr=1.0)


def test_a_line_for_the_groups_that_are_alike(axes):
    slow, fast = Linear(0.0, 0.1, 20), Linear(0.0, 0.2, 20)
    scheduler = Scheduler(optimizer(3), [slow, fast, slow])
    assert scheduler.plot(axes=axes) is axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn == {
        "param groups 0, 2": list(slow.curve(0, 23)),
        "param group 1": list(fast.curve(0, 23)),
    }
    assert axes.get_ylabel() == "lr" and len(axes.get_legend().get_texts()) == 2
    assert scheduler._repr_html_().count("<polyline") == 2


def test_one_curve_has_no_legend_and_one_that_is_not_bound_is_drawn_too(axes):
    scheduler = Scheduler(None, Linear(0.0, 0.1, 20), key="weight_decay")
    scheduler.plot(50, axes)
    assert axes.get_ylabel() == "weight_decay" and axes.get_legend() is None
    assert axes.lines[0].get_xdata()[-1] == 50
    assert Scheduler(None, [Linear(0.0, 0.1, 20), Linear(0.0, 0.2, 20)])._repr_html_()


def test_a_decay_that_was_begun_is_in_the_picture(axes):
    scheduler = Scheduler(optimizer(), WarmupStableDecay(0.1, None, 10))
    scheduler.step(59)
    scheduler.begin_decay(40)
    scheduler.plot(120, axes)
    values = axes.lines[0].get_ydata()
    assert (values[59], values[120]) == (0.1, 0.0) and 0.0 < values[80] < 0.1
    assert scheduler.last_epoch == 59


def test_values_that_depend_on_those_before_have_no_picture(axes):
    for scheduler in (ReduceLROnPlateau(optimizer()), Multiply({3: 0.5}, lr_init=0.1)):
        assert not scheduler.in_force
        with pytest.raises(ArgumentError, match="depends on the one before"):
            scheduler.plot(axes=axes)
        assert scheduler._repr_html_() is None


def test_the_text_of_a_scheduler_is_a_line():
    schedule = Linear(0.0, 0.1, 10).then(Linear(0.1, 0.0, 1000), at=10)
    text = repr(Scheduler(optimizer(), schedule))
    assert text.startswith("Scheduler(SGD, Sequential(schedules=(Linear(...), Linear(...))")
    assert len(repr(CosineDecayLR(optimizer(), 0.1, 0.0, 100))) < 120
