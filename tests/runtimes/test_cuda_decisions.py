"""On simulated CUDA, compare floats, tensors and warnings with what PyTorch's steps read.

The installed torch runs each step on tensors without data, since the reads of another version may
differ. About 600 optimizers take 20 s on one core.
"""

import contextlib
import inspect
import warnings

import pytest
import torch

from accelsched import Scheduler, check, on_device
from accelsched._costs import measuring
from accelsched._costs.simulated_cuda import built, reads, simulated_cuda
from accelsched._optimizers import on_cuda, rules
from accelsched.errors import SynchronizationWarning
from accelsched.lr_scheduler import CosineDecayLR, ReduceLROnPlateau
from accelsched.schedules import Constant, Linear

PARAMETERS = 3


def has(name, key):
    return key.partition("[")[0] in inspect.signature(getattr(torch.optim, name)).parameters


CASES = pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name in measuring.CLASSES for key in on_cuda.KEYS if has(name, key)],
)


@CASES
def test_every_read_is_counted_again(name, key):
    """The table has the reads of the installed torch: none is missing, and none is made up."""
    known = on_cuda.table(name, key)
    for way in on_cuda.CONFIGURATIONS:
        counted = reads(name, key, way, PARAMETERS)
        expected = known[way].cost(PARAMETERS).from_device if way in known else None
        assert counted == expected, way


def within(way):
    return on_device() if "on_device" in way else contextlib.nullcontext()


def scheduled(optimizer, key, way, **options):
    """Return a scheduler and its warnings."""
    with warnings.catch_warnings(record=True) as caught, within(way):
        warnings.simplefilter("always")
        scheduler = Scheduler(optimizer, Constant(0.1), key, **options)
    return scheduler, [str(each.message) for each in caught]


@CASES
def test_floats_by_default_and_a_warning_where_a_tensor_is_read(name, key):
    for way, rule in on_cuda.table(name, key).items():
        with simulated_cuda():
            optimizer = built(name, way)
            scheduler, said = scheduled(optimizer, key, way)
            built_for_it = way not in ("", "foreach", "foreach=False")
            takes_tensors = built_for_it and rule.stays_on_device
            assert (scheduler.driver.lowering == "host") is not takes_tensors, way
            assert not said, way
            _, said = scheduled(built(name, way), key, way, lowering="graph")
            assert len(said) == (not rule.stays_on_device), way
            for message in said:
                assert f"{name} reads '{key}' on the host" in message
                assert message.endswith("give lowering='host'")


@CASES
def test_what_is_named_cures(name, key):
    """The suggested change gives a step that PyTorch accepts and that reads nothing."""
    for way in on_cuda.table(name, key):
        with simulated_cuda(), within(way):
            said = on_cuda.remedy(name, built(name, way).param_groups[0], key)
        if said is None:
            assert reads_nothing(name, key, way), way
            continue
        stay = [to for to in on_cuda.CONFIGURATIONS if reads_nothing(name, key, to)]
        if said == "give lowering='host'":
            assert not stay
            continue
        changes = [f"{rules.change(way, to)}, or give lowering='host'" for to in stay]
        assert said in changes


def reads_nothing(name, key, way):
    known = on_cuda.table(name, key)
    return way in known and known[way].stays_on_device


def groups(*options):
    return [{"params": [torch.nn.Parameter(torch.ones(4, device="cuda"))], **o} for o in options]


def lowering(optimizer, key="lr", **options):
    return Scheduler(optimizer, Constant(0.1), key, **options).driver.lowering


def test_one_group_that_is_not_capturable_has_all_be_floats():
    """The capturable group accepts a float too. A capture refuses such an optimizer."""
    with simulated_cuda():
        mixed = torch.optim.AdamW(groups({"capturable": True}, {"capturable": False}), lr=0.1)
        assert lowering(mixed) == "host"
        both = torch.optim.AdamW(groups({}, {}), lr=0.1, capturable=True)
        assert lowering(both) != "host"
        tagged = torch.optim.AdamW(
            groups({"capturable": True, "tags": "a"}, {"capturable": False, "tags": "b"}), lr=0.1
        )
        assert lowering(tagged, param_group_tags="a") != "host"
        assert lowering(tagged, param_group_tags="b") == "host"


def test_a_tensor_that_is_held_stays_one_on_the_device_and_is_warned_of():
    with simulated_cuda():
        for device in ("cpu", "cuda"):
            optimizer = torch.optim.AdamW(groups({}), lr=torch.full((), 0.1, device=device))
            with pytest.warns(SynchronizationWarning, match="build it with capturable=True, or"):
                scheduler = Scheduler(optimizer, Constant(0.1))
            rate = optimizer.param_groups[0]["lr"]
            assert rate.device.type == "cuda"
            assert scheduler.driver.lowering != "host"
            assert check(optimizer).expected.from_device == 1
        capturable = torch.optim.AdamW(
            groups({}), lr=torch.full((), 0.1, device="cpu"), capturable=True
        )
        Scheduler(capturable, Constant(0.1))
        assert capturable.param_groups[0]["lr"].device.type == "cuda"


def test_lowering_host_is_there_for_a_tensor_too():
    with simulated_cuda():
        optimizer = torch.optim.AdamW(groups({}), lr=torch.full((), 0.1, device="cpu"))
        assert lowering(optimizer, lowering="host") == "host"
        assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_whole_step_with_floats_reads_nothing():
    """With default options, optimizers launch the same kernels as without a scheduler."""
    for name in ("AdamW", "SGD", "Adagrad", "RMSprop"):
        with simulated_cuda() as calls:
            optimizer = built(name, "")
            scheduler = CosineDecayLR(optimizer, 0.1, 0.0, 100)
            for _ in range(3):
                calls.reads, calls.launches = 0, []
                optimizer.step()
                scheduler.step()
            with_schedule = list(calls.launches)
            assert calls.reads == 0
            plain = built(name, "")
            for _ in range(3):
                calls.reads, calls.launches = 0, []
                plain.step()
            assert calls.launches == with_schedule


def test_a_model_that_moves_is_asked_again():
    for options, tensors in (({}, False), ({"capturable": True}, True)):
        parameter = torch.nn.Parameter(torch.ones(4))
        optimizer = torch.optim.AdamW([parameter], lr=0.1, **options)
        scheduler = Scheduler(optimizer, Linear(0.0, 1.0, 10))
        assert scheduler.driver.lowering == "host"
        with simulated_cuda():
            optimizer.param_groups[0]["params"] = [torch.nn.Parameter(torch.ones(4, device="cuda"))]
            scheduler.step()
            assert (scheduler.driver.lowering != "host") is tensors
            rate = optimizer.param_groups[0]["lr"]
            assert rate.device.type == "cuda" if tensors else rate == pytest.approx(0.1)


def test_a_metric_moves_floats():
    with simulated_cuda():
        plain, capturable = (torch.optim.AdamW(groups({}), 0.1, capturable=c) for c in (0, 1))
        assert ReduceLROnPlateau(plain).driver.lowering == "host"
        assert ReduceLROnPlateau(capturable).driver.lowering != "host"


class Own(torch.optim.Optimizer):
    def __init__(self, params, **options):
        super().__init__(params, {"lr": 0.1, "weight_decay": 0.1, **options})


def test_an_optimizer_with_a_step_of_its_own():
    with simulated_cuda():
        assert lowering(Own(groups({}))) == "host"
        with on_device():
            assert lowering(Own(groups({}))) != "host"
        assert lowering(Own(groups({}), capturable=True)) != "host"
        assert lowering(Own(groups({}), capturable=True), "weight_decay") == "host"
        # If the user passes a tensor, the optimizer is assumed to accept it.
        assert lowering(Own(groups({}), lr=torch.full((), 0.1, device="cuda"))) != "host"
