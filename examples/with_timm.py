"""timm: its training loop says the step, and sets the rates of Lookahead's param groups."""

import torch
from timm.optim import create_optimizer_v2

from accelsched import Scheduler
from accelsched.schedules import CosineDecay, Linear


class ForTimm:
    """A scheduler for timm's loop, in the place of one of timm.scheduler.

    Args:
        scheduler: one of accelsched.
        t_in_epochs: whether it counts epochs, as by default in timm, and not optimizer updates.
    """

    def __init__(self, scheduler, t_in_epochs=True):
        self.scheduler, self.t_in_epochs = scheduler, t_in_epochs

    def step(self, epoch, metric=None):
        """At the end of an epoch, with the number of the next one."""
        if self.t_in_epochs:
            self._move(epoch)

    def step_update(self, num_updates, metric=None):
        """After an update, with how many there were."""
        if not self.t_in_epochs:
            self._move(num_updates)

    def _move(self, count):
        # One step on is part of the training graph; a move to another step is executed apart.
        follows = count == self.scheduler.last_epoch + 1
        self.scheduler.step() if follows else self.scheduler.step(count)

    def state_dict(self):
        """The state of the scheduler."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state):
        """Go on from a state."""
        self.scheduler.load_state_dict(state)


model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
optimizer = create_optimizer_v2(model, opt="lookahead_adamw", lr=0.1)
# timm's schedulers multiply by the lr_scale of a group, which timm's layer decay sets.
schedule = Linear(0.0, 0.1, 20).then(CosineDecay(0.1, 0.0, 80), at=20)
scales = [group.get("lr_scale", 1.0) for group in optimizer.param_groups]
scheduler = Scheduler(optimizer, [schedule * scale for scale in scales])
lr_scheduler = ForTimm(scheduler, t_in_epochs=False)

# timm's loop reads the loss wherever it logs. Its schedulers write Python floats; this one adds no
# execution and no transfer to an update on a device (tests/clients/test_timm.py).
for epoch in range(2):
    for update in range(50):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).square().mean().backward()
        optimizer.step()
        lr_scheduler.step_update(num_updates=epoch * 50 + update + 1, metric=None)
    lr_scheduler.step(epoch + 1, metric=None)
