"""thunder: a module with an optimizer and a policy of accelsched."""

import torch
from lightning import Trainer
from thunder import ThunderModule
from torch.utils.data import DataLoader, TensorDataset

from accelsched.policy import Multiply  # instead of thunder.policy; also Switch and Schedule

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
policy = Multiply({3: 0.1, 6: 0.1}, lr_init=0.1)
module = ThunderModule(
    model, torch.nn.functional.mse_loss, optimizer=optimizer, lr_scheduler=policy
)

# thunder steps a policy once per epoch and reads nothing from the device. Lightning's
# LearningRateMonitor logs the lr tensor of each param group, and a logger reads it
# (see with_lightning.py).
inputs = torch.randn(64, 8)
batches = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=16)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=8, accelerator="cpu", enable_model_summary=False, **quiet)
trainer.fit(module, batches)
