"""The samples: what the files in samples/ are made of."""

import torch

import toolkit
from toolkit import faces, media
from toolkit import puppets as P
from toolkit.puppets import samples


def test_anime_as_asked():
    picture = torch.from_numpy(samples.to_bytes(samples.anime()[None])[0])
    assert picture.shape == (256, 256, 4)
    alpha = picture[..., 3]
    assert (picture[alpha == 0] == 0).all() and 0.4 < (alpha == 0).float().mean() < 0.8
    rows = (alpha > 127).any(1).nonzero()[:, 0]
    assert abs(int(rows[0]) - 64) <= 2  # the crown
    assert (alpha[64:192, 126:130] > 127).all()


def test_singer_begins_like_the_picture():
    who, pose, wave = samples.singing(4)
    assert len(who) == 1 and len(pose) == 100 and len(wave) == 4 * 44100
    first, still = P.landmarks(who, pose[0]), P.landmarks(who, P.Pose.neutral(1))
    assert (first - still).abs().max() < 0.02
    assert pose.mouth_open.max() > 0.5
    assert not torch.equal(who.skin, samples.character(*samples.PICTURE, "cartoon").skin)


def test_the_group_photo_shows_four_heads():
    shipped = media.read_picture(toolkit.sample("group.png"), channels=3)
    drawn = samples.to_bytes(samples.group(256)[None])[0]
    small = media.resize(shipped, drawn.shape[:2])
    assert abs(small.astype(int) - drawn).mean() < 4  # the same scene, drawn at half the size
    found = faces.find(shipped)
    middles = sorted(face.box.centre[0] / shipped.shape[1] for face in found)
    assert len(found) == 4 and all(abs(x - (k + 0.5) / 4) < 0.05 for k, x in enumerate(middles))
