"""Binding schedules to the hyper-parameters of an optimizer.

A :class:`~.scheduler.Scheduler` binds schedules to :class:`~.param_groups.GroupValues`: one
hyper-parameter of some param groups. A driver (:mod:`.drivers`) holds the step and writes the
values; :mod:`.ownership` records which scheduler drives which value.
"""
