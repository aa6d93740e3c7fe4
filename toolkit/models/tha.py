"""THA: Talking Head Anime from a Single Image, version 1 (Pramook Khungurn, 2019,
pkhungurn.github.io/talking-head-anime).

A drawn character on a transparent ground and a pose of six numbers give the character in that pose. The face morpher
closes eyes and mouth (after GANimation, Pumarola et al. 2018); the rotator turns the head in two ways at once, by
painting anew and by appearance flow (Zhou et al. 2016); the combiner blends the two and retouches. No driving picture
enters a network: a clip becomes poses by way of its landmarks, as in the author's webcam tool.

Kept for parity with the published weights: colours are linear light in -1..1 with straight alpha, masks have four
channels and 1 keeps the picture, no convolution has a bias, a residual block ends without activation, samples are taken
with align_corners=True and border padding. All keys and names of arguments are published.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..headpose import euler, head_pose
from ..translations import translate
from .base import Animator, Config, Info, Motion, Source
from .config import checked, count, parts_of
from .layers import instance_norm
from .motion import coordinate_grid, warp

# The pose. Head: -1 … 1 is -15 … 15 degrees; +1 looks up, turns the face and tilts the crown to the viewer's left.
# Eyes are the character's own; 1 is closed. Mouth: 1 is open. The networks only close: the picture itself is REST.
NAMES = ("head_x", "head_y", "neck_z", "left_eye", "right_eye", "mouth")
LOW = torch.tensor([-1.0, -1, -1, 0, 0, 0])
HIGH = torch.ones(6)
REST = torch.tensor([0.0, 0, 0, 0, 0, 1])
HEAD, FACE = slice(0, 3), slice(3, 6)  # what the rotator and the combiner get, and what the morpher gets

# ---------------------------------------------------------------- blocks


def conv7(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 7, padding=3, bias=False)


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """7 x 7 convolution -> norm -> ReLU: the size stays."""
    return nn.Sequential(conv7(inputs, outputs), instance_norm(outputs), nn.ReLU(inplace=True))


def down_block(inputs: int) -> nn.Sequential:
    """4 x 4 convolution -> norm -> ReLU: half the size, twice the channels."""
    conv = nn.Conv2d(inputs, 2 * inputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, instance_norm(2 * inputs), nn.ReLU(inplace=True))


def up_block(inputs: int, outputs: int) -> nn.Sequential:
    """4 x 4 transposed convolution -> norm -> ReLU: twice the size."""
    conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, instance_norm(outputs), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """x + norm2(conv2(ReLU(norm1(conv1(x))))), and no activation after the sum."""

    tiled = True  # its convolutions gain by being computed in tiles (`fast.Winograd`)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = instance_norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = instance_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))


class EncoderDecoder(nn.Module):
    """One flat list: down to the bottleneck, through it, up again. B x inputs x H x W -> B x channels x H x W."""

    def __init__(self, inputs: int, channels: int, levels: int, blocks: int) -> None:
        super().__init__()
        wide = [channels * 2**level for level in range(levels + 1)]
        self.module_list = nn.ModuleList(
            [
                conv_block(inputs, channels),
                *(down_block(wide[i]) for i in range(levels)),
                *(ResidualBlock(wide[-1]) for _ in range(blocks)),
                *(up_block(wide[i + 1], wide[i]) for i in reversed(range(levels))),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.module_list:
            x = block(x)
        return x


class UNet(nn.Module):
    """The same with skips; a skip goes behind what was up-sampled. upsampling_modules are numbered from the finest."""

    def __init__(self, inputs: int, channels: int, levels: int, blocks: int) -> None:
        super().__init__()
        wide = [channels * 2**level for level in range(levels + 1)]
        self.downward_modules = nn.ModuleList(
            [conv_block(inputs, channels), *(down_block(wide[i]) for i in range(levels))]
        )
        self.bottleneck_modules = nn.ModuleList(ResidualBlock(wide[-1]) for _ in range(blocks))
        ups = [up_block(wide[i] * (1 if i == levels else 2), wide[i - 1]) for i in range(1, levels + 1)]
        self.upsampling_modules = nn.ModuleList([conv_block(2 * channels, channels), *ups])

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.downward_modules:
            x = block(x)
            skips.append(x)
        for block in self.bottleneck_modules:
            x = block(x)
        coarsest, *finer = reversed(self.upsampling_modules)
        x = coarsest(x)
        for block, skip in zip(finer, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([x, skip], dim=1))
        return x


# ---------------------------------------------------------------- the three networks


class Network(nn.Module):
    """What the three have in common: a body that sees `pictures` pictures and three numbers of the pose.

    image_size and bottleneck_image_size say how often the size is halved; what runs is any size that allows it.
    """

    pictures = 1
    body: type[nn.Module] = EncoderDecoder

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 4,
        pose_size: int = 3,
        intermediate_channels: int = 64,
        bottleneck_image_size: int = 32,
        bottleneck_block_count: int = 6,
        initialization_method: Any = "he",
    ) -> None:
        super().__init__()
        inputs = self.pictures * image_channels + pose_size
        levels = round(math.log2(image_size / bottleneck_image_size))
        self.main_body = self.body(inputs, intermediate_channels, levels, bottleneck_block_count)

    def look(self, pose: Tensor, *pictures: Tensor) -> Tensor:
        """Pictures B x 4 x H x W and, behind them, the pose B x 3 as constant planes -> features B x C x H x W."""
        planes = pose[:, :, None, None].expand(-1, -1, *pictures[0].shape[2:])
        return self.main_body(torch.cat([*pictures, planes], dim=1).to(next(self.parameters()).dtype))


class FaceMorpher(Network):
    """Closes eyes and mouth: picture B x 4 x H x W, pose B x 3 (left, right eye, mouth) -> [output, mask, color]."""

    def __init__(self, **published: Any) -> None:
        super().__init__(**published)
        self.color_change, self.alpha_mask = heads(2, **published)
        initialise(self, **published)

    def forward(self, image: Tensor, pose: Tensor) -> list[Tensor]:
        color, alpha = apart(self.look(pose, image), self.color_change[0], self.alpha_mask[0])
        color, alpha = color.tanh(), alpha.sigmoid()
        return [blend(alpha, image, color), alpha, color]


class TwoAlgoFaceRotator(Network):
    """Turns the head: morphed picture B x 4 x H x W, pose B x 3 (head x, head y, neck z) -> [direct, sampled, color,
    alpha, offset, grid], the last two B x H x W x 2 in sampling coordinates.
    """

    def __init__(self, align_corners: bool = True, **published: Any) -> None:
        super().__init__(**published)
        self.pumarola_color_change, self.pumarola_alpha_mask = heads(2, **published)
        self.zhou_grid_change = conv7(published["intermediate_channels"], 2)
        self.align_corners = align_corners
        initialise(self, **published)

    def forward(self, image: Tensor, pose: Tensor) -> list[Tensor]:
        convs = self.pumarola_color_change[0], self.pumarola_alpha_mask[0], self.zhou_grid_change
        color, alpha, offset = apart(self.look(pose, image), *convs)
        color, alpha, offset = color.tanh(), alpha.sigmoid(), offset.permute(0, 2, 3, 1)
        grid = coordinate_grid(*image.shape[2:], image.device) + offset
        sampled = warp(image, grid, self.align_corners, padding="border")
        return [blend(alpha, image, color), sampled, color, alpha, offset, grid]


class Combiner(Network):
    """Blends the rotator's two pictures, B x 4 x H x W each, and retouches: pose B x 3 as the rotator's -> [final,
    combined, combining mask, retouching mask, retouching color].
    """

    pictures = 2
    body = UNet

    def __init__(self, **published: Any) -> None:
        super().__init__(**published)
        self.combine_alpha_mask, self.retouch_alpha_mask, self.retouch_color_change = heads(3, **published)
        initialise(self, **published)

    def forward(self, direct: Tensor, sampled: Tensor, pose: Tensor) -> list[Tensor]:
        convs = self.combine_alpha_mask[0], self.retouch_alpha_mask[0], self.retouch_color_change[0]
        mask, alpha, color = apart(self.look(pose, direct, sampled), *convs)
        mask, alpha, color = mask.sigmoid(), alpha.sigmoid(), color.tanh()
        combined = blend(mask, direct, sampled)
        return [blend(alpha, combined, color), combined, mask, alpha, color]


def heads(count: int, intermediate_channels: int, image_channels: int, **_: Any) -> list[nn.Sequential]:
    return [nn.Sequential(conv7(intermediate_channels, image_channels)) for _ in range(count)]


def apart(features: Tensor, *convs: nn.Conv2d) -> list[Tensor]:
    """The outputs of several 7 x 7 convolutions on one map (float32), computed as one: it is read once, and wide enough
    to be quick.
    """
    out = F.conv2d(features, torch.cat([conv.weight for conv in convs]), padding=3)
    return list(out.float().split([len(conv.weight) for conv in convs], dim=1))


def blend(mask: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """mask * one + (1 - mask) * other."""
    return torch.lerp(other, one.to(other.dtype), mask)


def initialise(network: nn.Module, initialization_method: str, **_: Any) -> None:
    """The published start values of the convolutions: "he", "xavier", or "none" for the framework's own."""
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            if initialization_method == "he":
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")  # fan in
            elif initialization_method == "xavier":
                nn.init.xavier_normal_(part.weight)


# ---------------------------------------------------------------- colour


def to_linear(pictures: Tensor) -> Tensor:
    """sRGB pictures B x 4 x H x W in 0..1 -> what the networks see: linear light, straight alpha, -1..1, float32."""
    color, alpha = pictures.float().split([3, 1], dim=1)
    color = color.clamp(0, 1)
    color = torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return torch.cat([color, alpha], dim=1) * 2 - 1


def to_srgb(pictures: Tensor) -> Tensor:
    """The inverse of `to_linear`, with the threshold of the author's code."""
    color, alpha = ((pictures.float() + 1) / 2).clamp(0, 1).split([3, 1], dim=1)
    bright = 1.055 * color.clamp(min=1e-4) ** (1 / 2.4) - 0.055  # clamped for the gradient at 0
    return torch.cat([torch.where(color <= 0.003130804953560372, 12.92 * color, bright), alpha], dim=1)


# ---------------------------------------------------------------- a clip's landmarks as poses


def openness(landmarks: Tensor) -> Tensor:
    """Landmarks T x 68 x 2 (iBUG order, a unit that is as long across as down) -> how open are the eye 36-41, the eye
    42-47 and the mouth: T x 3, 0..1.

    Height by width, with the limits of the author's webcam tool; the mouth is its inner lips.
    """

    def ratio(left: int, right: int, top: list[int], bottom: list[int]) -> Tensor:
        height = landmarks[:, top].mean(1) - landmarks[:, bottom].mean(1)
        return height.norm(dim=1) / (landmarks[:, left] - landmarks[:, right]).norm(dim=1)

    eyes = [ratio(36, 39, [37, 38], [41, 40]), ratio(42, 45, [43, 44], [47, 46])]
    eyes = [(eye.clamp(0.15, 0.25) - 0.15) / (0.25 - 0.15) for eye in eyes]
    mouth = ratio(60, 64, [61, 62, 63], [67, 66, 65]).clamp(0.02, 0.30)
    return torch.stack([*eyes, (mouth - 0.02) / (0.30 - 0.02)], dim=1)


def pose_of(angles: Tensor, opened: Tensor, mirror: bool = False) -> Tensor:
    """Head angles T x 3 (degrees, as `headpose.euler`) and `openness` T x 3 -> poses T x 6 in their range.

    mirror: as in the author's webcam tool the character is the person's mirror image (where she turns to her right, it
    turns to the viewer's right). Otherwise it does what is seen in the clip.
    """
    head = (angles * angles.new_tensor([-1, -1, 1]) / 15).clamp(-1, 1)
    left, right, mouth = (1 - opened[:, 0], 1 - opened[:, 1], opened[:, 2])
    if not mirror:
        head, left, right = head * head.new_tensor([1, -1, -1]), right, left
    return torch.cat([head, torch.stack([left, right, mouth], dim=1)], dim=1)


# ---------------------------------------------------------------- configurations

STARTS = ("he", "xavier", "none")
PARTS = {"face_morpher": FaceMorpher, "two_algo_face_rotator": TwoAlgoFaceRotator, "combiner": Combiner}
_V1 = {
    "image_size": 256,
    "image_channels": 4,
    "pose_size": 3,
    "intermediate_channels": 64,
    "bottleneck_image_size": 32,
    "bottleneck_block_count": 6,
    "initialization_method": "he",
}
PUBLISHED: dict[str, dict[str, Any]] = {"v1-256": dict.fromkeys(PARTS, _V1)}
DOMAIN = "anime characters that look straight at the viewer (rendered 3D models)"
LICENCE = "CC BY 4.0, Pramook Khungurn (commercial use allowed, credit needed). The code was MIT."
NORM = {"affine": True, "eps": 1e-5, "track_running_stats": False}


def sections(config: Config) -> dict[str, dict[str, Any]]:
    """A configuration -> the sections of PARTS, each complete and checked. It has a section for each part, in any
    layout (see `config`), or is one flat mapping of the published arguments, for all three.

    Raises ConfigError naming what is unknown, missing, of the wrong type or contradictory.
    """
    if isinstance(config, Mapping) and "image_size" in config:
        if config.get("instance_norm", NORM) != NORM:
            raise ConfigError(f"instance_norm is {config['instance_norm']}.", f"There is only {NORM}.")
        config = dict.fromkeys(PARTS, {key: value for key, value in config.items() if key != "instance_norm"})
    out = {}
    for name, part in parts_of(config, PARTS).items():
        # Not of the configuration: the same weights may be sampled either way.
        out[name] = checked(Network, {key: value for key, value in part.items() if key != "align_corners"}, name)
    if lacking := [name for name in PARTS if name not in out]:
        raise ConfigError(f"The configuration lacks {' and '.join(lacking)}.", "Give a section for each network.")
    for name, part in out.items():
        for key, only in (("image_channels", (4,)), ("pose_size", (3,)), ("initialization_method", STARTS)):
            if part[key] not in only:
                raise ConfigError(f"'{name}.{key}' is {part[key]!r}.", f"Give {' or '.join(map(str, only))}.")
        halvings = math.log2(part["image_size"] / part["bottleneck_image_size"])
        if halvings != int(halvings) or halvings < 1:
            raise ConfigError(
                f"'{name}.image_size' is {part['image_size']}, its bottleneck {part['bottleneck_image_size']}.",
                "Give a bottleneck_image_size that is a half, a quarter, an eighth, … of image_size.",
            )
    if len(sizes := {part["image_size"] for part in out.values()}) > 1:
        raise ConfigError(f"'image_size' differs between the parts: {sorted(sizes)}.", "Give the same number in each.")
    return out


def part_of(state: Any) -> str | None:
    """Which of PARTS a state dict belongs to (each was published in a file of its own), by a key that only it has."""
    marks = ("color_change.0.weight", "zhou_grid_change.weight", "combine_alpha_mask.0.weight")
    known = isinstance(state, Mapping)
    return next((name for name, mark in zip(PARTS, marks, strict=True) if known and mark in state), None)


def recognise(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]] | None:
    """The configuration of published state dicts, read off keys and shapes; None if they are not THA's three.

    What leaves no trace (image_size, initialization_method) is as published.
    """
    if any(part_of(parts.get(name, {})) != name for name in PARTS):
        return None
    found = {}
    for name in PARTS:
        state = parts[name]
        blocks = sum(key.endswith("conv1.weight") for key in state)
        if name == "combiner":
            first, levels = "main_body.downward_modules.", count(state, "main_body.upsampling_modules.") - 1
        else:
            first = "main_body.module_list."
            levels = (count(state, first) - 1 - blocks) // 2
        found[name] = {
            "intermediate_channels": len(state[f"{first}0.0.weight"]),
            "bottleneck_image_size": 256 // 2**levels,
            "bottleneck_block_count": blocks,
        }
    return sections(found)


# ---------------------------------------------------------------- the animator


class THA(Animator):
    """The animator. Submodules `face_morpher`, `two_algo_face_rotator` and `combiner`. Its Motion is "pose", T x 6 in
    the order NAMES, from LOW to HIGH; any tensor of that shape will do: Motion("tha", {"pose": …}).

    config: a published name (`PUBLISHED`) or a mapping (see `sections`). align_corners: how the flow samples; None is
    as the configuration says, else True, as the published weights were trained. name: what `info` is to call a mapping.
    Raises ConfigError.
    """

    family = "tha"
    published = PUBLISHED
    parts = tuple(PARTS)
    files = {part: f"{part}.pt" for part in PARTS}
    trained_align_corners = True
    linear = ("pose",)
    sections = staticmethod(sections)
    recognise = staticmethod(recognise)
    part_of = staticmethod(part_of)

    def __init__(self, config: str | Config, align_corners: bool | None = None, name: str | None = None) -> None:
        super().__init__()
        config, name = self.resolve(config, name)
        self.config = sections(config)
        if align_corners is None:
            align_corners = config.get("two_algo_face_rotator", config).get("align_corners", True)
        self.align_corners = bool(align_corners)
        self.face_morpher = FaceMorpher(**self.config["face_morpher"])
        self.two_algo_face_rotator = TwoAlgoFaceRotator(self.align_corners, **self.config["two_algo_face_rotator"])
        self.combiner = Combiner(**self.config["combiner"])
        size, published = self.config["combiner"]["image_size"], name in PUBLISHED
        self.info = Info(
            model=self.family,
            config=name,
            size=size,
            multiple=size,
            channels=4,
            modes=("absolute", "relative"),
            mode="absolute",
            needs=frozenset({"landmarks"}),
            crop="head",
            domain=DOMAIN if published else "",
            drawn=published,
            licence=LICENCE if published else "",
        )
        self._said = False

    # ------------------------------------------------------------------ the four steps

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Source:
        """Pictures B x 4 x size x size in 0..1, sRGB with straight alpha -> their linear colours; their own pose
        is REST.

        The character's head fills the middle half of the picture, eyes and mouth open, on a transparent ground. Colours
        under alpha 0, which nobody sees, are taken out. Raises InputError for another shape, or where the alpha shows
        no character.
        """
        size = self.info.size
        if pictures.dim() != 4 or pictures.shape[1] != 4:
            shape = " x ".join(map(str, pictures.shape))
            raise InputError(
                f"The pictures are {shape}; this model needs four channels, the last one alpha.",
                f"Give rows x 4 x {size} x {size}: RGBA, the character cut out on a transparent ground.",
            )
        if tuple(pictures.shape[2:]) != (size, size):
            raise InputError(
                f"A picture of {pictures.shape[3]} x {pictures.shape[2]} does not fit this model.",
                f"Crop it to a square whose middle half is the head, and resize it to {size} x {size}.",
            )
        alpha = pictures[:, 3:]
        flat = alpha.flatten(1).float()
        if not bool((flat.amax(1) > 0.5 / 255).all()):
            raise InputError("A picture is transparent everywhere.", "Save it again with the character visible.")
        if bool((flat.amin(1) > 254.5 / 255).any()):
            raise InputError(
                "A picture has no transparent pixel, so the model can't tell the character from the ground.",
                "Cut the character out (any background remover does), and save it as a PNG with transparency.",
            )
        self._said = False
        picture = to_linear(pictures * (alpha > 0))
        rest = Motion(self.family, {"pose": REST.to(picture.device).repeat(len(picture), 1)})
        return Source(self.family, rest, {"picture": picture}, (size, size))

    def motion(
        self, frames: Tensor, source: Source | None = None, landmarks: Tensor | None = None, mirror: bool = False
    ) -> Motion:
        """Landmarks T x 68 x 2 (iBUG order, -1 … 1 from edge to edge of the frames T x C x H x W) -> "pose", T x 6.

        Rows whose landmarks are NaN are REST and not `valid`. mirror: see `pose_of`; the author's webcam tool mirrors.
        Nothing is smoothed. Raises InputError without landmarks.
        """
        if landmarks is None:
            raise InputError(
                "Talking Head Anime reads a clip's pose off landmarks, and none were given.",
                "Give landmarks= (frames x 68 x 2, -1 … 1), or drive it by numbers: Motion('tha', {'pose': T x 6}).",
            )
        points = torch.as_tensor(landmarks).detach().to("cpu", torch.float64)
        if points.shape != (len(frames), 68, 2):
            shape = " x ".join(map(str, points.shape))
            raise InputError(f"The landmarks are {shape} for {len(frames)} frames.", "Give frames x 68 x 2.")
        height, width = frames.shape[2:]
        angles = euler(head_pose(points, height, width)[0])
        pose = pose_of(angles, openness(points * points.new_tensor([width, height])), mirror)
        valid = points.isfinite().all((1, 2)) & pose.isfinite().all(1)
        pose = torch.where(valid[:, None], pose, REST.double())
        return Motion(self.family, {"pose": pose.to(frames.device, torch.float32)}, valid.to(frames.device))

    def transfer(
        self,
        source: Source,
        motion: Motion,
        *,
        reference: Motion | None = None,
        mode: str = "auto",
        adapt_scale: bool = True,
        strength: float = 1.0,
    ) -> Motion:
        """Absolute: the driver's pose; strength k blends from the picture's own. Relative: the head turns from the
        picture's own pose by k times what the driver's has turned since the reference. Eyes and mouth are as far open
        as the driver's in both modes: they have no zero to choose. What leaves the range is clamped and said once.
        """
        relative = self.check_mode(mode, strength) == "relative"
        pose, start = self._checked(motion), source.motion["pose"]
        reference = motion[:1] if reference is None else reference
        self.check_rows(len(motion), source=source, reference=reference)
        if not relative and strength == 1:
            return motion.replace(pose=self._clamped(pose))
        zero = start.expand(len(pose), -1).clone()  # where the driver and the picture are taken to agree
        if relative:
            zero[:, HEAD] = self._checked(reference)[:, HEAD]
        return motion.replace(pose=self._clamped(start + strength * (pose - zero)))

    def render(self, source: Source, motion: Motion) -> Tensor:
        """Poses on the picture -> T x 4 x H x W in 0..1, sRGB with straight alpha, float32.

        While only the head turns, the morphed picture is computed once: the source remembers the last call's. Raises
        InputError for a pose that is no number; one beyond its range is clamped.
        """
        self.check_rows(len(motion), source=source)
        pose = self._clamped(self._checked(motion))
        if not len(pose):
            return source["picture"][:0]
        morphed = self._morphed(source, pose[:, FACE])
        direct, sampled, *_ = self.two_algo_face_rotator(morphed, pose[:, HEAD])
        return to_srgb(self.combiner(direct, sampled, pose[:, HEAD])[0])

    def distance(self, source: Source, motion: Motion) -> Tensor:
        """How far each row's head is turned from the picture's: T values, float64 on the CPU. Only the head
        counts, as in a relative transfer.
        """
        away = motion["pose"][:, HEAD] - source.motion["pose"][:, HEAD]
        return away.double().square().sum(1).cpu()

    # ------------------------------------------------------------------ what they need

    def _morphed(self, source: Source, face: Tensor) -> Tensor:
        """The picture with eyes and mouth as `face` T x 3 says, T x 4 x H x W. Equal rows are computed once, and what
        the last call computed for this source and these weights not again.
        """
        picture = source["picture"]
        if torch.is_grad_enabled():
            return self.face_morpher(picture.expand(len(face), -1, -1, -1), face)[0]
        rows = [index if len(picture) > 1 else 0 for index in range(len(face))]
        keys = [(row, *numbers) for row, numbers in zip(rows, face.tolist(), strict=True)]
        weights = self.face_morpher.parameters()
        stamp = [id(self), *(0 if weight.is_inference() else weight._version for weight in weights)]
        made_by, known = vars(source).get("morphed", (None, {}))
        known = {key: known[key] for key in keys if key in known} if made_by == stamp else {}
        new = {key: index for index, key in enumerate(keys) if key not in known}
        if new:
            index = list(new.values())
            made = self.face_morpher(picture[[rows[i] for i in index]], face[index])[0]
            known.update(zip(new, made, strict=True))
        vars(source)["morphed"] = stamp, known  # beside the dataclass's fields: neither moved nor saved with them
        return torch.stack([known[key] for key in keys])

    @staticmethod
    def _checked(motion: Motion) -> Tensor:
        """The poses of a motion, or InputError."""
        pose = motion.tensors.get("pose")
        if pose is None or pose.dim() != 2 or pose.shape[1] != 6:
            raise InputError("This motion holds no poses of six numbers.", f"Give 'pose', T x 6: {', '.join(NAMES)}.")
        if not bool(pose.isfinite().all()):
            row, number = (~pose.isfinite()).nonzero()[0].tolist()
            raise InputError(f"The pose of row {row} has no number for {NAMES[number]}.", "Give finite numbers.")
        return pose

    def _clamped(self, pose: Tensor) -> Tensor:
        """Poses in their range; the first time after `encode` that something is cut off, a warning says so."""
        low, high = LOW.to(pose), HIGH.to(pose)
        beyond = (pose < low - 1e-4) | (pose > high + 1e-4)
        if not self._said and bool(beyond.any()):
            row, number = beyond.nonzero()[0].tolist()
            value, name = float(pose[row, number]), NAMES[number]
            text = (
                f"A pose leaves the range that the model was trained for ({name} is {value:.2f}, the range "
                f"{int(low[number])} … {int(high[number])}) and is clamped to it. This is said once."
            )
            warnings.warn(translate(text), stacklevel=3)
            self._said = True
        return torch.minimum(torch.maximum(pose, low), high)
