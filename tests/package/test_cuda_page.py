"""The code of docs/back_ends/cuda.md runs, on a GPU or on emulated graphs."""

import re

import pytest
import torch
from emulated_graphs import capturable_on_the_cpu, emulated_graphs  # noqa: F401
from pages import DOCS, code_of

import accelsched

PAGE = DOCS / "back_ends" / "cuda.md"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_block_runs_after_the_ones_before(device, request):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: CUDA graphs were emulated only")
    source = code_of(PAGE)
    if device == "cpu":
        request.getfixturevalue("emulated_graphs")
        assert 'device = "cuda"' in source and "lr=1e-3" in source
        source = source.replace('device = "cuda"', 'device = "cpu"')
        source = source.replace("lr=1e-3", "lr=torch.tensor(1e-3)")  # the host computes a float lr
    exec(compile(source, PAGE, "exec"), {})


def test_the_errors_begin_as_it_says():
    from accelsched._optimizers.frozen import computed_on_host, refuse_frozen

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=torch.tensor(0.1))
    errors = [str(computed_on_host(optimizer, 0, "lr", 0.1))]
    for cls, key, options in ((torch.optim.SGD, "lr", {}), (torch.optim.AdamW, "betas[0]", FUSED)):
        optimizer = cls([torch.zeros(1)], lr=0.1, **options)
        with pytest.raises(accelsched.ArgumentError) as caught:
            refuse_frozen(optimizer, 0, key, torch.tensor(0.1))
        errors.append(str(caught.value))
    said = re.findall(r"`([^`]*=[^`]*): \.\.\.`|`([^`]*=[^`]*), \.\.\.`", PAGE.read_text())
    assert len(said) == len(errors)
    for texts, error in zip(said, errors, strict=True):
        assert error.startswith("".join(texts))


FUSED = {"fused": True, "capturable": True}
