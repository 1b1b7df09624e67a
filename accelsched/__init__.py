"""Hyper-parameter schedules for PyTorch, computed on the device, inside the compiled graph."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from accelsched import lr_scheduler, schedules
from accelsched.errors import ArgumentError, SynchronizationWarning
from accelsched.on_device import on_device
from accelsched.scheduler import Scheduler
from accelsched.schedules import Schedule

if TYPE_CHECKING:
    from accelsched import export, policy, weight_decay_scheduler
    from accelsched.checking import check
    from accelsched.compiling import update
    from accelsched.convert import from_torch
    from accelsched.scheduler_list import SchedulerList
    from accelsched.spec import from_spec, to_spec

__all__ = [
    "ArgumentError",
    "Schedule",
    "Scheduler",
    "SchedulerList",
    "SynchronizationWarning",
    "check",
    "export",
    "from_spec",
    "from_torch",
    "lr_scheduler",
    "on_device",
    "policy",
    "schedules",
    "to_spec",
    "update",
    "weight_decay_scheduler",
]

#: What is imported when it is used first, and where it is.
_LATER = {
    "SchedulerList": "scheduler_list",
    "check": "checking",
    "export": "export",
    "from_spec": "spec",
    "from_torch": "convert",
    "policy": "policy",
    "to_spec": "spec",
    "update": "compiling",
    "weight_decay_scheduler": "weight_decay_scheduler",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_LATER[name]}")
    return module if name == _LATER[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
