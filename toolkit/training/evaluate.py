"""How good a model is on drawn heads it has never seen: the picture that is wanted is known exactly.

Each held-out character A has a picture in pose p; the driver is A itself (same identity, absolute motion) or another
character B that starts in the same pose (cross identity: relative motion, and AVD where the model has it). Wanted is
the true drawing of A in the driver's pose q. Beside the model stand "not moving" (the picture as it is) and "nearest
pose": the true drawing of A in the nearest of 64 stored poses, which is what a sprite sheet of 64 frames could do.
Openness: lids or lips are swept through 21 true drawings of A in pose q; the value of the drawing nearest to the result
in that box is what is seen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import metrics, puppets
from ..errors import ConfigError
from ..media.files import SAVED, check_output
from ..models.base import Animator
from ..translations import translate
from . import regions
from .data import HELD_OUT, draw

if TYPE_CHECKING:
    from .protocols import Measured

STORED, STEPS = 64, 21
REGIONS = ("whole", "background", "head", "eyes", "mouth")
KINDS = {"same": "same identity", "cross": "cross identity", "avd": "cross identity (AVD)"}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The figures: l1[kind][region] = {"model", "still", "nearest"} in 0..1; openness[kind] = {"eyes", "mouth"}
    (correlation). kind: of KINDS, "avd" only where the model has that mode.
    """

    model: str
    characters: int
    l1: dict[str, dict[str, dict[str, float]]]
    openness: dict[str, dict[str, float]]
    sha256: str = ""

    def ratio(self, kind: str, region: str = "whole") -> float:
        """The model's L1 as a share of "not moving"."""
        row = self.l1[kind][region]
        return row["model"] / row["still"]

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "about": SAVED}

    def save(self, path: str | Path) -> Path:
        """Write the figures as JSON. Raises OutputError for a file that the toolkit did not make."""
        path = check_output(path, endings=(".json",))
        path.write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")
        return path

    def __str__(self) -> str:
        head = ("", "model", "not moving", "nearest pose", "model / not moving", "nearest / not moving")
        lines = [
            translate(f"{self.model}: {self.characters} held-out drawn characters, L1 in 0…1"),
            "",
            _row(head),
            _row(["---"] * len(head)),
        ]
        for kind, rows in self.l1.items():
            for region, row in rows.items():
                figures = [f"{row[name]:.4f}" for name in ("model", "still", "nearest")]
                shares = [f"{row[name] / row['still']:.2f}" for name in ("model", "nearest")]
                lines.append(_row([f"{translate(KINDS[kind])}, {translate(region)}", *figures, *shares]))
        lines.append("")
        for kind, seen in self.openness.items():
            words, told = KINDS[kind], f"correlation mouth {seen['mouth']:.2f}, eyes {seen['eyes']:.2f}"
            lines.append(translate(f"openness seen against wanted, {words}: {told}"))
        if self.sha256:
            lines.append(f"sha256 {self.sha256}")
        return "\n".join(lines)


def _row(cells: Any) -> str:
    return "| " + " | ".join(translate(str(cell)) for cell in cells) + " |"


def evaluate(
    model: str | Path | Animator = "mini-fomm",
    characters: int = 64,
    sheet: str | Path | None = None,
    *,
    data: str | Path | None = None,
    device: str | torch.device = "cpu",
    batch: int = 16,
    **protocol: Any,
) -> Evaluation | Measured:
    """Measure a model on held-out drawn characters. sheet: also draw picture, driver, truth and result into this PNG.
    With data, the folder of a data set, or "puppets" as clips: by the papers' protocols, see `protocols.measure`.

    `print(evaluate("mini-fomm"))` shows the table.
    """
    if data is not None:
        from .protocols import measure

        return measure(model, data, device=device, **protocol)
    if protocol:
        raise ConfigError(f"{', '.join(protocol)} goes with data.", "Give data=FOLDER as well, or leave it out.")
    name, sha = str(model), ""
    if isinstance(model, Animator):
        animator, name = model, model.info.model
    else:
        from .. import zoo

        animator = zoo.load(model, device=device)
        sha = hashlib.sha256(zoo.find(model).read_bytes()).hexdigest()
    animator = animator.to(device).eval()
    kinds = [kind for kind in KINDS if kind != "avd" or "avd" in animator.info.modes]
    sums: dict[str, dict[str, dict[str, list[Tensor]]]] = {
        kind: {region: {what: [] for what in ("model", "still", "nearest")} for region in REGIONS} for kind in kinds
    }
    wanted: dict[str, list[Tensor]] = {"eyes": [], "mouth": []}
    seen: dict[str, dict[str, list[Tensor]]] = {kind: {"eyes": [], "mouth": []} for kind in kinds}
    pictures: list[list[Tensor]] = []
    with torch.inference_mode():
        for case in cases(characters, animator.info.size, device, batch):
            results = {"same": reenact(animator, case.source, case.source, case.truth, "absolute")}
            for kind, mode in (("cross", "relative"), ("avd", "avd")):
                if kind in kinds:
                    results[kind] = reenact(animator, case.source, case.reference, case.driving, mode)
            where = regions.masks(case.landmarks, *case.truth.shape[2:])
            where["whole"] = torch.ones_like(where["head"])
            for kind, result in results.items():
                for what, shown in (("model", result), ("still", case.source), ("nearest", case.nearest)):
                    for region in REGIONS:
                        sums[kind][region][what].append(metrics.l1(shown, case.truth, where[region]).nanmean())
            for part, values in openness(case, results).items():
                wanted[part].append(values["wanted"])
                for kind in results:
                    seen[kind][part].append(values[kind])
            pictures += [list(row) for row in zip(case.source, case.driving, case.truth, results["cross"], strict=True)]
    if sheet is not None:
        write_sheet(pictures, Path(sheet))
    return Evaluation(
        model=name,
        characters=characters,
        l1={
            kind: {
                region: {what: float(torch.stack(v).mean()) for what, v in row.items()} for region, row in rows.items()
            }
            for kind, rows in sums.items()
        },
        openness={
            kind: {
                part: metrics.correlation(torch.cat(values), torch.cat(wanted[part])) for part, values in parts.items()
            }
            for kind, parts in seen.items()
        },
        sha256=sha,
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """Some held-out characters: pictures B x 3 x H x W in 0..1.

    source: A in pose p; reference, driving: B in p and q; truth: A in q; nearest: A in the stored pose next to q.
    """

    identity: puppets.Identity
    pose: puppets.Pose
    source: Tensor
    reference: Tensor
    driving: Tensor
    truth: Tensor
    nearest: Tensor
    landmarks: Tensor


def cases(characters: int, size: int, device: str | torch.device = "cpu", batch: int = 16) -> Iterator[Case]:
    """The held-out characters, `batch` at a time. Seeded: always the same."""
    picture, driver = (puppets.identities(characters, HELD_OUT + seed, device=device) for seed in (1, 2))
    start, now = (puppets.poses(characters, HELD_OUT + seed, device=device) for seed in (3, 4))
    stored = puppets.poses(STORED, HELD_OUT + 5, device=device)
    closest = stored[torch.cdist(_numbers(now), _numbers(stored)).argmin(1)]
    for begin in range(0, characters, batch):
        part = slice(begin, begin + batch)
        a, b, p, q = picture[part], driver[part], start[part], now[part]

        def seen(identity: puppets.Identity, pose: puppets.Pose) -> Tensor:
            return draw(identity, pose, size).picture.float() / 255

        landmarks = puppets.landmarks(a, q)
        yield Case(a, q, seen(a, p), seen(b, p), seen(b, q), seen(a, q), seen(a, closest[part]), landmarks)


def _numbers(pose: puppets.Pose) -> Tensor:
    """Poses as points in which every number counts by its spread: B x fields."""
    values = torch.stack([getattr(pose, field.name) for field in dataclasses.fields(pose)], 1)
    spread = [0.3, 0.18, 0.18, 0.4, 0.4, 0.5, 0.4, 0.5, 0.5, 0.35, 0.5, 0.08, 0.07, 0.08]
    return values / torch.tensor(spread, device=values.device)


def reenact(animator: Animator, pictures: Tensor, references: Tensor, frames: Tensor, mode: str) -> Tensor:
    """Row by row: picture moved as its driver moves from reference to frame."""
    source = animator.encode(pictures)
    motion = animator.transfer(source, animator.motion(frames), reference=animator.motion(references), mode=mode)
    return animator.render(source, motion)


def openness(case: Case, results: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """How open eyes and mouth are in the results (and in truth): {"eyes": {"wanted", "same", "cross"}, "mouth": …},
    values in 0..1.
    """
    rows, size = len(case.source), case.source.shape[-1]
    sweep = torch.linspace(0, 1, STEPS, device=case.source.device)
    out: dict[str, dict[str, list[Tensor]]] = {
        part: {what: [] for what in ("wanted", *results)} for part in ("eyes", "mouth")
    }
    for row in range(rows):
        pose = case.pose[row].repeat(STEPS).replace(eye_left=sweep, eye_right=sweep, mouth_open=sweep)
        view = draw(case.identity[row].repeat(STEPS), pose, size)
        candidates = view.picture.float() / 255
        box = {name: _union(found) for name, found in regions.boxes(view.landmarks).items()}
        for name, field in (("eye_left", "eye_left"), ("eye_right", "eye_right"), ("mouth", "mouth_open")):
            part = "mouth" if name == "mouth" else "eyes"
            where = regions.inside(box[name], size, size)[0]
            out[part]["wanted"].append(getattr(case.pose, field)[row])
            for kind, result in results.items():
                out[part][kind].append(sweep[metrics.nearest(result[row], candidates, where)])
    return {part: {what: torch.stack(values) for what, values in found.items()} for part, found in out.items()}


def _union(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2].amin(0), boxes[:, 2:].amax(0)])[None]


def write_sheet(rows: list[list[Tensor]], path: Path, characters: int = 12, across: int = 2) -> None:
    """Picture, driver, truth, result of some characters, `across` of them beside each other, as a PNG."""
    from PIL import Image

    from .sheets import grid

    chosen = rows[:characters]
    count = len(chosen) // across * across or len(chosen)
    lines = [sum(chosen[i : i + across], []) for i in range(0, count, across)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grid(lines)).save(path)
