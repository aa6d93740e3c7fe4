"""The networks of the few-shot heads in the layouts 2019 and 2020: embedder, generator, discriminator.

Where a 1 x 1 convolution meets pooling or up-sampling the smaller map is convolved: the same numbers, a quarter of the
work. Names of arguments and keys are published. Spec: fewshot, sections 1 to 3.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError
from ..translations import translate
from . import landmarks as drawing
from .layers import map_moments, widths
from .spectral import SpectralConv2d, fold_spectral

Looked = tuple[Tensor, list[Tensor]]  # a row a picture, and the feature maps
Styles = Iterator[tuple[Tensor, Tensor]]  # (shift, scale) of each adaptive norm in the order of use, B x C x 1 x 1 each


def pairs_of(psi: Tensor, channels: Sequence[int]) -> Styles:
    """psi B x L, shift and scale of each adaptive norm one after the other -> pairs, for norms of so many channels."""
    parts = psi[:, :, None, None].split([width for width in channels for _ in range(2)], dim=1)
    return zip(parts[::2], parts[1::2], strict=True)


MARKS = {"conv2d.weight": "2020", "resUp6.conv_l1.weight_orig": "2019", "project.weight_orig": "authors"}


def layout_of(keys: Mapping[str, Any]) -> str | None:
    """The layout that a generator's state dict is of; None if it is no few-shot generator's."""
    return next((layout for key, layout in MARKS.items() if key in keys), None)


def refuse_other_layout(own: str, state_dict: Mapping[str, Any], prefix: str) -> None:
    """CheckpointError where a generator of the layout `own` is given another layout's weights."""
    other = layout_of({key.removeprefix(prefix): None for key in state_dict if key.startswith(prefix)})
    if other not in (None, own):
        raise CheckpointError(
            f"These weights are of the layout {other}, but the model is of the layout {own}.",
            f"Build it with a configuration of the layout '{other}'.",
        )


@dataclasses.dataclass(frozen=True)
class Layout:
    """In what the two layouts of the re-implementation differ.

    slope: of the activation below 0. downs: of the generator. norm_first: its residual blocks normalise before each
    convolution, not after it. resize: how it is up-sampled. head: a norm, a convolution and the sigmoid end it, and the
    discriminator activates its vector. range: what white is in its pictures.
    """

    slope: float
    downs: int
    norm_first: bool
    resize: str
    head: bool
    range: float

    def act(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


LAYOUTS = {
    "2019": Layout(slope=0.0, downs=6, norm_first=False, resize="nearest", head=False, range=255),
    "2020": Layout(slope=0.01, downs=4, norm_first=True, resize="bilinear", head=True, range=1),
}


def adain(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Each map of x brought to mean `shift` and standard deviation `scale` (statistics in float32)."""
    mean, variance = map_moments(x)
    size = x.shape[2:].numel()
    gain = scale / ((variance * (size / (size - 1))).sqrt() + 1e-5)
    return torch.addcmul((shift - mean * gain).to(x.dtype), x, gain.to(x.dtype))


def bordered(x: Tensor, in_height: int) -> Tensor:
    """Zeros round pictures of less than 256, to bring them there."""
    return F.pad(x, [max(0, (256 - in_height) // 2)] * 4)


def pooled(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution and the 2 x 2 average pooling after it as one convolution of stride 2, for inference.

    Its kernel is one larger: the mean of the four shifted ones that the pooling adds up. 4/9 of the multiplications for
    3 x 3, 0.31 for 9 x 9.
    """
    side = conv.kernel_size[0] + 1
    both = nn.Conv2d(conv.in_channels, conv.out_channels, side, stride=2, padding=conv.padding, device="meta")
    corners = [F.pad(conv.weight.detach(), (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)]
    both.weight = nn.Parameter(sum(corners) / 4, requires_grad=False)
    both.bias = conv.bias
    return both


class Down(nn.Module):
    """Residual block at half the size: B x inputs x H x W -> B x outputs x H//2 x W//2. No norm."""

    def __init__(self, layout: Layout, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv_l1 = SpectralConv2d(inputs, outputs, 1)
        self.conv_r1 = SpectralConv2d(inputs, outputs, kernel)
        self.conv_r2 = SpectralConv2d(outputs, outputs, kernel)
        self.act, self.folded = layout.act, False

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_r2(self.act(self.conv_r1(self.act(x))))
        return self.conv_l1(F.avg_pool2d(x, 2)) + (y if self.folded else F.avg_pool2d(y, 2))

    def fold(self) -> None:
        fold_spectral(self)
        self.conv_r2, self.folded = pooled(self.conv_r2), True


class Up(nn.Module):
    """Residual block with adaptive norms, up-sampled: B x inputs x h x w -> B x outputs x side x side."""

    def __init__(self, layout: Layout, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv_l1 = SpectralConv2d(inputs, outputs, 1)
        self.conv_r1 = SpectralConv2d(inputs, outputs, kernel)
        self.conv_r2 = SpectralConv2d(outputs, outputs, kernel)
        self.act, self.mode = layout.act, layout.resize

    def forward(self, x: Tensor, styles: Styles, side: int) -> Tensor:
        resize = functools.partial(F.interpolate, size=(side, side), mode=self.mode)
        y = self.conv_r1(resize(self.act(adain(x, *next(styles)))))
        y = self.conv_r2(self.act(adain(y, *next(styles))))
        return y + resize(self.conv_l1(x))


class Residual(nn.Module):
    """Residual block of the same size; adaptive norms in the generator, none in the discriminator (styles is None)."""

    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.conv1 = SpectralConv2d(channels, channels)
        self.conv2 = SpectralConv2d(channels, channels)
        self.act, self.norm_first = layout.act, layout.norm_first

    def forward(self, x: Tensor, styles: Styles | None = None) -> Tensor:
        if styles is None:
            return x + self.conv2(self.act(self.conv1(x)))
        if self.norm_first:
            y = self.conv1(self.act(adain(x, *next(styles))))
            return x + self.conv2(self.act(adain(y, *next(styles))))
        y = self.act(adain(self.conv1(x), *next(styles)))
        return x + adain(self.conv2(y), *next(styles))


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query · key) value over the rows: B x M x c, B x N x c and B x N x C -> B x M x C."""
    if not query.is_cpu:
        return F.scaled_dot_product_attention(query, key, value, scale=1.0)
    # torch's kernels for CPUs want values as narrow as keys. A few rows at a time stay in the cache; the exponents in
    # at least float32.
    wide = torch.promote_types(key.dtype, torch.float32)
    key = key.mT.to(wide)
    rows = [(part.to(wide) @ key).softmax(dim=2).to(value.dtype) @ value for part in query.split(512, dim=1)]
    return torch.cat(rows, dim=1)


class Attention(nn.Module):
    """Each position looks at all others: x + gamma * sum over i of h_i softmax_i(f_i . g_j), not scaled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.conv_f = SpectralConv2d(channels, max(1, channels // 8), 1)
        self.conv_g = SpectralConv2d(channels, max(1, channels // 8), 1)
        self.conv_h = SpectralConv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        key, query, value = (conv(x).flatten(2).mT for conv in (self.conv_f, self.conv_g, self.conv_h))  # B x N x c
        seen = attended(query, key, value)
        return x + self.gamma * seen.mT.unflatten(2, x.shape[2:])


class Trunk(nn.Module):
    """What embedder and discriminator share: six Downs with attention after the third."""

    fold = fold_spectral

    def __init__(self, layout: str, num_channels: int, max_num_channels: int, embedding_size: int) -> None:
        super().__init__()
        self.layout = LAYOUTS[layout]
        wide = [6, *widths(num_channels, max_num_channels, 4), embedding_size]
        for i in range(6):
            self.add_module(f"resDown{i + 1}", Down(self.layout, wide[i], wide[i + 1]))
            if i == 2:
                self.self_att = Attention(wide[3])

    def maps(self, x: Tensor) -> list[Tensor]:
        """B x 6 x H x W -> the outputs of the six blocks (the third's is the one before the attention)."""
        out = []
        for i in range(6):
            x = getattr(self, f"resDown{i + 1}")(x)
            out.append(x)
            if i == 2:
                x = self.self_att(x)
        return out


class Embedder(Trunk):
    """Pictures and their landmark pictures, B x 3 x in_height x in_height each -> a vector a picture, B x E."""

    def __init__(
        self,
        layout: str = "2020",
        in_height: int = 224,
        num_channels: int = 64,
        max_num_channels: int = 512,
        embedding_size: int = 512,
    ) -> None:
        super().__init__(layout, num_channels, max_num_channels, embedding_size)
        self.in_height = in_height

    def forward(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        x = bordered(torch.cat([pictures, landmarks], dim=1), self.in_height)
        return self.layout.act(self.maps(x)[-1].amax((2, 3)))


class Generator(nn.Module):
    """Landmark pictures and a person's vector -> pictures. `style` sees the person alone, `decode` the landmarks;
    `forward` is the published whole.

    In fine-tune mode the style is the parameter `psi`, else it is p times the vector and `psi` is not read.
    """

    transposed = True
    drawing = drawing.PLOTTED
    fold = fold_spectral

    def __init__(
        self,
        layout: str = "2020",
        in_height: int = 224,
        num_channels: int = 64,
        max_num_channels: int = 512,
        embedding_size: int = 512,
        finetuning: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.layout = layout, LAYOUTS[layout]
        self.in_height, self.finetuning, self.range = in_height, finetuning, self.layout.range
        wide = widths(num_channels, max_num_channels, self.layout.downs - 1)
        last = max(1, num_channels // 2) if self.layout.head else 3
        up = [wide[-1], *wide[-2::-1], last]
        pairs = list(zip(up[:-1], up[1:]))
        self.channels = [wide[-1]] * 10 + [width for pair in pairs for width in pair] + [last] * self.layout.head
        self.p = nn.Parameter(0.02 * torch.randn(2 * sum(self.channels), embedding_size))
        self.psi = nn.Parameter(torch.rand(2 * sum(self.channels), 1))
        for i, (inputs, outputs) in enumerate(zip([3, *wide[:-1]], wide), start=1):
            self.add_module(f"resDown{i}", Down(self.layout, inputs, outputs, kernel=9 if i == 1 else 3))
            self.add_module(f"in{i}", nn.InstanceNorm2d(outputs, affine=True))
            if i == 3:
                self.self_att_Down = Attention(outputs)
        for i in range(1, 6):
            self.add_module(f"res{i}", Residual(self.layout, wide[-1]))
        self.ups = len(pairs)
        for i, (inputs, outputs) in enumerate(pairs, start=1):
            kernel = 9 if i == self.ups and not self.layout.head else 3
            self.add_module(f"resUp{i}", Up(self.layout, inputs, outputs, kernel))
            if i == self.ups - 2:
                self.self_att_Up = Attention(outputs)
        self.conv2d = nn.Conv2d(last, 3, 3, padding=1) if self.layout.head else None

    def style(self, vectors: Tensor) -> Tensor:
        """A person's vectors B x E -> psi B x L, all that the generator knows of the person."""
        if self.finetuning:
            return self.psi.mT.expand(len(vectors), -1)
        return vectors.flatten(1) @ self.p.mT.to(vectors.dtype)

    def decode(self, landmarks: Tensor, psi: Tensor) -> Tensor:
        """Landmark pictures B x 3 x in_height x in_height and psi (B rows or one) -> pictures of that size in
        0 … `range`, float32.
        """
        pairs = pairs_of(psi, self.channels)
        x = bordered(landmarks, self.in_height)
        for i in range(1, self.layout.downs + 1):
            x = getattr(self, f"in{i}")(getattr(self, f"resDown{i}")(x))
            if i == 3:
                x = self.self_att_Down(x)
        for i in range(1, 6):
            x = getattr(self, f"res{i}")(x, pairs)
        for i in range(1, self.ups + 1):
            x = getattr(self, f"resUp{i}")(x, pairs, self.in_height if i == self.ups else 2 * x.shape[-1])
            if i == self.ups - 2:
                x = self.self_att_Up(x)
        if self.conv2d is not None:
            x = self.conv2d(self.layout.act(adain(x, *next(pairs))))
        return self.range * x.float().sigmoid()

    def forward(self, landmarks: Tensor, vectors: Tensor) -> Tensor:
        return self.decode(landmarks, self.style(vectors))

    @torch.no_grad()
    def personalise(self, vectors: Tensor) -> None:
        """Go into fine-tune mode, starting from a person's vectors B x E (their mean)."""
        self.psi.copy_(self.p @ vectors.flatten(1).mean(0)[:, None])
        self.finetuning = True

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        refuse_other_layout(self.name, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class Discriminator(Trunk):
    """Pictures and their landmark pictures -> how real they look as frames of one video, and seven feature maps.

    columns: how many videos' vectors W_i holds (the published 2020 training keeps them in files and W_i has a batch's);
    a state dict may hold any number.
    """

    def __init__(
        self,
        layout: str = "2020",
        num_channels: int = 64,
        max_num_channels: int = 512,
        embedding_size: int = 512,
        columns: int = 32,
    ) -> None:
        super().__init__(layout, num_channels, max_num_channels, embedding_size)
        self.W_i = nn.Parameter(torch.rand(embedding_size, columns))
        self.w_0 = nn.Parameter(torch.randn(embedding_size, 1))
        self.b = nn.Parameter(torch.randn(1))
        self.w_prime = nn.Parameter(torch.randn(embedding_size, 1))
        self.res = Residual(self.layout, embedding_size)

    def vectors(self, videos: Tensor) -> Tensor:
        """The vectors of videos, whole numbers B -> B x E, as training uses them (2020 loads them through the
        activation).
        """
        found = self.W_i[:, videos].mT
        return self.layout.act(found) if self.layout.head else found

    def look(self, pictures: Tensor, landmarks: Tensor) -> Looked:
        """What is scored, B x E, and the maps."""
        maps = self.maps(F.pad(torch.cat([pictures, landmarks], dim=1), [16] * 4))
        maps.append(self.res(maps[-1]))
        seen = maps[-1].mean((2, 3))
        return self.layout.act(seen) if self.layout.head else seen, maps

    def score(self, seen: Tensor, vectors: Tensor | None = None) -> Tensor:
        """Scores B x 1 for the videos of these vectors, B x E; None is fine-tune mode, for one person: `w_prime`."""
        wanted = self.w_prime.mT if vectors is None else vectors + self.w_0.mT
        return (seen * wanted).sum(1, keepdim=True) + self.b

    def forward(self, pictures: Tensor, landmarks: Tensor, vectors: Tensor | None = None) -> Looked:
        """Scores B x 1, and the maps."""
        seen, maps = self.look(pictures, landmarks)
        return self.score(seen, vectors), maps

    @torch.no_grad()
    def personalise(self, vectors: Tensor) -> None:
        """Start fine-tune mode from a person's vectors B x E (their mean)."""
        self.w_prime.copy_(self.w_0 + vectors.flatten(1).mean(0)[:, None])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        kept = state_dict.get(prefix + "W_i")
        if kept is not None and kept.shape != self.W_i.shape and len(kept) == len(self.W_i):
            self.W_i = nn.Parameter(self.W_i.new_empty(kept.shape))
        old = [key for key in state_dict if key.startswith((f"{prefix}res.in1.", f"{prefix}res.in2."))]
        if old:
            text = (
                "This discriminator was saved before December 2019, with two norms that it has no longer: they are "
                "left out, and its scores differ from those it was trained for."
            )
            warnings.warn(translate(text), stacklevel=2)
        for key in old:
            del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
