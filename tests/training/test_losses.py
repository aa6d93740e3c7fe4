"""The losses against the published numbers, and what the puppets' own losses must do."""

import copy

import pytest
import torch

from tests.golden.fill import fill
from tests.golden_case import case, pictures
from toolkit.models.layers import ImagePyramid
from toolkit.models.motion import RandomTransform, coordinate_grid
from toolkit.training import Recipe
from toolkit.training import losses as loss
from toolkit.training.data import Batch, View
from toolkit.training.fomm import FommTask
from toolkit.training.vgg import VGG19


def assert_near(ours, wanted, tolerance):
    torch.testing.assert_close(
        torch.as_tensor(ours).detach().reshape(wanted.shape), wanted, rtol=tolerance, atol=tolerance
    )


def test_golden_arithmetic():
    golden = case("fomm", "vox-256-maths")
    transform = RandomTransform(golden["tps_theta"], golden["tps_control_params"])
    points = golden["tps_points"]
    assert_near(loss.equivariance_value(golden["eq_driving_value"], transform, points), golden["eq_value_loss"], 2e-4)
    jacobian = loss.equivariance_jacobian(
        golden["eq_driving_jacobian"], transform, points, golden["eq_transformed_jacobian"]
    )
    assert_near(jacobian, golden["eq_jacobian_loss"], 2e-4)
    real = {"prediction_map_1": golden["loss_map_real"], "feature_maps_1": [golden["loss_feature_real"]]}
    fake = {"prediction_map_1": golden["loss_map_fake"], "feature_maps_1": [golden["loss_feature_fake"]]}
    assert_near(loss.generator_gan(fake), golden["loss_gen_gan"], 2e-4)
    assert_near(loss.discriminator_gan(real, fake), golden["loss_disc_gan"], 2e-4)
    assert_near(loss.feature_matching(real, fake, [10]), golden["loss_feature"], 2e-4)


def test_golden_vgg_features():
    golden = case("fomm", "vox-256-maths")
    network = golden.fill("vgg19", VGG19())
    with torch.no_grad():
        maps = network(pictures(64, 64, 0.3))
    for index, map_ in enumerate(maps):
        golden.check(f"vgg_{index + 1}", map_)


def test_perceptual_loss_in_half_precision():
    """With the network's weights in bfloat16 loss and slope are nearly the same, and the slope is the pictures' own."""
    golden = case("fomm", "vox-256-maths")
    network = golden.fill("vgg19", VGG19())
    truth, found = {"1": pictures(64, 64, 0.3)}, []
    for dtype in (torch.float32, torch.bfloat16):
        network.features.to(dtype)
        prediction = pictures(64, 64, 0.5).requires_grad_()
        value = loss.perceptual(network, {"1": prediction}, truth, 10.0)
        value.backward()
        found.append((value.item(), prediction.grad.flatten()))
    (exact, slope), (half, rounded) = found
    assert half == pytest.approx(exact, rel=0.02) and rounded.dtype == torch.float32
    assert torch.cosine_similarity(slope, rounded, dim=0) > 0.95


def test_golden_pyramid():
    golden = case("fomm", "vox-256-maths")
    levels = ImagePyramid((1, 0.5, 0.25, 0.125))(pictures(64, 80, 0.5))
    for scale in ("0.5", "0.25", "0.125"):
        golden.check(f"pyramid_{scale.replace('.', '-')}", levels[f"prediction_{scale}"])


@pytest.fixture(scope="module")
def train_step():
    """One step of vox-adv-256 by our trainer's task: losses, gradients, statistics."""
    golden = case("fomm", "vox-adv-256-train")
    weights = dict.fromkeys(("perceptual", "feature_matching", "equivariance_value", "equivariance_jacobian"), 10.0)
    weights |= {"generator_gan": 1.0, "discriminator_gan": 1.0}
    train = ["generator", "kp_detector", "discriminator"]
    stage = {"name": "adv", "steps": 1, "size": 256, "batch": 2, "train": train, "weights": weights}
    table = {
        "name": "vox-adv-256",
        "task": "fomm",
        "model": copy.deepcopy(golden.config),
        "stages": [stage],
        "channels_last": False,
    }
    recipe = Recipe.load(table)
    task = FommTask(recipe, torch.device("cpu"))
    for name, module in task.modules.items():
        golden.fill(name, module).train()
    vgg = VGG19()
    vgg.load_state_dict({key: torch.from_numpy(value) for key, value in _vgg(golden).items()})
    task._features = vgg
    task.transform = lambda rows: RandomTransform(golden["tps_theta"], golden["tps_control_params"])
    find, generated, seen = task.find, task.generated, {}
    found = seen["found"] = []  # (pictures, their keypoints), in the order of the three looks
    task.find = lambda x: found.append((x, find(x))) or found[-1][1]
    task.generated = lambda *arguments: seen.update(generated(*arguments)) or seen
    source, driving = (pictures(256, 256, *golden.inputs[name]["phases"]) for name in ("source", "driving"))
    source, driving = (View(x, *torch.zeros(3, 2, 68, 2)) for x in (source, driving))
    batch = Batch(source, driving, source, driving, torch.zeros(2, dtype=torch.bool))
    losses = task.losses(batch, recipe.stages[0])
    sum(losses.values()).backward()
    task.modules["discriminator"].zero_grad()
    adversary = task.adversary(batch, recipe.stages[0])
    adversary.backward()
    return golden, task, {**losses, "disc_gan": adversary}, seen


def _vgg(golden):
    from tests.golden.fill import values

    return {key: values(key, tuple(shape)) for key, shape in golden.modules["vgg19"]["state_dict"].items()}


def test_golden_train_step(train_step):
    golden, task, losses, _ = train_step
    losses["gen_gan"] = losses.pop("generator_gan")
    missed = {}
    for key in golden.expected:
        if key.startswith("loss_"):
            ours = float(losses[key.removeprefix("loss_")].detach())
        elif key.startswith("grad_norm_"):
            name = next(n for n in task.modules if key.startswith(f"grad_norm_{n}_"))
            parameter = key.removeprefix(f"grad_norm_{name}_")
            ours = float(task.modules[name].get_parameter(parameter).grad.norm())
        else:
            continue
        wanted, tolerance = float(golden[key]), golden.tolerance_by_output[key]["relative"]
        if abs(ours - wanted) > tolerance * abs(wanted):
            missed[key] = (ours, wanted)
    assert not missed


def test_golden_train_step_on_its_way(train_step):
    golden, task, _, seen = train_step
    detector, generator = task.modules["kp_detector"], task.modules["generator"]
    assert_near(detector.predictor.encoder.down_blocks[0].norm.running_mean, golden["kp_detector_running_mean"], 1e-4)
    assert_near(generator.first.norm.running_mean, golden["generator_running_mean"], 1e-4)
    assert_near(seen["found"][1][1]["value"], golden["kp_driving_value"], 1e-4)
    assert_near(seen["found"][2][1]["value"], golden["kp_transformed_value"], 1e-4)
    assert_near(seen["found"][2][0][:, :, ::8, ::8], golden["transformed_frame"], 1e-3)
    assert_near(seen["prediction"][:, :, ::8, ::8], golden["prediction"], 2e-3)


def test_pyramids_weigh_by_region():
    truth = torch.zeros(1, 3, 32, 32)
    left, right = truth.clone(), truth.clone()
    left[..., :16] = 1
    right[..., 16:] = 1
    weight = torch.ones(1, 1, 32, 32)
    weight[..., :16] = 5
    for measure in (loss.pyramid_l1, loss.gradient_l1):
        assert measure(truth, truth, weight) == 0
    assert loss.pyramid_l1(left, truth, weight) > 4 * loss.pyramid_l1(right, truth, weight)


def test_selection_prefers_the_motion_that_fits():
    truth = torch.rand(1, 3, 16, 16)
    sparse = torch.stack([truth, 1 - truth], 1)
    first = torch.stack([torch.ones(1, 16, 16), torch.zeros(1, 16, 16)], 1)
    assert loss.selection(first, sparse, truth, None) < 0.05
    assert (
        loss.selection(first.flip(1), sparse, truth, None)
        > loss.selection(torch.full_like(first, 0.5), sparse, truth, None)
        > 0
    )


def test_keeping_keeps_what_fits():
    truth, wrong = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    keep, paint = torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    assert loss.keeping(keep, truth, truth, None) < loss.keeping(paint, truth, truth, None)
    assert loss.keeping(paint, wrong, truth, None) < loss.keeping(keep, wrong, truth, None)


def test_keeping_has_a_slope_where_the_map_is_saturated():
    logits = torch.full((1, 1, 8, 8), -9.0, requires_grad=True)
    truth = torch.zeros(1, 3, 8, 8)
    loss.keeping(logits.sigmoid(), truth, truth, None).backward()
    assert (logits.grad * 64 < -0.5).all()


def test_choosing_wants_the_better_of_two_pictures():
    truth = torch.zeros(1, 3, 16, 16)
    kept = truth.clone()
    kept[..., 8:] = 0.3  # wrong on the right
    painted = torch.full_like(truth, 0.1)
    keep_left = torch.zeros(1, 1, 16, 16)
    keep_left[..., :8] = 1
    right = loss.choosing(keep_left, kept, painted, truth, 0.0)
    assert right < 0.5 < loss.choosing(1 - keep_left, kept, painted, truth, 0.0)
    assert loss.choosing(torch.ones(1, 1, 16, 16), kept, painted, truth, 0.5) < 0.01  # favoured so much, all is kept


def test_following_wants_the_motion_that_lands_on_the_landmarks():
    torch.manual_seed(0)
    source = 0.5 * torch.rand(2, 68, 2) - 0.25
    shift = torch.tensor([0.1, -0.2])
    grid = coordinate_grid(16, 16).view(1, 16, 16, 2)
    right, still = grid + shift * (16 / 15), grid
    motions = torch.stack([still, right], 1).expand(2, -1, -1, -1, -1)

    def chosen(share: float) -> torch.Tensor:
        mask = torch.tensor([1 - share, share])[None, :, None, None].expand(2, 2, 16, 16)
        return loss.following(mask, motions, source, source - shift)

    assert chosen(1.0) < 1e-3 < chosen(0.5) < chosen(0.0)


def test_filled_vgg_is_frozen():
    network = fill(VGG19()).train()
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
