"""A training script in the style of the Cerebras Model Zoo, written for cerebras_pytorch alone."""

import argparse
import warnings

import cerebras.pytorch as cstorch
import torch
from cerebras.pytorch.optim import lr_scheduler

parser = argparse.ArgumentParser()
parser.add_argument("--backend", default="CPU")
parser.add_argument("--compile_only", action="store_true")
parser.add_argument("--steps", type=int, default=12)
parser.add_argument("--checkpoint_steps", type=int, default=0)
parser.add_argument("--checkpoint")
parser.add_argument("--load")
args = parser.parse_args()

warnings.simplefilter("ignore")
torch.manual_seed(0)
options = {"compile_only": True} if args.compile_only else {}
backend = cstorch.backend(args.backend, **options)
with backend.device:
    model = torch.nn.Linear(4, 3)
compiled_model = cstorch.compile(model, backend)
loss_fn = torch.nn.MSELoss()

optimizer = cstorch.optim.AdamW(
    [
        {"params": [model.weight], "weight_decay": 0.01, "tags": ["matrix"]},
        {"params": [model.bias], "adjust_learning_rate": 0.5},
    ],
    lr=0.1,
)
scheduler = lr_scheduler.ScalePerParamLR(
    optimizer,
    scheduler=lr_scheduler.SequentialLR(
        optimizer,
        schedulers=[
            lr_scheduler.LinearLR(
                optimizer, initial_learning_rate=0.0, end_learning_rate=0.1, total_iters=4
            ),
            lr_scheduler.CosineDecayLR(
                optimizer, initial_learning_rate=0.1, end_learning_rate=0.01, total_iters=6
            ),
        ],
        milestones=[4],
    ),
)

global_step = 0
if args.load:
    state = cstorch.load(args.load)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["lr_scheduler"])
    global_step = state["global_step"]


@cstorch.trace
def training_step(batch):
    inputs, targets = batch
    loss = loss_fn(compiled_model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    return loss


@cstorch.step_closure
def log(loss):
    rates = " ".join(f"{float(rate):.9g}" for rate in scheduler.get_last_lr())
    print("step", global_step, f"{loss.item():.9g}", rates, flush=True)


@cstorch.checkpoint_closure
def save_checkpoint():
    if args.checkpoint:
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "lr_scheduler": scheduler.state_dict(),
            "global_step": global_step,
        }
        cstorch.save(state, args.checkpoint)


def input_fn():
    generator = torch.Generator().manual_seed(1)
    data = torch.utils.data.TensorDataset(
        torch.randn(8, 4, generator=generator, device="cpu"),
        torch.randn(8, 3, generator=generator, device="cpu"),
    )
    return torch.utils.data.DataLoader(data, batch_size=8, drop_last=True)


executor = cstorch.utils.data.DataExecutor(
    cstorch.utils.data.DataLoader(input_fn),
    num_steps=args.steps,
    checkpoint_steps=args.checkpoint_steps,
)
for batch in executor:
    loss = training_step(batch)
    global_step += 1
    log(loss)
    save_checkpoint()
print("artifacts", executor.artifact_dir)
