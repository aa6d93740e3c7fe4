"""The same numbers with less work: what a private copy for inference computes otherwise than the trainable module.

`quicken` folds norms into convolutions and exchanges five kinds of parts. Each exchange is exact algebra on the
weights; only rounding differs. The quickened module no longer has the published keys and is not for training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ResBlock, UpBlock, fold_norms, map_moments


def quicken(module: nn.Module, winograd: bool = False) -> nn.Module:
    """Exchange, in place, the parts of a module in evaluation mode for quicker ones of equal numbers; returns the
    module.

    winograd: compute the 3 x 3 convolutions of residual blocks, and of blocks with an attribute `tiled`, in tiles.
    """
    fold_norms(module)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, UpBlock) and child.conv.kernel_size == (3, 3):
                setattr(
                    parent, name, PhasedUp(child.conv, MapNorm(child.norm) if MapNorm.fits(child.norm) else child.norm)
                )
            elif MapNorm.fits(child):
                setattr(parent, name, MapNorm(child))
            elif isinstance(child, nn.Conv2d) and PhasedConv.fits(child):
                setattr(parent, name, PhasedConv(child))
            elif winograd and getattr(parent, "tiled", isinstance(parent, ResBlock)) and Winograd.fits(child):
                setattr(parent, name, Winograd(child))
            elif isinstance(child, nn.Conv2d) and PatchConv.fits(child):
                setattr(parent, name, PatchConv.of(child))
    return module.eval()  # the new parts too


class MapNorm(nn.Module):
    """An instance norm (affine, without running statistics): same shapes, same numbers.

    torch's own knows channels_first alone on a CPU and rearranges the maps before and after: five times as slow.
    """

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    @staticmethod
    def fits(norm: nn.Module) -> bool:
        return isinstance(norm, nn.InstanceNorm2d) and norm.affine and not norm.track_running_stats

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = map_moments(x)
        gain = (variance + self.eps).rsqrt() * self.weight[:, None, None]
        shift = self.bias[:, None, None] - mean * gain
        return torch.addcmul(shift.to(x.dtype), x, gain.to(x.dtype))


class PatchConv(nn.Conv2d):
    """A convolution that on small maps is one matrix product, patches times weights: same shapes, same numbers.

    Deep in an hourglass a few pixels meet millions of weights. There a CPU's convolution spends most of its time on
    rearranging the weights, in each call again; a matrix product reads them once, as they lie (in channels_last).
    """

    RATIO = 1 << 15  # weights for each position of the result, above which the product is quicker; measured

    @classmethod
    def fits(cls, conv: nn.Conv2d) -> bool:
        plain = conv.stride == conv.dilation == (1, 1) and conv.groups == 1 and conv.bias is not None
        return type(conv) is nn.Conv2d and plain and conv.weight.numel() >= cls.RATIO and min(conv.kernel_size) > 1

    @classmethod
    def of(cls, conv: nn.Conv2d) -> PatchConv:
        """The same convolution, with the same tensors."""
        same = cls(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding, device="meta")
        same.weight, same.bias = conv.weight, conv.bias
        return same.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        down, right = self.padding
        padded = x.permute(0, 2, 3, 1)
        height = padded.shape[1] + 2 * down - self.kernel_size[0] + 1
        width = padded.shape[2] + 2 * right - self.kernel_size[1] + 1
        positions = len(x) * height * width
        flat = self.weight.permute(0, 2, 3, 1)
        if not x.is_cpu or self.weight.numel() < self.RATIO * positions or not flat.is_contiguous():
            return super().forward(x)
        padded = F.pad(padded, (0, 0, right, right, down, down))
        picture, row, column, channel = padded.stride()
        patches = padded.as_strided(
            (len(x), height, width, *self.kernel_size, self.in_channels), (picture, row, column, row, column, channel)
        )
        out = F.linear(patches.reshape(positions, -1), flat.flatten(1), self.bias)
        return out.view(len(x), height, width, -1).permute(0, 3, 1, 2)


class PhasedUp(nn.Module):
    """Nearest up-sampling, 3 x 3 convolution, norm, ReLU: B x inputs x H x W -> B x outputs x 2H x 2W, at 4/9 of the
    work.

    After nearest up-sampling the nine taps of an output pixel fall on only 2 x 2 small pixels. So one 2 x 2 convolution
    on the small map, with the taps that coincide summed beforehand, gives the four kinds ("phases") of output pixels as
    channels. The window between small rows r-1 and r gives output rows 2r-1 and 2r; so there are H+1 windows.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.Module) -> None:
        super().__init__()
        # Which of the window's two pixels each tap falls on, for output pixels of odd and of even number.
        odd, even = [[1.0, 1, 0], [0, 0, 1]], [[1.0, 0, 0], [0, 1, 1]]
        taps = torch.tensor([odd, even], dtype=torch.float64, device=conv.weight.device)  # phase x pixel x tap
        weight = torch.einsum("pia,qjb,ocab->pqocij", taps, taps, conv.weight.detach().double())
        self.conv = PatchConv(conv.in_channels, 4 * conv.out_channels, 2, padding=1, device="meta")
        self.conv.weight = nn.Parameter(weight.flatten(0, 2).to(conv.weight.dtype))
        self.conv.bias = nn.Parameter(conv.bias.detach().repeat(4))
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        phases = self.conv(x)
        last = phases.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        phases = phases.unflatten(1, (2, 2, -1))
        out = torch.empty(
            (len(x), phases.shape[3], 2 * height, 2 * width), dtype=x.dtype, device=x.device, memory_format=layout
        )
        for odd_row, row in ((True, slice(1, None)), (False, slice(height))):
            for odd_column, column in ((True, slice(1, None)), (False, slice(width))):
                part = phases[:, int(not odd_row), int(not odd_column), :, row, column]
                out[:, :, int(odd_row) :: 2, int(odd_column) :: 2] = part
        return self.norm(out).relu_()


class PhasedConv(nn.Module):
    """A convolution with few outputs, f x f neighbouring output pixels at once as channels: same shapes, same numbers.

    Convolutions compute 16 output channels in the time of one; a head with three leaves most of them idle. With f = 2
    the kernel grows by one in each direction and steps by two, so 64 taps give 12 channels for four pixels in place of
    4 x 49.
    """

    LANES = 16

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.f = f = self.factor(conv)
        outputs, inputs, height, width = conv.weight.shape
        weight = conv.weight.new_zeros(outputs, f, f, inputs, height + f - 1, width + f - 1)
        for i in range(f):
            for j in range(f):
                weight[:, i, j, :, i : i + height, j : j + width] = conv.weight.detach()
        self.conv = conv  # for sides that f does not divide
        self.phased = nn.Conv2d(inputs, outputs * f * f, 1, stride=f, padding=conv.padding, device="meta")
        self.phased.weight = nn.Parameter(weight.flatten(0, 2))
        self.phased.bias = nn.Parameter(conv.bias.detach().repeat_interleave(f * f))

    @property
    def weight(self) -> nn.Parameter:
        """The kernel as it was: models ask their first and last convolutions for the number format."""
        return self.conv.weight

    @classmethod
    def factor(cls, conv: nn.Conv2d) -> int:
        return 4 if 16 * conv.out_channels <= cls.LANES else 2

    @classmethod
    def fits(cls, conv: nn.Conv2d) -> bool:
        plain = conv.stride == conv.dilation == (1, 1) and conv.groups == 1 and conv.bias is not None
        return plain and min(conv.kernel_size) >= 5 and 4 * conv.out_channels <= cls.LANES

    def forward(self, x: Tensor) -> Tensor:
        sides = (x.shape[2 + i] + 2 * self.conv.padding[i] - self.conv.kernel_size[i] + 1 for i in (0, 1))
        if any(side % self.f for side in sides):
            return self.conv(x)
        return F.pixel_shuffle(self.phased(x), self.f)


class Winograd(nn.Module):
    """A 3 x 3 convolution (padding 1) after Winograd: tiles of 4 x 4 outputs at a quarter of the multiplications.

    Input tiles (6 x 6) and kernel are transformed so that the convolution becomes one product per tile position, a
    batched matrix product over the channels (Lavin and Gray 2015, arXiv 1509.09308; the matrices are theirs). For
    float32 only: the transforms amplify rounding about threefold.
    """

    SIDE, STEP = 6, 4
    INTO = (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    )
    KERNEL = (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    )
    OUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = conv.weight.detach().double()
        into, kernel, out = (
            torch.tensor(matrix, dtype=torch.float64, device=weight.device)
            for matrix in (self.INTO, self.KERNEL, self.OUT)
        )
        weight = torch.einsum("ia,jb,ocab->ijco", kernel, kernel, weight).flatten(0, 1)
        # A transform along rows and columns at once is the Kronecker product on the flattened tile.
        for name, tensor in (("into", torch.kron(into, into)), ("weight", weight), ("out", torch.kron(out, out))):
            self.register_buffer(name, tensor.to(conv.weight.dtype).contiguous())
        bias = conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
        self.register_buffer("bias", bias.detach().clone())

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (3, 3):
            return False
        return conv.stride == conv.dilation == conv.padding == (1, 1) and conv.groups == 1

    def forward(self, x: Tensor) -> Tensor:
        _, inputs, height, width = x.shape
        side, step, outputs = self.SIDE, self.STEP, self.weight.shape[-1]
        rows, columns = -(-height // step), -(-width // step)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, columns * step - width + 1, 1, rows * step - height + 1))
        y = x.new_empty(len(x), rows, step, columns, step, outputs)
        for picture, result in zip(padded, y, strict=True):  # one at a time: more would leave the cache
            down, right, channel = picture.stride()
            tiles = picture.as_strided(
                (side, side, rows, columns, inputs),
                (down, right, step * down, step * right, channel),
                picture.storage_offset(),
            )
            tiles = (self.into @ tiles.reshape(side * side, -1)).view(side * side, -1, inputs)
            tiles = self.out @ torch.bmm(tiles, self.weight).view(side * side, -1)
            tiles = tiles.view(step, step, rows, columns, outputs)
            torch.add(tiles.permute(2, 0, 3, 1, 4), self.bias, out=result)
        return y.view(len(x), rows * step, columns * step, outputs)[:, :height, :width].permute(0, 3, 1, 2)
