"""Optimizer arithmetic on lists of parameters, with a tensor where PyTorch takes a number.

foreach functions and fused kernels take numbers where the step of one parameter takes tensors too,
and read a tensor on the host. A list multiplied by the tensor stays on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Tensors = list[Tensor]
Function = Callable[..., Any]


def _with_alpha(function: Function) -> Function:
    """Wrap a sum of lists, so that ``alpha`` or the second operand may be a tensor."""

    def apply(one: Tensors, other: Any, **options: Any) -> Any:
        alpha = options.get("alpha")
        if isinstance(alpha, Tensor):
            return function(one, torch._foreach_mul(other, alpha))
        if isinstance(other, Tensor):
            options.setdefault("alpha", 1)  # without it PyTorch takes the overload for a number
        return function(one, other, **options)

    return apply


def _with_value(function: Function) -> Function:
    """Wrap addcdiv or addcmul of lists, so that ``value`` may be a tensor."""

    def apply(target: Tensors, one: Tensors, other: Tensors, value: Any = 1) -> Any:
        # A vector has one number for each tensor of the list.
        if isinstance(value, Tensor) and value.dim() == 0:
            return function(target, torch._foreach_mul(one, value), other)
        return function(target, one, other, value)

    return apply


def _lerp_(starts: Tensors, ends: Tensors, weight: Any) -> Any:
    if isinstance(weight, Tensor):
        way = torch._foreach_mul(torch._foreach_sub(ends, starts), weight)
        return torch._foreach_add_(starts, way)
    return torch._foreach_lerp_(starts, ends, weight)


def _pow(base: Any, exponents: Any) -> Any:
    if isinstance(base, Tensor):
        base = [base] * len(exponents)
    return torch._foreach_pow(base, exponents)


def _fused_adamw_(params: Tensors, grads: Tensors, *states: Any, **options: Any) -> Any:
    """Apply a tensor weight decay first, as the kernel does, which takes only a number for it."""
    decay = options["weight_decay"]
    if isinstance(decay, Tensor):
        found_inf = options.get("found_inf")
        if found_inf is not None:  # at 1 the kernel changes nothing
            decay = decay * (1 - found_inf)
        torch._foreach_mul_(params, 1 - options["lr"] * decay)
        options["weight_decay"] = 0.0
    return torch._fused_adamw_(params, grads, *states, **options)


def _with_decay(function: Function) -> Function:
    """Wrap a fused kernel: add a tensor weight decay to the gradients first, as the kernel does."""

    def apply(params: Tensors, grads: Tensors, *states: Tensors, **options: Any) -> Any:
        decay = options["weight_decay"]
        if isinstance(decay, Tensor):
            options["weight_decay"] = 0.0
            scale = options.get("grad_scale")
            if scale is not None:  # the kernel divides the gradients by it
                decay = decay * scale
            if options["maximize"]:  # and then negates them
                decay = -decay
            grads = list(torch._foreach_add(torch._foreach_mul(params, decay), grads))
        return function(params, grads, *states, **options)

    return apply


REPLACEMENTS: dict[Any, Function] = {
    torch._foreach_add: _with_alpha(torch._foreach_add),
    torch._foreach_add_: _with_alpha(torch._foreach_add_),
    torch._foreach_addcdiv_: _with_value(torch._foreach_addcdiv_),
    torch._foreach_addcmul_: _with_value(torch._foreach_addcmul_),
    torch._foreach_lerp_: _lerp_,
    torch._foreach_pow: _pow,
    torch._fused_adam_: _with_decay(torch._fused_adam_),
    torch._fused_adamw_: _fused_adamw_,
    torch._fused_sgd_: _with_decay(torch._fused_sgd_),
}
if hasattr(torch, "_fused_adagrad_"):  # newer than PyTorch 2.4
    REPLACEMENTS[torch._fused_adagrad_] = _with_decay(torch._fused_adagrad_)
