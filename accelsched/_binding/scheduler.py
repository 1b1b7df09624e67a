"""A schedule bound to one hyper-parameter of an optimizer's param groups."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from accelsched._binding import plan, state
from accelsched._binding.closed_form import (
    given_forms,
    numbers_of,
    recorded_step,
    takes_total_iters,
    with_attributes,
)
from accelsched._binding.drivers import PureDriver, driver_for
from accelsched._binding.given import as_schedules, one_each, step_to_move_to
from accelsched._binding.graph_driver import GraphDriver
from accelsched._binding.host_values import values_by_machine_code
from accelsched._binding.limits import require_possible
from accelsched._binding.ownership import ownership_of
from accelsched._binding.param_groups import GroupValues, Tags, tag_set, unchanged_on_error
from accelsched._binding.reporting import Report, report_on, values_at
from accelsched._binding.stride import Stride, require_one, stride_of
from accelsched._binding.uncompiled import uncompiled
from accelsched._lowering import LOWERINGS
from accelsched._optimizers.frozen import computed_on_host
from accelsched._optimizers.remedies import level_of_the_caller
from accelsched._runtimes import runtime_of
from accelsched._runtimes.captures import is_for_a_graph
from accelsched.errors import ArgumentError, require
from accelsched.schedules import Schedule
from accelsched.schedules._fields import MAX_STEP, boolean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Self = TypeVar("Self", bound="Scheduler")


class Parent(Protocol):
    """A scheduler that is made of others: see :mod:`.composite`."""

    @property
    def param_group_tags(self) -> set[str | None] | None:
        """The tags of its param groups, which are those of its parts."""

    def recompose(self) -> None:
        """Follow the schedules of the parts as they are now."""


_UNBOUND = "this scheduler has no optimizer yet: bind it, scheduler(optimizer)"
_WITHOUT_PARENT = "this is a copy of a part of another scheduler: copy that one whole"


class Scheduler(TorchLRScheduler):
    """Drives one hyper-parameter of an optimizer's param groups by a schedule of the step.

    Values are absolute: all driven groups get the schedule's value, whatever they held before.
    With ``relative=True`` the schedule is a factor of each group's own value.

    The values of the first step are set as soon as the scheduler is built. Each :meth:`step` sets
    the values of the next one. On a device, the step counter and ``param_groups[i][key]`` become
    tensors that are updated in place: a step reads nothing on the host, compiles nothing and copies
    nothing. On the CPU, and on CUDA where the optimizer takes no tensor, a float stays a float. For
    a learning rate of 0, a tensor of Adam and AdamW holds 2**-114, because 0 turns their weights
    into NaN (PyTorch issues 126514 and 97004).

    Args:
        optimizer: any ``torch.optim.Optimizer``; its ``step`` is left as it is. None to bind the
            scheduler later: ``scheduler(optimizer)``.
        schedule: one schedule for all driven groups, or a list with one for each of them. A
            function of the step is taken too, as :class:`accelsched.policy.Schedule` takes it.
        key: the hyper-parameter: a key of the param groups that holds one number, or one number of
            a tuple, as ``"betas[0]"`` does. Default: that of the class, ``"lr"``.
        param_group_tags: which param groups to drive: a tag, or a list of tags, of which the
            group's ``"tags"`` must hold one. None in the list stands for groups without tags.
            Default: all groups.
        last_epoch: start one step after this one. Default -1: start at step 0.
        lowering: how the values are computed. ``"graph"`` evaluates the formula on the device.
            ``"segments"`` evaluates float32 polynomials that are fitted to it. ``"table"`` looks
            the value up. ``"host"`` sets Python floats. The default depends on where the parameters
            are. On the CPU it is floats, unless the group holds a tensor, as ``torch.compile``
            wants. On CUDA it is floats too, unless the group holds a tensor or the optimizer takes
            one (``capturable=True`` or ``fused=True``). Tensors on CUDA, on lazy back ends and
            where there is no float64 are segments, or a table for a curve of too many parts. Other
            tensors are the formula.
        relative: whether the schedule is a factor of each group's own value: of its ``initial_lr``
            for the learning rate, else of the value that it has when it is bound. Default False.
        open_ended: whether the end is not known yet, so that :meth:`begin_decay` and :meth:`extend`
            may come at any step, and compile nothing. Default: only for a schedule that has none,
            ``WarmupStableDecay(..., total_iters=None)``.

    Example:
        >>> import torch
        >>> from accelsched.schedules import CosineDecay
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> scheduler = Scheduler(optimizer, CosineDecay(initial=0.1, end=0.001, total_iters=100))
        >>> optimizer.param_groups[0]["lr"]
        0.1
        >>> for _ in range(100):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> optimizer.param_groups[0]["lr"]
        0.001
        >>> scheduler.step()
        >>> scheduler.last_epoch, scheduler.get_last_lr()
        (101, [0.001])

        Another key, built now and bound later:

        >>> scheduler = Scheduler(None, CosineDecay(0.1, 0.0, 100), key="weight_decay")
        >>> scheduler(optimizer).get_last_value()
        [0.1]

    Raises:
        ArgumentError: a value that cannot be; the message names it and the remedy.
        TypeError: ``optimizer`` is no optimizer.

    Warns:
        SynchronizationWarning: this optimizer, as it was built, will read the value on the host at
            every step; the warning names the option to set. Or it has a ``step`` of its own, of
            which nothing is known: build the scheduler inside :class:`accelsched.on_device` if that
            step reads nothing, or is taken inside of it.

    Elsewhere: torch's ``LRScheduler`` and Cerebras' ``Scheduler``, whose interface this class has.
    As there, a subclass may define ``_get_closed_form`` and ``param_group_key``: see
    :class:`accelsched.lr_scheduler.LRScheduler`.
    In optax a schedule is an argument of the optimizer, or of ``optax.inject_hyperparams``.
    """

    #: What is driven if no key is given; a subclass may name another. None if it has to.
    default_key: str | None = "lr"

    #: Whether the class has a method of its own for its values: see :meth:`_get_closed_form`.
    _writes_its_form = False
    #: Whether it has a `get_lr` of its own: see :class:`~.own_rule.OwnRule`.
    _writes_its_rule = False
    #: Whether a step needs nothing, as a metric is.
    _steps_alone = True
    #: The attributes that such a method may read.
    _form_names: frozenset[str] = frozenset()
    #: The settings in the state of the scheduler of torch that this one was made of.
    _settings_of_torch: frozenset[str] | None = None
    #: Whether a CUDA graph could capture its step, and would repeat nothing of it.
    _freezes = False
    #: Whether a decay may begin at any step, and the one that has.
    _open_ended = False
    _plan = plan.Plan()
    # There are none as long as there is no optimizer; see `driver` and `group_values`.
    _driver: PureDriver
    _advance: Callable[[], bool]
    _group_values: GroupValues
    #: What :attr:`in_force` was made of, and is.
    _in_force: tuple[Any, tuple[Schedule, ...]] = (None, ())

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._writes_its_form = cls._get_closed_form is not Scheduler._get_closed_form

    @overload
    def __init__(
        self,
        optimizer: Optimizer | None,
        schedule: Any,
        key: str | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        lowering: str | None = None,
        relative: bool = False,
        open_ended: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self,
        optimizer: Optimizer | None,
        total_iters: int | None,
        last_epoch: int = -1,
        param_group_tags: Tags = None,
        *,
        open_ended: bool = False,
    ) -> None: ...
    @takes_total_iters
    def __init__(
        self,
        optimizer: Optimizer | None,
        schedule: Any,
        key: str | None = None,
        param_group_tags: Tags = None,
        *,
        last_epoch: int = -1,
        lowering: str | None = None,
        relative: bool = False,
        open_ended: bool = False,
    ) -> None:
        # Not super().__init__: it patches optimizer.step and steps the scheduler.
        require(lowering in LOWERINGS, "lowering", lowering, f"give one of {LOWERINGS}")
        whole = isinstance(last_epoch, int) and not isinstance(last_epoch, bool)
        remedy = "give a step, or -1 to start at step 0"
        require(whole and -1 <= last_epoch < MAX_STEP, "last_epoch", last_epoch, remedy)
        self._key = self._own_key() if key is None else key
        self._param_group_tags = param_group_tags
        self._lowering = lowering
        self._relative = relative
        self._open_ended = boolean("open_ended", open_ended)
        self._first_step = last_epoch + 1
        self._extra_step_count = 0
        self._is_shared = not isinstance(schedule, (list, tuple))
        #: As they were given; for `relative` they are factors of what drives the groups.
        self._given: tuple[Schedule, ...]
        if self._writes_its_form:
            self._given = given_forms(self, schedule)
        else:
            self._given = as_schedules(schedule)
        self._schedules = self._given
        #: The scheduler that this one is a part of, which drives its values.
        self._parent: weakref.ref[Parent] | None = None
        self._unbind()
        if optimizer is not None:
            self._bind(optimizer)

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelt name would have no effect, and nobody would know.
        # Not vars(): once it was asked for, every look-up of an attribute takes longer.
        known = name.startswith("_") or hasattr(type(self), name) or hasattr(self, name)
        is_built = known or hasattr(self, "optimizer")
        ours = type(self).__module__.startswith("accelsched.") and not self._writes_its_rule
        if is_built and not known and ours:
            remedy = f"{type(self).__name__} has no attribute of this name: see help()"
            raise ArgumentError(name, value, remedy)
        if is_built and name in self._form_names:
            self._set_of_form(name, value)
        else:
            super().__setattr__(name, value)

    # What it was built with.

    @property
    def key(self) -> str:
        """The hyper-parameter that is driven."""
        return self._key

    @property
    def param_group_key(self) -> str:
        """The same as :attr:`key`; a subclass may override it, as in Cerebras, to drive another."""
        key: Any = getattr(self, "_key", self.default_key)
        return key  # type: ignore[no-any-return]

    def _own_key(self) -> str:
        """The key of the class."""
        key: str | None = self.param_group_key
        if key is None:
            raise TypeError(
                f"{type(self).__name__} drives no key: set param_group_key in a subclass"
            )
        return key

    @property
    def param_group_tags(self) -> set[str | None] | None:
        """The tags of the driven param groups; None for all groups."""
        parent = alive(self._parent)
        if parent is not None:
            return parent.param_group_tags
        return None if self._param_group_tags is None else tag_set(self._param_group_tags)

    @property
    def lowering(self) -> str | None:
        """The lowering that was asked for; None for the default."""
        return self._lowering

    @lowering.setter
    def lowering(self, lowering: str | None) -> None:
        require(lowering in LOWERINGS, "lowering", lowering, f"give one of {LOWERINGS}")
        before, self._lowering = self._lowering, lowering
        if self._drives:
            try:
                self._drive_on(self._group_values)
            except ArgumentError:
                self._lowering = before
                raise

    @property
    def relative(self) -> bool:
        """Whether the schedule is a factor of each group's own value."""
        return self._relative

    @property
    def open_ended(self) -> bool:
        """Whether :meth:`begin_decay` and :meth:`extend` compile nothing; False drops both."""
        return self._open_ended or plan.any_is_open_ended(self._schedules)

    @open_ended.setter
    def open_ended(self, open_ended: bool) -> None:
        before, self._open_ended = self._open_ended, boolean("open_ended", open_ended)
        try:
            self._follow_plan(self._plan if open_ended else plan.Plan())
        except ArgumentError:
            self._open_ended = before
            raise

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """The schedule of each driven group; to set them is to :meth:`reschedule`.

        What :meth:`begin_decay` and :meth:`extend` do is beside them, and not in them.
        """
        return self._schedules

    @schedules.setter
    def schedules(self, schedules: Sequence[Schedule]) -> None:
        self.reschedule(schedules)

    @property
    def in_force(self) -> tuple[Schedule, ...]:
        """The schedule of each driven group, with the decay or the new end that was planned."""
        if not self._plan:
            return self._schedules
        now, (made_of, made) = (self._schedules, self._plan), self._in_force
        if made_of is None or made_of[0] is not now[0] or made_of[1] is not now[1]:
            made = self._plan.of(self._schedules)
            self._in_force = now, made
        return made

    @property
    def schedule(self) -> Schedule:
        """The schedule of the first driven group; to set it is to follow it in all groups."""
        return self._schedules[0]

    @schedule.setter
    def schedule(self, schedule: Any) -> None:
        self.reschedule(as_schedules(schedule) * len(self._schedules))

    # Binding.

    def __call__(self: Self, optimizer: Optimizer) -> Self:
        """Bind this scheduler by :meth:`set_optimizer`, and return it."""
        self.set_optimizer(optimizer)
        return self

    def set_optimizer(self: Self, optimizer: Optimizer) -> Self:
        """Bind this scheduler to an optimizer, and set the values of its first step.

        Args:
            optimizer: the optimizer to drive. One that was bound before is let go.

        Returns:
            This scheduler.

        Raises:
            ArgumentError: the optimizer does not fit; nothing was changed.
            RuntimeError: this scheduler is a part of another one: bind that one.
        """
        parent = alive(self._parent)
        if parent is not None:
            raise RuntimeError(f"{self} was given to {parent}: bind that one")
        self._bind(optimizer)
        return self

    def _bind(self, optimizer: Optimizer) -> None:
        """Bind to an optimizer; an error leaves everything as it was."""
        group_values = GroupValues(optimizer, self.key, self._param_group_tags)
        before, self._plan = self._plan, plan.Plan()
        try:
            self._drive(optimizer, group_values, self._first_step)
        except Exception:
            self._plan = before
            raise

    def _drive(self, optimizer: Optimizer, group_values: GroupValues, step: int) -> None:
        """Drive values from a step on."""
        with unchanged_on_error([group_values.optimizer]):
            ownership_of(group_values.optimizer).remember(group_values)
            schedules = self._schedules_for(group_values)
            planned = self._plan.for_groups(schedules)
            driven = self._driven_by(schedules, planned)
            require_possible(group_values, driven)
            driver = self._driver_for(group_values, driven, step)
        self._plan = planned
        self._unbind()
        self._attach(optimizer, group_values, schedules)
        self._be_driven_by(driver)

    def _drive_on(self, group_values: GroupValues) -> None:
        """Go on from this step with a new driver: the groups are others, or are elsewhere."""
        uncompiled(self._drive)(self.optimizer, group_values, self.last_epoch)

    def _attach(
        self, optimizer: Optimizer, group_values: GroupValues, schedules: tuple[Schedule, ...]
    ) -> None:
        """Know the optimizer and the groups, without driving anything."""
        self.optimizer, self._group_values, self._schedules = optimizer, group_values, schedules

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        """Return one schedule for each driven group."""
        return self._resolved(
            one_each(self._given, len(group_values.indices), self._is_shared), group_values
        )

    def _resolved(
        self, given: tuple[Schedule, ...], group_values: GroupValues
    ) -> tuple[Schedule, ...]:
        """What drives the groups, of what was given for each."""
        if not self._relative:
            return given
        initial = ownership_of(group_values.optimizer).initial(group_values)
        return tuple(schedule * value for schedule, value in zip(given, initial, strict=True))

    def _driver_for(
        self, group_values: GroupValues, schedules: Sequence[Schedule], step: int
    ) -> PureDriver:
        return driver_for(group_values, schedules, step, self.lowering)

    def _driven_by(
        self, schedules: tuple[Schedule, ...], planned: plan.Plan
    ) -> tuple[Schedule, ...]:
        """What the driver evaluates: the schedules, and what is planned beside them."""
        wanted = self._open_ended or bool(planned) or plan.any_is_open_ended(schedules)
        return planned.of(schedules) if wanted and not self._writes_its_rule else schedules

    def _lowered(self, schedules: tuple[Schedule, ...], planned: plan.Plan) -> Any:
        """What the driver follows. What can fail, fails here."""
        driven = self._driven_by(schedules, planned)
        require_possible(self._group_values, driven)
        return self.driver.lower(driven)

    def _be_driven_by(self, driver: PureDriver) -> None:
        self._driver, self._advance = driver, driver.stepper()
        self._freezes = driver.lowering == "host" and runtime_of(driver.device).captures
        self._needs_look, self.refusal = True, None
        ownership_of(self._group_values.optimizer).claim(self)

    def _unbind(self) -> None:
        """Let go of the optimizer, if there is one."""
        if self._bound:
            ownership_of(self._group_values.optimizer).release(self)
        self.optimizer = None  # type: ignore[assignment]
        self._needs_look = False
        self.refusal = _UNBOUND

    @property
    def _bound(self) -> bool:
        return getattr(self, "optimizer", None) is not None

    @property
    def driver(self) -> PureDriver:
        """The driver, which holds the step and writes the values."""
        if not hasattr(self, "_driver"):
            raise RuntimeError(self.refusal)
        return self._driver

    @property
    def group_values(self) -> GroupValues:
        """The values of the param groups that this scheduler drives."""
        if not self._bound:
            raise RuntimeError(self.refusal)
        return self._group_values

    @property
    def indices(self) -> list[int]:
        """The indices of the driven param groups; [0] while there is no optimizer."""
        return self._group_values.indices if self._bound else [0]

    @property
    def refusal(self) -> str | None:
        """Why this scheduler must not step, if it must not."""
        return self._refusal

    @refusal.setter
    def refusal(self, refusal: str | None) -> None:
        self._refusal = refusal
        self._needs_attention = refusal is not None or self._needs_look or self._freezes

    def _require_driving(self) -> None:
        if self.refusal is not None:
            raise RuntimeError(self.refusal)

    # A step, and what it came to.

    def step(
        self,
        epoch: int | None = None,
        by: int | Tensor | None = None,
        found_inf: float | Tensor | None = None,
    ) -> None:
        """Move to the next step, and set its values.

        The step counts whatever ``by`` counts: samples, tokens, or training steps. The numbers of
        the schedule (``total_iters``, ``milestones``) are then in this unit, up to ``2**53``.

        Args:
            epoch: the step to move to. Default: the next one.
            by: by how many to move on, 0 or more: an int, or an integer tensor of one element that
                is on the device and is not read. It is not checked there for a negative number. A
                step by 0 leaves the values. Default: 1.
            found_inf: stay, as by 0, where this is not 0: a bool or a number, or a tensor of one
                element that is on the device and is not read. It is ``found_inf`` of a gradient
                scaler, which then leaves out the step of the optimizer. Default: do not ask.

        Example:
            >>> from accelsched.schedules import Linear
            >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
            >>> tokens = Linear(initial=0.0, end=0.1, total_iters=10_000)
            >>> scheduler = Scheduler(optimizer, tokens)
            >>> for batch in (torch.zeros(4, 500), torch.zeros(2, 1000), torch.zeros(1, 1000)):
            ...     scheduler.step(by=batch.numel())
            >>> scheduler.last_epoch, scheduler.get_last_lr()
            (5000, [0.05])
            >>> scheduler.step(by=1000, found_inf=torch.tensor(1.0))
            >>> scheduler.last_epoch, scheduler.get_last_lr()
            (5000, [0.05])

        On a lazy back end an int that changes is sent to the device at each step, and compiles
        nothing. ``torch.compile`` compiles again for an int that changes, and a captured graph
        keeps it: give these a tensor.

        Raises:
            ArgumentError: ``by`` is negative or no integer; ``epoch`` is given beside another
                argument; or ``by`` is not 1 and each step changes the value before it, as those of
                :class:`accelsched.policy.Multiply` do.
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.
        """
        if self._needs_attention:
            self._attend()
        # Arguments by position with None for a default are those that take no time: keywords only
        # would take 20 ns of the 250.
        if epoch is not None or by is not None or found_inf is not None:
            self._step_otherwise(epoch, by, found_inf)
            return
        advance = self._advance  # a call of what is no method is faster in two lines
        if advance():
            self._take_in_new_groups()

    def _step_otherwise(self, epoch: Any, by: Any, found_inf: Any) -> None:
        """Move to a step, or on by another number than 1."""
        if epoch is not None:
            alone = by is None and found_inf is None
            require(alone, "epoch", epoch, "it is a step to move to: give no by or found_inf")
            self._set_step(step_to_move_to("epoch", epoch))
        elif self._driver.move_on(self._stride(by, found_inf), far=by is not None):
            self._take_in_new_groups()

    def _stride(self, by: Any, found_inf: Any) -> Stride:
        """By how much to move on."""
        if not self._schedules:
            require_one(by, self)
        return stride_of(by, found_inf)

    def _attend(self) -> None:
        """What is not done at each step: may it step, and are the parameters where they were?"""
        self._require_driving()
        if self._freezes and is_for_a_graph():
            driven = self._group_values
            held = driven.values()[0]
            raise computed_on_host(driven.optimizer, driven.indices[0], driven.key, held)
        # It may be built before the model is moved. Dynamo traces no such change.
        if self._needs_look and not torch.compiler.is_compiling():
            if self._group_values.device != self._driver.device:
                self._drive_on(self._group_values)
            self._needs_look = False
            self.refusal = None

    def _take_in_new_groups(self) -> None:
        """Drive groups that were added to the optimizer, if they are to be driven."""
        if torch.compiler.is_compiling():
            raise RuntimeError("a param group was added: step the scheduler once uncompiled")
        group_values = GroupValues(self.optimizer, self.key, self._param_group_tags)
        try:
            self._drive_on(group_values)
        except ArgumentError as error:
            self.driver.ignore_new_groups()
            warnings.warn(
                f"a param group was added that {self} does not drive ({error}): bind a scheduler "
                "with a schedule for each group",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )

    @property
    def last_epoch(self) -> int:
        """The step. Reading it waits for the device only if the host does not know it.

        It does where every step since the last look was taken by Python, and not after a compiled
        or captured step, or one by a tensor.

        Set it to move to any step. A group that something else has given a value keeps that value
        until the next step; ``step(n)`` moves to step n and writes to all groups.
        """
        step: Any = recorded_step()
        return self.driver.count if step is None else step

    @last_epoch.setter
    def last_epoch(self, step: int) -> None:
        self._require_driving()
        self._move(step_to_move_to("last_epoch", step))

    def _move(self, step: int) -> None:
        self.driver.move(step)

    def _set_step(self, step: int) -> None:
        self.driver.set_step(step)

    def get_last_value(self) -> list[float | Tensor | None]:
        """Copy the value that each param group holds, driven or not; None if it has no such key.

        Waits for nothing, as :meth:`get_last_lr`.
        """
        return self._in_all_groups(self.key)

    def _in_all_groups(self, key: str) -> list[float | Tensor | None]:
        known = ownership_of(self.group_values.optimizer).known_values(key)
        return self.group_values.in_all_groups(key, known)

    def known_values(self) -> dict[int, float]:
        """What the tensors of the groups hold, where the host can say so without a read."""
        driver = self._driver
        if not isinstance(driver, GraphDriver):
            return {}
        return driver.known_values(functools.partial(values_by_machine_code, self))

    def get(self) -> list[float | Tensor | None]:
        """Compute the value of each driven group anew; copy that of other groups."""
        values = self.get_last_value()
        for index, value in zip(self.indices, self.driver.current(), strict=True):
            values[index] = value
        return values

    def get_last_lr(self) -> list[float | Tensor | None]:  # type: ignore[override]
        """Tell the learning rate of each of the optimizer's groups; nothing waits for the device.

        What is no tensor is returned as it is. A tensor on a device that a scheduler drives is
        returned as a float, which machine code computes on the host, where every step since the
        last look at ``last_epoch`` was taken by Python: so it is in lazy tracing and in eager CUDA.
        It is within 1 ulp of what the tensor holds. Else the tensor is copied: after a compiled
        or captured step, after one by a tensor or with a tensor for ``found_inf``, after
        something else has changed it in place, or if its value is made by a function of yours.
        """
        return self._in_all_groups("lr")

    def get_lr(self) -> Sequence[float | Tensor | None]:  # type: ignore[override]
        """The learning rate of each group at this step, computed anew if it is what is driven."""
        return self.get() if self.key == "lr" else self.get_last_lr()

    def value_at(self, step: int) -> list[float]:
        """Compute the value of each driven group at any step, on the host.

        The machine code of a scheduler on the CPU computes it, for all groups at once. Nothing is
        read from a device, and nothing changes. The value is not rounded: a group may hold it in
        float32, and for a 0 that makes Adam's weights NaN it holds 2**-114.

        Args:
            step: any step from 0 on. Of a part of another scheduler, it is one of the part's own.

        Returns:
            One float for each driven group, in their order.

        Raises:
            ArgumentError: the step is negative or not an integer, or the values depend on those
                before them, as those of :class:`accelsched.policy.Multiply` do.
            RuntimeError: there is no optimizer yet.

        Example:
            >>> import torch
            >>> from accelsched.lr_scheduler import LinearLR
            >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
            >>> scheduler = LinearLR(optimizer, 1.0, 0.0, total_iters=100)
            >>> scheduler.value_at(50), scheduler.value_at(200), scheduler.last_epoch
            ([0.5], [0.0], 0)
        """
        return values_at(self, step)

    def report(self) -> Report:
        """Say at which step it is, where its schedule ends, and how much of that is done. Print it.

        Reads the step once, which waits for the device; of a scheduler whose values depend on those
        before them, the values too.

        Raises:
            RuntimeError: there is no optimizer yet, or this is a part of another scheduler.

        Example:
            >>> import torch
            >>> from accelsched.lr_scheduler import CosineDecayLR
            >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
            >>> scheduler = CosineDecayLR(optimizer, 0.1, 0.0, total_iters=1000)
            >>> scheduler.step(500)
            >>> print(scheduler.report())
            CosineDecayLR of lr, step 500: 0.05
              ends at step 1,000: 50 % done, 500 to go
            >>> scheduler.step(1200)
            >>> print(scheduler.report())
            CosineDecayLR of lr, step 1,200: 0
              the horizon was passed at step 1,000: the value stays at 0
        """
        return report_on(self)

    def plot(self, steps: int | None = None, axes: Axes | None = None) -> Axes:
        """Draw the value of each driven group with matplotlib, one line for those that are alike.

        Nothing is read from a device, and nothing changes. A decay that was begun, or a new end, is
        in the picture.

        Args:
            steps: the last step of the picture. Default: shortly past the last change, or two
                periods, or 1,000 steps.
            axes: the axes to draw on. Default: the current ones.

        Returns:
            The axes.

        Raises:
            ArgumentError: ``steps`` is not a number of steps above 0, or the values depend on those
                before them, as those of :class:`accelsched.policy.Multiply` do.
            ImportError: matplotlib is not installed: ``pip install accelsched[plot]``.
        """
        from accelsched._binding import pictures

        return pictures.plot(self, steps, axes)

    def _repr_html_(self) -> str | None:
        """The curves, as a notebook shows them."""
        from accelsched._binding import pictures

        return pictures.html(self)

    # What others read of a scheduler of torch.

    @property
    def base_lrs(self) -> list[float | Tensor]:  # type: ignore[override]
        """The ``initial_lr`` of each group: its learning rate before it was scheduled."""
        groups = self.group_values.optimizer.param_groups
        return [group["initial_lr" if "initial_lr" in group else "lr"] for group in groups]

    @property  # type: ignore[override]
    def _last_lr(self) -> list[float | Tensor | None]:
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: Sequence[Any]) -> None:
        """Keep nothing: it tells what the groups hold. torchtitan sets it after a load."""

    @property
    def _step_count(self) -> int:
        return self.last_epoch + 1 + self._extra_step_count

    @_step_count.setter
    def _step_count(self, count: int) -> None:
        # accelerate counts the steps that it leaves out.
        self._extra_step_count = count - self.last_epoch - 1

    # The schedules, which may change between two steps.

    def reschedule(self, schedules: Sequence[Schedule]) -> None:
        """Follow other schedules from the next step on, and drop what begin_decay or extend did.

        Numbers are data on the device. Where the schedules have the structure of those before, the
        new numbers are written in place: nothing is compiled again, and a captured graph goes on
        with them. To set an attribute, or to load a state, is the same. The structure is the
        classes, how many phases, milestones or groups there are, and which numbers groups share.
        Segments and tables have room for most other curves, and fit into it whatever the classes.

        Args:
            schedules: one for each driven group. They see the same step counter. For another
                structure compiled graphs compile once more.

        Raises:
            ArgumentError: there is a wrong number of them, or the lowering cannot take them;
                nothing was changed.
        """
        before = self._given, self._schedules, self._is_shared, self._plan
        self._given = one_each(as_schedules(schedules), len(self._schedules))
        self._is_shared = len(set(self._given)) == 1
        self._plan = plan.Plan()
        try:
            self._follow_given()
        except ArgumentError:
            self._given, self._schedules, self._is_shared, self._plan = before
            raise

    def _follow_given(self) -> None:
        parent = alive(self._parent)
        self._schedules = self._given
        if parent is not None:
            parent.recompose()
        elif self._bound:
            self._schedules = self._resolved(self._given, self._group_values)
            self.driver.follow(self._lowered(self._schedules, self._plan))

    # An end that is planned where the run is.

    def begin_decay(
        self, total_iters: int, end: float | Sequence[float] = 0.0, shape: str = "linear"
    ) -> None:
        """Go from the value of this step to ``end``, from the next step on, and hold it.

        The value at step ``t``, where ``s`` is the step at which this is called and ``initial`` the
        value there::

            x = min(t - s, total_iters) / total_iters
            y = {
                "linear": x,
                "cosine": (1 - cos(pi * x)) / 2,
                "1-sqrt": sqrt(x),
            }
            value = initial + (end - initial) * y[shape]
            value = initial * (end / initial) ** x if shape == "exponential" else value

        A checkpoint holds the decay; an earlier one undoes it. To call this again begins another
        decay, from the value of that step. :meth:`end_decay` goes back to the schedule. Before step
        ``s`` the schedule is in force. Waits for the device.

        A scheduler that was built with ``open_ended=True`` compiles nothing. Another one becomes
        open-ended, and compiled graphs compile once more.

        Args:
            total_iters: the length of the decay in steps, at least 1.
            end: the value from step ``s + total_iters`` on, or a list with one for each driven
                group. With ``relative=True`` it is a value too, no factor. Default 0.
            shape: ``"linear"``, ``"cosine"``, ``"1-sqrt"`` or ``"exponential"``; the last is from
                one value above 0 to another. Default ``"linear"``.

        Raises:
            ArgumentError: an argument cannot be; nothing was changed.
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.

        Example:
            >>> from accelsched.schedules import WarmupStableDecay
            >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
            >>> schedule = WarmupStableDecay(peak=0.1, total_iters=None, warmup_iters=2)
            >>> scheduler = Scheduler(optimizer, schedule)
            >>> scheduler.step(1000)
            >>> scheduler.begin_decay(total_iters=4)
            >>> for _ in range(5):
            ...     scheduler.step()
            ...     print(round(optimizer.param_groups[0]["lr"], 6))
            0.075
            0.05
            0.025
            0.0
            0.0

            WSD-S (Wen et al., arXiv:2410.05192): a decay before each checkpoint, and then on at the
            stable value:

            >>> scheduler.end_decay()
            >>> for checkpoint in (2000, 4000):
            ...     scheduler.step(checkpoint - 4)
            ...     scheduler.begin_decay(total_iters=4, end=0.01, shape="exponential")
            ...     scheduler.step(checkpoint)
            ...     decayed = round(optimizer.param_groups[0]["lr"], 6)
            ...     scheduler.end_decay()
            ...     scheduler.step()
            ...     print(decayed, optimizer.param_groups[0]["lr"])
            0.01 0.1
            0.01 0.1

        Elsewhere: OLMo-core's ``OverrideDecay``, on the host and from a configuration. torch, optax
        and transformers have none: their WSD needs the length of the run.
        """
        self._require_whole("begin_decay")
        step = self.last_epoch
        begun = plan.decay_from(self._plan, step, self.in_force, total_iters, end, shape)
        try:
            self._follow_plan(begun)
        except ArgumentError as error:  # a value that the groups cannot have
            raise (error if error.argument != "schedule" else error.of("end", end)) from None

    def end_decay(self) -> None:
        """Go back to the value of the schedule itself, from the next step on. See begin_decay.

        Without a decay this does nothing. Waits for the device.

        Raises:
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.
        """
        self._require_whole("end_decay")
        self._follow_plan(self._plan.ended(self.last_epoch))

    def extend(self, total_iters: int) -> None:
        """Stretch what is left of the schedule, so that it ends at step ``total_iters``.

        The value at step ``t``, where ``s`` is the step at which this is called and ``end`` the one
        at which ``schedule`` comes to its end::

            value = schedule(end - (total_iters - t) * (end - s) / (total_iters - s))

        for ``s < t < total_iters``, and held from there on. So the curve goes on from the value
        that it has, with the same shape, at another pace; what was stretched before is stretched
        again. A schedule has no values between two steps: all of its counts of steps are multiplied
        by a whole number, so that each of these places is a step.

        To set ``scheduler.total_iters`` is something else: the curve as if it had always been so,
        which jumps to the value that it would have had here. ``scheduler.total_iters`` reads what
        was set there, or given; to set it, or to follow another schedule, drops this.

        A checkpoint holds it; an earlier one undoes it. Before step ``s`` the schedule is as it
        was. A scheduler that was built with ``open_ended=True`` compiles nothing. Another one
        becomes open-ended, and compiled graphs compile once more. Waits for the device.

        Args:
            total_iters: the step of the new end, later than this one. It may be earlier than that
                of the schedule.

        Raises:
            ArgumentError: the schedule has no end, or one of its numbers may count steps and may
                not, as in a function of the user's; or it is at its end; nothing was changed.
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.

        Example:
            >>> from accelsched.schedules import CosineDecay
            >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
            >>> schedule = CosineDecay(initial=0.1, end=0.0, total_iters=100)
            >>> scheduler = Scheduler(optimizer, schedule, open_ended=True)
            >>> scheduler.step(50)
            >>> scheduler.extend(250)
            >>> for step in (50, 150, 250):
            ...     scheduler.step(step)
            ...     print(round(optimizer.param_groups[0]["lr"], 6), round(schedule(step), 6))
            0.05 0.05
            0.014645 0.0
            0.0 0.0

        Elsewhere: none. A longer ``total_steps`` of torch, optax, Keras or transformers is another
        curve from the start, which jumps where a run goes on with it.
        """
        self._require_whole("extend")
        step = self.last_epoch
        self._follow_plan(self._plan.stretched(step, self._schedules, total_iters))
        # The same value, as a run that is continued from here computes it.
        self._move(step)

    def _require_whole(self, method: str) -> None:
        """Refuse what a scheduler cannot do that is a part of another, or has no schedules."""
        parent = alive(self._parent)
        if parent is not None:
            raise RuntimeError(f"{self} was given to {parent}: call {method} on that one")
        self._require_driving()
        pure = bool(self._schedules) and not self._writes_its_rule
        remedy = "its values depend on those before them, or are what get_lr says: change these"
        require(pure, method, self, remedy)

    def _follow_plan(self, planned: plan.Plan) -> None:
        """Follow another plan from the next step on; an error leaves everything as it was."""
        if self._drives:
            self.driver.follow(self._lowered(self._schedules, planned))
        self._plan, self._open_ended = planned, self._open_ended or bool(planned)

    # A formula that is a method of the user's class.

    def _get_closed_form(self) -> Any:
        """Compute the value at ``self.last_epoch``. A subclass may define it, as in Cerebras.

        Then its values are what this method says, in torch operations on ``self.last_epoch``, a
        0-dim int64 tensor, and on attributes that are set before ``super().__init__(optimizer,
        total_iters, last_epoch, param_group_tags)``. An attribute that is set later counts from the
        next step.
        """
        return self.schedule.formula(torch.as_tensor(self.last_epoch))

    def _set_of_form(self, name: str, value: Any) -> None:
        """Set an attribute that :meth:`_get_closed_form` may read; an error leaves it as it was."""
        attributes = {known: getattr(self, known) for known in sorted(self._form_names)}
        changed = {**attributes, name: value}
        self.reschedule(with_attributes(self._schedules, type(self), changed))
        super().__setattr__(name, value)

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the schedules' numbers, as plain values.

        Waits for the device only if :attr:`last_epoch` and :meth:`get_last_lr` do not know what it
        has. With :meth:`load_state_dict` this makes a scheduler ``Stateful`` for
        ``torch.distributed.checkpoint``: ``dcp.save({"scheduler": scheduler}, ...)``.
        """
        header = state.header(self)
        of_torch = self._settings_of_torch or frozenset()
        return {
            **self._as_cerebras(header["last_epoch"]),
            **state.functions_of_torch(of_torch, len(self.indices)),
            **header,
            "schedules": [state.plain(schedule) for schedule in self._schedules],
            **({"plan": self._plan.plain()} if self._plan else {}),
        }

    def _as_cerebras(self, step: int) -> dict[str, Any]:
        """What Cerebras' scheduler of this class would save at a step, without its values.

        Its ``load_state_dict`` is ``self.__dict__.update(state)``, so that it goes on from ours.
        """
        return {**numbers_of(self._schedules[0]), "last_epoch": step}

    def load_state_dict(self, state_dict: dict[str, Any], *, step_only: bool = False) -> None:
        """Continue from a state.

        Args:
            state_dict: what :meth:`state_dict` of a scheduler of the same structure returned: its
                step and its numbers are taken over. Functions are not in it and stay. Or the state
                of the scheduler of torch or Cerebras that this one stands for: its step is taken
                over, and numbers of the same name must be the same.
            step_only: take over only the step, from the state of any scheduler. Default False.

        Raises:
            ArgumentError: the state does not fit; nothing was changed.
        """
        self._loader(state_dict, step_only)()

    def _loader(self, state_dict: dict[str, Any], step_only: bool = False) -> Callable[[], None]:
        """A function that takes a state over, and cannot fail any more."""
        self._require_driving()
        if step_only or state.is_foreign(state_dict):
            step = state.foreign_step(state_dict)
            if not step_only:
                remedy = f"it is of another class than {type(self).__name__}: give step_only=True"
                settings = state.settings_of(state_dict)
                require(self._stands_for(state_dict), "state_dict", sorted(settings), remedy)
                self._require_alike(state_dict)
            return lambda: self._set_step(step)
        step, schedules = state.fitting(state_dict, self, self._schedules)
        planned = plan.from_state(state_dict.get("plan"), schedules)
        lowered = self._lowered(tuple(schedules), planned)

        def load() -> None:
            self.driver.follow(lowered)
            self._take_over(schedules)
            self._plan, self._open_ended = planned, self._open_ended or bool(planned)
            self._set_step(step)

        return load

    def _take_over(self, schedules: Sequence[Schedule]) -> None:
        """Follow schedules from a state."""
        self._schedules = tuple(schedules)
        if self._writes_its_form:
            vars(self).update(numbers_of(schedules[0]))
        factors = [getattr(schedule, "schedule", schedule) for schedule in schedules]
        self._given = tuple(factors) if self._relative else self._schedules

    def _stands_for(self, saved: dict[str, Any]) -> bool:
        """Whether a state of torch or Cerebras is of the class that this scheduler stands for."""
        settings = state.settings_of(saved)
        if self._writes_its_form:
            return settings <= {*self._form_names, "param_group_tags"}
        return settings == self._settings_of_torch

    def _require_alike(self, saved: dict[str, Any]) -> None:
        """Refuse a state of torch or Cerebras whose numbers are not those of this scheduler."""
        state.require_same_settings(saved, self._as_cerebras(0))
        if state.is_of_cerebras(saved):
            tags = saved.get("param_group_tags")
            state.require_alike(tags, self.param_group_tags, "param_group_tags")

    def __getstate__(self) -> dict[str, Any]:
        return {"attributes": self._attributes(), "step": self.last_epoch if self._drives else None}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._restore(saved["attributes"])
        self._parent = None
        if saved["step"] is None:
            self._needs_look = False
            self.refusal = _UNBOUND if not self._bound else _WITHOUT_PARENT
            return
        # New tensors: a copy of an optimizer must not share the values of the original.
        driven = self._driven_by(self._schedules, self._plan)
        self._be_driven_by(self._driver_for(self._group_values, driven, saved["step"]))

    @property
    def _drives(self) -> bool:
        """Whether it has a driver: it is bound, and part of no other."""
        return self._bound and alive(self._parent) is None and hasattr(self, "_driver")

    def _undo(self) -> Callable[[], None]:
        """A function that makes this scheduler what it is now."""
        before = dict(vars(self))

        def undo() -> None:
            if self._drives:
                ownership_of(self._group_values.optimizer).release(self)
            vars(self).clear()
            vars(self).update(before)
            if self._drives:
                ownership_of(self._group_values.optimizer).claim(self)

        return undo

    def _attributes(self) -> dict[str, Any]:
        """Return the attributes that a copy takes over unchanged."""
        attention = {"_refusal", "_needs_look", "_needs_attention", "_freezes"}
        rebuilt = {"_driver", "_advance", "_parent", "_in_force", *attention}
        return {name: value for name, value in vars(self).items() if name not in rebuilt}

    def _restore(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)

    def __repr__(self) -> str:
        alike = len(set(self._schedules)) == 1
        schedule = self._schedules[0] if alike else list(self._schedules)
        if not self._bound:
            return f"{type(self).__name__}(None, {schedule}, key={self.key!r})"
        lowering = f", {self._driver.lowering}" if self._drives else ""
        return (
            f"{type(self).__name__}({type(self.optimizer).__name__}, {schedule}, "
            f"key={self.key!r}, groups={self.indices}{lowering})"
        )


def alive(parent: weakref.ref[Parent] | None) -> Parent | None:
    """Return the scheduler that another one is a part of, if it still exists."""
    return parent() if parent is not None else None
