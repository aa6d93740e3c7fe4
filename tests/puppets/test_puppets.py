"""The drawing: seeded, the same in any batch and at any size, its landmarks and anchors where the parts really are."""

import dataclasses

import pytest
import torch

from toolkit import puppets as P

ROOM = 0.02  # 2.5 pixels at 256


@pytest.fixture(scope="module")
def cast():
    return P.identities(12, seed=5), P.poses(12, seed=6, amount=0.6)


@pytest.fixture(scope="module")
def pictures(cast):
    return P.draw(*cast, size=96)


def neutral(n, **fields):
    pose = P.Pose.neutral(n)
    return pose.replace(**{k: torch.as_tensor(v, dtype=torch.float32).expand(n) for k, v in fields.items()})


def box(mask):
    """left, right, top, bottom of a mask (H x W) in -1 … 1, at half coverage, to a fraction of a pixel."""
    size = len(mask)
    edges = []
    for line in (mask.amax(0), mask.amax(1)):
        on = (line > 0.5).nonzero()[:, 0]
        edges += [2 * float(on[0]) / size - 1, 2 * (float(on[-1]) + 1) / size - 1]
    return edges


def test_seeded(cast):
    again = P.identities(12, seed=5)
    for field in dataclasses.fields(P.Identity):
        assert torch.equal(getattr(cast[0], field.name), getattr(again, field.name))
    more = P.identities(20, seed=5)[:12]
    assert torch.equal(more.skin, cast[0].skin) and torch.equal(P.poses(20, seed=6, amount=0.6)[:12].yaw, cast[1].yaw)
    assert not torch.equal(P.identities(12, seed=7).skin, cast[0].skin)
    assert torch.equal(P.draw(*cast, size=48), P.draw(*cast, size=48))


def test_batch(cast, pictures):
    who, pose = cast
    for k in range(0, 12, 3):
        assert (P.draw(who[k], pose[k], 96) - pictures[k]).abs().max() < 1e-4
        assert torch.allclose(P.landmarks(who[k], pose[k]), P.landmarks(who, pose)[k : k + 1], atol=1e-5)
    shuffled = torch.randperm(12)
    assert (P.draw(who[shuffled], pose[shuffled], 96) - pictures[shuffled]).abs().max() < 1e-4


def test_rows(cast):
    who, pose = cast
    assert len(who) == 12 and len(who[3]) == 1 and len(who[-1]) == 1 and len(who[2:5]) == 3
    assert torch.equal(pose[torch.tensor([4, 1])].yaw, pose.yaw[[4, 1]])
    assert len(who.repeat(2)) == 24 and len(P.Pose.cat([pose, pose[:3]])) == 15
    with pytest.raises(IndexError):
        who[12]


def test_alpha(cast):
    who, pose = cast[0][:4], cast[1][:4]
    full, free = P.draw(who, pose, 64), P.draw(who, pose, 64, background=False)
    assert full.shape == (4, 4, 64, 64) and (full[:, 3] == 1).all()
    alpha = free[:, 3:]
    assert (alpha[..., 0, 0] == 0).all() and (alpha[:, 0, 40, 32] == 1).all()
    assert (free[:, :3] * (alpha == 0)).abs().max() == 0
    # laid over the background it is the full picture
    back = P.draw(who, pose, 64, parts={"background"})
    assert (free[:, :3] * alpha + back[:, :3] * (1 - alpha) - full[:, :3]).abs().max() < 1e-4


@pytest.mark.parametrize("size", [1, 17, 63, 130])
def test_sizes(cast, size):
    out = P.draw(cast[0][:3], cast[1][:3], size)
    assert out.shape == (3, 4, size, size) and out.isfinite().all()


def test_size_does_not_matter(cast):
    """A large picture, averaged, is the small one."""
    who, pose = cast[0][:4], cast[1][:4]
    small, large = P.draw(who, pose, 128), P.draw(who, pose, 384)
    assert (torch.nn.functional.avg_pool2d(large, 3) - small).abs().mean() < 0.01


def test_nothing_breaks():
    who, pose = P.identities(200, seed=21), P.poses(200, seed=22)
    out = P.draw(who, pose, 40)
    assert out.isfinite().all() and out.min() >= 0 and out.max() <= 1
    points, J = P.anchors(who, pose)
    assert P.landmarks(who, pose).isfinite().all() and points.isfinite().all() and J.isfinite().all()
    assert points.shape == (200, len(P.ANCHORS), 2) and J.shape == (200, len(P.ANCHORS), 2, 2)
    # the anchors are in the picture or nearly so
    assert points.abs().max() < 1.6


def test_no_two_alike():
    small = torch.nn.functional.avg_pool2d(
        P.draw(P.identities(60, seed=31), P.Pose.neutral(1), 64, background=False), 2
    ).flatten(1)
    apart = torch.cdist(small, small) / small.shape[1] ** 0.5 + torch.eye(60)
    assert apart.min() > 0.02


# ---- landmarks, found in the drawing ----


def test_landmarks_of_eyes_and_mouth():
    n = 10
    who = P.identities(n, seed=41)
    pose = P.poses(n, seed=42, amount=0.4).replace(eye_left=torch.full((n,), 0.9), eye_right=torch.full((n,), 0.7))
    seen, points = P.masks(who, pose, 256), P.landmarks(who, pose)
    for k in range(n):
        if pose.roll[k].abs() > 0.12:
            continue  # the extremes of a turned shape are elsewhere
        for name, left, right, upper, lower in (
            ("eye_left", 36, 39, (37, 38), (40, 41)),
            ("eye_right", 42, 45, (43, 44), (46, 47)),
            ("mouth", 48, 54, (50, 52), (57,)),
        ):
            left_edge, right_edge, top, bottom = box(seen[name][k])
            p = points[k]
            assert abs(left_edge - p[left, 0]) < 0.035 and abs(right_edge - p[right, 0]) < 0.035, (k, name)
            assert top < min(p[j, 1] for j in upper) + ROOM and top > min(p[j, 1] for j in upper) - 0.05, (k, name)
            assert abs(bottom - max(p[j, 1] for j in lower)) < 0.035, (k, name)


def test_points_lie_on_edges():
    """On the rim of its mask a point sees about half of it: some of the mask within 3 pixels, and some of the rest."""
    n, size = 16, 256
    who, pose = P.identities(n, seed=51), P.poses(n, seed=52, amount=0.7)
    pose = pose.replace(
        eye_left=torch.full((n,), 0.8), eye_right=torch.full((n,), 0.9), mouth_open=pose.mouth_open.clamp_min(0.2)
    )
    seen, points = P.masks(who, pose, size), P.landmarks(who, pose)
    groups = {
        "face": range(17),
        "eye_left": range(36, 42),
        "eye_right": range(42, 48),
        "mouth": range(48, 60),
        "nose": (31, 32, 33, 34, 35),
    }
    good = total = 0
    for name, which in groups.items():
        mask = seen[name]
        near = torch.nn.functional.max_pool2d(mask, 7, 1, 3)
        far = -torch.nn.functional.max_pool2d(-mask, 7, 1, 3)
        for k in range(n):
            for j in which:
                x, y = ((points[k, j] + 1) * size / 2).long().clamp(0, size - 1).tolist()
                if name != "face" and seen["face"][k, y, x] < 1:
                    continue  # hidden behind the cheek
                total += 1
                good += bool(near[k, y, x] > 0.5 and far[k, y, x] < 0.5)
    assert total > 400 and good / total > 0.97, (good, total)


def test_landmarks_of_brows():
    who, pose = P.identities(8, seed=61), neutral(8, brow_left=0.5, brow_right=-0.3)
    seen, points = P.masks(who, pose, 256), P.landmarks(who, pose)
    for k in range(8):
        for name, first in (("brow_left", 17), ("brow_right", 22)):
            left_edge, right_edge, top, bottom = box(seen[name][k])
            p = points[k, first : first + 5]
            assert abs(left_edge - p[:, 0].min()) < 0.03 and abs(right_edge - p[:, 0].max()) < 0.03
            assert top - ROOM < p[:, 1].min() and p[:, 1].max() < bottom + ROOM


def test_chin_and_jaw():
    who = P.identities(8, seed=71)
    seen, points = P.masks(who, neutral(8, mouth_open=0.6), 256), P.landmarks(who, neutral(8, mouth_open=0.6))
    for k in range(8):
        left_edge, right_edge, top, bottom = box(seen["face"][k])
        assert abs(bottom - points[k, 8, 1]) < ROOM
        assert abs(left_edge - points[k, :17, 0].min()) < ROOM and abs(right_edge - points[k, :17, 0].max()) < ROOM


def test_lips_by_colour():
    """In the finished picture the dark inside of an open mouth begins and ends at the inner lip."""
    who = P.identities(40, seed=73, style="cartoon")
    who = who[(who.beard == 0).nonzero()[:, 0]][:8]
    pose = neutral(len(who), mouth_open=1.0, mouth_wide=-0.4)
    red, green, _, _ = P.draw(who, pose, 256).unbind(1)
    points = P.landmarks(who, pose)
    for k in range(len(who)):
        left, right = (int((points[k, j, 0] + 1) * 128) for j in (48, 54))
        top, bottom = (int((points[k, j, 1] + 1) * 128) for j in (51, 57))
        middle = (left + right) // 2
        tongue = (red[k] - green[k] > 0.3)[top + 2 : bottom - 2, middle - 4 : middle + 4].float().mean(1)
        teeth = (green[k] > 0.75)[top - 3 : bottom, middle - 4 : middle + 4].float().mean(1)
        first = top - 3 + int((teeth > 0.5).nonzero()[0, 0])  # teeth hang from the upper lip
        assert abs(2 * (first + 0.5) / 256 - 1 - points[k, 62, 1]) < 0.025, k
        assert (tongue > 0.5).any()


def test_shutting_an_eye_changes_it_alone():
    """What changes in the finished picture when an eye shuts lies about its landmarks, and reaches to them."""
    who = P.identities(8, seed=74)
    a, b = (
        P.draw(who, neutral(8, eye_left=v), 256, parts=set(P.PARTS) - {"hair_front", "glasses"}) for v in (1.0, 0.0)
    )
    points = P.landmarks(who, neutral(8))
    for k in range(8):
        left, right, top, bottom = box((a[k] - b[k]).abs().amax(0) * 8)
        p = points[k, 36:42]
        assert abs(left - p[0, 0]) < 0.09 and abs(right - p[3, 0]) < 0.04  # lashes reach beyond the outer corner
        assert p[:, 1].min() - 0.12 < top < p[1, 1] and p[4, 1] - ROOM < bottom < p[4, 1] + 0.09


# ---- motion ----


def area(identity, pose, name):
    return P.masks(identity, pose, 192)[name].sum((1, 2))


def test_far_eye_narrows_and_vanishes():
    who = P.identities(6, seed=81)
    far = torch.stack([area(who, neutral(6, yaw=a), "eye_right") for a in (0.0, 0.3, 0.6, 0.9, 1.25)])
    assert (far[1:] < far[:-1]).all()
    assert (far[2] < 0.75 * far[0]).all() and (far[4] < 0.02 * far[0]).all()
    near = torch.stack([area(who, neutral(6, yaw=a), "eye_left") for a in (0.0, 0.4)])
    assert (near[1] > 0.85 * near[0]).all()


def test_mouth_opens_and_eyes_close():
    who = P.identities(6, seed=82)
    openings = torch.stack([area(who, neutral(6, mouth_open=v), "mouth") for v in (0, 0.25, 0.5, 0.75, 1)])
    assert (openings[1:] > openings[:-1]).all()
    lids = torch.stack([area(who, neutral(6, eye_left=v), "eye_left") for v in (0, 0.25, 0.5, 0.75, 1)])
    assert (lids[1:] > lids[:-1]).all() and (lids[0] < 0.02 * lids[-1]).all()
    other = area(who, neutral(6, eye_left=0.0), "eye_right")
    assert torch.equal(other, area(who, neutral(6), "eye_right"))


def test_wide_mouth_is_wider():
    who = P.identities(6, seed=83)
    narrow, wide = (P.landmarks(who, neutral(6, mouth_wide=v, mouth_open=0.3)) for v in (-1.0, 1.0))
    assert ((wide[:, 54] - wide[:, 48])[:, 0] > 1.4 * (narrow[:, 54] - narrow[:, 48])[:, 0]).all()


def test_hair_covers_brow():
    """A fringe hides the brow: with hair in front the brow's pixels take the hair's colour."""
    who = P.identities(80, seed=84)
    who = who[(who.hair == 7).nonzero()[:, 0]]  # bowl
    pose = neutral(len(who), brow_left=1.0, brow_right=1.0)
    brow = P.masks(who, pose, 128)["brow_left"]
    with_, without = P.draw(who, pose, 128), P.draw(who, pose, 128, parts=set(P.PARTS) - {"hair_front"})
    changed = ((with_ - without).abs().amax(1) > 0.02).float()
    assert ((changed * brow).sum((1, 2)) / brow.sum((1, 2))).max() > 0.5


def test_ears_go_behind():
    who = P.identities(60, seed=85, style="cartoon")
    who = who[(who.hair <= 1).nonzero()[:, 0]][:3]  # bald or buzz

    def ear(yaw, side):
        alpha = P.draw(who, neutral(len(who), yaw=yaw), 128, parts={"ears"})[:, 3]
        return (alpha[..., :64] if side < 0 else alpha[..., 64:]).sum((1, 2))

    assert (ear(0.6, 1) < 0.25 * ear(0.0, 1)).all() and (ear(0.6, -1) > ear(0.0, -1)).all()


def test_background_stays():
    who = P.identities(4, seed=86)
    a, b = (P.draw(who, neutral(4, yaw=v, x=v / 4), 96) for v in (0.0, 0.3))
    assert torch.equal(a[:, :, :4], b[:, :, :4])


# ---- anchors ----


def test_jacobians_are_sound():
    who, pose = P.identities(200, seed=91), P.poses(200, seed=92)
    _, J = P.anchors(who, pose)
    share = J.det().abs() / (who.size * pose.scale)[:, None] ** 2
    assert share.min() > 0.2 and share.max() < 3


@pytest.mark.parametrize(
    "field, amount", [("roll", 0.02), ("scale", 0.02), ("x", 0.02), ("yaw", 0.01), ("pitch", 0.01)]
)
def test_jacobians_follow_the_drawing(field, amount):
    """J_b J_a^-1 carries the landmarks round an anchor from pose a to pose b nearly as the puppet really moves."""
    who, pose = P.identities(40, seed=93), P.poses(40, seed=94, amount=0.6)
    moved = pose.replace(**{field: getattr(pose, field) + amount})
    (pa, Ja), (pb, Jb) = P.anchors(who, pose), P.anchors(who, moved)
    la, lb = P.landmarks(who, pose), P.landmarks(who, moved)
    for name, near in {
        "eye_left_lower": (36, 39),
        "eye_right_lower": (42, 45),
        "brow_left": (17, 21),
        "mouth_left": (48,),
        "lip_lower": (56, 58),
    }.items():
        k, near = P.ANCHORS.index(name), list(near)
        A = Jb[:, k] @ torch.linalg.inv(Ja[:, k])
        guess = pb[:, k, None] + (la[:, near] - pa[:, k, None]) @ A.mT
        error, motion = (guess - lb[:, near]).norm(dim=-1), (lb[:, near] - la[:, near]).norm(dim=-1)
        assert error.mean() < 0.12 * motion.mean() + 1e-4, (name, error.mean(), motion.mean())


def test_anchors_are_smooth():
    """Half the step, half the motion: no jumps."""
    who, pose = P.identities(30, seed=95), P.poses(30, seed=96)
    for field in ("yaw", "pitch", "roll", "mouth_open", "eye_left"):
        points = [P.anchors(who, pose.replace(**{field: getattr(pose, field) + d}))[0] for d in (-0.01, 0.0, 0.01)]
        bend = (points[0] + points[2] - 2 * points[1]).norm(dim=-1)
        assert bend.max() < 1.5e-3, field
