"""The Trainer of transformers: the schedule of `lr_scheduler_type`, computed on the device."""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from accelsched import from_torch


class ScheduledOnDevice(Trainer):
    """Converts the scheduler that the arguments describe; all else is the Trainer's."""

    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = from_torch(super().create_scheduler(num_training_steps, optimizer))
        return self.lr_scheduler


# Where it logs, the Trainer copies the loss and the norm of the gradients to the host: on torch_xla
# 4 executions and 8 copies, with any scheduler. The rate is no part of that, since `get_last_lr`
# knows it (tests/runtimes/test_trainers.py). With a scheduler of a metric, the Trainer reads the
# tensor of the first param group once a step (tests/clients/test_transformers.py).
arguments = TrainingArguments(
    output_dir=tempfile.mkdtemp(),
    lr_scheduler_type="cosine",
    learning_rate=0.01,
    warmup_steps=4,
    max_steps=20,
    logging_steps=5,
    save_strategy="no",
    report_to=[],
    disable_tqdm=True,
)
sizes = {"vocab_size": 32, "n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2}
config = GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
sentences = [{"input_ids": row, "labels": row} for row in torch.randint(32, (64, 8))]
trainer = ScheduledOnDevice(GPT2LMHeadModel(config), arguments, train_dataset=sentences)
trainer.train()
