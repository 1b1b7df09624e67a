"""States with one to three places changed."""

import copy

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
        """Return a copy, so that no list contains itself."""
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
