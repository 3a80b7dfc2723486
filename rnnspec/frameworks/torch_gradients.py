"""Gradients that native code computes in PyTorch's programs: they have no derivatives of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, *sources: torch.Tensor) -> torch.Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        raise RuntimeError("a model's gradients have no derivatives of their own: second derivatives aren't there")


def once(gradients: Sequence[torch.Tensor | None], sources: Iterable[torch.Tensor]) -> list[torch.Tensor | None]:
    """Gradients for a `backward`, which depend on `sources` and raise a RuntimeError where a derivative by these is asked for.

    Without this a penalty on gradients, with `create_graph`, would count for nothing and nobody would be told: to torch, numbers of native
    code are constants.
    """
    trained = [each for each in sources if each.requires_grad]
    if not torch.is_grad_enabled() or not trained:
        return list(gradients)
    return [None if each is None else cast(torch.Tensor, _Once.apply(each, *trained)) for each in gradients]
