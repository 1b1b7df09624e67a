"""States that a bad disk or a bad hand has changed: taken, or one ArgumentError and no change."""

import copy
import random

import pytest
from binding import EVERY, optimizer

from accelsched import ArgumentError, Scheduler, SchedulerList
from accelsched.policy import Multiply, Switch
from accelsched.schedules import Linear

GROUPS = ({"adjust_learning_rate": 0.5}, {})
MAKERS = {
    **EVERY,
    "Multiply": lambda o: Multiply({3: 0.5, 7: 0.5}, 1.0)(o),
    "Switch": lambda o: Switch({3: 0.5, 7: 0.25}, 1.0)(o),
    "SchedulerList": lambda o: SchedulerList(
        [Scheduler(o, Linear(0.0, 1.0, 9)), Scheduler(o, Linear(0.5, 0.9, 9), key="momentum")]
    ),
}
WRONG = [
    None,
    True,
    -1,
    0,
    2**62,
    2**63,
    10**400,
    -(10**400),
    0.5,
    float("nan"),
    float("inf"),
    1e300,
]
WRONG += ["", "lr", "Linear", b"\0", [], [[]], {}, {"schedule": "Step"}, (), object(), lambda: 0]


def places(state, path=()):
    """Every place in a state, by the path to it."""
    if path:
        yield path
    items = state.items() if isinstance(state, dict) else enumerate(state)
    for name, item in items:
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, name))
        else:
            yield (*path, name)


def broken(state, rng):
    def wrong():
        """A copy, as the same list could be put into itself."""
        return copy.deepcopy(rng.choice(WRONG))

    state = copy.deepcopy(state)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        *path, last = rng.choice(list(places(state)))
        at = state
        for name in path:
            at = at[name]
        change = rng.choice(["put", "put", "put", "drop", "more"])
        if change == "put":
            at[last] = wrong()
        elif change == "drop":
            del at[last]
        elif isinstance(at, dict):
            at[rng.choice(["step", "version", "more", 3])] = wrong()
        else:
            at.append(wrong())
        if not list(places(state)):
            break
    return state


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
