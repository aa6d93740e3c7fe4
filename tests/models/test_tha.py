"""Talking Head Anime against the numbers of its published implementation, and what must hold in any configuration."""

import copy
import functools
import hashlib
import warnings

import numpy as np
import pytest
import torch

from tests.golden.fill import picture
from tests.golden_case import case
from toolkit import headpose, zoo
from toolkit.errors import CheckpointError, ConfigError, InputError
from toolkit.models import build, tha
from toolkit.models.base import Motion, Source
from toolkit.models.fast import Winograd, quicken
from toolkit.models.landmarks import from_pixels

SMALL = {
    "image_size": 32,
    "image_channels": 4,
    "pose_size": 3,
    "intermediate_channels": 4,
    "bottleneck_image_size": 8,
    "bottleneck_block_count": 2,
}
TURNED = [0.4, -0.6, 0.2, 0.3, 0.8, 0.5]


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def small():
    """A small model whose norms are away from their initial values, and whose flow is moderate, as a trained one's."""
    torch.manual_seed(0)
    animator = build("tha", SMALL).eval()
    for parameter in animator.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    animator.two_algo_face_rotator.zhou_grid_change.weight.mul_(0.05)
    return animator


def characters(count=1, size=32):
    """Random colours in a disc with a soft edge: count x 4 x size x size."""
    x = torch.linspace(-1, 1, size)
    alpha = (8 * (0.9 - (x[None] ** 2 + x[:, None] ** 2).sqrt())).clamp(0, 1).expand(count, 1, size, size)
    colours = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))
    return torch.cat([colours * (alpha > 0), alpha], dim=1)


def poses(*rows):
    return Motion("tha", {"pose": torch.tensor(rows, dtype=torch.float32)})


def some_poses(count):
    pose = torch.rand(count, 6, generator=torch.Generator().manual_seed(1))
    return Motion("tha", {"pose": tha.LOW + pose * (tha.HIGH - tha.LOW)})


def near(one, other, tolerance=1e-4):
    return one.shape == other.shape and bool((one - other).abs().max() <= tolerance)


# ---------------------------------------------------------------- golden: the networks

KEYS = {  # of the golden case, in the order in which the networks return
    "face_morpher": ("morphed", "morph_alpha", "morph_color"),
    "two_algo_face_rotator": ("color_changed", "resampled", "rot_color", "rot_alpha", "grid_change", "grid"),
    "combiner": ("final", "combined", "combine_alpha", "retouch_alpha", "retouch_color"),
}


def drawn():
    """The golden picture, made as the manifest says: 8 bit, 256 x 256 x 4."""
    p = picture(256, 256, 0.0, channels=4).astype(np.float64)
    y, x = np.linspace(0, 1, 256)[:, None], np.linspace(0, 1, 256)[None, :]
    head = 0.25 - np.sqrt((x - 0.5) ** 2 + (y - 0.5) ** 2)
    body = np.minimum(0.33 - np.abs(x - 0.5), y - 0.72)
    alpha = np.rint(255 * np.clip(0.5 + 40 * np.maximum(head, body), 0, 1) * (0.75 + 0.25 * p[3]))
    colours = np.where(alpha == 0, 0, np.rint(255 * p[:3]))
    return np.stack([*colours, alpha], axis=-1).astype(np.uint8)


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def golden():
    """All outputs, by key: one batch of the three poses through the four steps, listened to at each network."""
    wanted = case("tha", "v1-256")
    pixels = drawn()
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == wanted.inputs["picture"]["rgba8_sha256"]
    animator = build("tha", wanted.config)
    for name in wanted.modules:
        wanted.fill(name, getattr(animator, name))
    source = animator.encode(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)
    motion = animator.transfer(source, poses(*wanted.inputs["poses"]))
    heard = {}
    for name in KEYS:
        module = getattr(animator, name)
        module.register_forward_hook(lambda _, arguments, output, name=name: heard.update({name: output}))
    frames = animator.render(source, motion)
    out = {"input": source["picture"]}
    for row in range(len(motion)):
        for name, keys in KEYS.items():
            out |= {f"p{row}_{key}": output[row : row + 1] for key, output in zip(keys, heard[name], strict=True)}
        out[f"p{row}_final_crop"] = out[f"p{row}_final"]
        frame = frames[row].permute(1, 2, 0)
        green = frame[..., :3] * frame[..., 3:] + torch.tensor([0.0, 1, 0]) * (1 - frame[..., 3:])
        out[f"p{row}_png"], out[f"p{row}_green"] = (255 * frame).round(), (255 * green).round()
    return out


@pytest.mark.parametrize("key", case("tha", "v1-256").outputs)
def test_golden(key):
    wanted = case("tha", "v1-256")
    what = wanted.outputs[key]["what"]
    index = eval(f"np.s_{what[what.rindex('[') :]}", {"np": np})  # it ends in "[..., ::8, ::8]"
    ours, theirs = golden()[key][index].double(), wanted[key].double()
    tolerance = wanted.tolerance_by_array[key.split("_", 1)[-1]]
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance


# ---------------------------------------------------------------- golden: landmarks to poses


def given():
    """The landmarks of the golden case: 4 x 68 x 2, pixels of frames of 480 x 640."""
    return torch.tensor(case("tha", "v1-landmarks").inputs["frames"]).double()


@functools.lru_cache(maxsize=1)
def read():
    """All outputs of the landmark case, by key."""
    wanted = case("tha", "v1-landmarks")
    size = wanted.config["image_height"], wanted.config["image_width"]
    landmarks, frames = from_pixels(given(), *size), torch.zeros(4, 3, *size)
    pose = small().motion(frames, landmarks=landmarks, mirror=True)["pose"]
    smooth = pose.clone()  # as the author's tool does it, on the head alone
    for row in range(1, len(smooth)):
        smooth[row, :3] = 0.5 * pose[row, :3] + 0.5 * smooth[row - 1, :3]
    rotation, translation = headpose.head_pose(landmarks)
    return {
        "euler": headpose.euler(rotation),
        "box": headpose.box(rotation, translation),
        "ratios": tha.openness(given()),
        "pose_raw": pose,
        "pose": smooth,
    }


@pytest.mark.parametrize("key", case("tha", "v1-landmarks").outputs)
def test_golden_landmarks(key):
    wanted = case("tha", "v1-landmarks")
    assert near(read()[key].double(), wanted[key].double(), wanted.tolerance_by_array[key])


def seen(*angles):
    """68 landmarks of heads turned by angles (x, y, z) in degrees, in the middle of a frame of 480 x 640."""
    points = given()[:1].repeat(len(angles), 1, 1)
    for row, (x, y, z) in enumerate(torch.tensor(angles).deg2rad().tolist()):
        vectors = torch.tensor([[0, 0, z], [0, y, 0], [x, 0, 0]], dtype=torch.float64)
        turn = torch.linalg.multi_dot(list(torch.linalg.matrix_exp(headpose._cross(vectors))))
        there = torch.tensor([[0.0, -4, -60]], dtype=torch.float64)
        corners, _ = headpose._project(points.new_tensor(list(headpose.MODEL.values())), turn[None], there)
        points[row, list(headpose.MODEL)] = corners[0] * 640 + points.new_tensor([320, 240])
    return from_pixels(points, 480, 640)


def test_the_solver_finds_the_angles():
    angles = torch.tensor([[0.0, 0, 0], [12, 0, 0], [0, -30, 0], [0, 0, 25], [-20, 35, -15]], dtype=torch.float64)
    rotation, translation = headpose.head_pose(seen(*angles.tolist()))
    assert near(headpose.euler(rotation), angles, 1e-6)
    assert near(translation, torch.tensor([[0.0, -4, -60]], dtype=torch.float64).expand(5, 3), 1e-6)


def test_the_character_does_what_is_seen():
    """Unmirrored, a clip gives what the mirrored clip gives in the author's tool; the signs are those of NAMES."""
    order = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
    order += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    order += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    pixels, frames, animator = given(), torch.zeros(4, 3, 480, 640), small()
    flipped = pixels[:, order] * pixels.new_tensor([-1, 1]) + pixels.new_tensor([640, 0])
    ours = animator.motion(frames, landmarks=from_pixels(pixels, 480, 640))
    tool = animator.motion(frames, landmarks=from_pixels(flipped, 480, 640), mirror=True)
    assert near(ours["pose"], tool["pose"], 1e-5)

    up, left, tilted = animator.motion(frames[:3], landmarks=seen([-9, 0, 0], [0, -9, 0], [0, 0, -9]))["pose"][:, :3]
    nose = seen([-9, 0, 0], [0, -9, 0], [0, 0, -9])[:, [31, 35]].mean(1) - seen([0, 0, 0])[:, [31, 35]].mean(1)
    brows = seen([0, 0, -9], [0, 0, 0])[:, [21, 22]].mean(1)
    assert near(up, torch.tensor([0.6, 0, 0])) == bool(nose[0, 1] < 0)
    assert near(left, torch.tensor([0, 0.6, 0])) == bool(nose[1, 0] < 0)
    assert near(tilted, torch.tensor([0, 0, 0.6])) == bool(brows[0, 0] < brows[1, 0])


def test_landmarks_of_other_frames():
    """The size of the frames is made up for; a row without landmarks rests and says so."""
    landmarks, animator = from_pixels(given(), 480, 640), small()
    pose = animator.motion(torch.zeros(4, 3, 480, 640), landmarks=landmarks)["pose"]
    assert near(animator.motion(torch.zeros(4, 3, 240, 320), landmarks=landmarks)["pose"], pose)
    square = from_pixels(given() - torch.tensor([80, 0]), 480, 480)
    assert near(animator.motion(torch.zeros(4, 3, 480, 480), landmarks=square)["pose"], pose)
    landmarks[1, 40] = float("nan")
    landmarks[2] = 0.7  # all in one place
    motion = animator.motion(torch.zeros(4, 3, 480, 640), landmarks=landmarks)
    assert motion.valid.tolist() == [True, False, False, True]
    assert torch.equal(motion["pose"][1:3], tha.REST.expand(2, 6))
    assert near(motion["pose"][[0, 3]], pose[[0, 3]])


@pytest.mark.parametrize("landmarks", [None, torch.zeros(2, 5, 2), torch.zeros(3, 68, 2)])
def test_landmarks_that_do_not_fit(landmarks):
    with pytest.raises(InputError, match="andmarks"):
        small().motion(torch.zeros(2, 3, 32, 32), landmarks=landmarks)


# ---------------------------------------------------------------- pictures


def test_colour():
    levels = torch.arange(256) / 255
    picture = levels.expand(1, 4, 1, 256)
    linear = tha.to_linear(picture)
    assert near(linear[0, 3, 0], 2 * levels - 1, 1e-7)
    assert near(linear[0, 0, 0, [0, 10, 188, 255]], torch.tensor([-1, -0.99393, 0.00577, 1]), 1e-5)
    assert torch.equal((tha.to_srgb(linear) * 255).round(), (picture * 255).round())
    beyond = tha.to_srgb(torch.tensor([-1.0001, 1.0001]).expand(1, 4, 1, 2))
    assert near(beyond, torch.tensor([0.0, 1]).expand(1, 4, 1, 2), 1e-6)


def test_hidden_colours_do_not_count():
    clean = characters()
    dirty = torch.where(clean[:, 3:] > 0, clean, torch.tensor([1, 1, 1, 0.0])[:, None, None])
    assert not torch.equal(clean, dirty)
    source = small().encode(dirty)
    assert torch.equal(source["picture"], small().encode(clean)["picture"])
    assert torch.equal(source["picture"][0, :, 0, 0], -torch.ones(4))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p[:, :3], "four channels"),
        (lambda p: p[0], "four channels"),
        (lambda p: p[..., :24], "24 x 32"),
        (lambda p: torch.cat([p[:, :3], 0 * p[:, 3:]], 1), "transparent everywhere"),
        (lambda p: torch.cat([p[:, :3], 0 * p[:, 3:] + 1], 1), "no transparent pixel"),
        (lambda p: torch.cat([p, torch.ones_like(p)]), "no transparent pixel"),
        (lambda p: p * float("nan"), "transparent everywhere"),
    ],
)
def test_pictures_that_do_not_fit(spoil, says):
    with pytest.raises(InputError, match=says) as caught:
        small().encode(spoil(characters()))
    assert caught.value.remedy


# ---------------------------------------------------------------- poses


def test_modes():
    animator = small()
    assert animator.info.mode == "absolute" == animator.check_mode("auto")
    source, motion = animator.encode(characters()), poses(TURNED, [0.2, 0.1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1])
    assert torch.equal(source.motion["pose"], tha.REST[None])
    pose, rest = motion["pose"], tha.REST
    assert torch.equal(animator.transfer(source, motion)["pose"], pose)
    half = animator.transfer(source, motion, strength=0.5)["pose"]
    assert near(half, (pose + rest) / 2)
    moved = animator.transfer(source, motion, mode="relative", reference=motion[1])["pose"]
    assert near(moved[:, :3], pose[:, :3] - pose[1, :3])
    assert torch.equal(moved[:, 3:], pose[:, 3:])
    moved = animator.transfer(source, motion, mode="relative", strength=0.5)["pose"]  # from the first row
    assert near(moved[:, :3], 0.5 * (pose[:, :3] - pose[0, :3]))
    assert near(moved[:, 3:], half[:, 3:])
    several = animator.transfer(animator.encode(characters(3)), motion, mode="relative", strength=0.5)["pose"]
    assert near(several, moved)
    with pytest.raises(ConfigError, match="avd"):
        animator.transfer(source, motion, mode="avd")


def test_distance_is_smallest_where_the_head_is_straight():
    animator = small()
    motion = poses(TURNED, [0.1, 0, 0, 1, 1, 0], [0.1, 0.3, 0, 0, 0, 1])
    assert animator.distance(animator.encode(characters()), motion).argmin() == 1


def test_a_pose_beyond_its_range_is_clamped_and_said_once():
    """Once a picture: the next one is told of anew."""
    animator = small()
    source = animator.encode(characters())
    wild, tame = poses([1.7, 0, -3, -0.5, 0, 1.2], TURNED), poses([1.0, 0, -1, 0, 0, 1], TURNED)
    with pytest.warns(UserWarning, match=r"head_x is 1\.70.*-1 … 1"):
        frames = animator.render(source, wild)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(frames, animator.render(source, tame))
        assert torch.equal(animator.transfer(source, wild)["pose"], tame["pose"])
        small().render(source, poses([1 + 1e-6, 0, 0, -1e-6, 0, 1]))  # rounding is not worth a word
    animator.encode(characters())
    with pytest.warns(UserWarning, match="trained"):
        assert animator.transfer(source, tame, strength=2)["pose"].abs().max() == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pose_that_is_no_number_is_refused(value):
    animator = small()
    source = animator.encode(characters())
    bad = poses(TURNED, [0, value, 0, 0, 0, 1])
    for use in (animator.render, animator.transfer):
        with pytest.raises(InputError, match="row 1.*head_y"):
            use(source, bad)
    with pytest.raises(InputError, match="row 0.*head_y"):
        animator.transfer(source, poses(TURNED), reference=bad[1], mode="relative")


def test_motions_that_do_not_fit():
    animator = small()
    source = animator.encode(characters(2))
    with pytest.raises(InputError, match="2 rows"):
        animator.render(source, some_poses(3))
    with pytest.raises(InputError, match="six numbers"):
        animator.render(source, Motion("fomm", {"value": torch.zeros(2, 10, 2)}))


# ---------------------------------------------------------------- what must hold


def test_batches():
    """One by one, in a batch, and with a source for each row: the same frames."""
    animator, motion = small(), some_poses(3)
    frames = animator.render(animator.encode(characters()), motion)
    assert frames.shape == (3, 4, 32, 32)
    assert frames.dtype == torch.float32
    assert frames.min() >= 0 and frames.max() <= 1 and frames.std() > 0.05
    for row in range(3):
        assert near(animator.render(animator.encode(characters()), motion[row]), frames[row : row + 1])
    sources = animator.encode(characters(3))
    several = animator.render(sources, motion)
    for row in range(3):
        assert near(animator.render(animator.encode(characters(3)[row : row + 1]), motion[row]), several[row : row + 1])
    assert animator.render(animator.encode(characters()), motion[:0]).shape == (0, 4, 32, 32)


def test_cached_is_uncached():
    """With gradients nothing is remembered and nothing shared: the plain loop."""
    animator, source = small(), small().encode(characters())
    motion = poses(TURNED, [0.1, *TURNED[1:]], [0.2, 0, 0, 0, 0, 0.5], TURNED)
    with torch.enable_grad():
        plain = animator.render(source, motion).detach()
    for _ in range(2):
        assert near(animator.render(source, motion), plain)


def test_a_turning_head_is_morphed_once():
    animator, morphed = small(), []
    animator.face_morpher.register_forward_hook(lambda _, arguments, output: morphed.append(len(output[0])))
    source = animator.encode(characters())
    for head_x in (-0.5, 0, 0.5):
        animator.render(source, poses([head_x, 0, 0, 0.5, 0, 1], [head_x, 1, 0, 0.5, 0, 1]))
    assert morphed == [1]
    animator.render(source, poses([0, 0, 0, 0.5, 0, 1], [0, 0, 0, 0.5, 0.2, 1]))
    assert morphed == [1, 1]  # one face was known
    other = animator.encode(characters(2))
    animator.render(other, poses([0, 0, 0, 0.5, 0, 1], [0, 1, 0, 0.5, 0, 1]))
    assert morphed == [1, 1, 2]  # the same face on two pictures


def test_what_is_remembered_goes_with_the_weights_and_is_not_saved(tmp_path):
    animator, source = small(), small().encode(characters())
    before = animator.render(source, poses(TURNED))
    changed = copy.deepcopy(animator)
    changed.face_morpher.color_change[0].weight.mul_(-1)
    assert not near(changed.render(source, poses(TURNED)), before, 1e-3)
    animator.face_morpher.load_state_dict(changed.face_morpher.state_dict())
    assert near(animator.render(source, poses(TURNED)), changed.render(source, poses(TURNED)))
    source.save(tmp_path / "source.safetensors")
    loaded = Source.load(tmp_path / "source.safetensors")
    assert list(loaded.tensors) == ["picture"]
    assert near(changed.render(loaded, poses(TURNED)), animator.render(source, poses(TURNED)))


def test_no_flow_copies_the_picture():
    animator = small()
    animator.two_algo_face_rotator.zhou_grid_change.weight.zero_()
    image = animator.encode(characters())["picture"]
    _, sampled, *_ = animator.two_algo_face_rotator(image, torch.zeros(1, 3))
    assert near(sampled, image)


def test_gradients_reach_every_weight():
    animator = small().train()
    source = animator.encode(characters(2))
    with torch.enable_grad():
        animator.render(source, some_poses(2)).square().mean().backward()
    assert [name for name, weight in animator.named_parameters() if weight.grad is None or not weight.grad.any()] == []
    assert all(bool(weight.grad.isfinite().all()) for weight in animator.parameters())


def test_tiles_give_the_same_numbers():
    animator, motion = small(), some_poses(2)
    quick = quicken(copy.deepcopy(animator), winograd=True)
    assert sum(isinstance(part, Winograd) for part in quick.modules()) == 3 * 2 * SMALL["bottleneck_block_count"]
    ours, theirs = (each.render(each.encode(characters()), motion) for each in (quick, animator))
    assert near(ours, theirs, 1e-3)


@pytest.mark.parametrize("how", ["cast", "autocast"])
def test_half_precision(how):
    animator, motion = small(), some_poses(2)
    source = animator.encode(characters())
    exact = animator.render(source, motion)
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        rounded = (animator.bfloat16() if how == "cast" else animator).render(source.to("cpu"), motion)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().mean() < 0.03


# ---------------------------------------------------------------- configurations


def test_published():
    with torch.device("meta"):
        animator = build("tha", "v1-256")
    wanted = case("tha", "v1-256").params
    assert {part: sum(p.numel() for p in getattr(animator, part).parameters()) for part in animator.parts} == wanted
    info = animator.info
    assert (info.config, info.size, info.channels, info.crop) == ("v1-256", 256, 4, "head")
    assert info.needs == {"landmarks"}
    assert "CC BY 4.0" in info.licence
    assert animator.align_corners and animator.two_algo_face_rotator.align_corners
    assert build("tha", case("tha", "v1-256").config).config == animator.config


def test_layouts_agree():
    parts = dict.fromkeys(tha.PARTS, SMALL)
    flat = build("tha", SMALL).config
    assert build("tha", parts).config == flat
    assert build("tha", {"model_params": {"common_params": SMALL, **{f"{p}_params": {} for p in parts}}}).config == flat
    assert not build("tha", {**SMALL, "align_corners": False}).align_corners
    assert not build("tha", parts, align_corners=False).two_algo_face_rotator.align_corners
    wider = {**parts, "combiner": {**SMALL, "intermediate_channels": 6}}
    assert build("tha", wider).config["combiner"]["intermediate_channels"] == 6


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("v2-256", "v1-256"),
        ({}, "no network"),
        ({"face_morpher": SMALL}, "two_algo_face_rotator and combiner"),
        ({**SMALL, "image_chanels": 4}, "image_channels"),
        ({**SMALL, "image_channels": 3}, "image_channels"),
        ({**SMALL, "pose_size": 6}, "pose_size"),
        ({**SMALL, "bottleneck_image_size": 12}, "bottleneck_image_size"),
        ({**SMALL, "initialization_method": "zero"}, "xavier"),
        ({**SMALL, "instance_norm": {"affine": False}}, "instance_norm"),
        ({**dict.fromkeys(tha.PARTS, SMALL), "combiner": {**SMALL, "image_size": 64}}, "differs"),
    ],
)
def test_configurations_that_do_not_fit(config, says):
    with pytest.raises(ConfigError, match=says):
        build("tha", config)


@pytest.mark.parametrize(("method", "variance"), [("he", 2 / (32 * 49)), ("xavier", 2 / ((32 + 16) * 49))])
def test_start_values(method, variance):
    config = {**SMALL, "intermediate_channels": 16, "initialization_method": method}
    weight = build("tha", config).combiner.main_body.upsampling_modules[0][0].weight
    assert weight.shape == (16, 32, 7, 7)
    assert abs(weight.var() / variance - 1) < 0.05


@pytest.mark.parametrize("change", [{}, {"intermediate_channels": 2}, {"bottleneck_block_count": 1}])
def test_recognised_by_its_weights(change):
    animator = build("tha", {**SMALL, "image_size": 256, "bottleneck_image_size": 32, **change})
    parts = {part: getattr(animator, part).state_dict() for part in animator.parts}
    assert tha.recognise(parts) == animator.config
    assert [tha.part_of(parts[part]) for part in parts] == list(parts)
    for part in parts:
        assert tha.recognise({**parts, part: {}}) is None
    assert tha.part_of({"first.conv.weight": torch.zeros(1)}) is None


# ---------------------------------------------------------------- the three files


@pytest.fixture
def published(tmp_path):
    """A small model in three files as they were published, in the old format."""
    animator = build("tha", {**SMALL, "image_size": 256, "bottleneck_image_size": 32, "bottleneck_block_count": 1})
    for part in animator.parts:
        state = getattr(animator, part).state_dict()
        torch.save(state, tmp_path / f"{part}.pt", _use_new_zipfile_serialization=False)
    return animator, tmp_path


@pytest.mark.parametrize("which", ["", "face_morpher.pt", "two_algo_face_rotator.pt", "combiner.pt"])
def test_loads_three_files(published, which):
    """The folder, or any one of them."""
    animator, folder = published
    loaded = zoo.load(folder / which)
    assert loaded.config == animator.config
    assert loaded.align_corners
    state = loaded.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in animator.state_dict().items())
    zoo.save(loaded, folder / "own.safetensors", half=False, drawn=True)
    again = zoo.load(folder / "own.safetensors")
    assert again.config == animator.config
    assert again.info.drawn


def test_a_file_of_the_three_is_missing(published):
    folder = published[1]
    (folder / "combiner.pt").unlink()
    for which in ("", "face_morpher.pt"):
        with pytest.raises(CheckpointError, match=r"combiner\.pt is missing") as caught:
            zoo.load(folder / which)
        assert str(folder) in caught.value.remedy
    (folder / "two_algo_face_rotator.pt").unlink()
    with pytest.raises(CheckpointError, match=r"two_algo_face_rotator\.pt and combiner\.pt are missing"):
        zoo.load(folder)


def test_a_file_of_the_three_is_another(published):
    folder = published[1]
    (folder / "combiner.pt").write_bytes((folder / "face_morpher.pt").read_bytes())
    with pytest.raises(CheckpointError, match="doesn't hold the combiner"):
        zoo.load(folder)
    (folder / "combiner.pt").write_bytes(b"<html>quota</html>")
    with pytest.raises(CheckpointError, match="web page"):
        zoo.load(folder)
