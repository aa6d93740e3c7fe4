"""What the pipeline works with: a private copy of an animator, made for speed, that takes and gives uint8 pictures.

The copy is quickened (`models.fast`), laid out and rounded as the plan says, and guarded: half precision is compared
with full precision on the first frames, and when memory runs out the same frames are done again in smaller batches.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import device as devices
from .errors import ConfigError, ToolkitError
from .models.base import Animator, Motion, Source
from .models.fast import MapNorm, quicken
from .models.layers import Hourglass
from .translations import translate
from .tuning import NAMES, PRECISIONS, Plan, measured, starting, timed

CHECKED = 2  # frames on which half precision is compared with full precision
TOLERANCE = 2 / 255  # mean difference (of 0 … 1) beyond which half precision is given up


def prepare(
    animator: Animator, device: str | torch.device | None = None, precision: str = "auto", batch: int | None = None
) -> Runner:
    """Make an animator ready to run; the animator itself stays as it is, where it is.

    device: None takes the best there is. precision: "auto" (what is fastest here, guarded), "fp32" (the published
    numbers), "bf16" or "fp16". batch: frames at once; None measures. Raises ConfigError for a device or precision that
    does not exist.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise ConfigError(f"There is no precision '{precision}'.", f"Choose one of: auto, {', '.join(PRECISIONS)}.")
    if batch is not None and batch < 1:
        raise ConfigError(f"batch is {batch}.", "Give a number of frames, 1 or more.")
    plan = measured(animator, devices.pick(device), precision, lambda plan: seconds_a_frame(animator, plan))
    return Runner(animator, dataclasses.replace(plan, batch=batch) if batch else plan)


class Runner:
    """An animator at work. Pictures are uint8 … x H x W x C (C as `info.channels`; driving frames RGB); a Motion is
    float32 on the CPU.

    plan: how it runs; it changes when memory runs out or half precision fails. notes: what was changed, in sentences
    for people. parameters: the number of the model's weights.
    """

    def __init__(self, animator: Animator, plan: Plan, check: bool = True) -> None:
        self.info, self.linear, self.plan = animator.info, tuple(animator.linear), plan
        self.notes: list[str] = []
        self.parameters = sum(parameter.numel() for parameter in animator.parameters())
        if plan.device.type == "cpu":
            devices.keep_memory()
        self._original = animator
        self._net = private(animator, plan)
        self._unchecked = check and plan.dtype != torch.float32
        self._ready: tuple[Source, Source] | None = None

    def describe(self) -> str:
        """Device and plan in one line."""
        return f"{devices.describe(self.plan.device)}, {self.plan}"

    def check_mode(self, mode: str, strength: float = 1.0) -> str:
        """As `Animator.check_mode`: resolve "auto", or ConfigError."""
        return self._net.check_mode(mode, strength)

    # -- the four steps -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, picture: np.ndarray | Sequence[np.ndarray], landmarks: Tensor | None = None) -> Source:
        """A picture H x W x C -> what depends on it alone. In full precision: it is done once, and may be saved.

        An array B x H x W x C is B sources; a list of pictures is one source seen several times (`info.views`).
        landmarks: one row a picture, for a model that asks for them (`info.needs`).
        """
        if isinstance(picture, np.ndarray):
            pictures = self._tensor(picture if picture.ndim == 4 else picture[None])
        else:
            pictures = [self._tensor(view[None]) for view in picture]
        with _exact(self.plan):
            return self._net.encode(pictures, **self._landmarks(landmarks))

    @torch.no_grad()
    def motion(self, frames: np.ndarray, landmarks: Tensor | None = None) -> Motion:
        """Driving frames T x H x W x C (landmarks T x 68 x 2, where a model needs them) -> their motion, T rows."""

        def work(rows: slice) -> Motion:
            few = landmarks[rows] if landmarks is not None else None
            return self._net.motion(self._tensor(frames[rows]), **self._landmarks(few))

        with _exact(self.plan):
            return Motion.cat(self._batches(len(frames), work)).to("cpu", torch.float32)

    def _landmarks(self, landmarks: Tensor | None) -> dict[str, Tensor]:
        return {} if landmarks is None else {"landmarks": landmarks.to(self.plan.device)}

    @torch.no_grad()
    def transfer(self, source: Source, motion: Motion, *, reference: Motion | None = None, **options: Any) -> Motion:
        """As `Animator.transfer`."""
        place = self.plan.device
        reference = reference.to(place) if reference is not None else None
        moved = self._net.transfer(source.to(place), motion.to(place), reference=reference, **options)
        return moved.to("cpu", torch.float32)

    @torch.no_grad()
    def distance(self, source: Source, motion: Motion) -> Tensor:
        """As `Animator.distance`: T values on the CPU."""
        return self._net.distance(source.to(self.plan.device), motion.to(self.plan.device)).cpu()

    @torch.no_grad()
    def settle(self, motion: Motion) -> Motion:
        """As `Animator.settle`."""
        return self._net.settle(motion)

    @torch.inference_mode()
    def render(self, source: Source, motion: Motion) -> np.ndarray:
        """Motion (as `transfer` returns it) on the picture -> frames T x H x W x C, rounded half to even."""

        def work(rows: slice) -> np.ndarray:
            return _pixels(self._rendered(_rows(source, rows), motion[rows]))

        parts = list(self._batches(len(motion), work))
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    # -- what they need -----------------------------------------------------------------------------------------------

    def _tensor(self, pictures: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(np.array(pictures, order="C")).to(self.plan.device)
        return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=self._layout()) / 255

    def _layout(self) -> torch.memory_format:
        return torch.channels_last if self.plan.channels_last else torch.contiguous_format

    def _rendered(self, source: Source, motion: Motion) -> Tensor:
        motion = motion.to(self.plan.device)
        if self._unchecked:
            self._check(source, motion[:CHECKED])
        with _exact(self.plan):
            frames = self._net.render(self._cast(source), motion)
        if self.plan.dtype != torch.float32 and not bool(torch.isfinite(frames).all()):
            self._give_up("it left the range of numbers")
            return self._rendered(source, motion)
        return frames

    def _cast(self, source: Source) -> Source:
        """The source on the network's device and in its precision; the last one is kept, as it serves a whole clip."""
        if self._ready is None or self._ready[0] is not source:
            tensors = {name: self._placed(name, tensor) for name, tensor in source.tensors.items()}
            moved = source.motion.to(self.plan.device)
            self._ready = source, Source(source.model, moved, tensors, source.size)
        return self._ready[1]

    def _placed(self, name: str, tensor: Tensor) -> Tensor:
        if tensor.dim() != 4:
            return tensor.to(self.plan.device)
        # Some models blend the picture itself into the result: rounded, dark colours would lose levels.
        dtype = torch.float32 if name == "picture" else self.plan.dtype
        return tensor.to(self.plan.device, dtype, memory_format=self._layout())

    def _check(self, source: Source, motion: Motion) -> None:
        """Compare half with full precision on a few frames; where it fails, go on in full precision for good."""
        exact = Runner(self._original, self._full(), check=False)
        few = _rows(source, slice(0, len(motion)))
        right = exact._rendered(few, motion)
        seen = self._net.render(self._cast(few), motion).float()
        self._unchecked, self._ready = False, None
        difference = (seen - right).abs().mean().item()
        if not difference <= TOLERANCE:  # also where it is no number
            self._give_up(f"it differed by {difference * 255:.1f} of 255 on average", exact)
        elif seen.std() < 0.5 * right.std():
            self._give_up("its pictures were flat", exact)

    def _full(self) -> Plan:
        return dataclasses.replace(starting(self.plan.device, torch.float32), batch=self.plan.batch)

    def _give_up(self, why: str, exact: Runner | None = None) -> None:
        self._note(f"{NAMES[self.plan.dtype]} does not suit this model ({why}): it goes on in full precision.")
        self.plan, self._unchecked, self._ready = self._full(), False, None
        self._net = exact._net if exact else private(self._original, self.plan)

    def _batches(self, count: int, work: Callable[[slice], Any]) -> Iterator[Any]:
        """`work` on all rows, a batch at a time; when memory runs out the same rows again in halves."""
        start = 0
        while start < count:
            rows = slice(start, min(count, start + self.plan.batch))
            try:
                result = work(rows)
            except (RuntimeError, MemoryError) as error:
                if not devices.out_of_memory(error):
                    raise
                result = None  # leave the except block first: the traceback holds the tensors
            if result is None:
                self._halve(rows.stop - rows.start)
                continue
            yield result
            start = rows.stop

    def _halve(self, batch: int) -> None:
        if batch == 1:
            raise ToolkitError(
                "There is not enough memory for a single frame.",
                "Close other programs, choose a smaller model, or another device (device='cpu').",
            )
        note = "Memory ran out, so fewer frames are computed at once; the result is the same."
        if note not in self.notes:
            self._note(note)
        self.plan = dataclasses.replace(self.plan, batch=batch // 2)
        gc.collect()
        if self.plan.device.type in ("cuda", "mps"):
            getattr(torch, self.plan.device.type).empty_cache()

    def _note(self, text: str) -> None:
        self.notes.append(text)
        warnings.warn(translate(text), stacklevel=2)


def private(animator: Animator, plan: Plan) -> Animator:
    """A copy for inference as the plan says. What the animator calls `exact` stays in full precision, and so do norms:
    they cost no time, and their statistics would suffer.
    """
    net: nn.Module = copy.deepcopy(animator).eval().requires_grad_(False)
    net.to(plan.device, torch.float32)
    quicken(net, plan.winograd)
    if plan.channels_last:
        net.to(memory_format=torch.channels_last)
        for part in net.modules():
            if isinstance(part, Hourglass):
                part.register_forward_pre_hook(_channels_last)
    if plan.dtype != torch.float32:
        exact = tuple(name + "." for name in animator.exact)
        for name, part in net.named_modules():
            if not f"{name}.".startswith(exact) and not isinstance(part, (nn.modules.batchnorm._BatchNorm, MapNorm)):
                _round(part, plan.dtype)
    return net


def _channels_last(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Bring an hourglass's input into the layout once: through its skip connections it meets every layer."""
    return (inputs[0].contiguous(memory_format=torch.channels_last),)


def _round(part: nn.Module, dtype: torch.dtype) -> None:
    """Change the number format of a module's own tensors, not of its submodules'."""
    for store in (part._parameters, part._buffers):
        for name, tensor in store.items():
            if tensor is not None and tensor.is_floating_point():
                rounded = tensor.detach().to(dtype)
                store[name] = nn.Parameter(rounded, requires_grad=False) if store is part._parameters else rounded


def seconds_a_frame(animator: Animator, plan: Plan) -> float:
    """What reading and rendering one frame takes under a plan, on made-up pictures of the model's size."""
    runner = Runner(animator, plan, check=False)
    info, side = animator.info, animator.info.size
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (plan.batch, side, side, 4), dtype=np.uint8)
    points = torch.from_numpy(rng.uniform(-1, 1, (plan.batch, 68, 2))).float() if info.needs else None
    source = runner.encode(noise[:1, ..., : info.channels], points[:1] if info.needs else None)

    def work() -> None:
        # A new source each time: it may remember what the last call computed.
        runner.render(dataclasses.replace(source), runner.motion(noise[..., :3], points))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a batch that does not fit is no news here
        first = timed(work, plan.device)  # caches are filled, memory is fetched, kernels are chosen
        again = 1 if first > 0.5 else 3
        seconds = min(timed(work, plan.device) for _ in range(again))
    if runner.plan.batch != plan.batch:
        raise MemoryError("the batch does not fit")
    return seconds / plan.batch


def _rows(source: Source, rows: slice) -> Source:
    """The rows of a source that belong to rows of a motion; a source of one row serves all."""
    if len(source) == 1:
        return source
    tensors = {name: tensor[rows] for name, tensor in source.tensors.items()}
    return Source(source.model, source.motion[rows], tensors, source.size)


def _pixels(frames: Tensor) -> np.ndarray:
    """Frames T x C x H x W in 0 … 1 -> uint8 T x H x W x C on the CPU."""
    whole = (frames.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return whole.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _exact(plan: Plan) -> AbstractContextManager[Any]:
    """On CUDA, full precision means no TF32 in convolutions."""
    if plan.device.type != "cuda" or plan.dtype != torch.float32:
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
