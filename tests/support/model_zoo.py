"""The learning rates of the Model Zoo's configurations, computed from its documentation.

This module does not use accelsched. The formulas come from the docstrings of cerebras_pytorch
(``tf.compat.v1.train`` for Cosine), and a list of schedulers is evaluated phase by phase.
"""

import math


def constant(a, t):
    return a["learning_rate"]


def linear(a, t):
    start, end, length = a["initial_learning_rate"], a["end_learning_rate"], length_of(a)
    return end if t >= length else start + (end - start) * t / length


def cosine_decay(a, t):
    start, end, length = a["initial_learning_rate"], a["end_learning_rate"], length_of(a)
    return end + (start - end) * (1 + math.cos(math.pi * min(t, length) / length)) / 2


def cosine(a, t):
    """TensorFlow's cosine decay."""
    end = a["initial_learning_rate"] * a["alpha"]
    return cosine_decay({**a, "end_learning_rate": end}, t)


def cosine_annealing(a, t):
    start, end = a["initial_learning_rate"], a["eta_min"]
    return end + (start - end) * (1 + math.cos(math.pi * t / a["T_max"])) / 2


def inverse_square_root(a, t):
    return a["scale"] / math.sqrt(max(t, a["warmup_steps"]))


def piecewise_constant(a, t):
    return a["values"][sum(t >= boundary for boundary in a["boundaries"])]


#: Formulas by lower-case class name without LR or WD.
FORMULAS = {
    "constant": constant,
    "linear": linear,
    "cosinedecay": cosine_decay,
    "cosine": cosine,
    "cosineannealing": cosine_annealing,
    "inversesquarerootdecay": inverse_square_root,
    "piecewiseconstant": piecewise_constant,
}


def length_of(arguments):
    """Return the steps of a phase, or None if it gives no length."""
    names = ("total_iters", "decay_steps", "steps")
    return next((arguments[name] for name in names if name in arguments), None)


def named(entry):
    """Return the name and the arguments of an entry in either style."""
    if "scheduler" in entry:
        name, arguments = entry["scheduler"], {k: v for k, v in entry.items() if k != "scheduler"}
    else:
        ((name, arguments),) = entry.items()
    # Weight decay uses the formulas of the learning rate.
    renamed = {"initial_val": "initial_learning_rate", "end_val": "end_learning_rate"}
    arguments = {renamed.get(key, key): value for key, value in arguments.items()}
    return name.lower().removesuffix("lr").removesuffix("wd"), arguments


def phases_of(entry):
    """The phases of an entry: (name, arguments) of each."""
    name, arguments = named(entry)
    if name == "scaleperparam":
        return phases_of(arguments["scheduler"])
    if name == "sequential":
        return [phase for part in arguments["schedulers"] for phase in phases_of(part)]
    return [(name, arguments)]


def schedules_of(value):
    """The phases of each scheduler in a value of either style."""
    if not isinstance(value, (list, dict)):
        return [[("constant", {"learning_rate": value})]]
    entries = [value] if isinstance(value, dict) else value
    if "scheduler" in entries[0]:
        return [[named(entry) for entry in entries]]
    return [phases_of(entry) for entry in entries]


def milestones_of(phases):
    lengths = [length_of(arguments) for _, arguments in phases[:-1]]
    return [sum(lengths[: i + 1]) for i in range(len(lengths))]


def value_at(phases, step):
    for name, arguments in phases[:-1]:
        if step < length_of(arguments):
            return FORMULAS[name](arguments, step)
        step -= length_of(arguments)
    name, arguments = phases[-1]
    return FORMULAS[name](arguments, step)


def peak_of(phases):
    """Return a bound on the highest rate, for a tolerance."""
    initial = [arguments.get("initial_learning_rate", 0.0) for _, arguments in phases]
    return max(value_at(phases, step) for step in steps_of(phases)) + max(initial)


def steps_of(phases):
    """Return ten steps: around milestones first, then within and past the last phase."""
    milestones = milestones_of(phases)
    begin = milestones[-1] if milestones else 0
    last = phases[-1][1]
    length = length_of(last) or last.get("T_max") or last.get("warmup_steps") or 10_000
    around = [0, *(m + d for m in {*milestones[:1], begin} - {0} for d in (-1, 0, 1))]
    ends = [begin + length * k // 8 for k in (8, 16, 1, 7, 4, 3, 2, 5, 6, 9)]
    return list(dict.fromkeys([*around, *ends]))[:10]
