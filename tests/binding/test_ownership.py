"""Two schedulers of one value: conflicts are found, reported, and end with the rival."""

import pytest
from binding import optimizer

from accelsched import Scheduler
from accelsched.schedules import Constant


class Counted(Scheduler):
    """A scheduler that counts how often anyone asks what it drives."""

    asked = 0

    @property
    def group_values(self):
        Counted.asked += 1
        return super().group_values


def test_one_more_scheduler_looks_at_each_of_the_others_once():
    count = 40
    opt = optimizer(*({"tags": f"t{i}"} for i in range(count)))
    made = [Counted(opt, Constant(0.1), "lr", f"t{i}") for i in range(count - 1)]
    before = Counted.asked
    made.append(Counted(opt, Constant(0.1), "lr", f"t{count - 1}"))
    assert Counted.asked - before <= 2 * count
    assert all(scheduler.refusal is None for scheduler in made)


def test_the_rival_that_is_named_is_one_that_is_there():
    opt = optimizer({"tags": "a"}, {"tags": "b"})
    whole = Scheduler(opt, Constant(0.1))
    first, second = (Scheduler(opt, Constant(v), "lr", t) for v, t in ((0.2, "a"), (0.3, "b")))
    assert "Constant(value=0.2)" in whole.refusal
    del first
    assert "Constant(value=0.3)" in whole.refusal
    assert "Constant(value=0.1)" in second.refusal
    del second
    whole.step()
    third = Scheduler(opt, Constant(0.4), "lr", "a")
    with pytest.raises(RuntimeError, match=r"value=0\.4"):
        whole.step()
    third.set_optimizer(optimizer({"tags": "a"}))
    whole.step()
    third.set_optimizer(opt)
    with pytest.raises(RuntimeError, match=r"value=0\.1"):
        third.step()
