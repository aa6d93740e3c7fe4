"""The published augmentation: two frames of a clip changed alike, in the order flip, rotation, resize, crop, jitter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageEnhance

from .recipe import Clips

Frames = Sequence[np.ndarray]  # uint8 H x W x 3, all of one size


def augmented(frames: Frames, clips: Clips, random: np.random.Generator) -> list[np.ndarray]:
    """Frames of side x side as the settings have them changed, of side x side again."""
    side, out = frames[0].shape[0], list(frames)
    if clips.flip_time and random.random() < 0.5:
        out = out[::-1]
    elif clips.flip and random.random() < 0.5:  # a mirror only where time was not turned, as published
        out = [frame[:, ::-1] for frame in out]
    if clips.rotation:
        angle = random.uniform(-clips.rotation, clips.rotation)
        out = [np.asarray(Image.fromarray(frame).rotate(angle, Image.Resampling.BILINEAR)) for frame in out]
    if clips.resize:
        factor = random.uniform(min(clips.resize), max(clips.resize))
        out = windows([resized(frame, factor) for frame in out], side, random)
    strengths = {name: getattr(clips, name) for name in JITTER if getattr(clips, name)}
    if strengths:
        order = [str(name) for name in random.permutation(list(strengths))]
        factors = {name: random.uniform(*_range(name, strengths[name])) for name in strengths}
        out = [jittered(frame, order, factors) for frame in out]
    return out


def _range(name: str, strength: float) -> tuple[float, float]:
    return (-strength, strength) if name == "hue" else (max(0.0, 1 - strength), 1 + strength)


def resized(frame: np.ndarray, factor: float) -> np.ndarray:
    """A frame scaled by taking the nearest pixel; where much is lost (in no published setting), by averaging."""
    height, width = (max(1, int(side * factor)) for side in frame.shape[:2])
    how = Image.Resampling.NEAREST if factor > 2 / 3 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(frame).resize((width, height), how))


def windows(frames: Frames, side: int, random: np.random.Generator) -> list[np.ndarray]:
    """The same random window of side x side of each frame; a frame that is too small is continued by its edges."""
    lack = [max(0, side - length) for length in frames[0].shape[:2]]
    padding = [(less // 2, less - less // 2) for less in lack]
    if any(lack):
        frames = [np.pad(frame, (*padding, (0, 0)), mode="edge") for frame in frames]
    top, left = (int(random.integers(length - side + 1)) for length in frames[0].shape[:2])
    return [frame[top : top + side, left : left + side] for frame in frames]


def _hue(image: Image.Image, shift: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.array(int(255 * shift) % 256, np.uint8)  # wraps round
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


JITTER: Mapping[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": _hue,
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
}


def jittered(frame: np.ndarray, order: Sequence[str], factors: Mapping[str, float]) -> np.ndarray:
    """Colours changed one after the other. A factor of 1 changes nothing; hue: a share of the circle."""
    image = Image.fromarray(np.ascontiguousarray(frame))
    for name in order:
        image = JITTER[name](image, factors[name])
    return np.asarray(image)
