"""Training steps lowered by the real front end of cerebras_pytorch, without a cluster.

Only the code that talks to a cluster is replaced. Tracing, torch-mlir and the lowering to CIRH (the
input of the cluster's compiler) are those of the wheel. A process has only one backend, and the
suite tests the CPU one too, so `front_end` in test_front_end.py runs this in its own process.
"""

import contextlib
import gc
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch


@dataclass
class Lowered:
    """The output of the front end for a training step.

    Attributes:
        torch: the step in torch-mlir, one text a run.
        cirh: the step in CIRH, one text a run.
        initial: the carried state before the first step, by name, one dict a run.
        compiles: how many of the runs the backend did not find in its own cache.
        lowering: the lowering that the scheduler reports.
    """

    torch: list[str] = field(default_factory=list)
    cirh: list[str] = field(default_factory=list)
    initial: list[dict[str, Any]] = field(default_factory=list)
    compiles: int = 0
    lowering: str = ""


_lowered = Lowered()


class Cluster:
    """A replacement for ApplianceMode, which compiles nothing and counts the requests."""

    compile_resp: Any = None
    _sidecar: Any = None

    def __init__(self, *_: Any, **__: Any) -> None:
        self.skipped_weights: set[str] = set()

    def build_worker_image(self, **_: Any) -> Any:
        return contextlib.nullcontext()

    def compute_compile_hash(self, cirh: str, batch_size: int, state: Any) -> int:
        return hash((cirh, batch_size))

    def get_sidecar_image(self) -> Any:
        return self._sidecar

    def set_sidecar_image(self, image: Any) -> None:
        self._sidecar = image

    def compile(self, *_: Any) -> Any:
        _lowered.compiles += 1
        return SimpleNamespace(cross_compile_state=None, cache_compile_dir="/nowhere")


def replace_cluster() -> None:
    """Let the CSX backend run in this process, as long as it only compiles."""
    import cerebras.pytorch.lib
    from cerebras.pytorch.backend import ltc_backend

    # torch-cirh-opt, which the front end starts, is a file of the wheel.
    tools = str(Path(cerebras.pytorch.lib.__file__).parent)
    os.environ["PATH"] = tools + os.pathsep + os.environ["PATH"]
    ltc_backend.ApplianceMode = Cluster


def start() -> None:
    """Make this process one of the CSX backend, which only compiles."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    replace_cluster()
    import cerebras.pytorch as cstorch

    os.chdir(tempfile.mkdtemp())
    cstorch.backend("CSX", compile_only=True, artifact_dir=tempfile.mkdtemp())
    # compile_only drops the values of weights, which this module reads.
    cstorch.backends.csx.debug.drop_data = False


class Sum(torch.nn.Module):
    """Weights that start at 0 with a gradient of 1 each: a step of SGD sets them to -lr."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.w = torch.nn.ParameterList([torch.zeros(2) for _ in range(groups)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *others = ((w * x).sum(-1).mean() for w in self.w)
        return sum(others, first)


def batches() -> Any:
    data = torch.utils.data.TensorDataset(torch.ones(8, 2))
    return torch.utils.data.DataLoader(data, batch_size=4, drop_last=True)


def lower(
    make: Callable[[Any], Any],
    *,
    between: tuple[Callable[[Any], None], ...] = (),
    optimizer: str = "SGD",
    groups: tuple[dict[str, Any], ...] = ({},),
    loss_scaling: bool = False,
    steps: int = 1,
    stepping: Callable[[torch.Tensor], dict[str, Any]] = lambda batch: {},
) -> Lowered:
    """Lower a training step once, then again after each of `between`.

    Args:
        make: makes the scheduler, or a list of them.
        between: functions to call with the scheduler between two runs.
        optimizer: the name of an optimizer of cstorch.
        groups: the options of each param group.
        loss_scaling: scale the loss dynamically.
        steps: the steps of a run; if more than one, a flag makes the backend trace each of them.
        stepping: returns the arguments of the schedulers' step for a batch.
    """
    import cerebras.pytorch as cstorch

    global _lowered
    gc.collect()  # the last optimizer may still be registered
    _lowered = Lowered()
    impl = cstorch.backend()._impl
    impl._compile_cache.clear()
    cstorch.backends.csx.debug.retrace_every_iteration = steps > 1
    model = Sum(len(groups))
    compiled = cstorch.compile(model, cstorch.backend())
    named = [{"params": [w], **group} for w, group in zip(model.w, groups, strict=True)]
    opt = getattr(cstorch.optim, optimizer)(named, lr=0.5)
    scaler = cstorch.amp.GradScaler(loss_scale="dynamic") if loss_scaling else None
    scheduler = make(opt)
    schedulers = scheduler if isinstance(scheduler, list) else [scheduler]

    @cstorch.trace
    def step(batch: Any) -> torch.Tensor:
        loss = compiled(batch[0])
        if scaler:
            cstorch.amp.optimizer_step(loss, opt, scaler)
        else:
            opt.zero_grad()
            loss.backward()
            opt.step()
        for each in schedulers:
            each.step(**stepping(batch[0]))
        return loss

    @cstorch.step_closure
    def report(loss: torch.Tensor) -> None:
        pass

    loader = cstorch.utils.data.DataLoader(batches)
    for change in (None, *between):
        if change is not None:
            change(scheduler)
        executor = cstorch.utils.data.DataExecutor(loader, num_steps=steps)
        executor.run_context.num_steps = steps  # with compile_only it is 1 otherwise
        _lowered.initial.append({})
        for batch in executor:
            if not _lowered.initial[-1]:
                _lowered.initial[-1] = _state(impl)
            report(step(batch))
        texts = Path(executor.artifact_dir)
        _lowered.torch.append((texts / "torch.mlir").read_text())
        _lowered.cirh.append((texts / "cirh.mlir").read_text())
    _lowered.lowering = getattr(getattr(schedulers[0], "driver", None), "lowering", "")
    return _lowered


def _state(impl: Any) -> dict[str, Any]:
    from cerebras.pytorch.storage.utils import lazy_tensor_data_wrapper

    state = {"schedulers": impl.state_dict()["schedulers"]}
    named = dict(impl._generate_state_names(state))
    return {name: lazy_tensor_data_wrapper(tensor).numpy() for name, tensor in named.items()}
