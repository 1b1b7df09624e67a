"""The scheduler of any hyper-parameter, by the path that users import it from."""

from accelsched._binding.scheduler import Scheduler

__all__ = ["Scheduler"]
