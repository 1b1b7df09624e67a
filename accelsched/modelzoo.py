"""Schedulers from configurations of the Cerebras Model Zoo, read as its trainer reads them."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from accelsched._binding.scheduler_list import SchedulerList
from accelsched._interop import spec

__all__ = ["schedulers"]


def schedulers(config: Any, optimizer: Optimizer | None) -> SchedulerList:
    """Build the schedulers that the trainer of the Model Zoo would build from a configuration.

    The rules are those of the Model Zoo, releases 1.6 to 2.10:

    - A ``SequentialLR`` switches to its next scheduler after the ``total_iters`` of the previous
      one. ``milestones`` may be left out; if given, they must be the sums of ``total_iters``.
    - The ``param_group_tags`` of a ``SequentialLR`` or a chain apply to all schedulers in it, which
      must have no tags of their own.
    - Names are not case-sensitive.
    - A learning rate scheduler becomes a ``ScalePerParamLR`` with the same tags if any param group,
      or the optimizer in an old file, has ``adjust_learning_rate``.
    - In an old file ``optimizer.learning_rate`` is a number, a phase, or a list of phases. The
      phases form a sequence, or a chain if any has ``main_scheduler: chained``. ``scheduler`` names
      the class, with or without ``LR``.
    - An old file with a name of releases up to 1.9 is read as these releases did: ``steps`` and
      ``decay_steps`` for ``total_iters``, ``learning_rate`` and ``base_lr`` for the initial one,
      ``decay_rate`` for ``gamma``, ``boundaries`` and ``values`` for ``milestones`` and
      ``learning_rates``, ``Cosine`` with ``alpha``. Unknown arguments are ignored with a warning.
      With ``disable_lr_steps_reset`` in the optimizer all phases count from the first step.

    Args:
        config: a loaded YAML file of either style; its ``trainer.init.schedulers``, or any dict
            around that list; the ``optimizer`` of an old file, or its ``learning_rate``.
        optimizer: the optimizer to bind the schedulers to. None to bind the result later; then
            ``adjust_learning_rate`` in param groups has no effect.

    Returns:
        One scheduler for each entry of the list. ``step()`` of the result steps all of them. The
        trainer of the Model Zoo takes the result as its ``schedulers``.

    Raises:
        ArgumentError: the Model Zoo would refuse the configuration; the message says why. Nothing
            was changed.

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
