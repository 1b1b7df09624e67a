"""On fake CUDA tensors, exactly the values that a captured step cannot follow are refused."""

import contextlib
import inspect

import pytest
import torch
from fake_cuda import FusedKernels, fake_cuda, parameters  # noqa: F401
from torch._subclasses.fake_tensor import DataDependentOutputException

from accelsched import ArgumentError, Scheduler, on_device
from accelsched._costs import measuring
from accelsched._optimizers.frozen import refuse_frozen
from accelsched.schedules import CosineDecay

pytestmark = pytest.mark.filterwarnings("ignore::accelsched.SynchronizationWarning")
KEYS = ("lr", "weight_decay", "momentum", "betas[0]", "betas[1]")
WAYS = ({}, {"foreach": False}, {"fused": True})
CURVE = CosineDecay(0.5, 0.1, 10)
OLD = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6)


def scheduled(name, key, options):
    """Return an optimizer with tensors for lr and `key`, and their schedulers."""
    given = {"momentum": 0.5} if key == "momentum" else {}
    optimizer = getattr(torch.optim, name)(parameters(), lr=0.1, **given, **options)
    keys = dict.fromkeys(("lr", key))
    return optimizer, [Scheduler(optimizer, CURVE, k, lowering="graph") for k in keys]


def configurations():
    for name in measuring.CLASSES:
        taken = inspect.signature(getattr(torch.optim, name)).parameters
        capturable = {"capturable": True} if "capturable" in taken else {}
        for key in KEYS:
            for way in WAYS:
                if key.partition("[")[0] in taken and way.keys() <= taken.keys():
                    yield name, key, {**capturable, **way}


@pytest.mark.parametrize("inside", [False, True], ids=["", "on_device"])
@pytest.mark.parametrize(("name", "key", "options"), list(configurations()))
@pytest.mark.usefixtures("fake_cuda")
def test_what_is_read_is_refused(name, key, options, inside):
    """As fake tensors have no values, a step that reads one fails."""
    within = on_device() if inside else contextlib.nullcontext()
    with skipped_where_it_needs_a_driver(), within, FusedKernels():
        optimizer, schedulers = scheduled(name, key, options)
        try:
            for scheduler in schedulers:
                driven = scheduler.key
                value = scheduler.group_values.values()[0]
                refuse_frozen(optimizer, 0, driven, value)
        except ArgumentError as error:
            assert str(error).startswith(f"{driven}=tensor in")
            assert "would read it, which a capture forbids: " in str(error)
            assert_reads(optimizer, name, key)
        else:
            with cuda_itself_refuses(name):
                for _ in range(2):
                    optimizer.step()


def assert_reads(optimizer, name, key):
    if name in ("RAdam", "Adamax") and key == "betas[1]":
        return  # some of their forms use it as an operand
    if (name, key) == ("AdamW", "weight_decay") and OLD:
        return  # this version does not check whether it is 0
    with pytest.raises((DataDependentOutputException, RuntimeError)):
        for _ in range(2):
            optimizer.step()


@contextlib.contextmanager
def skipped_where_it_needs_a_driver():
    """Skip on older PyTorch: ASGD copies a number to the device, fused Adagrad lacks CUDA."""
    try:
        yield
    except RuntimeError as error:
        if "driver version" not in str(error) and "of supported devices" not in str(error):
            raise
        pytest.skip("this PyTorch does not take that step with fake tensors")


@contextlib.contextmanager
def cuda_itself_refuses(name):
    """Accept the reads of Adafactor and Rprop: CUDA itself refuses to capture them."""
    try:
        yield
    except DataDependentOutputException:
        assert name in ("Adafactor", "Rprop")
