"""Hyper-parameter schedules for PyTorch, computed on the device, inside the compiled graph."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from accelsched import lr_scheduler, scheduler, schedules
from accelsched._binding.scheduler import Scheduler
from accelsched._optimizers.on_device import on_device
from accelsched.errors import ArgumentError, SynchronizationWarning
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched import export, modelzoo, policy, weight_decay_scheduler
    from accelsched._binding.capture import Captured, capture
    from accelsched._binding.scheduler_list import SchedulerList
    from accelsched._binding.update import update
    from accelsched._costs.checking import check
    from accelsched._interop.from_torch import from_torch
    from accelsched._interop.spec import from_spec, to_spec

__all__ = [
    "ArgumentError",
    "Captured",
    "Schedule",
    "Scheduler",
    "SchedulerList",
    "SynchronizationWarning",
    "capture",
    "check",
    "export",
    "from_spec",
    "from_torch",
    "lr_scheduler",
    "modelzoo",
    "on_device",
    "policy",
    "scheduler",
    "schedules",
    "to_spec",
    "update",
    "weight_decay_scheduler",
]

#: The package metadata reads the version from here.
__version__ = "0.1.0"

#: Names that are imported on first use, and their modules.
_LATER = {
    "Captured": "_binding.capture",
    "SchedulerList": "_binding.scheduler_list",
    "capture": "_binding.capture",
    "check": "_costs.checking",
    "export": "export",
    "from_spec": "_interop.spec",
    "from_torch": "_interop.from_torch",
    "modelzoo": "modelzoo",
    "policy": "policy",
    "to_spec": "_interop.spec",
    "update": "_binding.update",
    "weight_decay_scheduler": "weight_decay_scheduler",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_LATER[name]}")
    return module if name == _LATER[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
