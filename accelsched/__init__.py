"""Hyper-parameter schedules for PyTorch, computed on the device, inside the compiled graph."""

from accelsched import lr_scheduler, policy, schedules
from accelsched.check import check
from accelsched.compiling import update
from accelsched.convert import from_torch
from accelsched.errors import ArgumentError, SynchronizationWarning
from accelsched.on_device import on_device
from accelsched.scheduler import Scheduler
from accelsched.scheduler_list import SchedulerList
from accelsched.schedules import Schedule
from accelsched.spec import from_spec, to_spec

__all__ = [
    "ArgumentError",
    "Schedule",
    "Scheduler",
    "SchedulerList",
    "SynchronizationWarning",
    "check",
    "from_spec",
    "from_torch",
    "lr_scheduler",
    "on_device",
    "policy",
    "schedules",
    "to_spec",
    "update",
]
