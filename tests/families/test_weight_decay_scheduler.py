"""Weight decay classes against learning rate classes; costs of other keys on each back end."""

import contextlib
import copy
import inspect
import pickle
import warnings

import binding
import pytest
import torch
from binding import EVERY, of_weight_decay, optimizer

from accelsched import (
    ArgumentError,
    Scheduler,
    check,
    from_spec,
    on_device,
    to_spec,
)
from accelsched import lr_scheduler as lr
from accelsched import weight_decay_scheduler as wd
from accelsched._costs import measuring
from accelsched._optimizers import rules
from accelsched._runtimes import NAMED, Counters
from accelsched.schedules import CosineDecay


@pytest.fixture(params=EVERY)
def pair(request, monkeypatch):
    """Return two functions that build a scheduler of the lr and the same of the weight decay."""
    make = EVERY[request.param]

    def make_decay(opt):
        with monkeypatch.context() as patched:
            patched.setattr(binding, "ours", of_weight_decay(wd))
            return make(opt)

    return make, make_decay


@pytest.mark.parametrize("kind", ["host", "graph"])
def test_it_is_the_learning_rate_s_class_with_another_key(pair, kind):
    make, make_decay = pair
    groups = ({"adjust_learning_rate": 0.5}, {})
    opt = optimizer(*groups, kind=kind, weight_decay=torch.tensor(0.1) if kind == "graph" else 0.1)
    rate, decay = make(optimizer(*groups, kind=kind)), make_decay(opt)
    assert decay.key == "weight_decay"
    assert isinstance(decay, wd.WeightDecayScheduler)
    for _ in range(40):
        decay.step()
        rate.step()
    got = [float(group["weight_decay"]) for group in opt.param_groups]
    assert got == [float(value) for value in rate.get_last_lr()]
    assert [float(group["lr"]) for group in opt.param_groups] == [pytest.approx(0.001)] * 2


def test_it_is_plain_data_and_can_be_copied(pair):
    _, make_decay = pair
    decay = make_decay(optimizer())
    assert to_spec(from_spec(to_spec(decay))) == to_spec(decay)
    for twin in (copy.deepcopy(decay), pickle.loads(pickle.dumps(decay))):
        assert type(twin) is type(decay)
        assert (twin.key, to_spec(twin)) == ("weight_decay", to_spec(decay))


def test_the_names_of_arguments():
    made = wd.OneCycleWD(None, initial_val=0.01, max_val=0.1, total_steps=50)
    assert (made.initial_val, made.max_val) == (0.01, 0.1)
    for name in wd.__all__:
        cls = getattr(wd, name)
        arguments = inspect.signature(cls).parameters
        assert not any("learning_rate" in a or a.endswith("_lr") for a in arguments)
        assert pickle.loads(pickle.dumps(cls)) is cls
    with pytest.raises(ArgumentError, match="^end_val="):
        wd.LinearWD(None, 0.1, end_val="x", total_iters=10)
    with pytest.raises(ArgumentError, match="^end_val="):
        wd.LinearWD(None, 0.1, 0.0, 10).end_val = "x"
    with pytest.raises(TypeError, match="end_learning_rate"):
        wd.LinearWD(None, 0.1, end_learning_rate=0.0, total_iters=10)


def test_a_class_of_ones_own():
    class Halving(wd.LambdaWD):
        def set_value_lambda(self):
            return lambda step: 0.5**step

    class Late(wd.LinearWD):
        def __init__(self, optimizer, end):
            super().__init__(optimizer, 0.0, end_val=end, total_iters=10)

    class LinearMomentum(lr.LinearLR):
        default_key = "momentum"

    halving, late = Halving(optimizer(), initial_val=0.8), Late(optimizer(), 1.0)
    momentum = LinearMomentum(optimizer(momentum=0.9), 0.8, 0.9, 10)
    for scheduler in (halving, late, momentum):
        scheduler.step()
    assert halving.get_last_value() == [0.4]
    assert late.get_last_value() == pytest.approx([0.1])
    assert momentum.optimizer.param_groups[0]["momentum"] == pytest.approx(0.81)


def test_children_must_be_of_the_weight_decay():
    with pytest.raises(ArgumentError, match="weight_decay"):
        wd.SequentialWD(None, [lr.ConstantLR(None, 0.1)], [])


# On each back end.


def has(name, key):
    parameters = inspect.signature(getattr(torch.optim, name)).parameters
    return key.partition("[")[0] in parameters


CASES = pytest.mark.parametrize(
    ("name", "key"), [(n, k) for n in measuring.CLASSES for k in rules.KEYS if has(n, k)]
)


def built(name, key, runtime, way="", lr=0.01):
    options = {option: True for option in way.split() if option != "on_device"}
    if key in ("weight_decay", "momentum"):
        options[key] = 0.5
    values = [torch.ones(4, 4, dtype=torch.float64) * (i + 1) for i in range(2)]
    parameters = [torch.nn.Parameter(value.to(runtime.device())) for value in values]
    return getattr(torch.optim, name)(parameters, lr=lr, **options)


def within(way):
    return on_device() if "on_device" in way else contextlib.nullcontext()


@pytest.mark.parametrize("runtime", ["xla", "lazy"], indirect=True)
@CASES
def test_what_is_named_for_another_key_cures(runtime, name, key):
    """With the named change, a step has no read, one execution and no compile."""
    best = rules.best_of_key(runtime.name, name, key)
    said = check(built(name, key, runtime), key).remedy
    if best is None:
        assert said == "it has no option that helps there"
        return
    assert said == rules.change("", best)
    with warnings.catch_warnings(), within(best):
        warnings.simplefilter("error")
        Scheduler(built(name, key, runtime, best), CosineDecay(0.5, 0.1, 9), key)
    inside = on_device if "on_device" in best else None
    cost = measuring.of_steps(runtime, built(name, key, runtime, best), key, inside)
    assert (cost.executions, cost.from_device, cost.compiles, cost.fallbacks) == (1, 0, 0, 0)
    if inside and key in ("weight_decay", "momentum"):
        outside = measuring.of_steps(runtime, built(name, key, runtime, best), key)
        assert outside.from_device > 0


@pytest.mark.parametrize("runtime", ["compile"], indirect=True)
@CASES
def test_another_key_is_not_compiled_again(runtime, name, key):
    optimizer = built(name, key, runtime, lr=torch.tensor(0.01, dtype=torch.float64))
    group = optimizer.param_groups[0]
    if not key.endswith("]"):
        group[key] = torch.tensor(group[key], dtype=torch.float64)
    else:
        group["betas"] = tuple(torch.tensor(beta, dtype=torch.float64) for beta in group["betas"])
    assert measuring.of_steps(runtime, optimizer, key) == Counters()


CURED = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD"]


@pytest.mark.parametrize("runtime", ["eager", "xla", "lazy"], indirect=True)
@pytest.mark.parametrize(
    ("name", "key", "start"),
    [
        *[(n, "weight_decay", start) for n in CURED for start in (0.5, 0.0)],
        # Not from 0: PyTorch creates the momentum buffer only for a momentum above 0.
        *[(n, "momentum", 0.5) for n in ("RMSprop", "SGD")],
    ],
)
def test_the_results_are_those_of_floats(runtime, name, key, start):
    """The weights match those of PyTorch on the CPU with float values, in float64."""
    mine, plain = built(name, key, runtime), built(name, key, NAMED["eager"])
    lowering = "graph" if runtime.name == "eager" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve = CosineDecay(start, 0.1, 30)
        schedulers = [
            Scheduler(mine, curve, key, lowering=lowering),
            Scheduler(plain, curve, key),
        ]
    for _ in range(20):
        for opt, context in ((mine, on_device()), (plain, contextlib.nullcontext())):
            for parameter in opt.param_groups[0]["params"]:
                parameter.grad = parameter.detach() * 0.5
            with context:
                opt.step()
        for scheduler in schedulers:
            scheduler.step()
        runtime.finish_step()
    for one, other in zip(
        mine.param_groups[0]["params"], plain.param_groups[0]["params"], strict=True
    ):
        # 20 steps of some 16 roundings, each of 2**-53 of a number below 2.
        assert torch.allclose(one.detach().cpu(), other.detach(), rtol=0, atol=20 * 32 * 2.0**-53)
