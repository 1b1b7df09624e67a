"""DeepSpeed's engine with ZeRO in one process, with torch's scheduler and with ours."""

import pytest
import torch
from example_scripts import run_example
from side_by_side import (
    KINDS,
    OURS,
    Record,
    adamw,
    assert_same,
    converted,
    data,
    network,
    rates_of,
    torchs,
    written,
)
from torch.utils._python_dispatch import TorchDispatchMode

STAGES = pytest.mark.parametrize("stage", [0, 1, 2, 3])
#: A scheduler, or a function that DeepSpeed calls with the optimizer. Our scheduler is callable
#: too, so DeepSpeed binds it a second time, to the same optimizer.
WAYS = pytest.mark.parametrize("way", ["object", "callable"])
STEPS, SAVED = 6, 3

# DeepSpeed uses names of torch.distributed that the newest torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:torch")


@pytest.fixture(scope="module")
def deepspeed(tmp_path_factory):
    """Return DeepSpeed on the CPU, in a process group of this process alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
            patch.setenv(name, value)
        patch.setenv("DS_ACCELERATOR", "cpu")
        import deepspeed

        # Do not compile the extension for collectives within a machine: it takes half a minute.
        patch.setitem(deepspeed.ops.__compatible_ops__, "deepspeed_shm_comm", False)
        method = f"file://{tmp_path_factory.mktemp('group')}/file"
        deepspeed.init_distributed("gloo", False, init_method=method, rank=0, world_size=1)
        yield deepspeed
        deepspeed.comm.destroy_process_group()


class Training:
    def __init__(self, deepspeed, stage, kind, make, way="object"):
        self.model, self.record, self.deepspeed = network(), Record(), deepspeed
        optimizer = adamw(self.model, kind)
        self.engine, self.optimizer, _, self.scheduler = deepspeed.initialize(
            model=self.model,
            optimizer=optimizer,
            lr_scheduler=make(optimizer) if way == "object" else make,
            config={
                "train_micro_batch_size_per_gpu": 24,
                "zero_optimization": {"stage": stage},
                "zero_allow_untested_optimizer": True,
                "zero_force_ds_cpu_optimizer": False,
            },
        )

    def backward(self):
        inputs, targets = data()
        self.engine.backward((self.engine(inputs) - targets).square().mean())

    def train(self, steps=STEPS):
        for _ in range(steps):
            self.backward()
            self.record.rates.append(rates_of(self.optimizer))
            self.engine.step()
            self.record.logged.append([float(rate) for rate in self.engine.get_lr()])
        # Stage 3 partitions the weights.
        parameters = list(self.model.parameters())
        with self.deepspeed.zero.GatheredParameters(parameters):
            self.record.keep_weights(parameters)
        return self.record


@OURS
@KINDS
@STAGES
@WAYS
def test_an_engine(deepspeed, stage, kind, way, ours):
    mine = Training(deepspeed, stage, kind, ours, way)
    held = mine.optimizer.param_groups[0]["lr"]
    assert_same(mine.train(), Training(deepspeed, stage, kind, torchs, way).train())
    assert (mine.optimizer.param_groups[0]["lr"] is held) == (kind == "tensor")


@KINDS
@STAGES
@pytest.mark.parametrize(
    ("first", "second"), [(written, written), (converted, converted), (torchs, converted)]
)
def test_a_checkpoint_is_resumed(deepspeed, stage, kind, first, second, tmp_path):
    begun = Training(deepspeed, stage, kind, first)
    begun.train(SAVED)
    begun.engine.save_checkpoint(tmp_path, tag="saved")
    resumed = Training(deepspeed, stage, kind, second)
    resumed.engine.load_checkpoint(tmp_path, tag="saved")
    whole = Training(deepspeed, stage, kind, torchs)
    whole.train(SAVED)
    whole.record = Record()
    assert_same(resumed.train(STEPS - SAVED), whole.train(STEPS - SAVED))


class Reads(TorchDispatchMode):
    """Counts the tensor values that the host reads: each read would wait for a device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **kwargs or {})


@STAGES
def test_a_scheduler_reads_nothing(deepspeed, stage):
    """DeepSpeed and AdamW read as many values as with a constant rate."""

    def reads(make):
        training = Training(deepspeed, stage, "tensor", make)
        training.train(1)
        with Reads() as seen:
            training.backward()
            training.engine.step()
        return seen.count

    assert reads(written) == reads(converted) == reads(lambda _: None) > 0


def test_our_example(deepspeed):
    example = run_example("deepspeed")
    assert example["scheduler"].last_epoch == 100
    assert example["optimizer"].param_groups[0]["lr"] == torch.tensor(0.0)
