"""A corrupted state either loads or raises one ArgumentError and changes nothing."""

import random

import pytest
from binding import EVERY, optimizer
from broken_states import broken

from accelsched import ArgumentError, Scheduler, SchedulerList
from accelsched.policy import Multiply, Switch
from accelsched.schedules import Linear

GROUPS = ({"adjust_learning_rate": 0.5}, {})


def decaying(scheduler):
    scheduler.begin_decay(3, 0.05, "exponential")
    return scheduler


MAKERS = {
    **EVERY,
    "Multiply": lambda o: Multiply({3: 0.5, 7: 0.5}, 1.0)(o),
    "Switch": lambda o: Switch({3: 0.5, 7: 0.25}, 1.0)(o),
    "a decay that has begun": lambda o: decaying(Scheduler(o, Linear(0.5, 0.1, 9))),
    "SchedulerList": lambda o: SchedulerList(
        [Scheduler(o, Linear(0.0, 1.0, 9)), Scheduler(o, Linear(0.5, 0.9, 9), key="momentum")]
    ),
}


def seen(scheduler):
    groups = scheduler.optimizer.param_groups
    return repr(scheduler.state_dict()), [(float(g["lr"]), float(g["momentum"])) for g in groups]


@pytest.mark.parametrize("kind", ["host", "graph"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_broken_state_is_taken_or_refused(name, kind):
    count = 200 if kind == "host" else 60
    rng = random.Random(f"{name} {kind}")
    scheduler = MAKERS[name](optimizer(*GROUPS, kind=kind, momentum=0.9))
    scheduler.step()
    good = scheduler.state_dict()
    for _ in range(count):
        state = broken(good, rng)
        before = seen(scheduler)
        try:
            scheduler.load_state_dict(state)
        except ArgumentError:
            assert seen(scheduler) == before
        else:
            scheduler.step()
            scheduler.load_state_dict(good)
