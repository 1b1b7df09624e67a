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
    """A scheduler made of other schedulers: see :mod:`.composite`."""

    @property
    def param_group_tags(self) -> set[str | None] | None:
        """The tags of the driven param groups; the parts have the same tags."""

    def recompose(self) -> None:
        """Follow the current schedules of the parts."""


_UNBOUND = "this scheduler has no optimizer yet: call scheduler(optimizer)"
_WITHOUT_PARENT = "this is a copy of a part of another scheduler: copy the whole scheduler"


class Scheduler(TorchLRScheduler):
    """A schedule bound to an optimizer: it drives one hyper-parameter of the param groups.

    Values are absolute: all driven groups get the schedule's value, whatever they held before.
    With ``relative=True`` the schedule is a factor of each group's own value.

    Building the scheduler sets the values of the first step. Each :meth:`step` sets the values of
    the next one. On a device, the step counter and ``param_groups[i][key]`` become tensors that are
    updated in place: a step reads nothing on the host, compiles nothing and copies nothing. On the
    CPU a float stays a float, and on CUDA too if the optimizer takes no tensor. A learning rate of
    0 turns the weights of Adam and AdamW into NaN (PyTorch issues 126514 and 97004), so their
    tensors hold 2**-114 in its place.

    Args:
        optimizer: any ``torch.optim.Optimizer``; its ``step`` is not patched. None to bind the
            scheduler later with ``scheduler(optimizer)``.
        schedule: one schedule for all driven groups, or a list with one for each group. A function
            of the step also works, as in :class:`accelsched.policy.Schedule`.
        key: the hyper-parameter: a key of the param groups that holds one number, or one number of
            a tuple, such as ``"betas[0]"``. Default: the key of the class, ``"lr"``.
        param_group_tags: which param groups to drive: a tag or a list of tags. A group is driven if
            its ``"tags"`` hold one of them. None in the list means groups without tags. Default:
            all groups.
        last_epoch: start one step after this one. Default -1: start at step 0.
        lowering: how the values are computed. ``"graph"`` evaluates the formula on the device.
            ``"segments"`` evaluates float32 polynomials fitted to the formula. ``"table"`` looks
            the value up. ``"host"`` sets Python floats. The default depends on the device of the
            parameters. On the CPU it is floats, unless the group holds a tensor, as
            ``torch.compile`` needs. On CUDA it is floats too, unless the group holds a tensor or
            the optimizer takes one (``capturable=True`` or ``fused=True``). Tensors use segments on
            CUDA with Triton, on lazy back ends and on devices without float64, or a table for a
            curve of too many parts. Other tensors, and float64 ones, use the formula.
        relative: whether the schedule is a factor of each group's own value: its ``initial_lr`` for
            the learning rate, else its value before any scheduler drove it. Default False.
        open_ended: whether the end is not known yet, so that :meth:`begin_decay` and :meth:`extend`
            work at any step without a recompile. Default False; a
            ``WarmupStableDecay(..., total_iters=None)`` is open-ended in any case.

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
        ArgumentError: an argument is invalid; the message names the argument and the remedy.
        TypeError: ``optimizer`` is not an optimizer.

    Warns:
        SynchronizationWarning: this optimizer, as it was built, will read the value on the host at
            every step; the warning names the option to set. Or the optimizer has its own ``step``,
            which may read the value. If that step reads nothing, or runs inside
            :class:`accelsched.on_device`, build the scheduler inside ``on_device`` too.

    Elsewhere: torch's ``LRScheduler`` and Cerebras' ``Scheduler``, whose interface this class has.
    A subclass may define ``_get_closed_form`` and ``param_group_key``, as in Cerebras: see
    :class:`accelsched.lr_scheduler.LRScheduler`.
    In optax a schedule is an argument of the optimizer, or of ``optax.inject_hyperparams``.
    """

    #: The key if none is given. A subclass may name another key; if this is None, it must.
    default_key: str | None = "lr"

    #: Whether the class defines its own :meth:`_get_closed_form`.
    _writes_its_form = False
    #: Whether the class defines its own `get_lr`: see :class:`~.own_rule.OwnRule`.
    _writes_its_rule = False
    #: Whether `step()` needs no argument; False if it needs a metric.
    _steps_alone = True
    #: The attributes that :meth:`_get_closed_form` may read.
    _form_names: frozenset[str] = frozenset()
    #: The names of the settings in the state of the torch scheduler that this one was made from.
    _settings_of_torch: frozenset[str] | None = None
    #: Whether a CUDA graph could capture a step, but a replay would not repeat its host code.
    _freezes = False
    #: Whether a decay may begin at any step without a recompile; below, what was planned.
    _open_ended = False
    _plan = plan.Plan()
    # Unset while there is no optimizer: read `driver` and `group_values` instead.
    _driver: PureDriver
    _advance: Callable[[], bool]
    _group_values: GroupValues
    #: The cache of :attr:`in_force`: its inputs and its value.
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
        #: The schedules as the user gave them; with `relative` they are factors.
        self._given: tuple[Schedule, ...]
        if self._writes_its_form:
            self._given = given_forms(self, schedule)
        else:
            self._given = as_schedules(schedule)
        self._schedules = self._given
        #: The scheduler that this one is a part of, and that drives its values.
        self._parent: weakref.ref[Parent] | None = None
        self._unbind()
        if optimizer is not None:
            self._bind(optimizer)

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelled name would silently have no effect.
        # Not vars(): once it was called, every attribute lookup takes longer.
        known = name.startswith("_") or hasattr(type(self), name) or hasattr(self, name)
        is_built = known or hasattr(self, "optimizer")
        ours = type(self).__module__.startswith("accelsched.") and not self._writes_its_rule
        if is_built and not known and ours:
            remedy = (
                f"{type(self).__name__} has no such attribute: call help({type(self).__name__})"
            )
            raise ArgumentError(name, value, remedy)
        if is_built and name in self._form_names:
            self._set_of_form(name, value)
        else:
            super().__setattr__(name, value)

    # The arguments of the constructor.

    @property
    def key(self) -> str:
        """The driven hyper-parameter."""
        return self._key

    @property
    def param_group_key(self) -> str:
        """The same as :attr:`key`. A subclass may override it to drive another, as in Cerebras."""
        key: Any = getattr(self, "_key", self.default_key)
        return key  # type: ignore[no-any-return]

    def _own_key(self) -> str:
        """Return the key of the class."""
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
        """The requested lowering; None for the default."""
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
        """Whether :meth:`begin_decay` and :meth:`extend` cause no recompile; False undoes both."""
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
        """The schedule of each driven group; setting this calls :meth:`reschedule`.

        What :meth:`begin_decay` and :meth:`extend` have planned is in :attr:`in_force` only.
        """
        return self._schedules

    @schedules.setter
    def schedules(self, schedules: Sequence[Schedule]) -> None:
        self.reschedule(schedules)

    @property
    def in_force(self) -> tuple[Schedule, ...]:
        """The schedule of each driven group, with the planned decay or new end."""
        if not self._plan:
            return self._schedules
        now, (made_of, made) = (self._schedules, self._plan), self._in_force
        if made_of is None or made_of[0] is not now[0] or made_of[1] is not now[1]:
            made = self._plan.of(self._schedules)
            self._in_force = now, made
        return made

    @property
    def schedule(self) -> Schedule:
        """The schedule of the first driven group; setting this replaces it for all groups."""
        return self._schedules[0]

    @schedule.setter
    def schedule(self, schedule: Any) -> None:
        self.reschedule(as_schedules(schedule) * len(self._schedules))

    # Binding.

    def __call__(self: Self, optimizer: Optimizer) -> Self:
        """Bind this scheduler with :meth:`set_optimizer`, and return it."""
        self.set_optimizer(optimizer)
        return self

    def set_optimizer(self: Self, optimizer: Optimizer) -> Self:
        """Bind this scheduler to an optimizer, and set the values of its first step.

        Args:
            optimizer: the optimizer to drive, in place of one that was bound before.

        Returns:
            This scheduler.

        Raises:
            ArgumentError: the optimizer does not fit; nothing was changed.
            RuntimeError: this scheduler is a part of another one, which must be bound instead.
        """
        parent = alive(self._parent)
        if parent is not None:
            raise RuntimeError(
                f"this scheduler is part of another, bind that one: {self} was given to {parent}"
            )
        self._bind(optimizer)
        return self

    def _bind(self, optimizer: Optimizer) -> None:
        """Bind to an optimizer; an error changes nothing."""
        group_values = GroupValues(optimizer, self.key, self._param_group_tags)
        before, self._plan = self._plan, plan.Plan()
        try:
            self._drive(optimizer, group_values, self._first_step)
        except Exception:
            self._plan = before
            raise

    def _drive(self, optimizer: Optimizer, group_values: GroupValues, step: int) -> None:
        """Drive the groups' values, starting at ``step``."""
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
        """Continue from this step with a new driver, after the groups or their device changed."""
        uncompiled(self._drive)(self.optimizer, group_values, self.last_epoch)

    def _attach(
        self, optimizer: Optimizer, group_values: GroupValues, schedules: tuple[Schedule, ...]
    ) -> None:
        """Store the optimizer and the groups, without driving anything."""
        self.optimizer, self._group_values, self._schedules = optimizer, group_values, schedules

    def _schedules_for(self, group_values: GroupValues) -> tuple[Schedule, ...]:
        """Return one schedule for each driven group."""
        return self._resolved(
            one_each(self._given, len(group_values.indices), self._is_shared), group_values
        )

    def _resolved(
        self, given: tuple[Schedule, ...], group_values: GroupValues
    ) -> tuple[Schedule, ...]:
        """Return the schedules that drive the groups: with ``relative``, scaled to their values."""
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
        """Return what the driver evaluates: the schedules, including a planned decay or end."""
        wanted = self._open_ended or bool(planned) or plan.any_is_open_ended(schedules)
        return planned.of(schedules) if wanted and not self._writes_its_rule else schedules

    def _lowered(self, schedules: tuple[Schedule, ...], planned: plan.Plan) -> Any:
        """Lower schedules and plan for the driver. Every error occurs here."""
        driven = self._driven_by(schedules, planned)
        require_possible(self._group_values, driven)
        return self.driver.lower(driven)

    def _be_driven_by(self, driver: PureDriver) -> None:
        self._driver, self._advance = driver, driver.stepper()
        self._freezes = driver.lowering == "host" and runtime_of(driver.device).captures
        self._needs_look, self.refusal = True, None
        ownership_of(self._group_values.optimizer).claim(self)

    def _unbind(self) -> None:
        """Release the optimizer, if there is one."""
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
        """Why this scheduler must not step; None if it may."""
        return self._refusal

    @refusal.setter
    def refusal(self, refusal: str | None) -> None:
        self._refusal = refusal
        self._needs_attention = refusal is not None or self._needs_look or self._freezes

    def _require_driving(self) -> None:
        if self.refusal is not None:
            raise RuntimeError(self.refusal)

    # Steps and values.

    def step(
        self,
        epoch: int | None = None,
        by: int | Tensor | None = None,
        found_inf: float | Tensor | None = None,
    ) -> None:
        """Move to the next step, and set its values.

        A step is a training step, or a unit of ``by``: a token or a sample. The numbers of the
        schedule (``total_iters``, ``milestones``) are in the same unit, up to ``2**53``.

        Args:
            epoch: the step to move to. Default: the next one.
            by: how many steps to move, 0 or more: an int, or an integer tensor of one element. A
                tensor on a device is not read, so a negative number in it is not detected. With 0
                the values stay. Default: 1.
            found_inf: stay, as with ``by=0``, where this is not 0: a bool, a number, or a tensor of
                one element, which is not read on a device. Give the ``found_inf`` of a gradient
                scaler, which then skips the optimizer's step. Default: always move.

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

        On a lazy back end an int that changes is sent to the device at each step, without a
        recompile. ``torch.compile`` recompiles for an int that changes, and a captured graph keeps
        its first value: give a tensor to both.

        Raises:
            ArgumentError: ``by`` is negative or not an integer; ``epoch`` is given with another
                argument; or ``by`` is not 1 and each value depends on the one before, as in
                :class:`accelsched.policy.Multiply`.
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.
        """
        if self._needs_attention:
            self._attend()
        # Positional arguments that default to None take no time; keyword-only ones would take 20 ns
        # of the 250.
        if epoch is not None or by is not None or found_inf is not None:
            self._step_otherwise(epoch, by, found_inf)
            return
        advance = self._advance  # two lines: faster, as this is not a method
        if advance():
            self._take_in_new_groups()

    def _step_otherwise(self, epoch: Any, by: Any, found_inf: Any) -> None:
        """Move to ``epoch``, or move on by a number other than 1."""
        if epoch is not None:
            alone = by is None and found_inf is None
            require(alone, "epoch", epoch, "epoch sets the step: leave out by and found_inf")
            self._set_step(step_to_move_to("epoch", epoch))
        elif self._driver.move_on(self._stride(by, found_inf), far=by is not None):
            self._take_in_new_groups()

    def _stride(self, by: Any, found_inf: Any) -> Stride:
        """Return how many steps to move."""
        if not self._schedules:
            require_one(by, self)
        return stride_of(by, found_inf)

    def _attend(self) -> None:
        """Check what most steps skip: may this step run, and did the parameters move?"""
        self._require_driving()
        if self._freezes and is_for_a_graph():
            driven = self._group_values
            held = driven.values()[0]
            raise computed_on_host(driven.optimizer, driven.indices[0], driven.key, held)
        # The model may have moved since the scheduler was built. Dynamo cannot trace the change.
        if self._needs_look and not torch.compiler.is_compiling():
            if self._group_values.device != self._driver.device:
                self._drive_on(self._group_values)
            self._needs_look = False
            self.refusal = None

    def _take_in_new_groups(self) -> None:
        """Drive groups that were added to the optimizer, if the tags select them."""
        if torch.compiler.is_compiling():
            raise RuntimeError("a param group was added: call step() once outside torch.compile")
        group_values = GroupValues(self.optimizer, self.key, self._param_group_tags)
        try:
            self._drive_on(group_values)
        except ArgumentError as error:
            self.driver.ignore_new_groups()
            warnings.warn(
                "a param group was added that this scheduler does not drive: build one with a "
                f"schedule for each group ({error}; {self})",
                UserWarning,
                stacklevel=level_of_the_caller(),
            )

    @property
    def last_epoch(self) -> int:
        """The current step. Reading it synchronizes only if the host does not know the step.

        The host knows the step if Python ran every step since the last read. After a compiled or
        captured step, or a step by a tensor, the host does not know it.

        Set this to move to any step. A group whose value other code has set keeps that value until
        the next step; ``step(n)`` moves to step n and writes to all groups.
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

    def get_last_value(self) -> list[Any]:
        """Return a copy of each param group's value, driven or not; None if it has no such key.

        This does not synchronize: see :meth:`get_last_lr`.
        """
        return self._in_all_groups(self.key)

    def _in_all_groups(self, key: str) -> list[Any]:
        known = ownership_of(self.group_values.optimizer).known_values(key)
        return self.group_values.in_all_groups(key, known)

    def known_values(self) -> dict[int, float]:
        """Return the tensors' values that the host can compute, by tensor identity."""
        driver = self._driver
        if not isinstance(driver, GraphDriver):
            return {}
        return driver.known_values(functools.partial(values_by_machine_code, self))

    def get(self) -> list[Any]:
        """Recompute the value of each driven group; copy the value of other groups."""
        values = self.get_last_value()
        for index, value in zip(self.indices, self.driver.current(), strict=True):
            values[index] = value
        return values

    def get_last_lr(self) -> list[Any]:
        """Return the learning rate of each of the optimizer's groups, without synchronizing.

        A value that is not a tensor is returned as it is. For a driven tensor on a device, machine
        code on the host computes a float, within 1 ulp of the tensor's value. This works if Python
        ran every step since ``last_epoch`` was last read, as in lazy tracing and in eager CUDA.
        Otherwise the result is a copy of the tensor: after a compiled or captured step, after a
        step with a tensor for ``by`` or ``found_inf``, after other code has changed the tensor in
        place, or if a function of yours computes its value.
        """
        return self._in_all_groups("lr")

    def get_lr(self) -> Sequence[Any]:  # type: ignore[override]
        """Return the learning rate of each group at this step, recomputed if ``key`` is "lr"."""
        return self.get() if self.key == "lr" else self.get_last_lr()

    def value_at(self, step: int) -> list[float]:
        """Compute the value of each driven group at any step, on the host.

        Machine code computes the values of all groups at once, as for a scheduler on the CPU. This
        reads nothing from a device and changes nothing. The values are not rounded: a group may
        hold them in float32, or hold 2**-114 for a 0 that would make Adam's weights NaN.

        Args:
            step: any step from 0 on. For a part of another scheduler, it counts the part's steps.

        Returns:
            One float for each driven group, in the order of the groups.

        Raises:
            ArgumentError: the step is negative or not an integer, or each value depends on the one
                before, as in :class:`accelsched.policy.Multiply`.
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
        """Return a report to print: the step, where the schedule ends, and how much of it is done.

        This reads :attr:`last_epoch`, which may synchronize. It also reads the values if each one
        depends on the one before.

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
        """Plot the value of each driven group with matplotlib; equal schedules share a line.

        This reads nothing from a device and changes nothing. The plot shows a planned decay or new
        end too.

        Args:
            steps: the last step of the plot. Default: shortly past the last change, or two periods,
                or 1,000 steps.
            axes: the axes to draw on. Default: the current ones.

        Returns:
            The axes.

        Raises:
            ArgumentError: ``steps`` is not a number of steps above 0, or each value depends on the
                one before, as in :class:`accelsched.policy.Multiply`.
            ImportError: matplotlib is not installed: ``pip install accelsched[plot]``.
        """
        from accelsched._binding import pictures

        return pictures.plot(self, steps, axes)

    def _repr_html_(self) -> str | None:
        """Return the curves as a notebook shows them."""
        from accelsched._binding import pictures

        return pictures.html(self)

    # What other libraries read from torch's schedulers.

    @property
    def base_lrs(self) -> list[float | Tensor]:  # type: ignore[override]
        """The ``initial_lr`` of each group, which is its learning rate before any scheduler."""
        groups = self.group_values.optimizer.param_groups
        return [group["initial_lr" if "initial_lr" in group else "lr"] for group in groups]

    @property
    def _last_lr(self) -> list[Any]:
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: Sequence[Any]) -> None:
        """Ignore the rates: the groups hold them. torchtitan sets them after a load."""

    @property
    def _step_count(self) -> int:
        return self.last_epoch + 1 + self._extra_step_count

    @_step_count.setter
    def _step_count(self, count: int) -> None:
        # accelerate counts the steps that it skips.
        self._extra_step_count = count - self.last_epoch - 1

    # The schedules, which may change between two steps.

    def reschedule(self, schedules: Sequence[Schedule]) -> None:
        """Replace the schedules from the next step on; drop what begin_decay or extend planned.

        Numbers are data on the device. If the new schedules have the same structure, their numbers
        are written in place: nothing recompiles, and a captured graph uses the new numbers. Setting
        an attribute or loading a state works the same way. The structure is the classes, the number
        of phases, milestones and groups, and which numbers the groups share. Segments and tables
        have space for most other curves, of any class, and then do not recompile either.

        Args:
            schedules: one for each driven group. The step counter goes on. Compiled graphs
                recompile once for another structure.

        Raises:
            ArgumentError: the number of schedules is wrong, or the lowering cannot take them;
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

    # An end that is planned during the run.

    def begin_decay(
        self, total_iters: int, end: float | Sequence[float] = 0.0, shape: str = "linear"
    ) -> None:
        """Decay from the value of this step to ``end``, from the next step on, and hold ``end``.

        The value at step ``t``, if this is called at step ``s`` with the value ``initial``::

            x = min(t - s, total_iters) / total_iters
            y = {
                "linear": x,
                "cosine": (1 - cos(pi * x)) / 2,
                "1-sqrt": sqrt(x),
            }
            value = initial + (end - initial) * y[shape]
            value = initial * (end / initial) ** x if shape == "exponential" else value

        A checkpoint stores the decay; loading an earlier checkpoint undoes it. A second call begins
        another decay, from the value of its own step. :meth:`end_decay` returns to the schedule.
        Before step ``s`` the values are those of the schedule. This reads :attr:`last_epoch`, which
        may synchronize.

        An open-ended scheduler causes no recompile. Any other scheduler becomes open-ended, and
        compiled graphs recompile once.

        Args:
            total_iters: the length of the decay in steps, at least 1.
            end: the value from step ``s + total_iters`` on, or a list with one for each driven
                group. With ``relative=True`` it is still a value, not a factor. Default 0.
            shape: ``"linear"``, ``"cosine"``, ``"1-sqrt"`` or ``"exponential"``, which needs both
                values to be above 0. Default ``"linear"``.

        Raises:
            ArgumentError: an argument is invalid; nothing was changed.
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

            WSD-S (Wen et al., arXiv:2410.05192) decays before each checkpoint, and then returns to
            the stable value:

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
        and transformers have no such method: their WSD needs the length of the run.
        """
        self._require_whole("begin_decay")
        step = self.last_epoch
        begun = plan.decay_from(self._plan, step, self.in_force, total_iters, end, shape)
        try:
            self._follow_plan(begun)
        except ArgumentError as error:  # a value that the groups cannot have
            raise (error if error.argument != "schedule" else error.of("end", end)) from None

    def end_decay(self) -> None:
        """Return to the values of the schedule, from the next step on: see :meth:`begin_decay`.

        Without a decay this does nothing. It reads :attr:`last_epoch`, which may synchronize.

        Raises:
            RuntimeError: there is no optimizer yet, or another scheduler drives these values.
        """
        self._require_whole("end_decay")
        self._follow_plan(self._plan.ended(self.last_epoch))

    def extend(self, total_iters: int) -> None:
        """Stretch the rest of the schedule so that it ends at step ``total_iters``.

        The value at step ``t``, if this is called at step ``s`` and ``schedule`` ends at ``end``::

            value = schedule(end - (total_iters - t) * (end - s) / (total_iters - s))

        for ``s < t < total_iters``; the last value is then held. The curve continues from its
        present value with the same shape, at another pace. A second call stretches the rest again.
        A schedule has no values between two steps, so all its counts of steps are multiplied by a
        whole number that turns each of these positions into a step.

        Setting ``scheduler.total_iters`` is different: the curve becomes what it would have been
        from the start, so the value may jump. ``scheduler.total_iters`` still returns the number
        that was given or set. Setting it, or another schedule, drops the stretch.

        A checkpoint stores the stretch; loading an earlier checkpoint undoes it. Before step ``s``
        the schedule is unchanged. An open-ended scheduler causes no recompile. Any other scheduler
        becomes open-ended, and compiled graphs recompile once. This reads :attr:`last_epoch`, which
        may synchronize.

        Args:
            total_iters: the step of the new end, later than the current step. It may be earlier
                than the schedule's end.

        Raises:
            ArgumentError: the schedule has no end, or has reached it, or it has a number that may
                or may not count steps, as in a function of yours; nothing was changed.
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

        Elsewhere: none. In torch, optax, Keras and transformers a longer ``total_steps`` changes
        the curve from the start, so the value jumps when a run continues with it.
        """
        self._require_whole("extend")
        step = self.last_epoch
        self._follow_plan(self._plan.stretched(step, self._schedules, total_iters))
        # Recompute this step's value as a run that resumes here would compute it.
        self._move(step)

    def _require_whole(self, method: str) -> None:
        """Raise if this scheduler is a part of another one, or has no schedules to change."""
        parent = alive(self._parent)
        if parent is not None:
            raise RuntimeError(
                f"this scheduler is part of another, call {method} on that one: {self} was given "
                f"to {parent}"
            )
        self._require_driving()
        pure = bool(self._schedules) and not self._writes_its_rule
        remedy = "each value depends on the one before, or on get_lr: set its attributes instead"
        require(pure, method, self, remedy)

    def _follow_plan(self, planned: plan.Plan) -> None:
        """Follow another plan from the next step on; an error changes nothing."""
        if self._drives:
            self.driver.follow(self._lowered(self._schedules, planned))
        self._plan, self._open_ended = planned, self._open_ended or bool(planned)

    # A formula that the user's class defines as a method.

    def _get_closed_form(self) -> Any:
        """Compute the value at ``self.last_epoch``. A subclass may define this, as in Cerebras.

        Its method uses torch operations on ``self.last_epoch``, a 0-dim int64 tensor, and on
        attributes that are set before ``super().__init__(optimizer, total_iters, last_epoch,
        param_group_tags)``. Setting one of these attributes later takes effect at the next step.
        """
        return self.schedule.formula(torch.as_tensor(self.last_epoch))

    def _set_of_form(self, name: str, value: Any) -> None:
        """Set an attribute that :meth:`_get_closed_form` may read; an error changes nothing."""
        attributes = {known: getattr(self, known) for known in sorted(self._form_names)}
        changed = {**attributes, name: value}
        self.reschedule(with_attributes(self._schedules, type(self), changed))
        super().__setattr__(name, value)

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the schedules' numbers, as plain values.

        This synchronizes only if the host does not know :attr:`last_epoch` or the learning rates.
        With :meth:`load_state_dict`, it makes a scheduler ``Stateful`` for
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
        """Return what Cerebras' scheduler of this class would save at a step, without its values.

        Its ``load_state_dict`` is ``self.__dict__.update(state)``, so it can continue from ours.
        """
        return {**numbers_of(self._schedules[0]), "last_epoch": step}

    def load_state_dict(self, state_dict: dict[str, Any], *, step_only: bool = False) -> None:
        """Continue from a state.

        Args:
            state_dict: the :meth:`state_dict` of a scheduler with the same structure: its step and
                numbers are loaded. Functions are not saved, so they stay. Or the state of the torch
                or Cerebras scheduler that this one replaces: its step is loaded, and numbers of the
                same name must be equal.
            step_only: load only the step, from the state of any scheduler. Default False.

        Raises:
            ArgumentError: the state does not fit; nothing was changed.
        """
        self._loader(state_dict, step_only)()

    def _loader(self, state_dict: dict[str, Any], step_only: bool = False) -> Callable[[], None]:
        """Check a state, and return a function that loads it and cannot fail."""
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
        """Return whether a torch or Cerebras state is of the class that this scheduler replaces."""
        settings = state.settings_of(saved)
        if self._writes_its_form:
            return settings <= {*self._form_names, "param_group_tags"}
        return settings == self._settings_of_torch

    def _require_alike(self, saved: dict[str, Any]) -> None:
        """Raise unless a torch or Cerebras state has the numbers of this scheduler."""
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
        """Whether this scheduler has a driver: it is bound, and is not a part of another one."""
        return self._bound and alive(self._parent) is None and hasattr(self, "_driver")

    def _undo(self) -> Callable[[], None]:
        """Return a function that restores this scheduler to its present state."""
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
