"""Who holds a scheduled value, and who may write it?

A :class:`~.scheduler.Scheduler` binds schedules to :class:`~.param_groups.GroupValues`: one
hyper-parameter of some param groups. A driver (:mod:`.drivers`) holds the step and writes the
values; :mod:`.ownership` says which scheduler drives which value.
"""
