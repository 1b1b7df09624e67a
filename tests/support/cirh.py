"""Read a training step in CIRH and evaluate it in NumPy with the dtypes in its text.

CIRH has no public description. The meaning of an operation is inferred from its name; the tests
compare the results with the reference at every step.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_DTYPES = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32, "i1": np.bool_}


class Step:
    """One training step.

    Attributes:
        inputs: the name of each input of the step, which is carried state or data.
        carried: the state that is both an input and an output.
        outputs: the name of each output.
    """

    def __init__(self, text: str) -> None:
        signature = next(line for line in text.splitlines() if "func @graph" in line)
        taken, given = signature.split(") -> (", 1)
        names = r'(%arg\d+): [^{]*\{[^}]*?(?:tf\.resource_name|cs\.input_name) = "([^"]+)"'
        self.inputs = dict(re.findall(names, taken))
        aliases = r'tf\.aliasing_output = (\d+) : i64, tf\.resource_name = "([^"]+)"'
        position = {int(place): name for place, name in re.findall(aliases, taken)}
        self.carried = set(position.values())
        results = re.findall(r"tensor<[^>]*>(?: \{([^}]*)\})?", given.split(") attributes")[0])
        labels = [re.search(r'output_name = "([^"]+)"', result) for result in results]
        self.outputs = [position.get(i, label and label.group(1)) for i, label in enumerate(labels)]
        lines = [re.sub(r" loc\(.*$", "", line.strip()) for line in text.splitlines()]
        self._operations = dict(line.split(" = ", 1) for line in lines if line.startswith("%"))
        (returned,) = [line for line in lines if line.startswith("return ")]
        self._returned = re.findall(r"%\w+", returned.split(" : ")[0])

    def depends(self, output: str) -> set[str]:
        """Return the inputs that an output depends on."""
        return {self.inputs[name] for name in self._behind([output]) if name in self.inputs}

    def operations(self, output: str) -> set[str]:
        """Return the names of the operations that compute an output."""
        lines = (self._operations.get(name, "") for name in self._behind([output]))
        return {line.split()[0].removeprefix("cirh.") for line in lines if line}

    @property
    def size(self) -> int:
        """The number of values that the step computes, constants included."""
        return len(self._operations)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return, by name, the outputs that depend only on these inputs."""
        outputs = [o for o in self.outputs if o is not None and self.depends(o) <= set(inputs)]
        needed = self._behind(outputs)
        values = {name: np.asarray(inputs[i]) for name, i in self.inputs.items() if i in inputs}
        with np.errstate(all="ignore"):
            for name, line in self._operations.items():
                if name in needed:
                    values[name] = _evaluated(line, values)
        return {output: values[self._source(output)] for output in outputs}

    def _source(self, output: str) -> str:
        return self._returned[self.outputs.index(output)]

    def _behind(self, outputs: list[str]) -> set[str]:
        found: set[str] = set()
        ahead = [self._source(output) for output in outputs]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += re.findall(r"%\w+", self._operations.get(name, ""))
        return found


def _evaluated(line: str, values: Mapping[str, Any]) -> Any:
    operation, rest = re.fullmatch(r"cirh\.(\w+)\s*(.*)", line).groups()
    *sizes, dtype = re.findall(r"tensor<([^<>]*)>", rest)[-1].split("x")
    if operation == "Const":
        body = re.search(r"dense<(.*)> : tensor", rest).group(1)
        numbers = [_number(n) for n in re.sub(r"[\[\]]", "", body).split(",")]
        flat = np.array(numbers, dtype=_DTYPES[dtype])
        return np.resize(flat, [int(size) for size in sizes])
    taken = [values[name] for name in re.findall(r"%\w+", rest)]
    shape = [int(size) for size in sizes]
    return np.asarray(_OPERATIONS[operation](rest, shape, *taken)).astype(_DTYPES[dtype])


def _number(text: str) -> float:
    text = text.strip()
    if text.startswith("0x"):
        return float(np.array(int(text, 16), np.uint32).view(np.float32))
    if text in ("true", "false"):
        return text == "true"
    return float(text) if re.search(r"[.eE]", text) else int(text)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda attributes, shape, *taken: function(*taken)


def _numbers(attribute: str, attributes: str) -> tuple[int, ...]:
    found = re.search(attribute + r" = (?:dense<\[?([^\]>]*)\]?>|(\d+))", attributes)
    return tuple(int(n) for n in re.findall(r"\d+", found.group(1) or found.group(2) or ""))


def _divide(a: Any, b: Any) -> Any:
    # Like C for integers: a schedule has no negative divisor or dividend.
    return a // b if a.dtype.kind == "i" else a / b


def _compare(attributes: str, shape: list[int], a: Any, b: Any) -> Any:
    direction = re.search(r'comparison_direction = "(\w+)"', attributes).group(1)
    by = {"LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal}
    return {**by, "EQ": np.equal, "NE": np.not_equal}[direction](a, b)


def _broadcast(attributes: str, shape: list[int], a: Any) -> Any:
    kept = _numbers("broadcast_dimensions", attributes)
    dense = [a.shape[kept.index(i)] if i in kept else 1 for i in range(len(shape))]
    return np.broadcast_to(a.reshape(dense), shape)


def _reduce(attributes: str, shape: list[int], a: Any) -> Any:
    kind = re.search(r'reduce_kind = "(\w+)"', attributes).group(1)
    over = {"ADD": np.sum, "MUL": np.prod, "MAX": np.max, "MIN": np.min}[kind]
    return over(a, axis=_numbers("dimensions", attributes)).reshape(shape)


def _gather(attributes: str, shape: list[int], a: Any, index: Any) -> Any:
    return np.take(a, index, axis=_numbers("axis", attributes)[0]).reshape(shape)


def _slice(attributes: str, shape: list[int], a: Any, start: Any, size: Any) -> Any:
    return a[tuple(slice(int(s), int(s) + n) for s, n in zip(start, shape, strict=True))]


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{
        name: _plain(getattr(np, name.lower()))
        for name in (
            "Add",
            "Exp",
            "Log",
            "Sin",
            "Cos",
            "Sqrt",
            "Floor",
            "Abs",
            "Maximum",
            "Minimum",
        )
    },
    "And": _plain(np.logical_and),
    "Broadcast": _broadcast,
    "BroadcastInDim": _broadcast,
    "Cast": _plain(lambda a: a),
    "Clamp": _plain(lambda a, low, high: np.minimum(np.maximum(a, low), high)),
    "Compare": _compare,
    "Div": _plain(_divide),
    "Gather": _gather,
    "IsInf": _plain(np.isinf),
    "IsNan": _plain(np.isnan),
    "Max": _plain(np.maximum),
    "Min": _plain(np.minimum),
    "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative),
    "Not": _plain(np.logical_not),
    "Or": _plain(np.logical_or),
    "Pow": _plain(np.power),
    "Reduce": _reduce,
    "Reshape": lambda attributes, shape, a: a.reshape(shape),
    "Reciprocal": _plain(lambda a: 1 / a),
    "Rsqrt": _plain(lambda a: 1 / np.sqrt(a)),
    "Select": _plain(np.where),
    "Slice": _slice,
    "Sub": _plain(np.subtract),
}
