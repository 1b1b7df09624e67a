"""Lightning: a scheduler from `configure_optimizers`, with the interval "step"."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from accelsched import Scheduler
from accelsched.schedules import WarmupCosine


class Regression(LightningModule):
    """A linear model; it logs the loss and the learning rate."""

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Linear(8, 1)

    def training_step(self, batch):
        inputs, targets = batch
        loss = torch.nn.functional.mse_loss(self.model(inputs), targets)
        # For an lr on a device, `get_last_lr` computes its value on the host, without a read. With
        # LearningRateMonitor a logger reads the lr tensors: one copy to the host for each param
        # group whenever it logs (tests/clients/test_lightning.py).
        self.log_dict({"loss": loss, "lr": self.lr_schedulers().get_last_lr()[0]})
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = Scheduler(optimizer, WarmupCosine(0.1, total_iters=steps, warmup_iters=10))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


inputs = torch.randn(320, 8)
batches = DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=16)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = Trainer(max_epochs=5, accelerator="cpu", enable_model_summary=False, **quiet)
trainer.fit(Regression(), batches)
