"""The Trainer of transformers, with the `lr_scheduler_type` schedule computed on the device."""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from accelsched import from_torch


class ScheduledOnDevice(Trainer):
    """A Trainer that converts the scheduler chosen by its arguments."""

    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = from_torch(super().create_scheduler(num_training_steps, optimizer))
        return self.lr_scheduler


# When it logs, the Trainer copies the loss and the gradient norm to the host: on torch_xla this is
# 4 executions and 8 copies, with any scheduler. The lr adds none, since `get_last_lr` computes it
# on the host (tests/runtimes/test_trainers.py). With a metric-driven scheduler, the Trainer reads
# the lr tensor of the first param group once per step (tests/clients/test_transformers.py).
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
