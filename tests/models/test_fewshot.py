"""The few-shot heads against the numbers of their published implementations, and what must hold in any layout."""

import copy
import functools
import re
import warnings

import numpy as np
import pytest
import torch

from tests.golden.fewshot.settle import settle
from tests.golden.fill import fill, picture, values
from tests.golden_case import case, pictures
from toolkit import zoo
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.models import build
from toolkit.models import landmarks as drawing
from toolkit.models.base import Motion, Source
from toolkit.models.fewshot import PUBLISHED, layout_of, recognise
from toolkit.models.layers import fold_norms
from toolkit.models.spectral import SpectralConv2d, SpectralLinear

SMALL = {
    "2019": {"layout": "2019", "in_height": 64, "num_channels": 4, "max_num_channels": 16, "embedding_size": 12},
    "2020": {"layout": "2020", "in_height": 64, "num_channels": 4, "max_num_channels": 16, "embedding_size": 12},
    "authors": {"layout": "authors", "image_size": 64, "num_channels": 4, "max_num_channels": 16, "embed_channels": 12},
}
LAYOUTS = list(SMALL)


@functools.cache
def _small(layout):
    animator = build("fewshot", SMALL[layout])
    name = {"2019": "vox-224-published", "2020": "vox-224", "authors": "fsth-256"}[layout]
    golden = case("fewshot", name)
    for part in ("E", "G"):
        network = getattr(animator, part)
        settle(fill(network, gains=golden.modules[part]["gains"]), golden.spectral_norm["shrink"][part])
        for key, tensor in network.state_dict().items():
            if key.endswith("gamma"):
                tensor.fill_(0.8)
    return animator


def small(layout):
    """A small model of a layout, filled like the golden cases. Its own copy."""
    return copy.deepcopy(_small(layout))


def points(rows=1, seed=0):
    """Landmarks of a face, rows x 68 x 2 in -1 … 1, each row in another pose."""
    face = drawing.from_pixels(case("fewshot", "landmarks")["points"], 224, 224)
    torch.manual_seed(seed)
    return face * (0.9 + 0.2 * torch.rand(rows, 1, 2)) + 0.1 * torch.randn(rows, 1, 2)


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


# ---------------------------------------------------------------- golden: the networks

WHOLE = ("vox-224", "vox-224-published", "fsth-256")
VIDEO = {"vox-224": 0, "vox-224-published": 2, "fsth-256": 3}
TRAINING = ("loss_", "hinge_", "adv_", "match_given", "content_")  # what tests/training checks, by the keys' beginnings


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def whole(name):
    """All outputs of a case, by key: per stage, and the picture also through the four steps."""
    golden = case("fewshot", name)
    animator = build("fewshot", golden.config)
    for part in golden.modules:
        if part in ("E", "G", "D"):
            network = settle(golden.fill(part, getattr(animator, part)), golden.spectral_norm["shrink"][part])
            state = network.state_dict()
            for key, value in golden.modules[part]["overrides"].items():
                state[key].fill_(value)
    embedder, generator, discriminator = animator.E, animator.G, animator.D
    size, white = animator.info.size, generator.range
    inputs = golden.inputs
    frames = pictures(size, size, *inputs["frames"]["phases"])
    seen = pictures(size, size, *inputs["frame_landmarks"]["phases"])
    target, wanted = (pictures(size, size, inputs[what]["phase"]) for what in ("target", "target_landmarks"))

    # The four steps, with the golden inputs in place of drawings: K pictures of one person, then one frame.
    drawn = iter([*seen.split(1), wanted])
    vectors, painted = [], []
    embedder.register_forward_hook(lambda *arguments: vectors.append(arguments[-1]))
    decode = generator.decode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw", lambda *_: animator._oriented(next(drawn)))
        patch.setattr(generator, "decode", lambda *arguments: painted.append(decode(*arguments)) or painted[0])
        source = animator.encode(list(animator._oriented(frames)), points(2))
        motion = animator.motion(target, landmarks=points(1, seed=1))
        rendered = animator.render(source, animator.transfer(source, motion))
    (fake,) = painted
    assert torch.equal(animator._oriented(rendered), (fake / white).clamp(0, 1))
    video = discriminator.vectors(torch.tensor([VIDEO[name]]))
    out = {"e_vectors": torch.cat(vectors), "e_hat": source["e_hat"], "x_hat_meta": fake}
    out |= {"psi_meta": source["psi"], "affine": source["psi"], "match_columns": video, "video_vector": video}

    looked = {}
    for what, picture_ in (("real", target * white), ("fake", fake)):
        looked[what], maps = discriminator.look(picture_, wanted * white)
        out[f"score_{what}_meta"] = discriminator.score(looked[what], video)
        if what == "real":
            out |= {f"D_feature_{i}": feature for i, feature in enumerate(maps, start=1)}

    meta = generator.style(out["e_hat"])
    if name != "fsth-256":
        generator.finetuning = True
        out["x_hat_finetune_loaded"] = generator(wanted * white, out["e_hat"])
        out |= {f"score_{what}_finetune_loaded": discriminator.score(seen) for what, seen in looked.items()}
        generator.finetuning = False
    generator.personalise(out["e_hat"])
    discriminator.personalise(out["e_hat"])
    assert torch.allclose(generator.style(out["e_hat"]), meta, atol=1e-5)
    out["x_hat_finetune_init"] = fake  # as the style is the same
    out |= {f"score_{what}_finetune_init": discriminator.score(seen) for what, seen in looked.items()}
    if name == "fsth-256":  # only now are there parameters to load
        state, fresh = generator.state_dict(), golden.finetune["new_state_dict_entries"]
        assert {key: list(tensor.shape) for key, tensor in state.items()} == golden.modules["G"]["state_dict"] | fresh
        for key, shape in fresh.items():
            state[key].copy_(torch.from_numpy(values(key, tuple(shape), golden.finetune["finetune_gain"])))
        out["x_hat_finetune_loaded"] = generator(wanted, out["e_hat"])
    return out


def index(text):
    """The subsampling that a description ends with: "…, [0, ::4, ::8, ::8]; …" or "…, every 4th entry"."""
    if "every 4th" in text:
        return ..., slice(None, None, 4)
    found = re.search(r"\[((?:0|\.\.\.), [0-9:, ]+)\]", text)
    if not found:
        return ...
    first, *steps = found[1].split(", ")
    return 0 if first == "0" else ..., *(slice(None, None, int(step.strip(":"))) for step in steps)


OUTPUTS = [(name, key) for name in WHOLE for key in case("fewshot", name).outputs if not key.startswith(TRAINING)]


@pytest.mark.parametrize(("name", "key"), OUTPUTS)
def test_golden(name, key):
    golden = case("fewshot", name)
    wanted, output = golden[key], golden.outputs[key]
    ours = whole(name)[key][index(output["what"])]
    assert ours.numel() == wanted.numel()
    difference = (ours.reshape(wanted.shape) - wanted).abs().max()
    assert difference <= output["tolerance"], f"{key}: {difference:.2g} > {output['tolerance']}"


def test_parameters():
    """The counts of the spec, and that a name and its mapping are the same."""
    with torch.device("meta"):
        for name, counts in (("vox-256-published", (14907265, 60115658)), ("vox-256", (14907265, 38160037))):
            animator = build("fewshot", name)
            assert tuple(sum(p.numel() for p in part.parameters()) for part in (animator.E, animator.G)) == counts
    for name in WHOLE:
        both = build("fewshot", name).config, build("fewshot", case("fewshot", name).config).config
        assert [config["E"] | config["G"] for config in both] == [PUBLISHED[name]["E"] | PUBLISHED[name]["G"]] * 2


# ---------------------------------------------------------------- golden: drawing and crop


def test_golden_drawing():
    """Two-part rule: mean difference at most 0.5 of 255, at most 0.5 % of the pixels more than 40 off."""
    golden = case("fewshot", "landmarks")
    for given, wanted in (("points", "drawn"), ("crop_points_out", "crop_drawn")):
        side = golden.outputs[wanted]["shape"][0]
        ours = drawing.draw(golden[given][None], side, side)[0].permute(1, 2, 0) * 255
        difference = (ours.round() - golden[wanted]).abs()
        assert difference.mean() <= 0.5
        assert (difference.amax(-1) > 40).float().mean() <= 0.005


def test_golden_crop():
    golden = case("fewshot", "landmarks")
    full = torch.from_numpy(np.round(picture(360, 480, 0.6) * 255).astype(np.uint8)).permute(1, 2, 0)
    face, moved = drawing.crop(full, golden["crop_points_in"])
    assert torch.equal(moved, golden["crop_points_out"].float())
    assert face.shape == (256, 256, 3)
    assert (face[::4, ::4].int() - golden["crop_picture"].int()).abs().max() <= golden.outputs["crop_picture"][
        "tolerance"
    ]


def test_drawing_like_opencv():
    cv2 = pytest.importorskip("cv2")
    face = case("fewshot", "landmarks")["points"]
    theirs = np.zeros((224, 224, 3), np.uint8)
    for first, last, closed, colour in drawing.POLYLINES.lines:
        line = face[first : last + 1].round().int().numpy()
        cv2.polylines(theirs, [line], closed, colour, 2)
    ours = drawing.draw(face[None], 224, 224, drawing.POLYLINES)[0].permute(1, 2, 0) * 255
    other = (ours - torch.from_numpy(theirs)).abs().amax(-1) > 0
    assert other.sum() < 0.08 * (theirs.max(-1) > 0).sum()


@pytest.mark.parametrize("style", [drawing.PLOTTED, drawing.POLYLINES])
def test_drawing_anywhere(style):
    """Rows are independent; outside is cut off, not zoomed; no numbers and single spots do no harm."""
    faces = torch.cat([drawing.to_pixels(points(2), 90, 120), torch.full((1, 68, 2), 30.0)])
    faces[1] += torch.tensor([70.0, -50])
    lost = faces[:1].clone()
    lost[0, 40] = torch.nan
    drawn = drawing.draw(torch.cat([faces, faces[:1] + 1e6, lost]), 90, 120, style)
    assert drawn.shape == (5, 3, 90, 120)
    for i in range(3):
        assert torch.equal(drawing.draw(faces[i : i + 1], 90, 120, style)[0], drawn[i])
        assert 0 <= drawn[i].min() < drawn[i].max() <= 1
    for blank in drawn[3:]:
        assert (blank == style.paper).all()
    shifted = drawing.draw(faces[:1] + 3, 90, 120, style)[0]
    assert torch.allclose(shifted[:, 3:, 3:], drawn[0, :, :-3, :-3], atol=1e-4)
    assert torch.allclose(drawing.from_pixels(faces[:2], 90, 120)[0], points(2)[0], atol=1e-6)


# ---------------------------------------------------------------- spectral norm


def test_spectral_norm_is_torch_s():
    """Against torch's own of the classic keys: training steps, gradients, evaluation."""
    torch.manual_seed(0)
    for ours, plain in ((SpectralConv2d(3, 5), torch.nn.Conv2d(3, 5, 3, padding=1)), (SpectralLinear(7, 5), None)):
        plain = plain or torch.nn.Linear(7, 5)
        with warnings.catch_warnings():  # on its successor, in some versions
            warnings.simplefilter("ignore", FutureWarning)
            theirs = torch.nn.utils.spectral_norm(plain)
        theirs.load_state_dict(ours.state_dict())
        x = torch.randn(2, 3, 8, 8) if isinstance(ours, SpectralConv2d) else torch.randn(2, 7)
        for _ in range(3):
            with torch.enable_grad():
                outputs = [layer(x) for layer in (ours, theirs)]
                for output in outputs:
                    output.square().sum().backward()
            assert torch.allclose(*outputs, atol=1e-6)
        assert torch.allclose(ours.weight_orig.grad, theirs.weight_orig.grad, atol=1e-5)
        assert torch.allclose(ours.weight_u, theirs.weight_u, atol=1e-6)
        ours.eval()
        assert torch.allclose(ours(x), theirs.eval()(x), atol=1e-6)
        copy.deepcopy(ours)


# ---------------------------------------------------------------- the four steps


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps(layout):
    """Batch 1 = batch N, one source = its rows, folded = unfolded, cached = uncached; what comes out is a picture."""
    animator = small(layout)
    assert animator.info.needs == {"landmarks", "picture landmarks"} and animator.info.views
    own, driven = points(2), points(3, seed=1)
    persons, frames = pictures(64, 64, 0.0, 0.4), pictures(64, 64, 0.3, 0.6, 0.9)
    source, motion = animator.encode(persons[:1], own[:1]), animator.motion(frames, landmarks=driven)
    assert motion.valid.all()
    assert torch.equal(animator.transfer(source, motion)["landmarks"], driven)  # absolute is the published way
    rendered = animator.render(source, motion)
    assert rendered.shape == frames.shape
    assert rendered.dtype == torch.float32
    assert 0 <= rendered.min() < rendered.max() <= 1
    assert (rendered[0] - rendered[1]).abs().max() > 1e-4

    single = torch.cat([animator.render(source, motion[i]) for i in range(3)])
    assert (single - rendered).abs().max() < 1e-5
    rows = animator.encode(persons[:1].expand(3, -1, -1, -1), own[:1].expand(3, -1, -1))
    assert (animator.render(rows, motion) - rendered).abs().max() < 1e-5
    both = animator.encode(persons, own)
    other = animator.encode(persons[1:], own[1:])
    assert torch.allclose(both["psi"], torch.cat([source["psi"], other["psi"]]), atol=1e-4)
    assert (animator.render(other, motion) - rendered).abs().max() > 1e-4

    seen = animator._drawn(driven, animator.G)
    whole = animator._oriented(animator.G(seen, source["e_hat"]) / animator.G.range).clamp(0, 1)
    assert (whole - rendered).abs().max() < 1e-5

    folded = fold_norms(copy.deepcopy(animator))
    assert not any(isinstance(part, SpectralConv2d) for part in folded.modules())
    there = folded.encode(persons[:1], own[:1])
    assert (folded.render(there, motion) - rendered).abs().max() < 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_pictures_of_a_person(layout):
    """K pictures: the mean of their vectors, whatever the order; the first one's landmarks are the pose."""
    animator = small(layout)
    own, shots = points(3), pictures(64, 64, 0.0, 0.5, 1.0)
    source = animator.encode(list(shots), own)
    alone = [animator.encode(shots[i : i + 1], own[i : i + 1])["e_hat"] for i in range(3)]
    assert torch.allclose(source["e_hat"], torch.cat(alone).mean(0, keepdim=True), atol=1e-5)
    assert torch.equal(source.motion["landmarks"], own[:1])
    turned = animator.encode([shots[i : i + 1] for i in (2, 0, 1)], [own[i] for i in (2, 0, 1)])
    assert torch.allclose(turned["psi"], source["psi"], atol=1e-4)

    persons = animator.encode([shots[:2], shots[1:]], [own[:2], own[1:]])  # two persons, each seen twice
    assert len(persons) == 2
    for i in range(2):
        assert torch.allclose(persons["e_hat"][i], (alone[i] + alone[i + 1])[0] / 2, atol=1e-5)


def test_orientation():
    """2019 and 2020 compute on transposed pictures, the authors' layout does not; all see the drawing upright."""
    for layout in LAYOUTS:
        animator = small(layout)
        seen = animator._drawn(points(), animator.G) / animator.G.range
        upright = drawing.draw(drawing.to_pixels(points(), 64, 64), 64, 64, animator.G.drawing)
        assert torch.allclose(seen, upright.mT if layout != "authors" else upright)
        assert animator.G.range == (255 if layout == "2019" else 1)


def test_transfer():
    animator = small("2020")
    source = animator.encode(pictures(64, 64, 0.0), points())
    driving = animator.motion(pictures(64, 64, 0.3, 0.6, 0.9), landmarks=points(3, seed=1))
    own, driven = source.motion["landmarks"], driving["landmarks"]

    def moved(**options):
        return animator.transfer(source, driving, **options)["landmarks"]

    assert torch.equal(moved(mode="auto"), moved(mode="absolute"))
    assert torch.allclose(moved(strength=0), own.expand_as(driven), atol=1e-6)
    assert torch.allclose(moved(strength=2), 2 * driven - own, atol=1e-5)
    relative = moved(mode="relative")
    assert torch.allclose(relative[:1], own, atol=1e-6)
    plain = moved(mode="relative", adapt_scale=False, strength=0.5)
    assert torch.allclose(plain, own + 0.5 * (driven - driven[:1]), atol=1e-6)
    half = driving.replace(landmarks=driven / 2)  # a driver half as large moves half as far
    assert torch.allclose(animator.transfer(source, half, mode="relative")["landmarks"], relative, atol=1e-5)
    middle = moved(mode="relative", reference=driving[1])
    assert torch.allclose(middle[1:2], own, atol=1e-6)
    with pytest.raises(ConfigError, match="absolute, relative"):
        moved(mode="avd")
    near = driving.replace(landmarks=torch.stack([driven[0], 0.5 * own[0] + 0.1, driven[2] ** 3]))
    distances = animator.distance(source, near)
    assert distances.argmin() == 1
    assert distances[1] < 1e-8


def test_lost_faces():
    """A lost row holds the last points, a leading one the next; rows stay finite where all are lost."""
    animator = small("2020")
    given = points(5)
    given[0], given[2, 7], given[3, 0, 0] = torch.nan, torch.nan, torch.inf
    motion = animator.motion(torch.zeros(5, 3, 8, 8), landmarks=given)
    assert motion.valid.tolist() == [False, True, False, False, True]
    assert torch.equal(motion["landmarks"], given[[1, 1, 1, 1, 4]])
    none = animator.motion(torch.zeros(1, 3, 8, 8), landmarks=given[:1])
    assert not none.valid.any()
    assert none["landmarks"].isfinite().all()


def test_saved(tmp_path):
    """A person and a motion go through files."""
    animator = small("2019")
    source = animator.encode(list(pictures(64, 64, 0.0, 0.5)), points(2))
    motion = animator.motion(torch.zeros(2, 3, 8, 8), landmarks=points(2, seed=1))
    source.save(tmp_path / "person.safetensors")
    motion.save(tmp_path / "motion.safetensors")
    again = Source.load(tmp_path / "person.safetensors"), Motion.load(tmp_path / "motion.safetensors")
    assert torch.equal(animator.render(*again), animator.render(source, motion))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bfloat16(layout):
    """Half precision stays near: adaptive norms take their statistics in float32."""
    animator = small(layout)
    source, motion = animator.encode(pictures(64, 64, 0.0), points()), points(2, seed=1)
    motion = animator.motion(torch.zeros(2, 3, 8, 8), landmarks=motion)
    expected = animator.render(source, motion)
    fold_norms(animator)
    animator.G.bfloat16()  # as the runner does it: psi and E stay in full precision
    rendered = animator.render(source, motion)
    assert rendered.dtype == torch.float32
    assert (rendered - expected).abs().mean() < 0.02


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients(layout):
    """Every parameter learns; each training pass steps the power iteration."""
    animator = small(layout).train()
    discriminator = animator.D.train()
    before = next(animator.G.buffers()).clone()
    with torch.enable_grad():
        source = animator.encode(pictures(64, 64, 0.0, 0.5), points(2))
        seen = animator._drawn(points(2, seed=1), animator.G)
        fake = animator.G.decode(seen, source["psi"])
        score, maps = discriminator(fake, seen, discriminator.vectors(torch.tensor([0, 0])))
        assert score.shape == (2, 1)
        assert len(maps) == 7
        (score.sum() + discriminator(fake, seen)[0].sum()).backward()
    assert not torch.equal(next(animator.G.buffers()), before)
    idle = {"G.psi"}  # fine-tune mode's
    missing = {key for key, tensor in animator.named_parameters() if tensor.grad is None}
    missing |= {f"D.{key}" for key, tensor in discriminator.named_parameters() if tensor.grad is None}
    assert missing <= idle


@pytest.mark.parametrize("layout", LAYOUTS)
def test_personalise(layout):
    """Fine-tuning starts at what the person's vectors give, and is the generator's own from then on."""
    animator = small(layout)
    source = animator.encode(list(pictures(64, 64, 0.0, 0.5)), points(2))
    motion = animator.motion(torch.zeros(2, 3, 8, 8), landmarks=points(2, seed=1))
    expected = animator.render(source, motion)
    animator.G.personalise(source["e_hat"])
    animator.D.personalise(source["e_hat"])
    stranger = animator.encode(pictures(64, 64, 2.0), points())
    assert (animator.render(stranger, motion) - expected).abs().max() < 1e-4

    parts = {"G": animator.G.state_dict(), "D": animator.D.state_dict()}  # a fine-tuned person's file
    config = recognise(parts)
    assert list(config) == ["G", "D"]
    assert config["G"]["finetuning"]
    size = {"in_height": 64} if layout != "authors" else {}
    alone = build("fewshot", {"G": config["G"] | size, "D": config["D"] | ({} if size else {"image_size": 64})}).eval()
    assert alone.E is None
    alone.G.load_state_dict(parts["G"])
    person = alone.encode(pictures(64, 64, 2.0), points())
    assert (alone.render(person, motion) - expected).abs().max() < 1e-4


# ---------------------------------------------------------------- files and configurations


@pytest.mark.parametrize("layout", LAYOUTS)
def test_recognised(layout):
    """The layout and the widths are read off the keys and shapes alone; the size leaves no trace."""
    animator = build("fewshot", SMALL[layout] | {"num_channels": 6})
    parts = {"E": animator.E.state_dict(), "G": animator.G.state_dict(), "D": animator.D.state_dict()}
    assert layout_of(parts["G"]) == layout
    found = recognise(parts)
    for part in ("E", "G"):
        assert {**found[part], "in_height": 64} == {**animator.config[part], "in_height": 64}
    assert recognise({"generator": parts["G"]}) is None
    assert recognise({"E": parts["E"], "G": {"first.conv.weight": torch.zeros(1)}}) is None


def test_published_files_are_recognised():
    for name in WHOLE:
        with torch.device("meta"):
            animator = build("fewshot", name)
        found = recognise({"E": animator.E.state_dict(), "G": animator.G.state_dict()})
        assert found["E"] == PUBLISHED[name]["E"]
        assert found["G"] == PUBLISHED[name]["G"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files(tmp_path, layout):
    """A file as the published training writes it, whatever else is in it; our own file of it; the other layout's."""
    animator = small(layout)
    content = {f"{part}_state_dict": getattr(animator, part).state_dict() for part in "EGD"}
    adam = {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 5e-5}]}
    content |= {"epoch": 5, "i_batch": 100, "lossesG": [0.5], "num_vid": 32, "optimizerG_state_dict": adam}
    torch.save(content, tmp_path / "model_weights.tar")
    sized = {"D": {"image_size": 64}} if layout == "authors" else {part: {"in_height": 64} for part in "EG"}
    loaded = zoo.load(tmp_path / "model_weights.tar", config=sized)
    assert loaded.info.size == 64
    own = zoo.load(zoo.save(loaded, tmp_path / "own.safetensors"))
    shot, face = pictures(64, 64, 0.0), points()
    expected, *others = (
        model.render(model.encode(shot, face), Motion("fewshot", {"landmarks": face}))
        for model in (animator, loaded, own)
    )
    assert torch.equal(others[0], expected)
    assert (others[1] - expected).abs().mean() < 0.02  # saved in half precision
    if layout == "2019":
        with pytest.raises(CheckpointError, match="in the file 'G.layout' is '2019', not '2020'"):
            zoo.load(tmp_path / "model_weights.tar", config=SMALL["2020"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("other", LAYOUTS)
def test_the_other_layout(layout, other):
    if layout == other:
        small(layout).load_state_dict(small(other).state_dict())
        return
    with pytest.raises(CheckpointError, match=f"layout {other}, but the model is of the layout {layout}"):
        small(layout).G.load_state_dict(small(other).G.state_dict())


def test_discriminators_of_other_files():
    """Any number of columns; the norms that it had before December 2019 are left out, with a warning."""
    discriminator = build("fewshot", SMALL["2019"]).D
    state = discriminator.state_dict()
    state["W_i"] = torch.rand(12, 4)
    discriminator.load_state_dict(state)
    assert torch.equal(discriminator.vectors(torch.tensor([3])), state["W_i"][:, 3:].mT)
    state["res.in1.weight"] = torch.ones(12)
    with pytest.warns(UserWarning, match="before December 2019"):
        discriminator.load_state_dict(state)


def test_configurations():
    def refused(match, config):
        with pytest.raises(ConfigError, match=match):
            build("fewshot", config)

    refused("vox-224-published", "vox")
    refused("unknown layout '2021'.*2019, 2020, authors", {"layout": "2021"})
    refused("names no layout", {"G": {"in_height": 224}})
    refused("unknown entry 'in_heigth'.*in_height", {"layout": "2020", "in_heigth": 224})
    refused("'padding' in the configuration is not 'zero'", {"layout": "authors", "padding": "reflection"})
    refused("'in_height' differs", {"E": {"layout": "2020"}, "G": {"layout": "2020", "in_height": 256}})
    refused("power of two", {"layout": "authors", "image_size": 200})
    refused("whole number", {"layout": 2020, "in_height": 0})
    refused("mapping with 'num_videos'", {"layout": 2020, "discriminator": 4})
    assert build("fewshot", SMALL["2020"] | {"layout": 2020}).config["G"]["layout"] == "2020"
    assert build("fewshot", SMALL["2020"]).info.size == 64
    assert build("fewshot", SMALL["authors"]).info.size == 64


# ---------------------------------------------------------------- bad input


def test_refused():
    animator = small("2020")
    face, shot = points(), pictures(64, 64, 0.0)

    def refused(match, *arguments, step=animator.encode, **options):
        with pytest.raises(InputError, match=match):
            step(*arguments, **options)

    refused("no picture", [], [])
    refused("no picture", shot[:0], face[:0])
    refused("see through face landmarks, and none", shot)
    refused("see through face landmarks, and none", shot, step=animator.motion)
    refused("2 pictures, but landmarks of 1", [shot, shot], face)
    refused("landmarks are 1 x 5 x 2", shot, face[:, :5])
    refused("landmarks are 1 x 68 x 2.*Give 2 x 68 x 2", shot.expand(2, -1, -1, -1), face)
    refused("pictures are 1 x 3 x 32 x 64.*64 x 64", shot[:, :, :32], face)
    refused("pictures are 1 x 1 x 64 x 64", shot[:, :1], face)
    refused("a picture shows 2", [shot, shot.expand(2, -1, -1, -1)], [face, face.expand(2, -1, -1)])
    refused("no face", shot, face * torch.nan)
    two = animator.encode(shot.expand(2, -1, -1, -1), face.expand(2, -1, -1))
    motion = animator.motion(shot.expand(3, -1, -1, -1), landmarks=face.expand(3, -1, -1))
    refused("source has 2 rows, the motion 3", two, motion, step=animator.render)
    refused("source has 2 rows, the motion 3", two, motion, step=animator.transfer)

    animator.G.p.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="no numbers"):
        animator.encode(shot, face)
    without = build("fewshot", {"E": PUBLISHED["vox-224"]["E"] | {"num_channels": 4, "max_num_channels": 8}})
    with pytest.raises(ConfigError, match="lacks the generator"):
        without.encode(shot, face)
    with pytest.raises(ConfigError, match="no discriminator"):
        without.D.eval()
