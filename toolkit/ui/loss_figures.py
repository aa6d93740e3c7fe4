"""Each loss of the recipes by a picture, for the notebooks: what it compares, and what it asks for.

    shown = LossFigures()
    shown.sheet("flow")                 # a row for each loss of a group
    shown.draw(figure, "selection")     # one of them

The small models that ship look at a character, or let it be driven; what they make of it is judged by the functions
that train them: the numbers, and what is asked for, are theirs (see `perception_figures.asked`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .. import load
from ..models.motion import RandomTransform, apply, coordinate_grid, inverse, product, warp, warp_each
from ..models.mraa import principal_axes, spread, upright
from ..training import Recipe, losses
from ..training.drawn import to_grid
from ..training.mraa import SPOT
from . import figures
from .perception_figures import EYES, FOUND, KNOWN, MOUTH, SIZE, PerceptionFigures, asked

GROUPS = {
    "points": (
        *("equivariance_shift", "equivariance_jacobian", "equivariance_affine"),
        *("keypoints", "jacobians", "covariances"),
    ),
    "flow": ("deformed", "warp_loss", "selection", "following", "bg"),
    "kept": ("keeping", "painting", "choosing"),
    "pose": ("shift", "affine"),
    "eye": ("landmarks", "identity", "heat", "box", "maps", "aligned", "face"),
}
NAMES = tuple(name for names in GROUPS.values() for name in names)
PANELS = 4
FEW = ("brow_left", "brow_right", "nose", "lip_lower", "ear_left", "ear_right", "crown", "neck")  # whose axes are shown
ARM = 0.25  # of Jacobians' axes; regions' have their own length
STRETCH = (0.8, 1.25)  # across and along: a driver of another shape


class LossFigures(PerceptionFigures):
    """Pictures of the losses of NAMES. A method of the loss's name after "draw_" fills four empty panels and returns
    the loss's value.
    """

    def sheet(self, group: str) -> figures.Drawing:
        """A row for each loss of a group."""
        names = GROUPS[group]
        figure = figures.Drawing(figsize=(9, 2.4 * len(names)), layout="constrained")
        for name, panels in zip(names, figure.subplots(len(names), PANELS, squeeze=False)):
            self._row(panels, name)
        return figure

    def draw(self, figure: Figure, name: str) -> None:
        """One of the losses on an empty figure, nearly four times as wide as high."""
        self._row(figure.subplots(1, PANELS), name)

    def _row(self, panels: Sequence[Axes], name: str) -> None:
        value = getattr(self, f"draw_{name}")(*panels)
        panels[0].set_ylabel(f"{name}\n{value:.3g}", fontsize=10)
        for panel in panels:
            if not panel.get_title():
                panel.set_axis_off()

    # ------------------------------------------------------------------ points and regions

    @functools.cached_property
    def bend(self) -> RandomTransform:
        """T, which maps points of the bent picture to points of the picture."""
        random = torch.Generator().manual_seed(4 + self.number)
        return RandomTransform.sample(1, sigma_affine=0.12, generator=random)

    def bent(self, name: str, detector: str) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """The bent picture; what a model's detector finds in the picture, and in the bent one."""
        with torch.no_grad():
            bent = self.bend.transform_frame(self.source, _model(name).align_corners)
            return bent, *(getattr(_model(name), detector)(picture) for picture in (self.source, bent))

    def draw_equivariance_shift(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        bent, found, there = self.bent("mini-mraa", "region_predictor")
        back = self.bend.warp_coordinates(there["shift"])
        titles = ("regions", "of the bent picture", "brought back", "closer")
        figures.pictures((a, b, c, d), dict(zip(titles, (self.source[0], bent[0], self.source[0], self.source[0]))))
        for axis, regions in ((a, found), (b, there)):
            figures.ellipses(axis, regions["shift"][0], regions["covar"][0])
        for axis in (c, d):
            figures.points(axis, found["shift"][0])
            figures.lines(axis, found["shift"][0], back[0], width=2)
        self.closer(d, "source")
        return float(losses.equivariance_value(found["shift"], self.bend, there["shift"]))

    def draw_equivariance_jacobian(self, *panels: Axes) -> float:
        return self._turned(panels, "mini-fomm", "kp_detector", "value", "jacobian")

    def draw_equivariance_affine(self, *panels: Axes) -> float:
        return self._turned(panels, "mini-mraa", "region_predictor", "shift", "affine")

    def _turned(self, panels: Sequence[Axes], name: str, detector: str, place: str, matrix: str) -> float:
        bent, found, there = self.bent(name, detector)
        regions = matrix == "affine"
        back = product(self.bend.jacobian(there[place]), there[matrix])
        if regions:
            back = back * upright(product(inverse(found[matrix]), back))
        titles = ("axes", "of the bent picture", "brought back: black")
        figures.pictures(panels, dict(zip(titles, (self.source[0], bent[0], self.source[0]))))
        for axis, motion in zip(panels, (found, there, found)):
            self._arms(axis, motion[place], motion[matrix], 1 if regions else ARM)
            self.closer(axis, "source", margin=0.3)
        self._arms(panels[2], found[place], back, 1 if regions else ARM, KNOWN)
        self._compass(panels[3], product(inverse(found[matrix]), back))
        return float(losses.equivariance_jacobian(found[matrix], self.bend, there[place], there[matrix], regions))

    def _arms(self, axis: Axes, points: Tensor, matrix: Tensor, length: float, colour: Any = None) -> None:
        """A few of the points 1 x K x 2, with the columns of 1 x K x 2 x 2 as two arms."""
        for number, k in enumerate(map(self.anchors.index, FEW)):
            start = points[0, k].expand(2, 2)
            shown = figures.COLOURS[number] if colour is None else colour
            figures.lines(axis, start, start + length * matrix[0, k].T, shown, width=3 if colour is None else 1.5)

    def _compass(self, axis: Axes, matrix: Tensor) -> None:
        """The columns of 1 x K x 2 x 2, where the identity is asked for (black)."""
        start = torch.zeros(2, 2)
        for number, k in enumerate(map(self.anchors.index, FEW)):
            figures.lines(axis, start, matrix[0, k].T, figures.COLOURS[number], width=3)
        figures.lines(axis, start, torch.eye(2), KNOWN)
        axis.set_title("all at one place", fontsize=10)
        axis.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal", xticks=[], yticks=[])

    @functools.cached_property
    def known(self) -> dict[str, dict[str, Tensor]]:
        """What is known of source and target: keypoints with Jacobians, and regions with axes."""
        known = {}
        for name, view in self.views.items():
            value, covar = to_grid(view.points), spread(view.jacobian * view.jacobian.new_tensor(SPOT))
            known[name] = {"value": value, "jacobian": view.jacobian}
            known[name] |= {"shift": value, "covar": covar, "affine": principal_axes(covar)}
        return known

    def draw_keypoints(self, *panels: Axes) -> float:
        found, known = _found("mini-fomm", "kp_detector", self.target), self.known["target"]
        figures.pictures(panels, dict.fromkeys(("found", "known", "off by", "closer"), self.target[0]))
        for axis, motion in zip(panels, (found, known, found, found)):
            figures.points(axis, motion["value"][0])
        for axis in panels[2:]:
            figures.lines(axis, found["value"][0], known["value"][0], width=2)
        self.closer(panels[3], "target")
        return float(losses.keypoint_value(found["value"], known["value"]))

    def draw_jacobians(self, *panels: Axes) -> float:
        found, known = _found("mini-fomm", "kp_detector", self.target), self.known["target"]
        figures.pictures(panels, dict.fromkeys(("found", "known", "known: black"), self.target[0]))
        for axis, motion in zip(panels, (found, known, found)):
            self._arms(axis, known["value"], motion["jacobian"], ARM)
            self.closer(axis, "target", margin=0.3)
        self._arms(panels[2], known["value"], known["jacobian"], ARM, KNOWN)
        self._compass(panels[3], product(inverse(known["jacobian"]), found["jacobian"]))
        return float(losses.keypoint_jacobian(found["jacobian"], known["jacobian"]))

    def draw_covariances(self, *panels: Axes) -> float:
        found, known = _found("mini-mraa", "region_predictor", self.target), self.known["target"]
        few = [*map(self.anchors.index, FEW)]
        middles = known["shift"][0, few]
        figures.pictures(panels, dict.fromkeys(("found", "known", "known: black", "closer"), self.target[0]))
        for axis, motion in zip(panels, (found, known, found, found)):
            figures.ellipses(axis, middles, motion["covar"][0, few], width=3)
            self.closer(axis, "target", margin=0.3)
        for axis in panels[2:]:
            figures.ellipses(axis, middles, known["covar"][0, few], KNOWN)
        self.closer(panels[3], "target", EYES)
        return float((found["covar"] - known["covar"]).abs().mean() / (SPOT[0] * SPOT[1]))

    # ------------------------------------------------------------------ the flow

    @functools.cached_property
    def moved(self) -> dict[str, Any]:
        """How mini-fomm moves the picture to the target's pose."""
        network = _model("mini-fomm").generator
        source, driving = (_found("mini-fomm", "kp_detector", picture) for picture in (self.source, self.target))
        with torch.no_grad():
            encoded = network.encode(self.source)
            out = network.move(encoded, driving, source)
            deformation = network.deformation(out)
            out["deformed"] = deformation.warped(self.source)
            out["painted"], out["stays"] = network.paint(encoded, deformation)
            out["motions"] = network.flow.motions(driving, source, *out["mask"].shape[2:])
        return out

    def small(self, pictures: Tensor) -> Tensor:
        """As large as the flow's maps."""
        return F.adaptive_avg_pool2d(pictures, self.moved["mask"].shape[2:])

    def draw_deformed(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        made = self.moved["deformed"]
        shown = {"picture": self.source[0], "moved by the flow": made[0], "wanted": self.target[0]}
        figures.pictures((a, b, c), shown)
        figures.difference(d, made[0], self.target[0])
        return float(losses.pyramid_l1(made, self.target, None))

    def draw_warp_loss(self, *panels: Axes) -> float:
        model = _model("mini-tpsmm")
        network, flow = model.inpainting_network, model.dense_motion_network
        points = [_found("mini-tpsmm", "kp_detector", picture) for picture in (self.target, self.source)]
        with torch.no_grad():
            encoded, wanted = network.encode(self.source), network.encode(self.target)
            deformation = network.deformation(flow(flow.down(self.source), *points))
        name = "map_1"
        kept = deformation.mask(*wanted[name].shape[2:])
        there, moved = kept * wanted[name], kept * deformation.warped(encoded[name])
        shown = {"features": encoded[name], "moved, where kept": moved, "the driver's": there}
        shown |= {"difference, doubled": 2 * (moved - there)}
        strength = {title: maps.abs().mean(1) for title, maps in shown.items()}
        most = float(strength["features"].quantile(0.99))
        figures.pictures(panels, strength, cmap="magma", vmin=0, vmax=most)
        return float(losses.warp_loss(encoded, wanted, deformation))

    def draw_selection(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        mask, wanted = self.moved["mask"], self.small(self.target)
        tried = warp_each(self.small(self.source), self.moved["motions"], _model("mini-fomm").align_corners)
        value, fit = asked(
            lambda scores: losses.selection(scores.softmax(1), tried, wanted, None),
            *(mask.log(), mask, mask[0, 0].numel()),
        )
        shown = {"motions chosen": figures.who_rules(mask[0]), "motions that fit": figures.who_rules(fit[0])}
        figures.pictures((a, b, c), {"wanted": self.target[0], **shown})
        entropy = -(fit * mask.clamp(min=1e-12).log()).sum(1)
        figures.picture(d, entropy, "cross-entropy", cmap="magma", vmin=0, vmax=float(entropy.quantile(0.98)))
        return value

    def draw_following(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        mask, motions = self.moved["mask"], self.moved["motions"]
        wanted, truth, side = self.views["target"].landmarks, self.views["source"].landmarks, mask.shape[-1]
        flow = self.moved["deformation"].permute(0, 3, 1, 2)
        read = F.grid_sample(flow, to_grid(wanted, side)[:, None], align_corners=True)[0, :, 0].T * (side - 1) / side
        figures.pictures((a, b, c, d), {"wanted": self.target[0], "read from here": self.source[0]})
        figures.pictures((c, d), {"closer: eyes": self.source[0], "closer: mouth": self.source[0]})
        a.plot(*wanted[0].T, ".", color=FOUND, ms=4)
        for axis in (b, c, d):
            figures.lines(axis, read, truth[0], KNOWN)
            axis.plot(*read.T, ".", color=FOUND, ms=4)
        self.closer(c, "source", EYES, 0.06)
        self.closer(d, "source", MOUTH, 0.06)
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            return float(losses.following(mask, motions, truth, wanted))

    def draw_bg(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        """The small models' backgrounds stand still: the two motions are made up, and don't quite undo each other."""
        there = torch.tensor([[1.12, 0.12, 0.1], [-0.12, 1.12, -0.06], [0, 0, 1]])  # from the driver to the picture
        back = there.inverse() @ torch.tensor([[1.06, -0.05, 0.09], [0.05, 1.06, 0.05], [0, 0, 1]])
        frame = 0.6 * torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
        in_driver = apply(back[:2, :2], frame) + back[:2, 2]
        returned = apply(there[:2, :2], in_driver) + there[:2, 2]
        driver = warp(self.source, RandomTransform(there[None, :2]).grid(SIZE, SIZE), True, "reflection")
        figures.pictures((a, b, c), {"picture": self.source[0], "to the driver": driver[0], "and back": self.source[0]})
        for axis, corners, colour in (
            (a, frame, KNOWN),
            (b, in_driver, FOUND),
            (c, frame, KNOWN),
            (c, returned, FOUND),
        ):
            axis.plot(*corners.T, color=colour, lw=2)
        figures.lines(c, frame, returned)
        off = (torch.eye(3) - there @ back).abs()
        d.imshow(off.numpy(), cmap="magma_r", vmin=0, vmax=0.3)
        for row, numbers in enumerate(off.tolist()):
            for column, number in enumerate(numbers):
                d.text(column, row, f"{number:.2f}", ha="center", va="center", fontsize=9)
        d.set_title("|I - A A'|", fontsize=10)
        d.set(xticks=[], yticks=[])
        return float(losses.cycle(there[None], back[None]))

    # ------------------------------------------------------------------ kept or painted

    def draw_keeping(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        kept, made, wanted = self.moved["occlusion_map"], self.small(self.moved["deformed"]), self.small(self.target)
        value, better = asked(
            lambda scores: losses.keeping(scores.sigmoid(), made, wanted, None, _stage("keeping").painted),
            *(kept.logit(1e-6), kept, kept.numel()),
        )
        figures.picture(a, made[0], "moved by the flow")
        figures.difference(b, made[0], wanted[0])
        figures.pictures((c, d), {"kept: white": kept[0], "asked for": better[0]}, vmin=0, vmax=1)
        return value

    def draw_painting(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        made = self.moved["painted"]
        figures.pictures((a, b), {"painted, nothing kept": made[0], "wanted": self.target[0]})
        figures.difference(c, made[0], self.target[0])
        figures.difference(d, *(losses.gradient(one)[0] for one in (made, self.target)), "of edges")
        return float(losses.pyramid_l1(made, self.target, None) + losses.gradient_l1(made, self.target, None))

    def draw_choosing(self, a: Axes, b: Axes, c: Axes, d: Axes) -> float:
        kept, painted, mask = (self.moved[name] for name in ("deformed", "painted", "stays"))
        value, better = asked(
            lambda scores: losses.choosing(scores.sigmoid(), kept, painted, self.target, _stage("choosing").painted),
            *(mask.logit(1e-6), mask, mask.numel()),
        )
        figures.pictures((a, b), {"moved by the flow": kept[0], "painted": painted[0]})
        figures.pictures((c, d), {"kept: white": mask[0], "asked for": better[0]}, vmin=0, vmax=1)
        return value

    # ------------------------------------------------------------------ shape and pose

    @functools.cached_property
    def parted(self) -> dict[str, Mapping[str, Tensor]]:
        """Regions: of the picture, of a driver of another shape in the target's pose, what mini-mraa's AVD network
        makes of them, and those of the target.
        """
        source, truth = self.known["source"], self.known["target"]
        stretch = torch.tensor(STRETCH)
        driver = {"shift": truth["shift"] * stretch, "affine": truth["affine"] * stretch[:, None]}
        with torch.no_grad():
            answer = _model("mini-mraa").avd_network(source, driver)
        return {"source": source, "driver": driver, "answer": answer, "truth": truth}

    def _parted(self, panels: Sequence[Axes], name: str) -> float:
        stretched = warp(self.target, coordinate_grid(SIZE, SIZE)[None] / torch.tensor(STRETCH), True, "reflection")
        truth = self.parted["truth"][name]
        off = {who: float((self.parted[who][name] - truth).abs().mean()) for who in ("driver", "answer")}
        titles = ("picture", "driver", f"as it is: {off['driver']:.4f}", f"the answer: {off['answer']:.4f}")
        figures.pictures(panels, dict(zip(titles, (self.source[0], stretched[0], self.target[0], self.target[0]))))
        return off["answer"]

    def draw_shift(self, *panels: Axes) -> float:
        for axis, who in zip(panels, ("source", "driver", "driver", "answer")):
            figures.points(axis, self.parted[who]["shift"][0])
        for axis, who in zip(panels[2:], ("driver", "answer")):
            figures.lines(axis, self.parted[who]["shift"][0], self.parted["truth"]["shift"][0], width=2)
        return self._parted(panels, "shift")

    def draw_affine(self, *panels: Axes) -> float:
        truth = self.parted["truth"]
        for axis, who in zip(panels, ("source", "driver", "driver", "answer")):
            place = truth if axis in panels[2:] else self.parted[who]
            self._arms(axis, place["shift"], self.parted[who]["affine"], 1)
        value = self._parted(panels, "affine")
        for axis, view in zip(panels, ("source", "target", "target", "target")):
            self.closer(axis, view, margin=0.3)
        for axis in panels[2:]:
            self._arms(axis, truth["shift"], truth["affine"], 1, KNOWN)
        return value


def _found(name: str, detector: str, picture: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return getattr(_model(name), detector)(picture)


def _stage(name: str) -> Any:
    """The first stage of mini-fomm's recipe that has a loss."""
    return next(stage for stage in Recipe.load("mini-fomm").stages if name in stage.weights)


@functools.cache
def _model(name: str) -> Any:
    return load(name).requires_grad_(False)
