"""What users and trainers do to a scheduled value in a param group, and what a step makes of it."""

import copy
import warnings

import pytest
import torch
from binding import EVERY, optimizer
from wrappers import Sharing, Wrapping

from accelsched import ArgumentError, Scheduler, SchedulerList, lr_scheduler, reference
from accelsched.lr_scheduler import ConstantLR, CosineDecayLR, LinearLR, SequentialLR
from accelsched.policy import Multiply, Switch
from accelsched.schedules import Constant, CosineDecay, Linear

KINDS = pytest.mark.parametrize("kind", ["host", "graph"])
BACK = "the scheduled tensor is back in its place"


def rates(opt):
    return [float(group["lr"]) for group in opt.param_groups]


def ramp(opt, **options):
    return Scheduler(opt, Linear(0.0, 1.0, 10), **options)


class Unprinted(torch.Tensor):
    """A tensor on a device: to print it would read it."""

    def __repr__(self):
        raise AssertionError("read")


def test_the_tensors_of_a_tuple_are_not_read_when_one_is_driven():
    betas = tuple(torch.tensor(value).as_subclass(Unprinted) for value in (0.9, 0.999))
    opt = torch.optim.AdamW([torch.zeros(1)], betas=betas, capturable=True, foreach=False)
    scheduler = Scheduler(opt, Linear(0.85, 0.95, 10), key="betas[0]")
    assert scheduler.driver.group_values.indices == [0]


@pytest.mark.parametrize("put", [0.05, torch.tensor(0.05)], ids=["float", "tensor"])
def test_a_tensor_that_was_replaced_is_back_after_a_step(put):
    opt = optimizer({}, {}, kind="graph")
    scheduler = ramp(opt)
    tensors = [group["lr"] for group in opt.param_groups]
    opt.param_groups[1]["lr"] = put
    assert scheduler.get_last_lr()[1] == pytest.approx(0.05)
    with pytest.warns(UserWarning, match=BACK):
        scheduler.step()
    assert all(g["lr"] is t for g, t in zip(opt.param_groups, tensors, strict=True))
    assert rates(opt) == pytest.approx([0.1, 0.1])
    # It says so once.
    opt.param_groups[0]["lr"] = put
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
    assert rates(opt) == pytest.approx([0.2, 0.2])


def test_a_number_of_a_tuple_that_was_replaced_is_back_after_a_step():
    opt = optimizer(kind="graph", cls=torch.optim.AdamW)
    scheduler = Scheduler(opt, Linear(0.5, 0.9, 10), key="betas[0]", lowering="graph")
    tensor = opt.param_groups[0]["betas"][0]
    opt.param_groups[0]["betas"] = (0.9, 0.999)
    with pytest.warns(UserWarning, match="'betas\\[0\\]'"):
        scheduler.step()
    assert opt.param_groups[0]["betas"][0] is tensor
    assert float(tensor) == pytest.approx(0.54)


@pytest.mark.skipif(
    torch.__version__.startswith("2.4."),
    reason="Dynamo of torch 2.4 fails where it has to write to a param group: `make test` runs it",
)
def test_a_replaced_tensor_costs_torch_compile_one_graph_at_most():
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    opt = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=torch.tensor(0.1))
    scheduler = ramp(opt)
    opt.param_groups[0]["params"][0].grad = torch.ones(2)
    counts = CompileCounter()

    def step():
        opt.step()
        scheduler.step()

    compiled = torch.compile(step, backend=counts)
    tensor = opt.param_groups[0]["lr"]
    for _ in range(3):
        compiled()
    before = counts.frame_count
    opt.param_groups[0]["lr"] = 0.05
    for count in range(4, 9):
        compiled()
        assert opt.param_groups[0]["lr"] is tensor
        assert float(tensor) == pytest.approx(count / 10)
    # torch breaks the graph between the optimizer's step and the scheduler's: a graph each.
    assert counts.frame_count - before <= before <= 3


@KINDS
@pytest.mark.parametrize("policy", [Multiply, Switch])
def test_policies_go_on_from_a_value_that_was_put_there(policy, kind):
    opt = optimizer(kind=kind)
    made = policy({2: 0.5}, lr_init=1.0)(opt)
    made.step()
    opt.param_groups[0]["lr"] = 0.3
    made.step()
    made.step()
    assert rates(opt) == pytest.approx([0.15 if policy is Multiply else 0.5])


@KINDS
@pytest.mark.parametrize("policy", [Multiply, Switch])
def test_policies_keep_the_rate_of_each_group_if_none_is_given(policy, kind):
    opt = optimizer({"lr": torch.tensor(0.2) if kind == "graph" else 0.2}, {}, kind=kind)
    made = policy({2: 0.5})(opt)
    assert rates(opt) == pytest.approx([0.2, 0.001])
    made.step(3)
    assert rates(opt) == pytest.approx([0.1, 0.0005] if policy is Multiply else [0.5, 0.5])


# What is said of the values.


@KINDS
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_the_last_rates_are_what_the_groups_hold(make, kind):
    opt = optimizer({}, {}, kind=kind)
    scheduler = make(opt)
    for _ in range(3):
        scheduler.step()
        assert [float(rate) for rate in scheduler.get_last_lr()] == rates(opt)
    scheduler.reschedule([Constant(0.5)] * 2)
    assert [float(rate) for rate in scheduler.get_last_lr()] == rates(opt)
    opt.param_groups[0]["lr"] = 0.25
    assert [float(rate) for rate in scheduler.get_last_lr()] == rates(opt)


@KINDS
def test_groups_that_are_not_driven_have_rates_too(kind):
    opt = optimizer({"tags": "a"}, {}, kind=kind)
    scheduler = ramp(opt, param_group_tags="a")
    scheduler.step()
    assert [float(rate) for rate in scheduler.get_last_lr()] == pytest.approx([0.1, 0.001])
    assert [float(rate) for rate in scheduler.get_lr()] == pytest.approx([0.1, 0.001])


@KINDS
def test_a_scheduler_of_another_key_tells_the_learning_rates(kind):
    opt = optimizer(kind=kind, cls=torch.optim.AdamW)
    decay = Scheduler(opt, Linear(0.0, 1.0, 10), key="weight_decay")
    decay.step()
    assert [float(rate) for rate in decay.get_last_lr()] == pytest.approx([0.001])
    assert [float(value) for value in decay.get_last_value()] == pytest.approx([0.1])


@KINDS
def test_what_others_read_of_a_scheduler_of_torch(kind):
    opt = optimizer({}, {"lr": 0.5}, kind=kind)
    scheduler = CosineDecayLR(opt, 0.1, 0.0, 100)
    assert [float(rate) for rate in scheduler.base_lrs] == pytest.approx([0.001, 0.5])
    assert all("initial_lr" in group for group in opt.param_groups)
    assert (scheduler._step_count, scheduler.last_epoch) == (1, 0)
    scheduler.step()
    assert scheduler._step_count == 2
    assert [float(rate) for rate in scheduler._last_lr] == rates(opt)
    scheduler._step_count += 1  # as accelerate does, for a step that it leaves out
    scheduler.step()
    assert (scheduler._step_count, scheduler.last_epoch) == (4, 2)


@KINDS
@pytest.mark.parametrize("listed", [False, True])
def test_what_torchtitan_sets_when_it_loads(kind, listed):
    opt = optimizer(kind=kind)
    scheduler = CosineDecayLR(opt, 0.1, 0.0, 100)
    scheduler = SchedulerList([scheduler]) if listed else scheduler
    scheduler.last_epoch = 50
    scheduler._step_count = 51
    scheduler._last_lr = scheduler.get_lr()
    assert scheduler._last_lr == scheduler.get_last_lr()
    assert [float(rate) for rate in scheduler._last_lr] == pytest.approx([0.05], rel=2**-23)
    scheduler.step()
    assert (scheduler._step_count, scheduler.last_epoch) == (52, 51)


@KINDS
def test_a_scheduler_of_torch_can_be_built_after_ours(kind):
    opt = optimizer(kind=kind)
    scheduler = CosineDecayLR(opt, 0.1, 0.0, 100)
    del scheduler
    after = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: 0.5**step, last_epoch=3)
    assert after.base_lrs == pytest.approx([0.001])


def test_torchs_sequence_of_ours_says_what_to_use():
    opt = optimizer()
    ours = [LinearLR(opt, 0.0, 0.1, 5)]
    with pytest.raises(ArgumentError, match="use accelsched.lr_scheduler's, also for Ch"):
        torch.optim.lr_scheduler.SequentialLR(opt, ours, [])


# Setting last_epoch.


@KINDS
def test_a_move_leaves_alone_what_somebody_has_just_put_there(kind):
    """ignite's handler: it asks for the values, puts them in the groups, and moves the step on."""
    opt = optimizer({}, {}, kind=kind)
    scheduler = ramp(opt)
    for step in range(4):
        for group, rate in zip(opt.param_groups, scheduler.get_lr(), strict=True):
            group["lr"] = rate
        scheduler.last_epoch += 1
        assert rates(opt) == pytest.approx([step / 10] * 2)


@KINDS
@pytest.mark.parametrize("groups", [1, 3])
def test_a_move_writes_where_nobody_did(groups, kind):
    opt = optimizer(*[{}] * groups, kind=kind)
    scheduler = ramp(opt)
    scheduler.last_epoch = 4
    assert rates(opt) == pytest.approx([0.4] * groups)
    opt.param_groups[0]["lr"] = 0.05
    scheduler.last_epoch = 5
    assert rates(opt) == pytest.approx([0.05] + [0.5] * (groups - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scheduler.step()
    assert rates(opt) == pytest.approx([0.6] * groups)


# Where the state is.


@KINDS
@pytest.mark.parametrize("how", ["built", "copied"])
def test_inference_mode_around_the_construction_is_no_matter(how, kind):
    opt = optimizer(kind=kind)
    scheduler = ramp(opt)
    with torch.inference_mode():
        made = ramp(opt) if how == "built" else copy.deepcopy(scheduler)
    del scheduler
    for _ in range(3):
        made.step()
    assert rates(made.optimizer) == pytest.approx([0.3])
    made.load_state_dict(made.state_dict())
    made.step()
    assert rates(made.optimizer) == pytest.approx([0.4])


# Whose groups.


def test_a_composite_with_tags_leaves_other_groups_alone():
    for kind in ("host", "graph"):
        opt = optimizer({"tags": "a"}, {"tags": "frozen", "lr": 0.3}, kind=kind)
        children = [LinearLR(None, 0.0, 0.1, 5), ConstantLR(None, 0.1)]
        scheduler = SequentialLR(opt, children, [5], param_group_tags="a")
        for _ in range(3):
            scheduler.step()
        assert rates(opt) == pytest.approx([0.06, 0.3])
        assert children[0].param_group_tags == {"a"}


@KINDS
def test_children_that_were_bound_alone_give_back_what_they_drove(kind):
    opt = optimizer({"tags": "a"}, {"tags": "frozen", "lr": 0.3}, kind=kind)
    children = [LinearLR(opt, 0.0, 0.1, 5), ConstantLR(opt, 0.1)]
    scheduler = SequentialLR(opt, children, [5], param_group_tags=["a"])
    assert rates(opt) == pytest.approx([0.0, 0.3])
    scheduler.step()
    assert rates(opt) == pytest.approx([0.02, 0.3])


def test_children_with_other_tags_are_refused():
    opt = optimizer({"tags": "a"}, {"tags": "b"})
    with pytest.raises(ArgumentError, match=r"only \('a'\), not to this part \('b'\)"):
        SequentialLR(opt, [ConstantLR(None, 0.1, param_group_tags="b")], [], param_group_tags="a")


@KINDS
def test_a_group_that_is_added_later_is_driven_from_the_next_step(kind):
    opt = optimizer({"tags": "a"}, kind=kind)
    makers = [
        lambda: ramp(opt),
        lambda: ramp(opt, param_group_tags="a"),
        lambda: SequentialLR(opt, [LinearLR(opt, 0.0, 1.0, 10)], []),
    ]
    for make in makers:
        opt = optimizer({"tags": "a"}, kind=kind)
        scheduler = make()
        scheduler.step()
        opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "tags": "a"})
        opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.7})
        scheduler.step()
        scheduler.step()
        tagged = scheduler.param_group_tags is not None
        assert rates(opt) == pytest.approx([0.3, 0.3, 0.7 if tagged else 0.3])
        assert len({id(group["lr"]) for group in opt.param_groups}) == 3


@pytest.mark.parametrize("runtime", ["compile"], indirect=True)
@pytest.mark.parametrize("composed", [False, True])
def test_a_group_is_added_while_the_scheduler_is_compiled(runtime, composed):
    opt = optimizer({}, kind="graph")
    scheduler = SequentialLR(opt, [LinearLR(opt, 0.0, 1.0, 10)], []) if composed else ramp(opt)
    step = runtime.compiled(scheduler.step)
    step()
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.7})
    step()
    step()
    assert rates(opt) == pytest.approx([0.3, 0.3])


@KINDS
def test_a_group_that_cannot_be_driven_is_told(kind):
    opt = optimizer({}, {}, kind=kind)
    scheduler = Scheduler(opt, [Linear(0.0, 1.0, 10), Linear(0.0, 0.5, 10)])
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.7})
    with pytest.warns(UserWarning, match="a param group was added that .* build one with"):
        scheduler.step()
    scheduler.step()
    assert rates(opt) == pytest.approx([0.2, 0.1, 0.7])
    opt = optimizer(kind=kind)
    alone = Scheduler(opt, [Linear(0.0, 1.0, 10)])
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.7})
    with pytest.warns(UserWarning, match="a param group was added"):
        alone.step()
    alone.step()
    assert rates(opt) == pytest.approx([0.2, 0.7])


@KINDS
def test_a_policy_keeps_what_groups_hold_when_one_is_added(kind):
    opt = optimizer(kind=kind)
    made = Multiply({1: 0.5, 3: 0.5}, lr_init=1.0)(opt)
    made.step()
    made.step()
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.8})
    made.step()
    made.step()
    assert rates(opt) == pytest.approx([0.25, 0.8])


@KINDS
@pytest.mark.parametrize("wrapper", [Wrapping, Sharing])
@pytest.mark.parametrize("bound_to", ["the wrapper", "the optimizer inside"])
def test_optimizers_that_wrap_another(wrapper, bound_to, kind):
    inner = optimizer({}, {}, kind=kind)
    wrapped = wrapper(inner)
    scheduler = ramp(wrapped if bound_to == "the wrapper" else inner)
    held = [group["lr"] for group in inner.param_groups]
    saved = copy.deepcopy(inner.state_dict())
    scheduler.step()
    wrapped.load_state_dict(saved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scheduler.step()
    assert rates(wrapped) == rates(inner) == pytest.approx([0.2, 0.2])
    if kind == "graph":
        assert all(g["lr"] is t for g, t in zip(wrapped.param_groups, held, strict=True))
    # Both count as one optimizer: a second scheduler of a value conflicts.
    other = ramp(inner if bound_to == "the wrapper" else wrapped)
    with pytest.raises(RuntimeError, match="two schedulers drive 'lr'"):
        other.step()


def test_an_optimizer_without_hooks_that_wraps_none():
    class Bare(torch.optim.Optimizer):
        def __init__(self):
            self.param_groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.5}]

    opt = Bare()
    ramp(opt).step()
    assert rates(opt) == [0.1]


@KINDS
def test_a_list_that_fails_changes_nothing(kind):
    opt = optimizer({}, {}, kind=kind, cls=torch.optim.AdamW)
    before = [dict(group) for group in opt.param_groups]
    schedulers = [ramp(None), Scheduler(None, [Constant(0.1)] * 3, key="weight_decay")]
    with pytest.raises(ArgumentError, match="2 param groups are driven"):
        SchedulerList(schedulers)(opt)
    for group, held in zip(opt.param_groups, before, strict=True):
        assert {k: v for k, v in group.items() if k != "params"} == {
            k: v for k, v in held.items() if k != "params"
        }
    assert all(scheduler.optimizer is None for scheduler in schedulers)
    ramp(opt).step()


# Values that are relative to those of the groups.


@KINDS
def test_a_schedule_as_a_factor_of_each_groups_own_rate(kind):
    opt = optimizer({"lr": 1e-3}, {"lr": 1e-5}, kind=kind)
    scheduler = ramp(opt, relative=True)
    scheduler.step(5)
    assert rates(opt) == pytest.approx([5e-4, 5e-6], rel=2**-22)
    scheduler.schedule = CosineDecay(1.0, 0.0, 10)
    scheduler.step(0)
    assert rates(opt) == pytest.approx([1e-3, 1e-5], rel=2**-22)
    other = ramp(optimizer({"lr": 1e-3}, {"lr": 1e-5}, kind=kind), relative=True)
    saved = ramp(optimizer({"lr": 1e-3}, {"lr": 1e-5}, kind=kind), relative=True)
    saved.step(7)
    other.load_state_dict(saved.state_dict())
    assert rates(other.optimizer) == pytest.approx([7e-4, 7e-6], rel=2**-22)
    other.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 1.0})
    other.step()
    assert rates(other.optimizer) == pytest.approx([8e-4, 8e-6, 0.8], rel=2**-22)


# What is accepted must have an effect.


@KINDS
def test_the_schedule_can_be_set(kind):
    opt = optimizer({}, {}, kind=kind)
    scheduler = ramp(opt)
    scheduler.schedule = Linear(0.0, 2.0, 10)
    scheduler.step()
    assert rates(opt) == pytest.approx([0.2, 0.2])
    scheduler.schedules = [Linear(0.0, 2.0, 10), Linear(0.0, 3.0, 10)]
    scheduler.step()
    assert rates(opt) == pytest.approx([0.4, 0.6])
    with pytest.raises(ArgumentError, match="2 param groups are driven"):
        scheduler.schedules = [Constant(0.5)]
    with pytest.raises(ArgumentError, match="give a schedule of accelsched.schedules"):
        scheduler.schedule = 0.5
    scheduler.step()
    assert rates(opt) == pytest.approx([0.6, 0.9])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda o: ramp(o), "total_iters"),
        (lambda o: CosineDecayLR(o, 0.1, 0.0, 10), "total_iter"),
        (lambda o: Multiply({3: 0.5})(o), "factor"),
    ],
)
def test_an_attribute_that_does_nothing_is_refused(make, name):
    scheduler = make(optimizer())
    with pytest.raises(ArgumentError, match=f"^{name}=20: .* has no such attribute"):
        setattr(scheduler, name, 20)
    with pytest.raises(AttributeError):
        scheduler.key = "weight_decay"


def test_subclasses_have_attributes_of_their_own():
    class Mine(lr_scheduler.LinearLR):
        pass

    scheduler = Mine(optimizer(), 0.0, 1.0, 10)
    scheduler.note = "mine"
    assert scheduler.note == "mine"


def test_a_function_is_taken_for_a_schedule():
    opt = optimizer()
    scheduler = Scheduler(opt, lambda step: 0.1 * 0.5**step)
    scheduler.step()
    assert rates(opt) == [0.05]
    assert reference.value(scheduler.schedule, 3) == 0.0125


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (0.1, "give a schedule of accelsched.schedules, or a function of the step"),
        (Linear, "give a schedule of accelsched.schedules, or a function of the step"),
        ("Linear(0, 0.1, 100)", r"give accelsched.from_spec\('Linear\(0, 0.1, 100\)'\)"),
        ({"Linear": {}}, "give a schedule of accelsched.schedules, or a function of the step"),
        (None, "give a schedule of accelsched.schedules, or a function of the step"),
    ],
)
def test_what_is_no_schedule_is_refused(given, remedy):
    with pytest.raises(ArgumentError, match=f"^schedule=.*{remedy}"):
        Scheduler(optimizer(), given)


@KINDS
@pytest.mark.parametrize(
    ("key", "schedule", "value"),
    [
        ("lr", Linear(0.1, -0.1, 100), "-"),
        ("weight_decay", Constant(-0.01), "-0.01"),
        ("betas[0]", Linear(0.9, 1.0, 100), "1"),
        ("betas[1]", Constant(-0.1), "-0.1"),
    ],
)
def test_values_that_cannot_be_are_refused(key, schedule, value, kind):
    opt = optimizer(kind=kind, cls=torch.optim.AdamW)
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(ArgumentError, match=f"its value at step [0-9]+ is {value}.*takes numbers"):
        Scheduler(opt, schedule, key=key)
    assert str(opt.state_dict()["param_groups"][0][key.partition("[")[0]]) == str(
        before["param_groups"][0][key.partition("[")[0]]
    )
    # What is bound already refuses them too, and goes on.
    scheduler = Scheduler(opt, Constant(0.5), key=key)
    with pytest.raises(ArgumentError, match="takes numbers"):
        scheduler.reschedule([schedule])
    assert scheduler.schedule == Constant(0.5)


@KINDS
@pytest.mark.parametrize("key", ["lr", "eps"])
@pytest.mark.parametrize(
    "schedule", [Constant(1e39), Linear(0.0, 1e300, 10), Constant(1.0).then(Constant(1e39), at=5)]
)
def test_numbers_that_the_dtype_cannot_hold_are_refused(schedule, key, kind):
    opt = optimizer(kind=kind, cls=torch.optim.AdamW)
    with pytest.raises(ArgumentError, match="1e.* overflows the dtype.* at most 3.40282e"):
        Scheduler(opt, schedule, key=key)
    wide = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2, dtype=torch.float64))])
    Scheduler(wide, schedule, key=key)


def test_steps_that_int64_cannot_count_are_refused():
    for last_epoch in (2**62, 10**400, -2, 0.5, True):
        with pytest.raises(ArgumentError, match="^last_epoch="):
            Scheduler(optimizer(), Constant(0.1), last_epoch=last_epoch)
    scheduler = Scheduler(optimizer(), Constant(0.1), last_epoch=2**62 - 3)
    scheduler.step()
    assert scheduler.last_epoch == 2**62 - 1
