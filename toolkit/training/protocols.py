"""The papers' evaluation on clips, in two protocols.

Reconstruction: each test clip is made again from its first frame, driven by all its frames (the first one too), with
absolute motion, and the background's where the model predicts it. Means are over all frames of all clips; L1 and SSIM
are of the frames as computed, AKD, MKR, AED and CSIM of them cut to 8 bit (not rounded), as the papers have it.

Animation (cross identity): the first frame of one clip is driven by another; which by which says a list, or the
published draw. The motion is the model's default, without adapted scale unless asked for, from the driver's first
frame on. There is no truth: told are how much of the person stays (AED, CSIM against the picture) and in how many
frames a face is lost (MKR).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import media, metrics
from ..errors import ConfigError, InputError, ToolkitError
from ..faces.finders import Finder
from ..media.files import SAVED
from ..models.base import Animator, Motion, Source
from ..paths import results_folder
from ..progress import Progress, Report
from ..translations import translate
from .held_out import DRAWN, Clip, clips_drawn, clips_in
from .judges import IDENTITY, Identity, Landmarks, inception
from .pairs import listed_pairs, random_pairs

PAIRS = 50  # animated, as published
PUPPETS = "puppets"  # in place of a folder: clips that are drawn
NAMES = {  # metric -> what the table calls it, and whether less is better
    "L1": ("L1, 0 … 1", True),
    "SSIM": ("SSIM", False),
    "AKD": ("AKD, pixels at 256", True),
    "MKR": ("MKR", True),
    "AED": ("AED", True),
    "CSIM": ("CSIM", False),
    "FID": ("FID", True),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What `measure` found.

    figures: {metric: {"model": …}}, and "not moving" beside it in reconstruction; None where no frame told. frames:
    that were compared. finder: who found the landmarks; floor: its own AKD on the true frames, None where the true
    landmarks are not known. identity: which network told persons apart. notes: sentences for people.
    """

    model: str
    data: str
    protocol: str
    clips: int
    frames: int
    size: int
    figures: dict[str, dict[str, float | None]]
    finder: str
    floor: float | None
    identity: str
    notes: list[str]
    sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "about": SAVED}

    def __str__(self) -> str:
        counted = f"{self.clips} {'clip' if self.clips == 1 else 'clips'}"
        columns = list(next(iter(self.figures.values())))
        lines = [
            translate(
                f"{self.model} on {self.data}, {self.protocol}: {counted}, {self.frames} frames of side {self.size}"
            ),
            "",
            _row(["", *columns]),
            _row(["---"] * (1 + len(columns))),
        ]
        for metric, values in self.figures.items():
            name, less = NAMES[metric]
            told = ["–" if value is None else f"{value:.4f}" for value in values.values()]
            lines.append(_row([f"{name} ({'less' if less else 'more'} is better)", *told]))
        lines.append("")
        if "AKD" in self.figures:
            error = "not known here (the clips come without true landmarks)"
            if self.floor is not None:
                error = f"{self.floor:.4f}: the floor of what AKD can tell"
            lines.append(translate(f"landmarks by {self.finder}; its own error on the true frames is {error}"))
        else:
            lines.append(translate(f"landmarks by {self.finder}"))
        lines += map(translate, [f"identity by {self.identity}", *self.notes])
        if self.sha256:
            lines.append(f"sha256 {self.sha256}")
        return "\n".join(lines)

    def save(self, path: str | Path | None = None) -> Path:
        """Write all of it as JSON. path: None takes a free name in results/. Raises OutputError for a file that
        the toolkit did not make.
        """
        if path is None:
            words = (Path(self.model).stem, Path(self.data).name or "clips", self.protocol)
            path = media.free_name(results_folder() / f"{'--'.join(words)}.json")
        path = media.check_output(path, endings=(".json",))
        path.write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")
        return path


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(translate, cells))} |"


# ---------------------------------------------------------------- measuring


def measure(
    model: str | Path | Animator,
    data: str | Path,
    protocol: str = "reconstruction",
    *,
    pairs: str | Path | None = None,
    clips: int | None = None,
    finder: str | Finder = "auto",
    fid: bool = False,
    adapt_scale: bool = False,
    frames: str | Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool | Report = False,
) -> Measured:
    """Measure a model on the test clips of a folder in a published layout, or on "puppets", drawn on the fly.

    protocol: "reconstruction" or "animation". pairs: a csv file with columns source and driving, names of test clips
    (none: drawn as published). clips: no more than so many clips, or pairs. finder: of the landmarks, see
    `judges.Landmarks`. fid: also the Fréchet distance; needs Inception's weights and many frames. adapt_scale: in
    animation. frames: a folder for the results, a folder of lossless frames for each: other programs' metrics (the
    papers' own networks) can read them.

    Raises InputError for data that cannot be used, ConfigError for a model that needs something else than RGB clips.
    """
    if protocol not in ("reconstruction", "animation"):
        raise ConfigError(f"There is no protocol '{protocol}'.", "Choose one of: reconstruction, animation.")
    if pairs is not None and protocol != "animation":
        raise ConfigError("Pairs are for the protocol animation.", "Leave them out, or give protocol='animation'.")
    if clips is not None and clips < 1:
        raise ConfigError(f"clips is {clips}.", "Give a number of clips, from 1 on.")
    found = clips_drawn(clips or DRAWN) if str(data) == PUPPETS else clips_in(data)
    jobs = _jobs(found, protocol, pairs, data)[:clips]
    animator, name, sha256 = opened(model, device)
    if animator.info.channels != 3:
        raise ConfigError(f"{name} takes pictures with transparency, and clips have none.", "Give a model of RGB.")
    if fid:
        _check_frames([job[-1] for job in jobs])
    work = _Work(animator, device, Landmarks(finder), inception(device) if fid else None, frames, adapt_scale)
    with Progress(progress) as bar:
        bar.start(protocol, len(jobs), " clips")
        for job in jobs:
            work.run(*job)
            bar.step()
    if not work.done:
        raise InputError(f"None of the {len(jobs)} clips of {data} can be used. {work.notes[-1]}")
    return work.result(model=name, data=str(data), protocol=protocol, sha256=sha256)


def opened(model: str | Path | Animator, device: str | torch.device) -> tuple[Animator, str, str]:
    """A model ready to be measured, its name, and its file's SHA-256 ("" for one that has no file)."""
    if isinstance(model, Animator):
        return model.to(device).eval(), model.info.model, ""
    from .. import zoo
    from ..zoo.checks import digest

    return zoo.load(model, device=device).eval(), str(model), digest(zoo.find(model))


def _jobs(found: Sequence[Clip], protocol: str, pairs: Any, data: Any) -> list[tuple[Clip, ...]]:
    """What is to be done: (clip,) to make again, or (source, driving)."""
    if protocol == "reconstruction":
        return [(clip,) for clip in found]
    if pairs is None:
        return [(found[source], found[driving]) for driving, source in random_pairs(len(found), PAIRS)]
    named = {clip.name: clip for clip in found}
    listed = listed_pairs(pairs, named, PAIRS)
    if not listed:
        raise InputError(
            f"No pair of {pairs} is of two clips of {data}.", f"Names are those of files: {found[0].name}, …"
        )
    return [(named[source], named[driving]) for source, driving in listed]


def _check_frames(clips: Sequence[Clip]) -> None:
    """InputError now rather than at the end for too few frames; where a clip doesn't tell how many, nothing."""
    counts = []
    for clip in clips:
        with contextlib.suppress(ToolkitError):  # one that cannot be read has none
            counts.append(clip.frames())
    if None not in counts:
        metrics.enough(sum(counts))


class _Work:
    """The sums of one evaluation."""

    def __init__(
        self,
        animator: Animator,
        device: str | torch.device,
        landmarks: Landmarks,
        features: Callable[[Tensor], Tensor] | None,
        folder: str | Path | None,
        adapt_scale: bool = False,
    ) -> None:
        self.animator, self.device, self.side = animator, device, animator.info.size
        self.landmarks, self.identity, self.features = landmarks, Identity(device), features
        self.folder, self.adapt_scale = folder and Path(folder), adapt_scale
        self.sums: dict[str, dict[str, metrics.Mean]] = {}
        self.floor, self.frechet = metrics.Mean(), metrics.Frechet()
        self.done = self.frames = self.faces = 0
        self.notes: list[str] = []
        self._told = False

    def run(self, source: Clip, driving: Clip | None = None) -> None:
        """One job; a clip that cannot be used is noted."""
        before = self.frames
        try:
            self._note_size(source if driving is None else driving)
            self.reconstruct(source) if driving is None else self.animate(source, driving)
            self.done += 1
        except (ToolkitError, OSError) as error:
            name = source.name if driving is None else f"{source.name} driven by {driving.name}"
            late = f" (after {self.frames - before} frames, which count)" if self.frames > before else ""
            self.notes.append(f"{name} was left out{late}: {error}")

    @torch.inference_mode()
    def reconstruct(self, clip: Clip) -> None:
        """A clip from its first frame: every frame is compared with itself."""
        source, begun = None, 0
        for pixels in clip.read(self.side):
            truth, true_points = self._tensor(pixels), self.landmarks(pixels)
            if source is None:
                source, still_points = self._encoded(truth[:1], true_points[:1]), true_points[:1]
                still, still_who = truth[:1], self.identity(truth[:1])
            motion = self._motion(truth, true_points, source)
            result = self.animator.render(source, self.animator.transfer(source, motion, mode="absolute"))
            shown = self._kept(result, clip.name, begun)
            found, who = self.landmarks(shown), self.identity(self._tensor(shown))
            true_who, rows = self.identity(truth), len(pixels)
            if clip.landmarks is not None:
                self.floor.add(metrics.akd(true_points, clip.landmarks[begun : begun + rows]))
            for column, picture, points, person in (
                ("model", result, found, who),
                ("not moving", still.expand_as(truth), still_points.expand(rows, -1, -1), still_who.expand(rows, -1)),
            ):
                self._add("L1", column, metrics.l1(picture, truth))
                self._add("SSIM", column, metrics.ssim(picture, truth))
                self._add("AKD", column, metrics.akd(points, true_points))
                self._add("MKR", column, metrics.missing(points, true_points))
                self._add("AED", column, metrics.squared_distance(person, true_who))
                self._add("CSIM", column, metrics.cosine(person, true_who))
            self._count(true_points, truth, shown)
            begun += rows

    @torch.inference_mode()
    def animate(self, source_clip: Clip, driving: Clip) -> None:
        """The first frame of one clip driven by another."""
        pixels = next(source_clip.read(self.side))[:1]
        picture = self._tensor(pixels)
        source, who = self._encoded(picture, self.landmarks(pixels)), self.identity(picture)
        reference, begun = None, 0
        for pixels in driving.read(self.side):
            frames, points = self._tensor(pixels), self.landmarks(pixels)
            motion = self._motion(frames, points)
            reference = motion[:1] if reference is None else reference
            moved = self.animator.transfer(source, motion, reference=reference, adapt_scale=self.adapt_scale)
            shown = self._kept(self.animator.render(source, moved), f"{driving.name}-{source_clip.name}", begun)
            found, person = self.landmarks(shown), self.identity(self._tensor(shown))
            self._add("MKR", "model", metrics.missing(found, points))
            self._add("AED", "model", metrics.squared_distance(person, who.expand_as(person)))
            self._add("CSIM", "model", metrics.cosine(person, who.expand_as(person)))
            self._count(points, frames, shown)
            begun += len(pixels)

    def _note_size(self, clip: Clip) -> None:
        info = clip.probe()
        if info is not None and info.size != (self.side, self.side) and not self._told:
            self._told = True
            self.notes.append(
                f"{clip.name} is {info.width} x {info.height} pixels; frames are cut and scaled to the model's "
                f"{self.side} x {self.side}."
            )

    # -- what both need -----------------------------------------------------------------------------------------------

    def _tensor(self, pixels: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(0, 3, 1, 2).float() / 255

    def _encoded(self, picture: Tensor, points: Tensor) -> Source:
        if "picture landmarks" not in self.animator.info.needs:
            return self.animator.encode(picture)
        if not points.isfinite().all():
            raise InputError("the model sees through landmarks, and its first frame shows no face.")
        return self.animator.encode(picture, landmarks=points.to(self.device))

    def _motion(self, frames: Tensor, points: Tensor, source: Source | None = None) -> Motion:
        if "landmarks" in self.animator.info.needs:
            return self.animator.motion(frames, source=source, landmarks=points.to(self.device))
        return self.animator.motion(frames, source=source)

    def _kept(self, result: Tensor, name: str, begun: int) -> np.ndarray:
        """Frames cut to 8 bit as the papers' are, uint8 T x H x W x 3; written where that was asked for."""
        shown = (result.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        if self.folder:
            for number, frame in enumerate(shown, begun):
                path = self.folder / name / f"{number:07d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                media.write_picture(path, frame)
        return shown

    def _add(self, metric: str, column: str, values: Tensor) -> None:
        self.sums.setdefault(metric, {}).setdefault(column, metrics.Mean()).add(values)

    def _count(self, points: Tensor, truth: Tensor, shown: np.ndarray) -> None:
        self.frames += len(truth)
        self.faces += int(points.isfinite().all(2).all(1).sum())
        if self.features is not None:
            self.frechet.add(self.features(truth), self.features(self._tensor(shown)))

    def _fid(self) -> float | None:
        try:
            return self.frechet.distance()
        except InputError as error:  # the clips were shorter than they said; the rest of the figures are good
            self.notes.append(f"{error}")
            return None

    def result(self, **facts: str) -> Measured:
        figures = {
            metric: {column: mean.value for column, mean in columns.items()} for metric, columns in self.sums.items()
        }
        if not self.faces:
            self.notes.insert(0, f"No face was found in any of {self.frames} true frames: {self.landmarks.tried}.")
            for metric in {"AKD", "MKR", "AED", "CSIM"} & {*figures}:
                figures[metric] = dict.fromkeys(figures[metric])
        elif self.faces < self.frames:
            self.notes.insert(0, f"{self.frames - self.faces} of {self.frames} true frames show no face.")
        if self.features is not None:
            figures["FID"] = {**dict.fromkeys(figures["MKR"]), "model": self._fid()}
        return Measured(
            clips=self.done,
            frames=self.frames,
            size=self.side,
            figures=figures,
            finder=self.landmarks.name,
            floor=self.floor.value,
            identity=IDENTITY,
            notes=self.notes,
            **facts,
        )
