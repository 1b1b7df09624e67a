"""The nearest names in other libraries; a docstring's "Elsewhere" lists the differences."""

from __future__ import annotations

from accelsched.schedules import Schedule

LIBRARIES = ("torch", "optax", "transformers", "Keras", "Cerebras", "Megatron")
#: By schedule, the nearest name in each library. A class without an entry has none.
NAMES: dict[str, dict[str, str]] = {
    "Chained": {"torch": "ChainedScheduler", "Cerebras": "ChainedLR"},
    "Constant": {
        "optax": "constant_schedule",
        "transformers": "get_constant_schedule",
        "Cerebras": "ConstantLR",
        "Megatron": "constant",
    },
    "CosineAnnealing": {
        "torch": "CosineAnnealingLR",
        "transformers": "get_cosine_schedule_with_warmup(num_cycles=...)",
        "Cerebras": "CosineAnnealingLR",
    },
    "CosineAnnealingWarmRestarts": {
        "torch": "CosineAnnealingWarmRestarts",
        "optax": "sgdr_schedule",
        "transformers": "get_cosine_with_hard_restarts_schedule_with_warmup",
        "Keras": "CosineDecayRestarts",
        "Cerebras": "CosineAnnealingWarmRestarts",
    },
    "CosineDecay": {
        "torch": "CosineAnnealingLR",
        "optax": "cosine_decay_schedule",
        "transformers": "get_cosine_schedule_with_warmup",
        "Keras": "CosineDecay",
        "Cerebras": "CosineDecayLR",
        "Megatron": "cosine",
    },
    "Cyclic": {"torch": "CyclicLR", "Cerebras": "CyclicLR"},
    "Exponential": {
        "torch": "ExponentialLR",
        "optax": "exponential_decay",
        "Keras": "ExponentialDecay",
        "Cerebras": "ExponentialLR",
    },
    "InverseExponentialTimeDecay": {
        "Keras": "InverseTimeDecay",
        "Cerebras": "InverseExponentialTimeDecayLR",
    },
    "InverseSquareRootDecay": {
        "transformers": "get_inverse_sqrt_schedule",
        "Cerebras": "InverseSquareRootDecayLR",
        "Megatron": "inverse-square-root",
    },
    "Lambda": {
        "torch": "LambdaLR",
        "Keras": "LearningRateScheduler",
        "Cerebras": "LambdaLR",
    },
    "Linear": {
        "torch": "LinearLR",
        "optax": "linear_schedule",
        "transformers": "get_linear_schedule_with_warmup",
        "Keras": "PolynomialDecay(power=1)",
        "Cerebras": "LinearLR",
        "Megatron": "linear",
    },
    "Maximum": {"Megatron": "--min-lr"},
    "MultiStep": {
        "torch": "MultiStepLR",
        "optax": "piecewise_constant_schedule",
        "Cerebras": "MultiStepLR",
    },
    "Multiplicative": {
        "torch": "ExponentialLR",
        "optax": "exponential_decay(transition_steps=1)",
        "Keras": "ExponentialDecay(decay_steps=1)",
        "Cerebras": "MultiplicativeLR",
    },
    "OneCycle": {
        "torch": "OneCycleLR",
        "optax": "cosine_onecycle_schedule",
        "Cerebras": "OneCycleLR",
    },
    "OneMinusPower": {
        "transformers": 'get_wsd_schedule(decay_type="1-sqrt")',
        "Megatron": "WSD, minus_sqrt",
    },
    "PiecewiseConstant": {
        "torch": "ConstantLR",
        "optax": "piecewise_constant_schedule",
        "Keras": "PiecewiseConstantDecay",
        "Cerebras": "PiecewiseConstantLR",
    },
    "Polynomial": {
        "torch": "PolynomialLR",
        "optax": "polynomial_schedule",
        "transformers": "get_polynomial_decay_schedule_with_warmup",
        "Keras": "PolynomialDecay",
        "Cerebras": "PolynomialLR",
    },
    "Scaled": {"Cerebras": "ScalePerParamLR"},
    "Sequential": {
        "torch": "SequentialLR",
        "optax": "join_schedules",
        "Cerebras": "SequentialLR",
    },
    "Step": {
        "torch": "StepLR",
        "optax": "exponential_decay(staircase=True)",
        "Keras": "ExponentialDecay(staircase=True)",
        "Cerebras": "StepLR",
    },
    "Tabulated": {"torch": "LambdaLR"},
    "WarmupCosine": {
        "optax": "warmup_cosine_decay_schedule",
        "transformers": "get_cosine_schedule_with_warmup",
        "Keras": "CosineDecay(warmup_target=...)",
        "Megatron": "cosine",
    },
    "WarmupStableDecay": {"transformers": "get_wsd_schedule", "Megatron": "WSD"},
}


def table(cls: type[Schedule]) -> str:
    """Return the nearest names of a schedule as a table; nothing if no library has one."""
    names = NAMES.get(cls.__name__, {})
    rows = "\n".join(f"| {library} | `{name}` |" for library, name in names.items())
    return f"## Nearest names\n\n| library | name |\n| --- | --- |\n{rows}\n" if rows else ""


def index(classes: list[type[Schedule]]) -> str:
    """Return the nearest names of all schedules as one table."""
    head = " | ".join(("schedule", *LIBRARIES))
    lines = [f"| {head} |", "| --- " * (1 + len(LIBRARIES)) + "|"]
    for cls in classes:
        names = NAMES.get(cls.__name__, {})
        cells = [f"`{names[each]}`" if each in names else "" for each in LIBRARIES]
        lines.append(f"| [{cls.__name__}]({cls.__name__}.md) | {' | '.join(cells)} |")
    return "\n".join(lines)
