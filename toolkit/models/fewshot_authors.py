"""The networks of the few-shot heads in the authors' layout ("FSTH"): embedder, generator, discriminator.

No attention, norms inside the blocks, spectral norm on every layer. Names of arguments and keys are published. Spec:
fewshot, section 4.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import landmarks as drawing
from .fewshot_networks import Looked, Styles, pairs_of, pooled, refuse_other_layout
from .layers import map_moments, widths
from .spectral import Spectral, SpectralConv2d, SpectralLinear, fold_spectral

EPS = 1e-4  # of its norms, and of its power iteration

_conv = functools.partial(SpectralConv2d, eps=EPS)


class AdaptiveNorm(nn.Module):
    """Instance norm whose shift and scale come from outside. In fine-tune mode it owns them: bias and weight, 1 x C."""

    def __init__(self, channels: int, own: bool) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(1, channels)) if own else None
        self.bias = nn.Parameter(torch.zeros(1, channels)) if own else None

    def forward(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        mean, variance = map_moments(x)
        gain = scale / (variance + EPS).sqrt()
        return torch.addcmul((shift - mean * gain).to(x.dtype), x, gain.to(x.dtype))


class AuthorsBlock(nn.Module):
    """Residual block: [norm] -> ReLU -> [x 2] -> convolution -> [norm] -> ReLU -> convolution -> [pooling].

    resize: 0.5, 1 or 2. norm: "in", "adain" or None. Without a norm the caller gives x rectified: the published ReLU
    works in place, so the shortcut and whoever keeps the map see it that way.
    """

    def __init__(
        self, inputs: int, outputs: int, resize: float = 1, norm: str | None = None, own: bool = False
    ) -> None:
        super().__init__()
        kinds = {
            "in": functools.partial(nn.InstanceNorm2d, eps=EPS, affine=True),
            "adain": functools.partial(AdaptiveNorm, own=own),
        }
        kind = kinds.get(norm)
        # The numbers are places in a published sequence, where up-sampling, ReLUs and padding count too.
        first, second = (2, 5) if norm is None else (4, 8) if resize == 2 else (3, 7)
        self.block = nn.ModuleDict()
        if kind:
            self.block["0"] = kind(inputs)
        self.block[str(first)] = _conv(inputs, outputs, bias=norm is None)
        if kind:
            self.block[str(first + 1)] = kind(outputs)
        self.block[str(second)] = _conv(outputs, outputs, bias=norm is None)
        if inputs != outputs or resize != 1:
            self.skip = nn.ModuleDict({"1" if resize == 2 else "0": _conv(inputs, outputs, 1)})
        self.resize, self.norm, self.folded = resize, norm, False

    def forward(self, x: Tensor, styles: Styles | None = None) -> Tensor:
        layers = iter(self.block.values())
        y = x
        for i in range(2):
            if self.norm is not None:
                y = next(layers)(y, *(next(styles) if self.norm == "adain" else ()))
            if self.norm is not None or i == 1:
                y = F.relu(y)
            if self.resize == 2 and i == 0:
                y = F.interpolate(y, scale_factor=2, mode="nearest")
            y = next(layers)(y)
        if self.resize == 0.5:
            x, y = F.avg_pool2d(x, 2), y if self.folded else F.avg_pool2d(y, 2)
        if hasattr(self, "skip"):
            (conv,) = self.skip.values()
            x = conv(x)
        if self.resize == 2:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return y + x

    def fold(self) -> None:
        fold_spectral(self)
        if self.resize == 0.5:
            *_, last = self.block
            self.block[last], self.folded = pooled(self.block[last]), True


class Stem(nn.Module):
    """The first block of each network: B x inputs x H x W -> B x outputs x H/2 x W/2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down_block = nn.ModuleDict({"1": _conv(inputs, outputs), "4": _conv(outputs, outputs)})
        self.skip = nn.ModuleDict({"0": _conv(inputs, outputs, 1)})
        self.folded = False

    def stem(self, x: Tensor) -> Tensor:
        y = self.down_block["4"](F.relu(self.down_block["1"](x)))
        return (y if self.folded else F.avg_pool2d(y, 2)) + self.skip["0"](F.avg_pool2d(x, 2))

    def fold(self) -> None:
        fold_spectral(self)
        self.down_block["4"], self.folded = pooled(self.down_block["4"]), True


class AuthorsEmbedder(Stem):
    """Pictures and their landmark pictures, B x 3 x H x W each -> a vector a picture, B x E."""

    def __init__(
        self,
        in_channels: int = 3,
        num_channels: int = 64,
        max_num_channels: int = 512,
        embed_channels: int = 512,
        embed_num_blocks: int = 6,
    ) -> None:
        super().__init__(2 * in_channels, min(num_channels, max_num_channels))
        wide = [*widths(num_channels, max_num_channels, embed_num_blocks - 2), embed_channels]
        self.down_blocks = nn.ModuleList(AuthorsBlock(*pair, resize=0.5) for pair in zip(wide, wide[1:]))

    def forward(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        x = F.relu(self.stem(torch.cat([landmarks, pictures], dim=1)))
        for block in self.down_blocks:
            x = F.relu(block(x))
        return x.sum((2, 3))


class AuthorsGenerator(Stem):
    """As `Generator`: landmark pictures B x 3 x H x W in 0 … 1, sides multiples of 2 ** gen_num_downsample_blocks, and
    a person's vectors -> pictures (a tanh, trained towards 0 … 1).
    """

    transposed = False
    drawing = drawing.POLYLINES
    range = 1
    name = "authors"

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        num_channels: int = 64,
        max_num_channels: int = 512,
        embed_channels: int = 512,
        gen_num_downsample_blocks: int = 4,
        gen_num_residual_blocks: int = 4,
        finetuning: bool = False,
    ) -> None:
        super().__init__(in_channels, min(num_channels, max_num_channels))
        self.finetuning = finetuning
        wide = widths(num_channels, max_num_channels, gen_num_downsample_blocks - 1)
        pairs = list(zip(wide, wide[1:]))
        self.down_blocks = nn.ModuleList(AuthorsBlock(*pair, resize=0.5, norm="in") for pair in pairs)
        up = [wide[-1], *wide[::-1]]
        adaptive = functools.partial(AuthorsBlock, norm="adain", own=finetuning)
        blocks = [adaptive(wide[-1], wide[-1]) for _ in range(gen_num_residual_blocks)]
        blocks += [adaptive(*pair, resize=2) for pair in zip(up, up[1:])]
        self.decoder_blocks = nn.ModuleDict({str(i): block for i, block in enumerate(blocks)})
        self.decoder_blocks[str(len(blocks))] = AdaptiveNorm(wide[0], own=finetuning)
        self.decoder_blocks[str(len(blocks) + 3)] = _conv(wide[0], out_channels)
        self.channels = [norm.channels for norm in self.norms()]
        self.project = SpectralLinear(embed_channels, 2 * sum(self.channels), eps=EPS)

    def norms(self) -> list[AdaptiveNorm]:
        """The adaptive norms in the order of use."""
        return [part for part in self.modules() if isinstance(part, AdaptiveNorm)]

    def style(self, vectors: Tensor) -> Tensor:
        """A person's vectors B x E -> psi B x L, all that the generator knows of the person."""
        if self.finetuning:
            own = [tensor for norm in self.norms() for tensor in (norm.bias, norm.weight)]
            return torch.cat(own, dim=1).expand(len(vectors), -1)
        return self.project(vectors)

    def decode(self, landmarks: Tensor, psi: Tensor) -> Tensor:
        """Landmark pictures B x 3 x H x W and psi (B rows or one) -> pictures of that size in -1 … 1, float32."""
        pairs = pairs_of(psi, self.channels)
        x = self.stem(landmarks)
        for block in self.down_blocks:
            x = block(x)
        *blocks, norm, conv = self.decoder_blocks.values()
        for block in blocks:
            x = block(x, pairs)
        return conv(F.relu(norm(x, *next(pairs)))).float().tanh()

    def forward(self, landmarks: Tensor, vectors: Tensor) -> Tensor:
        return self.decode(landmarks, self.style(vectors))

    @torch.no_grad()
    def personalise(self, vectors: Tensor) -> None:
        """Go into fine-tune mode, starting from a person's vectors B x E (their mean): the norms get parameters."""
        pairs = pairs_of(self.style(vectors.mean(0, keepdim=True)), self.channels)
        for norm, (shift, scale) in zip(self.norms(), pairs, strict=True):
            norm.weight, norm.bias = nn.Parameter(scale.flatten(1).clone()), nn.Parameter(shift.flatten(1).clone())
        self.finetuning = True

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        refuse_other_layout(self.name, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class AuthorsDiscriminator(Stem):
    """As `Discriminator`. Its feature maps but the last are rectified, as published. A table holds the videos' vectors;
    in fine-tune mode it has one row.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_channels: int = 64,
        max_num_channels: int = 512,
        embed_channels: int = 512,
        dis_num_blocks: int = 7,
        image_size: int = 256,
        num_labels: int = 1,
    ) -> None:
        super().__init__(2 * in_channels, min(num_channels, max_num_channels))
        downs = min(int(math.log2(image_size)) - 2, dis_num_blocks)  # the stem is one
        wide = [*widths(num_channels, max_num_channels, dis_num_blocks - 2), embed_channels]
        self.blocks = nn.ModuleList(
            AuthorsBlock(*pair, resize=0.5 if i < downs else 1) for i, pair in enumerate(zip(wide, wide[1:]), start=1)
        )
        self.linear = SpectralLinear(embed_channels, 1, eps=EPS)
        self.embed = Spectral(num_labels, embed_channels, bias=False, eps=EPS)
        nn.init.uniform_(self.embed.weight_orig, -0.1, 0.1)

    def vectors(self, videos: Tensor) -> Tensor:
        """The vectors of videos, whole numbers B -> B x E."""
        return self.embed.weight()[videos]

    def look(self, pictures: Tensor, landmarks: Tensor) -> Looked:
        """What is scored, B x E, and the maps."""
        x = self.stem(torch.stack([landmarks, pictures], dim=2).flatten(1, 2))  # R of both, G of both, B of both
        maps = []
        for block in self.blocks:
            maps.append(F.relu(x))
            x = block(maps[-1])
        return F.relu(x).sum((2, 3)), [*maps, x]

    def score(self, seen: Tensor, vectors: Tensor | None = None) -> Tensor:
        """Scores B x 1 for the videos of these vectors, B x E; None is fine-tune mode, for the table's first row."""
        wanted = self.embed.weight()[:1] if vectors is None else vectors
        return (seen * wanted).sum(1, keepdim=True) + self.linear(seen)

    def forward(self, pictures: Tensor, landmarks: Tensor, vectors: Tensor | None = None) -> Looked:
        """Scores B x 1, and the maps."""
        seen, maps = self.look(pictures, landmarks)
        return self.score(seen, vectors), maps

    @torch.no_grad()
    def personalise(self, vectors: Tensor) -> None:
        """Start fine-tune mode from a person's vectors B x E (their mean): the table becomes one row."""
        self.embed = Spectral(1, vectors.shape[1], bias=False, eps=EPS).to(vectors)
        self.embed.weight_orig.copy_(vectors.mean(0, keepdim=True))
