"""thunder: a module that is given an optimizer and a policy of accelsched."""

import torch
from lightning import Trainer
from thunder import ThunderModule
from torch.utils.data import DataLoader, TensorDataset

from accelsched.policy import Multiply  # in the place of thunder.policy; Switch and Schedule too

model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
policy = Multiply({3: 0.1, 6: 0.1}, lr_init=0.1)
module = ThunderModule(
    model, torch.nn.functional.mse_loss, optimizer=optimizer, lr_scheduler=policy
)

# thunder steps a policy once an epoch, and reads nothing of it. What a monitor of Lightning logs is
# the tensor of each param group, which its logger reads (see with_lightning.py).
inputs = torch.randn(64, 8)
batches = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=16)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=8, accelerator="cpu", enable_model_summary=False, **quiet)
trainer.fit(module, batches)
