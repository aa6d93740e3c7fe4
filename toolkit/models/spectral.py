"""Layers with spectral normalisation, in the classic keys of the published files.

torch's own is deprecated in this form, and its successor has other keys. Here the state dict holds bias, weight_orig,
weight_u and weight_v, modules can be copied at any time, and `fold_spectral` makes them plain.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Spectral(nn.Module):
    """A learned tensor divided by its spectral norm, in the classic keys: bias, weight_orig, weight_u, weight_v.

    With M = weight_orig as a matrix of outputs x all else, weight = weight_orig / (u . M v). In training each use takes
    one step of power iteration; in evaluation the stored u and v serve as they are, as published weights need.
    """

    def __init__(self, *shape: int, bias: bool = True, eps: float = 1e-12) -> None:
        super().__init__()
        rows, columns = shape[0], math.prod(shape[1:])
        bound = columns**-0.5
        self.bias = nn.Parameter(torch.empty(rows).uniform_(-bound, bound)) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.register_buffer("weight_u", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(columns), dim=0))
        self.eps = eps

    def weight(self) -> Tensor:
        """The normalised tensor, of the shape of weight_orig."""
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v = F.normalize(self.weight_u @ matrix, dim=0, eps=self.eps)
                self.weight_u = F.normalize(matrix @ self.weight_v, dim=0, eps=self.eps)
        return self.weight_orig / (self.weight_u @ (matrix @ self.weight_v))


class SpectralConv2d(Spectral):
    """A convolution of spectral norm 1: B x inputs x H x W -> B x outputs x H x W (odd kernels)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, bias: bool = True, eps: float = 1e-12) -> None:
        super().__init__(outputs, inputs, kernel, kernel, bias=bias, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias, padding=self.weight_orig.shape[-1] // 2)

    @torch.no_grad()
    def plain(self) -> nn.Conv2d:
        """The same as an ordinary convolution, for inference."""
        outputs, inputs, kernel, _ = self.weight_orig.shape
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=self.bias is not None, device="meta")
        conv.weight = nn.Parameter(self.weight().detach(), requires_grad=False)
        if self.bias is not None:
            conv.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=False)
        return conv


class SpectralLinear(Spectral):
    """A linear layer of spectral norm 1: B x inputs -> B x outputs."""

    def __init__(self, inputs: int, outputs: int, eps: float = 1e-12) -> None:
        super().__init__(outputs, inputs, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight(), self.bias)


def fold_spectral(module: nn.Module) -> None:
    """Exchange the spectral convolutions anywhere in a module for plain ones, in place: the method `fold` of a network
    that has some.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SpectralConv2d):
                setattr(parent, name, child.plain())
