"""timm: the training loop passes the step number to the scheduler; the optimizer is Lookahead."""

import torch
from timm.optim import create_optimizer_v2

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear


class ForTimm:
    """Adapt a scheduler to timm's loop, in place of one from timm.scheduler.

    Args:
        scheduler: a scheduler of accelsched.
        t_in_epochs: True to count epochs, timm's default; False to count optimizer updates.
    """

    def __init__(self, scheduler, t_in_epochs=True):
        self.scheduler, self.t_in_epochs = scheduler, t_in_epochs

    def step(self, epoch, metric=None):
        """Move to the number of the next epoch, at the end of each."""
        if self.t_in_epochs:
            self._move(epoch)

    def step_update(self, num_updates, metric=None):
        """Move to the number of updates so far, after each."""
        if not self.t_in_epochs:
            self._move(num_updates)

    def _move(self, count):
        # A move by one step joins the training graph; any other move is an execution of its own.
        follows = count == self.scheduler.last_epoch + 1
        self.scheduler.step() if follows else self.scheduler.step(count)

    def state_dict(self):
        """Return the scheduler's state."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state):
        """Restore the scheduler's state."""
        self.scheduler.load_state_dict(state)


model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = create_optimizer_v2(model, opt="lookahead_adamw", lr=0.1)
# timm's layer decay sets the lr_scale of a group, and timm's schedulers multiply by it.
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
scales = [group.get("lr_scale", 1.0) for group in optimizer.param_groups]
scheduler = Scheduler(optimizer, [schedule * scale for scale in scales])
lr_scheduler = ForTimm(scheduler, t_in_epochs=False)

# timm's loop reads the loss whenever it logs, and timm's schedulers write Python floats. On a
# device this scheduler adds no execution and no transfer (tests/clients/test_timm.py).
for epoch in range(2):
    for update in range(50):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).square().mean().backward()
        optimizer.step()
        lr_scheduler.step_update(num_updates=epoch * 50 + update + 1, metric=None)
    lr_scheduler.step(epoch + 1, metric=None)
