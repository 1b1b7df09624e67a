"""Binding schedules to an optimizer: groups, tags, identity, adoption, conflicts."""

import gc
import weakref

import pytest
import torch
from binding import BY_STEP, EVERY, classes_in, optimizer

from accelsched import ArgumentError, Scheduler, SchedulerList, reference
from accelsched.lr_scheduler import (
    ChainedLR,
    ConstantLR,
    CosineDecayLR,
    LinearLR,
    LRScheduler,
    ScalePerParamLR,
    SequentialLR,
)
from accelsched.policy import Multiply, Switch
from accelsched.schedules import CosineDecay, Linear, MultiStep, Scaled, Step

KINDS = pytest.mark.parametrize("kind", ["host", "graph"])


def rates(opt):
    return [float(group["lr"]) for group in opt.param_groups]


@KINDS
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_class_follows_the_reference(make, kind):
    opt = optimizer({}, {"adjust_learning_rate": 0.25}, kind=kind)
    scheduler = make(opt)
    for step in range(200):
        assert scheduler.last_epoch == step
        for index, rate in enumerate(rates(opt)):
            want = reference.value(scheduler.schedules[index], step)
            # The host holds the float64 value, the graph that value rounded to float32.
            assert rate == pytest.approx(want, rel=1e-12 if kind == "host" else 2**-23, abs=1e-12)
        scheduler.step()


def test_every_public_class_is_tried():
    assert classes_in(EVERY) == set(BY_STEP) - {"LRScheduler"}


@KINDS
def test_values_are_right_before_the_first_step(kind):
    opt = optimizer(kind=kind)
    scheduler = LinearLR(opt, 0.5, 1.0, 10)
    assert scheduler.last_epoch == 0
    assert rates(opt) == [0.5]
    assert [float(v) for v in scheduler.get_last_lr()] == [0.5]


def test_the_type_in_the_group_is_the_one_that_was_there():
    assert isinstance(optimizer_with(LinearLR, kind="host").param_groups[0]["lr"], float)
    assert isinstance(optimizer_with(LinearLR, kind="graph").param_groups[0]["lr"], torch.Tensor)


def optimizer_with(cls, kind):
    opt = optimizer(kind=kind)
    cls(opt, 0.0, 1.0, 10)
    return opt


def test_lowering_can_be_asked_for():
    opt = optimizer(kind="host")
    Scheduler(opt, Linear(0, 1, 10), lowering="graph")
    assert isinstance(opt.param_groups[0]["lr"], torch.Tensor)
    opt = optimizer(kind="graph")
    Scheduler(opt, Linear(0, 1, 10), lowering="host")
    assert isinstance(opt.param_groups[0]["lr"], float)


def test_float64_parameters_have_a_float64_value():
    opt = torch.optim.SGD([torch.zeros(1, dtype=torch.float64)], lr=0.1)
    Scheduler(opt, Linear(0.1, 1, 10), lowering="graph")
    assert opt.param_groups[0]["lr"].dtype == torch.float64
    assert float(opt.param_groups[0]["lr"]) == 0.1


def test_torch_takes_it_for_one_of_its_own():
    scheduler = LinearLR(optimizer(), 0.0, 1.0, 10)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)


def test_optimizer_step_is_left_alone():
    opt = optimizer()
    before = opt.step.__func__
    LinearLR(opt, 0.0, 1.0, 10)
    assert opt.step.__func__ is before
    assert "step" not in vars(opt)


# Identity.


def test_the_value_tensor_is_the_same_object_for_ever():
    opt = optimizer({}, {}, kind="graph")
    scheduler = LinearLR(opt, 0.0, 1.0, 10)
    tensors = [group["lr"] for group in opt.param_groups]
    assert tensors[0] is not tensors[1]  # torch gives all groups the one tensor that it was given
    addresses = [cell.data_ptr() for cell in tensors]

    def same():
        return all(g["lr"] is c for g, c in zip(opt.param_groups, tensors, strict=True)) and (
            addresses == [cell.data_ptr() for cell in tensors]
        )

    scheduler.step()
    assert same()
    scheduler.load_state_dict(scheduler.state_dict())
    assert same()
    scheduler.last_epoch = 5
    scheduler.end_learning_rate = 2.0
    assert same()
    opt.load_state_dict(opt.state_dict())
    assert same()
    SequentialLR(opt, [scheduler, ConstantLR(opt, 1.0)], [5])
    assert same()


def test_loading_the_optimizer_does_not_cut_the_values_off():
    for kind in ("host", "graph"):
        opt = optimizer(kind=kind)
        scheduler = LinearLR(opt, 0.0, 1.0, 10)
        saved = opt.state_dict()
        scheduler.step()
        opt.load_state_dict(saved)
        assert rates(opt) == pytest.approx([0.1])
        scheduler.step()
        assert rates(opt) == pytest.approx([0.2])


def test_last_values_are_copies():
    scheduler = LinearLR(optimizer(kind="graph"), 0.0, 1.0, 10)
    before = scheduler.get_last_lr()[0]
    scheduler.step()
    assert float(before) == 0.0
    assert float(scheduler.get_lr()[0]) == float(scheduler.get_last_lr()[0]) == pytest.approx(0.1)


# Groups and tags.

TAGGED = ({"tags": ["a"]}, {"tags": ["a", "b"]}, {"tags": "c"}, {"tags": []}, {})


@KINDS
@pytest.mark.parametrize(
    ("tags", "driven"),
    [
        (None, [0, 1, 2, 3, 4]),
        ("a", [0, 1]),
        (["b"], [1]),
        (["b", "c"], [1, 2]),
        ([None], [3, 4]),
        (["c", None], [2, 3, 4]),
    ],
)
def test_tags_choose_the_groups(tags, driven, kind):
    opt = optimizer(*TAGGED, kind=kind)
    scheduler = ConstantLR(opt, 0.5, param_group_tags=tags)
    scheduler.step()
    assert [i for i, rate in enumerate(rates(opt)) if rate == 0.5] == driven
    assert [float(rate) for rate in scheduler.get_last_lr()] == rates(opt)


def test_tags_that_match_nothing_list_those_there_are():
    with pytest.raises(ArgumentError, match=r"^param_group_tags='x': .*'a', 'b', 'c', None"):
        ConstantLR(optimizer(*TAGGED), 0.5, param_group_tags="x")


@pytest.mark.parametrize("tags", [["a", "a"], [1], 7])
def test_tags_are_strings_given_once(tags):
    with pytest.raises(ArgumentError, match=r"^param_group_tags="):
        ConstantLR(optimizer(*TAGGED), 0.5, param_group_tags=tags)


@KINDS
def test_a_schedule_for_each_group(kind):
    opt = optimizer({}, {}, {}, kind=kind)
    Scheduler(opt, [Linear(0, 1, 10), Step(0.5, 3, 0.1), Linear(1, 0, 5)]).step()
    assert rates(opt) == pytest.approx([0.1, 0.5, 0.8])
    with pytest.raises(ArgumentError, match="3 param groups are driven"):
        Scheduler(optimizer({}, {}, {}), [Linear(0, 1, 10)] * 2)


@pytest.mark.parametrize("count", [2, 7])
def test_groups_that_differ_in_numbers_are_evaluated_at_once(count):
    """One vector operation for all: the number of sines must not grow with the groups."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Sines(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function is torch.ops.aten.sin.default
            return function(*args, **(kwargs or {}))

    opt = optimizer(*[{}] * count, kind="graph")
    curves = [CosineDecay(0.1 * (i + 1), 0.01, 10 + i) for i in range(count)]
    scheduler = Scheduler(opt, curves)
    with Sines() as sines:
        scheduler.step()
    assert sines.count == 1
    assert rates(opt) == pytest.approx([reference.value(c, 1) for c in curves], rel=2**-23)


def test_stacked_tables_and_milestones():
    opt = optimizer({}, {}, {}, kind="graph")
    curves = [
        MultiStep(0.1, gamma=0.5, milestones=(2, 4)),
        MultiStep(0.2, gamma=0.5, milestones=(2, 5)),
        Scaled(MultiStep(0.2, gamma=0.5, milestones=(2, 5)), 3.0),
    ]
    scheduler = Scheduler(opt, curves)
    for step in range(8):
        assert rates(opt) == pytest.approx([reference.value(c, step) for c in curves])
        scheduler.step()


@KINDS
def test_any_key_of_the_groups(kind):
    opt = optimizer(kind=kind, cls=torch.optim.AdamW, weight_decay=0.1)
    lr = LinearLR(opt, 0.0, 1.0, 10)
    decay = Scheduler(opt, Linear(0.1, 0.0, 10), key="weight_decay")
    for _ in range(5):
        lr.step()
        decay.step()
    assert rates(opt) == pytest.approx([0.5])
    assert float(opt.param_groups[0]["weight_decay"]) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("key", "message"),
    [("momentun", "give a key of the param group"), ("nesterov", "one number"), ("params", "one")],
)
def test_a_key_that_holds_no_number(key, message):
    with pytest.raises(ArgumentError, match=f"^key='{key}'.*{message}"):
        Scheduler(optimizer(), Linear(0, 1, 10), key=key)


# Composition.


def test_children_no_longer_drive():
    opt = optimizer(kind="graph")
    children = [LinearLR(opt, 0.0, 1.0, 10), ConstantLR(opt, 1.0)]
    scheduler = SequentialLR(opt, children, [10])
    for child in children:
        with pytest.raises(RuntimeError, match="was given to SequentialLR"):
            child.step()
        with pytest.raises(RuntimeError, match="was given to SequentialLR"):
            child.last_epoch = 3
        with pytest.raises(RuntimeError, match="was given to SequentialLR"):
            child.load_state_dict(child.state_dict())
    scheduler.step()
    assert rates(opt) == pytest.approx([0.1])


def test_a_child_that_was_stepped_counts_from_its_milestone():
    opt = optimizer()
    child = LinearLR(opt, 0.0, 1.0, 10)
    child.step()
    child.step()
    assert SequentialLR(opt, [child], []).get_last_lr() == [0.0]


def test_a_scheduler_that_starts_late_takes_its_children_along():
    opt = optimizer()
    children = [LinearLR(opt, 0.0, 1.0, 10), ConstantLR(opt, 1.0)]
    scheduler = SequentialLR(opt, children, [10], last_epoch=4)
    assert scheduler.last_epoch == 5
    assert rates(opt) == [0.5]


def test_what_a_child_is_set_to_counts_for_the_parent():
    opt = optimizer(kind="graph")
    child = LinearLR(opt, 0.0, 1.0, 10)
    scheduler = ScalePerParamLR(opt, SequentialLR(opt, [child, ConstantLR(opt, 1.0)], [10]))
    scheduler.step()
    child.end_learning_rate = 2.0
    assert rates(opt) == pytest.approx([0.1])
    scheduler.step()
    assert rates(opt) == pytest.approx([0.4])


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda o, c: SequentialLR(o, [], []), "schedulers"),
        (lambda o, c: ChainedLR([]), "schedulers"),
        (lambda o, c: SequentialLR(o, [c], [3]), "schedulers"),
        (lambda o, c: SequentialLR(o, [c, c], [-1]), "milestones"),
        (lambda o, c: SequentialLR(o, [c, c, c], [5, 3]), "milestones"),
        (lambda o, c: SequentialLR(o, [c, c], [2.5]), r"milestones\[0\]"),
        (lambda o, c: SequentialLR(o, [c, Linear(0, 1, 2)], [2]), r"schedulers\[1\]"),
        (lambda o, c: ChainedLR([Linear(0, 1, 2)]), r"schedulers\[0\]"),
        (lambda o, c: SequentialLR(optimizer(), [c], []), r"schedulers\[0\]"),
        (lambda o, c: ScalePerParamLR(optimizer(), c), "scheduler"),
    ],
)
def test_children_that_do_not_fit(make, argument):
    opt = optimizer()
    child = ConstantLR(opt, 0.5)
    with pytest.raises(ArgumentError, match=f"^{argument}="):
        make(opt, child)
    child.step()  # it was not adopted by the attempt


def test_what_the_trainer_of_the_model_zoo_reads():
    groups = {"tags": "a", "momentum": 0.5}, {"momentum": 0.5}
    plain = Scheduler(None, Linear(0.0, 1.0, 10), "momentum", ["a", None])
    policies = Multiply({3: 0.5}, 1.0), Switch({3: 0.5}, 1.0)
    part = ConstantLR(None, 0.5)
    whole = SequentialLR(None, [part], [], param_group_tags="a")
    tagged, alone = SchedulerList([plain, whole]), SchedulerList([whole])
    for bind in (False, True):
        if bind:
            tagged(optimizer(*groups))
        assert [s.param_group_key for s in (plain, whole, part)] == ["momentum", "lr", "lr"]
        assert [s.param_group_tags for s in (plain, whole, part)] == [{"a", None}, {"a"}, {"a"}]
        assert [(p.param_group_key, p.param_group_tags) for p in policies] == [("lr", None)] * 2
        assert (tagged.param_group_key, tagged.param_group_tags) == ("momentum, lr", {"a", None})
        assert (alone.param_group_key, alone.param_group_tags) == ("lr", {"a"})
    both = SchedulerList([plain, Scheduler(plain.optimizer, Linear(0.0, 1.0, 10), "momentum")])
    assert both.param_group_tags is None
    plain.param_group_tags.add("b")  # a copy
    assert plain.param_group_tags == {"a", None}
    assert ([*tagged], len(tagged), tagged[-1]) == ([plain, whole], 2, whole)


def test_children_have_the_groups_and_the_key_of_the_parent():
    opt = optimizer({"tags": "a"}, {}, cls=torch.optim.AdamW)
    tagged = ConstantLR(opt, 0.5, param_group_tags="a")
    with pytest.raises(ArgumentError, match=r"only \(None\), not to this part \('a'\)"):
        SequentialLR(opt, [tagged], [])
    decay = Scheduler(opt, Linear(0, 1, 2), key="weight_decay")
    with pytest.raises(ArgumentError, match="does not drive 'lr'"):
        ChainedLR([decay])
    SequentialLR(opt, [tagged], [], param_group_tags="a").step()


def test_a_child_has_one_parent():
    opt = optimizer()
    child = ConstantLR(opt, 0.5)
    parent = SequentialLR(opt, [child], [])
    with pytest.raises(ArgumentError, match="was given to SequentialLR"):
        ChainedLR([child])
    parent.step()


# Conflicts.


@KINDS
def test_two_schedulers_of_one_value_are_an_error(kind):
    opt = optimizer(kind=kind)
    one, two = LinearLR(opt, 0.0, 1.0, 10), ConstantLR(opt, 1.0)
    for scheduler in (one, two):
        with pytest.raises(RuntimeError, match="two schedulers drive 'lr' of the same param group"):
            scheduler.step()
    assert one.last_epoch == two.last_epoch == 0


def test_a_scheduler_that_is_gone_is_in_nobodys_way():
    opt = optimizer(kind="graph")
    one = LinearLR(opt, 0.0, 1.0, 10)
    two = ConstantLR(opt, 1.0)
    del one
    two.step()
    assert rates(opt) == [1.0]


def test_two_schedulers_of_two_tags_live_side_by_side():
    opt = optimizer({"tags": "a"}, {"tags": "b"}, kind="graph")
    one = LinearLR(opt, 0.0, 1.0, 10, param_group_tags="a")
    two = CosineDecayLR(opt, 1.0, 0.0, 10, param_group_tags="b")
    one.step()
    two.step()
    assert rates(opt) == pytest.approx([0.1, reference.value(CosineDecay(1, 0, 10), 1)])


def test_nothing_keeps_a_scheduler_or_an_optimizer_alive():
    gc.disable()
    try:
        opt = optimizer(kind="graph")
        scheduler = SequentialLR(opt, [LinearLR(opt, 0.0, 1.0, 10)], [])
        references = [weakref.ref(scheduler), weakref.ref(opt)]
        del scheduler, opt
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


# Bad input.


@pytest.mark.parametrize("bad", [0.1, "sgd", torch.nn.Linear(1, 1)])
def test_an_optimizer_is_asked_for(bad):
    with pytest.raises(TypeError, match="optimizer="):
        LinearLR(bad, 0.0, 1.0, 10)


def test_a_schedule_is_asked_for():
    with pytest.raises(ArgumentError, match=r"^schedule\[0\]=0.1: give a schedule"):
        Scheduler(optimizer(), [0.1])


@pytest.mark.parametrize("bad", ["numba", True])
def test_a_lowering_that_there_is_not(bad):
    with pytest.raises(ArgumentError, match="^lowering="):
        LRScheduler(optimizer(), Linear(0, 1, 2), lowering=bad)


@pytest.mark.parametrize("bad", [-2, 1.5, "3"])
def test_a_first_step_that_there_is_not(bad):
    with pytest.raises(ArgumentError, match="^last_epoch="):
        LRScheduler(optimizer(), Linear(0, 1, 2), last_epoch=bad)
    with pytest.raises(ArgumentError, match="^last_epoch="):
        LRScheduler(optimizer(), Linear(0, 1, 2)).last_epoch = bad


@KINDS
def test_step_moves_to_an_epoch(kind):
    scheduler = LinearLR(optimizer(kind=kind), 0.0, 1.0, 10)
    for epoch in (3, 7.0, 0):
        scheduler.step(epoch)
        assert scheduler.last_epoch == epoch
        assert rates(scheduler.optimizer) == pytest.approx([epoch / 10], rel=2**-23)
    for bad in (0.5, -1, 2**62, "1", True):
        with pytest.raises(ArgumentError, match="^epoch="):
            scheduler.step(bad)
    assert scheduler.last_epoch == 0


def test_a_refused_scheduler_leaves_the_optimizer_as_it_was():
    opt = optimizer(kind="graph")
    before = dict(opt.param_groups[0])
    for attempt in (
        lambda: LinearLR(opt, 0.0, float("nan"), 10),
        lambda: LinearLR(opt, 0.0, 1.0, 10, param_group_tags="x"),
        lambda: Scheduler(opt, [Linear(0, 1, 2)] * 2),
        lambda: Scheduler(opt, Linear(0, 1, 2), lowering="x"),
    ):
        with pytest.raises(ArgumentError):
            attempt()
    assert all(opt.param_groups[0][key] is value for key, value in before.items())
