"""The code of docs/back_ends/cuda.md runs, on a GPU or on emulated graphs."""

import re
from pathlib import Path

import pytest
import torch
from emulated_graphs import capturable_on_the_cpu, emulated_graphs  # noqa: F401

import accelsched
from accelsched.schedules import WarmupCosine

PAGE = (Path(__file__).parents[2] / "docs" / "back_ends" / "cuda.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_block_runs_after_the_ones_before(device, request):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: CUDA graphs were emulated only")
    source = "\n".join(BLOCKS)
    if device == "cpu":
        request.getfixturevalue("emulated_graphs")
        source = source.replace("lr=1e-3", "lr=torch.tensor(1e-3)")  # or the host would compute it
    xs, ys = torch.randn(23, 4, 8, device=device), torch.randn(23, 4, 1, device=device)
    names = {
        "accelsched": accelsched, "torch": torch, "Scheduler": accelsched.Scheduler,
        "WarmupCosine": WarmupCosine, "model": torch.nn.Linear(8, 1, device=device),
        "x": xs[0], "y": ys[0], "xs": xs, "ys": ys,
        "batches": list(zip(xs[3:], ys[3:], strict=True)),
    }  # fmt: skip
    exec(compile(source, "docs/back_ends/cuda.md", "exec"), names)
    # Three steps of a warm-up and twenty, then three and ten.
    assert names["scheduler"].last_epoch == 3 + 20 + 3 + 10
    assert len(names["losses"]) == 10


def test_the_errors_begin_as_it_says():
    from accelsched._optimizers.frozen import computed_on_host, refuse_frozen

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1))
    errors = [str(computed_on_host(optimizer, 0, "lr", 0.1))]
    for cls, key, options in ((torch.optim.SGD, "lr", {}), (torch.optim.AdamW, "betas[0]", FUSED)):
        optimizer = cls([torch.zeros(1)], lr=0.1, **options)
        with pytest.raises(accelsched.ArgumentError) as caught:
            refuse_frozen(optimizer, 0, key, torch.tensor(0.1))
        errors.append(str(caught.value))
    said = re.findall(r"`([^`]*=[^`]*): \.\.\.`|`([^`]*=[^`]*), \.\.\.`", PAGE)
    assert len(said) == len(errors)
    for texts, error in zip(said, errors, strict=True):
        assert error.startswith("".join(texts))


FUSED = {"fused": True, "capturable": True}
