"""Hyper-parameter schedules for PyTorch, computed on the device, inside the compiled graph."""

from accelsched import lr_scheduler, policy, schedules
from accelsched.errors import ArgumentError, SynchronizationWarning
from accelsched.scheduler import Scheduler
from accelsched.schedules import Schedule

__all__ = [
    "ArgumentError",
    "Schedule",
    "Scheduler",
    "SynchronizationWarning",
    "lr_scheduler",
    "policy",
    "schedules",
]
