"""The Model Zoo of Cerebras: its configurations, read as its trainer reads them."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from accelsched._binding.scheduler_list import SchedulerList
from accelsched._interop import spec

__all__ = ["schedulers"]


def schedulers(config: Any, optimizer: Optimizer | None) -> SchedulerList:
    """Build the schedulers that the trainer of the Model Zoo would build from a configuration.

    The rules are those of the Model Zoo, releases 1.6 to 2.10:

    - A ``SequentialLR`` changes to its next scheduler after the ``total_iters`` of the one before.
      ``milestones`` may be left out; given ones must be the sums of ``total_iters``.
    - The ``param_group_tags`` of a ``SequentialLR`` or a chain go to all that is in it, which must
      have none.
    - Names are read without regard to case.
    - A scheduler of learning rates becomes a ``ScalePerParamLR``, with its tags, if any param group
      has ``adjust_learning_rate``, or the optimizer in an old file has it.
    - In an old file ``optimizer.learning_rate`` is a number, or one phase, or a list of phases in
      sequence (with ``main_scheduler: chained`` in any of them, a chain). ``scheduler`` names the
      class, with ``LR`` or without.
    - An old file with a name of releases up to 1.9 is read as these releases did: ``steps`` and
      ``decay_steps`` for ``total_iters``, ``learning_rate`` and ``base_lr`` for the initial one,
      ``decay_rate`` for ``gamma``, ``boundaries`` and ``values`` for ``milestones`` and
      ``learning_rates``, ``Cosine`` with ``alpha``. Other arguments are left out with a warning.
      With ``disable_lr_steps_reset`` in the optimizer all phases count from the first step.

    Args:
        config: a loaded YAML file of either style; its ``trainer.init.schedulers``, or any dict
            around that list; the ``optimizer`` of an old file, or its ``learning_rate``.
        optimizer: the optimizer to bind them to. None to bind what is returned later; then nobody
            looks for ``adjust_learning_rate`` in its param groups.

    Returns:
        One scheduler for each entry of the list. ``step()`` steps all of them; the trainer of the
        Model Zoo takes them as its ``schedulers``.

    Raises:
        ArgumentError: the Model Zoo would refuse it; the message says why. Nothing was changed.

    Example:
        >>> import torch
        >>> warmup = {"initial_learning_rate": 0.0, "end_learning_rate": 0.1, "total_iters": 10}
        >>> decay = {"initial_learning_rate": 0.1, "end_learning_rate": 0.0, "total_iters": 90}
        >>> phases = [{"LinearLR": warmup}, {"CosineDecayLR": decay}]
        >>> listed = [{"SequentialLR": {"schedulers": phases}}]
        >>> config = {"trainer": {"init": {"schedulers": listed}}}
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> (scheduler,) = schedulers(config, optimizer)
        >>> scheduler.milestones
        [10]
        >>> scheduler.last_epoch = 10
        >>> optimizer.param_groups[0]["lr"]
        0.1

    Elsewhere: ``configure_trainer_from_config`` of the Model Zoo; before that,
    ``configure_scheduler`` and ``configure_lr_scheduler`` of cerebras_pytorch.
    """
    return spec.schedulers_of(config, optimizer)
