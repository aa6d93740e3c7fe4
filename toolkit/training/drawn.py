"""What drawn heads (puppets) add to a training: known keypoints and landmarks, regions that weigh pixels, true answers
across identities, and parts that learn alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..models.layers import antialias
from ..models.motion import Deformation, warp_each
from ..puppets import ANCHORS
from . import losses as loss
from . import regions
from .data import HELD_OUT, Batch, Puppets, View, distort
from .parts import WHOLE, Part, randn
from .published import Found, Reenactment, dropped
from .recipe import Stage
from .window import WindowedDeformation, Windows

MAP = 64  # detector and dense motion look at pictures of this side, whatever the size of the stage
BIAS = 1.4  # errors that all pictures of a character share, over those of each (mini-mraa: 0.018 and 0.013)
LESSONS = {"keypoints": 1.0, "jacobians": 0.2, "covariances": 0.2}  # weights where a stage gives none


def to_grid(edges: Tensor, side: int = MAP) -> Tensor:
    """Places from edge to edge (-1 … 1) -> the networks' coordinates, where -1 … 1 are the corner pixels' centres of
    a map of `side`.
    """
    return edges * (side / (side - 1))


class Drawn(Reenactment):
    """A `Reenactment` that learns from clips or from puppets. With puppets more terms and parts make sense."""

    looks = True  # detector and dense motion have anti-alias kernels, exchanged so that they see MAP x MAP

    # ------------------------------------------------------------------ what a family says

    def as_motion(self, places: Tensor, jacobian: Tensor) -> dict[str, Tensor]:
        """Anchors B x K x 2 (networks' coordinates) and their Jacobians B x K x 2 x 2 as a motion."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """How many keypoints the model has."""
        raise NotImplementedError

    def lessons(self, found: Mapping[str, Tensor], view: View) -> dict[str, Tensor]:
        """How far a found motion is from what is known of a view: terms of LESSONS."""
        return {"keypoints": loss.keypoint_value(found[self.places], to_grid(view.points))}

    # ------------------------------------------------------------------ the loop's side

    @property
    def multiple(self) -> int:
        return MAP if self.looks and self.draws else super().multiple

    def fits(self, side: int) -> bool:
        return side % MAP == 0 if self.looks and self.draws else super().fits(side)

    @property
    def draws(self) -> bool:
        """Whether it learns from puppets."""
        return isinstance(self.data, Puppets)

    def check(self, stage: Stage) -> None:
        super().check(stage)
        known = stage.window or stage.cross or stage.regions
        if not self.draws and (known or stage.keypoints == "true" or stage.part in ("copy", "flow", "paint")):
            raise ConfigError(
                f"Stage '{stage.name}' learns from what only drawn heads know (true keypoints, landmarks).",
                f"Leave it out for clips (--set stages.N.steps=0), or train without {self.recipe.clips.folder}.",
            )
        anchors = len(self.recipe.anchors or ANCHORS)
        if self.draws and self._knows(stage) and anchors != self.count:
            raise ConfigError(
                f"Stage '{stage.name}' learns from {anchors} anchors, but the model has {self.count} keypoints.",
                "Give an anchor for each (anchors = [...]), or the model another num_kp, num_regions or num_tps.",
            )
        if self._paints(stage) and not (stage.window and getattr(self.network, "guides", None)):
            raise ConfigError(
                f"Stage '{stage.name}' looks at what is painted, apart from what is kept of the picture.",
                "Give it a window, a divisor of its size, and a guided generator.",
            )

    def _knows(self, stage: Stage) -> bool:
        """Whether a stage looks at the puppets' own anchors."""
        taught = self.detector in stage.train and "keypoints" in stage.weights
        return stage.part != "copy" and (taught or stage.keypoints == "true")

    def prepare(self, stage: Stage) -> None:
        """Detector and dense motion see MAP x MAP at every size: only the fixed anti-alias kernel changes."""
        super().prepare(stage)
        self._look(stage.size)
        if stage.part == "avd" and self.draws:
            self.modules[self.detector].eval()  # it rests: see `_seen`
        if stage.part == "paint":
            for part in (self.flow.hourglass, self.flow.scores):
                part.requires_grad_(False)  # the occlusion head goes on
            for part in (self.flow, self.network.first, self.network.down_blocks):
                part.eval()

    def _look(self, size: int) -> None:
        if self.looks and self.draws:
            for network in self.eyes():
                network.down = antialias(3, MAP / size).to(self.device)

    def eyes(self) -> list[nn.Module]:
        """The networks that look at MAP x MAP."""
        return [self.modules[self.detector], self.flow]

    def batch(self, stage: Stage, step: int, part: Part = WHOLE) -> Batch | View | Tensor:
        if stage.train == (self.detector,) and stage.keypoints == "true":
            view, _ = self.data.views(step, stage.size, stage.batch)
            return dataclasses.replace(view, picture=distort(view.picture, self.data.generator(step)))[part.rows]
        if stage.part == "copy":
            return self.data.crops(step, stage.size, stage.batch, stage.crop)[part.rows]
        return super().batch(stage, step, part)

    def side(self, stage: Stage) -> int:
        """0 where true anchors are all that is looked at: drawing would be nearly all of the work."""
        blind = stage.part == "avd" and stage.keypoints == "true" and self.draws
        return 0 if blind else super().side(stage)

    def losses(self, batch: Batch | View | Tensor, stage: Stage) -> dict[str, Tensor]:
        if stage.part == "copy":
            return self._copy(batch, stage)
        if isinstance(batch, View):  # the detector alone, taught by the puppets' anchors
            return self._supervised([(self.find(batch.picture), batch)], stage)
        if stage.part == "flow":
            return self._flow(batch, stage)
        if stage.part == "avd":
            return self._avd(batch, stage)
        source, wanted = self._laid(batch.source.picture), batch.target.picture
        found = self.keypoints(batch, stage)
        by_region = regions.weights(batch.target.landmarks, *wanted.shape[2:], stage.regions)
        out, windows = self._whole(source, found, batch, stage)
        total = self._supervised(found["taught"], stage) if "taught" in found else {}
        total |= self._motions(out, found, batch, by_region, stage)
        if windows is not None:
            wanted, by_region = (x if x is None else windows.crop(x) for x in (wanted, by_region))
            total |= self._painting(out, wanted, by_region, stage) if "painted" in out else {}
        total |= self._pictures(out["prediction"], wanted, by_region, stage)
        return total | self._published(out, found, wanted, batch.target.picture, stage)

    # ------------------------------------------------------------------ parts of the generator

    def _whole(self, source: Tensor, found: Found, batch: Batch, stage: Stage) -> tuple[dict[str, Any], Windows | None]:
        """The generator's output; with stage.window, the prediction of windows alone. The encoder then rests: at full
        size it would be most of the work, and stage "copy" has taught it.
        """
        dropout = dropped(stage, batch.progress)
        if not stage.window:
            return self.generated(source, found, dropout), None
        windows = Windows.sample(batch.target.landmarks, stage.window, stage.size)
        with torch.no_grad():
            encoded = self.encode(source)
        out = self.move(encoded, found, dropout)
        deformation = self.network.deformation(out)
        out["deformed"] = deformation.warped(source)
        seen = WindowedDeformation(deformation, windows)
        if not self._paints(stage):
            out["prediction"] = self.network.decode(encoded, seen)
        else:
            kept, (painted, stays) = seen.warped(source), self.network.paint(encoded, seen)
            blend = painted if stage.part == "paint" else torch.lerp(painted, kept.float(), stays)
            out |= {"kept": kept, "painted": painted, "stays": stays, "prediction": blend}
        return {**out, "encoded": encoded}, windows

    def _copy(self, pictures: Tensor, stage: Stage) -> dict[str, Tensor]:
        """The generator alone learns to copy; there is no motion yet. With skips, which would do its work, blots of
        each crop are hidden from it: it learns to paint them as their surroundings suggest.
        """
        network = self.network
        hidden = [blots(pictures)] if network.skips else []
        still = Deformation(None, hidden, network.align_corners, network.resize_corners)
        copy = network.decode(self.encode(self._laid(pictures)), still)
        return self._pictures(copy, pictures, None, stage)

    def _flow(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """The dense motion alone learns to choose motions and what to keep, on pictures as small as its maps: many
        times as fast.
        """
        found, weights = self.keypoints(batch, stage), stage.weights
        small = self.flow.down(batch.source.picture)
        out = self.move({"small": self._laid(small)}, found, dropped(stage, batch.progress))
        wanted = self._shrunk(batch.target.picture, out)
        deformed = self.network.deformation(out).warped(self._shrunk(batch.source.picture, out))
        by_region = regions.weights(batch.target.landmarks, *wanted.shape[2:], stage.regions)
        total = {
            "selection": loss.selection(out["mask"], self._tried(out, found, batch), wanted, by_region),
            "deformed": loss.pyramid_l1(deformed, wanted, by_region),
            "keeping": loss.keeping(out["occlusion_map"], deformed, wanted, None, stage.painted),
            "following": self._following(out, found, batch),
        }
        return {name: weights[name] * value for name, value in total.items() if name in weights}

    def _shrunk(self, pictures: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """Pictures at the size of the maps that say which motion wins."""
        side = out["mask"].shape[2:]
        return self.flow.down(pictures) if side[0] <= MAP else nn.functional.adaptive_avg_pool2d(pictures, side)

    def _candidates(self, out: Mapping[str, Tensor], found: Found) -> Tensor:
        """The flows of all motions at that size."""
        side = out["mask"].shape[2:]
        return self.flow.motions(found["driving"], found["source"], *side, found.get("background"))

    @torch.no_grad()
    def _tried(self, out: Mapping[str, Tensor], found: Found, batch: Batch) -> Tensor:
        """The source under each motion at that size."""
        if out["sparse_deformed"].shape[-2:] == out["mask"].shape[-2:]:
            return out["sparse_deformed"]
        candidates = self._candidates(out, found)
        return warp_each(self._shrunk(batch.source.picture, out), candidates, self.flow.align_corners)

    def _following(self, out: Mapping[str, Tensor], found: Found, batch: Batch) -> Tensor:
        motions = self._candidates(out, found)
        return loss.following(out["mask"], motions, batch.source.landmarks, batch.target.landmarks)

    # ------------------------------------------------------------------ keypoints

    def keypoints(self, batch: Batch, stage: Stage) -> Found:
        """See `Reenactment.keypoints`; the puppets' own anchors where the stage says "true". With a detector that
        learns, "taught" pairs what it found with the views that know better.
        """
        learns = self.detector in stage.train
        if stage.keypoints == "true":
            source, driving, reference = (
                self.known(view, stage.noise) for view in (batch.source, batch.driving, batch.reference)
            )
            moved = self.moved(source, driving, reference, batch.cross)
            out = {"source": source, "driving": moved, "moving": driving}
            if learns:  # it learns beside: the generator need not wait for it
                seen = distort(batch.driving.picture, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))
                out["taught"] = [(self.find(seen), batch.driving)]
            return out | self.background(batch, stage)
        out = super().keypoints(batch, stage)
        if learns and "keypoints" in stage.weights:
            out["taught"] = [(out["source"], batch.source), (out["moving"], batch.driving)]
        return out

    def posed(self, batch: Batch, stage: Stage) -> tuple[dict[str, Tensor], ...]:
        if batch.source.row is None:  # no puppets
            return super().posed(batch, stage)
        if stage.keypoints != "true":
            seen = self._seen(self.data.current)
            rows = (view.row for view in (batch.source, batch.driving, batch.target))
            return tuple({name: tensor[row] for name, tensor in seen.items()} for row in rows)
        own, other = (BIAS * randn(*batch.source.points.shape[:2], 6).to(self.device) for _ in range(2))
        theirs = torch.where(batch.cross[:, None, None], other, own)
        views = (batch.source, own), (batch.driving, theirs), (batch.target, own)
        return tuple(self.known(view, stage.noise, bias) for view, bias in views)

    def _seen(self, chunk: View, at_once: int = 32) -> dict[str, Tensor]:
        """The motions of a chunk's pictures. While the detector rests each is looked at once, though many rows pair
        it.
        """
        if self._looked[0] is not chunk:
            parts = [self.find(chunk[begin : begin + at_once].picture) for begin in range(0, len(chunk), at_once)]
            self._looked = chunk, {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return self._looked[1]

    def known(self, view: View, noise: float = 0.0, bias: Tensor | float = 0.0) -> dict[str, Tensor]:
        """The anchors of puppets as a perfect detector would find them, or one that errs by `noise`; and by a bias B x
        K x 6, in units of noise, that a character's pictures share.
        """
        value, jacobian = to_grid(view.points), view.jacobian
        if noise:
            errors = (bias + randn(*value.shape[:2], 6).to(value)).split([2, 4], -1)
            value = value + noise * errors[0]
            jacobian = jacobian + 4 * noise * errors[1].view_as(jacobian)
        return self.as_motion(value, jacobian)

    # ------------------------------------------------------------------ losses

    def _supervised(self, pairs: Sequence[tuple[Mapping[str, Tensor], View]], stage: Stage) -> dict[str, Tensor]:
        share, learned = 1 / len(pairs), [self.lessons(found, view) for found, view in pairs]
        return {
            name: stage.weights.get(name, LESSONS[name]) * share * sum(terms[name] for terms in learned)
            for name in learned[0]
        }

    def _motions(
        self, out: Mapping[str, Tensor], found: Found, batch: Batch, by_region: Tensor | None, stage: Stage
    ) -> dict[str, Tensor]:
        """What puppets tell of the motions: which fit, and what the source warped by them should look like."""
        weights, wanted, total = stage.weights, batch.target.picture, {}
        if "selection" in weights or "keeping" in weights:
            small, coarse = self._shrunk(wanted, out), by_region
            if coarse is not None:
                coarse = nn.functional.adaptive_avg_pool2d(coarse, small.shape[2:])
        if "selection" in weights:
            fit = loss.selection(out["mask"], self._tried(out, found, batch), small, coarse)
            total["selection"] = weights["selection"] * fit
        if "keeping" in weights:
            kept = loss.keeping(
                out["occlusion_map"], self._shrunk(out["deformed"].detach(), out), small, coarse, stage.painted
            )
            total["keeping"] = weights["keeping"] * kept
        if "following" in weights:
            total["following"] = weights["following"] * self._following(out, found, batch)
        if "deformed" in weights:
            total["deformed"] = weights["deformed"] * loss.pyramid_l1(out["deformed"], wanted, by_region)
        return total

    @staticmethod
    def _paints(stage: Stage) -> bool:
        """Whether a stage judges what is painted by itself."""
        return stage.part == "paint" or not {"painting", "choosing"}.isdisjoint(stage.weights)

    def _painting(
        self, out: Mapping[str, Tensor], wanted: Tensor, by_region: Tensor | None, stage: Stage
    ) -> dict[str, Tensor]:
        """Of a window: what was painted, whether it is kept or not, and whether the better of the two is kept."""
        weights, total, painted = stage.weights, {}, out["painted"]
        if "painting" in weights:
            errors = (term(painted, wanted, by_region) for term in (loss.pyramid_l1, loss.gradient_l1))
            total["painting"] = weights["painting"] * sum(errors)
        if "choosing" in weights:
            better = loss.choosing(out["stays"], out["kept"].detach(), painted.detach(), wanted, stage.painted)
            total["choosing"] = weights["choosing"] * better
        return total

    def _pictures(
        self, prediction: Tensor, wanted: Tensor, by_region: Tensor | None, stage: Stage
    ) -> dict[str, Tensor]:
        """Pyramids of L1 and of gradient L1 weighed by region."""
        terms = {"pyramid": loss.pyramid_l1, "gradient": loss.gradient_l1}
        weights = {name: stage.weights[name] for name in terms if name in stage.weights}
        return {name: weight * terms[name](prediction, wanted, by_region) for name, weight in weights.items()}

    # ------------------------------------------------------------------ what is shown and kept

    _held: Batch | None = None
    _looked: tuple[View | None, dict[str, Tensor]] = (None, {})  # a chunk, and the motions found in it

    def measure(self) -> dict[str, float]:
        """Held out: share of "not moving" that the L1 still has (same identity, cross identity), and the detector's
        error in pixels of MAP where it finds the recipe's anchors.
        """
        if not self.draws:
            return super().measure()
        batch, stage = self._held_out(16), self.stage
        out: dict[str, float] = {}
        with torch.no_grad():
            found = self.find(batch.driving.picture)[self.places]
            if found.shape == batch.driving.points.shape:
                pixels = (found - to_grid(batch.driving.points)).norm(dim=-1).mean(0) * (MAP - 1) / 2
                out["kp_px"] = float(pixels.mean())
                face = ("eye", "iris", "lip", "mouth")
                if rows := [row for row, name in enumerate(self.recipe.anchors) if name.startswith(face)]:
                    out["kp_px_face"] = float(pixels[rows].mean())
            if stage.train == (self.detector,):
                return out
            for name in ("same", "cross"):
                rows = batch.cross == (name == "cross")
                prediction = self._shown(batch)["prediction"][rows]
                still, wanted = batch.source.picture[rows], batch.target.picture[rows]
                where = regions.masks(batch.target.landmarks[rows], *wanted.shape[2:])
                error, base = ((x - wanted).abs().mean(1, keepdim=True) for x in (prediction, still))
                out[name] = float(error.sum() / base.sum())
                for part in ("background", "head", "eyes", "mouth"):
                    out[f"{name}_{part}"] = float(error[where[part]].sum() / base[where[part]].sum())
        return out

    def sheet(self) -> Any:
        """The published grid of eight held-out pairs, four of them of one character; while the detector learns alone,
        what it finds and what is known.
        """
        from .sheets import motions

        if not self.draws:
            return super().sheet()
        batch, rows = self._held_out(16), [0, 1, 2, 3, 8, 9, 10, 11]
        if self.stage.train != (self.detector,):
            return self._preview(batch, rows)
        pictures, known = batch.driving.picture[rows], self.known(batch.driving)
        with torch.no_grad():
            found = self.find(pictures)
        return motions(pictures, {"found": found, "known": {name: x[rows] for name, x in known.items()}}, self.places)

    def _held_out(self, rows: int) -> Batch:
        """Half cross, half same identity, of characters that training never sees, at the stage's size."""
        if self._held is None or self._held.source.picture.shape[-1] != self.stage.size:
            data = dataclasses.replace(self.recipe.data, characters=2 * rows, poses=2, group=2)
            held = Puppets(data, HELD_OUT // 1_000_000, self.device, self.recipe.anchors)
            self._held = held.batch(0, self.stage.size, rows, 0.5)
        return self._held

    def export(self, path: Path, facts: Mapping[str, Any]) -> None:
        """See `Reenactment.export`; the anti-alias kernels are those of the model's own size."""
        self._look(self.animator.info.size)
        super().export(path, facts)
        self._look(self.stage.size)


def blots(pictures: Tensor, share: float = 0.35, finest: int = 8) -> Tensor:
    """Random occlusion maps for pictures B x C x H x W -> B x 1 x H/4 x W/4: soft-edged blots near 0 (hidden) over
    about `share` of each, the rest near 1. finest: how many blots fit along a side.
    """
    rows, height, width = len(pictures), pictures.shape[2] // 4, pictures.shape[3] // 4
    noise = torch.zeros(rows, 1, height, width)
    for count in (finest, finest // 2):
        coarse = randn(rows, 1, count, count)
        noise += nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    level = noise.flatten(1).quantile(share, dim=1).view(-1, 1, 1, 1)
    return ((noise - level) * 5).sigmoid().to(pictures)
