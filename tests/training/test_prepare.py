"""Raw clips -> training clips: where they are cut, what is dropped and resumed, and that it can be learned from."""

import functools
import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import toolkit
from toolkit import media, puppets
from toolkit.__main__ import main
from toolkit.errors import ConfigError, InputError, OutputError
from toolkit.faces import Box, Face
from toolkit.training import Recipe
from toolkit.training.chunks import OUTSIDE, SHORT, SMALL, Rules, Tube, Tubes
from toolkit.training.clips import ClipPairs, split
from toolkit.training.loop import Trainer
from toolkit.training.recipe import Clips
from toolkit.training.sources import listed, named
from toolkit.training.watch import read_log

HEAD, WIDE, HIGH = 48, 160, 120
BLUE, RED, GREEN = (90, 120, 150), (200, 60, 40), (60, 180, 70)
SMALL_ONES = {"size": 32, "min_frames": 6, "min_size": 24, "progress": False}


@functools.cache
def head(seed):
    """A head at rest, uint8 48 x 48 x 4."""
    picture = puppets.draw(puppets.identities(1, seed=seed), puppets.Pose.neutral(1), HEAD, background=False)
    return (picture[0].permute(1, 2, 0) * 255).round().byte().numpy()


def frame(places, ground=BLUE, size=(HIGH, WIDE)):
    """Heads on a plain ground. places: {seed: (x, y) of the left upper corner}."""
    out = np.empty((*size, 3), np.uint8)
    out[:] = ground
    for seed, (x, y) in places.items():
        part, alpha = out[y : y + HEAD, x : x + HEAD], head(seed)[..., 3:] / 255
        part[:] = (head(seed)[..., :3] * alpha + part * (1 - alpha)).round()
    return out


def still(count, x=50, y=30, seed=5, ground=BLUE, size=(HIGH, WIDE)):
    """A head that trembles sideways."""
    return [frame({seed: (x + number % 3, y)}, ground, size) for number in range(count)]


class Outlines:
    """A finder of heads on plain grounds: what differs from the left upper pixel, parted by empty columns."""

    name, sees = "outlines", "heads on plain grounds"

    def __init__(self):
        self.count = 0

    def __call__(self, frames):
        self.count += len(frames)
        return [self.faces(frame) for frame in frames]

    def faces(self, frame):
        apart = np.abs(frame.astype(int) - frame[0, 0]).max(2) > 40
        columns = np.concatenate([[False], apart.sum(0) > 1, [False]])
        ends = np.flatnonzero(columns[1:] != columns[:-1]).reshape(-1, 2)
        found = []
        for first, last in ends[ends[:, 1] - ends[:, 0] > 8]:
            rows = np.flatnonzero(apart[:, first:last].any(1))
            box = Box(float(first), float(rows[0]), float(last - first), float(rows[-1] + 1 - rows[0]))
            found.append(Face(box, 0.9, None, self.name))
        return found


def as_folder(path, frames):
    path.mkdir(parents=True)
    for number, picture in enumerate(frames):
        Image.fromarray(picture).save(path / f"{number:04d}.png")


def as_clip(path, frames, fps=25):
    path.parent.mkdir(parents=True, exist_ok=True)
    with media.Writer(path, fps, quality=4) as writer:
        writer.write(np.stack(frames))


def prepare(clips, output, finder=None, **settings):
    return toolkit.prepare(clips, output, backend=finder or Outlines(), **{**SMALL_ONES, **settings})


def tree(folder):
    """{path below a folder: content}"""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def chunks(folder):
    return sorted(f"{path.parent.name}/{path.name}" for path in folder.glob("t*/*"))


# ---------------------------------------------------------------- where a clip is cut


def spans(frames, **rules):
    tubes, found = Tubes(Rules(**rules), 25), []
    for number, picture in enumerate(frames):
        found += tubes.add(number, picture, Outlines().faces(picture))
    return sorted((tube.first, tube.end) for tube in found + tubes.close()), tubes


def test_a_cut_and_a_lost_face_end_a_chunk():
    """The new scene shows the same face in the same place: only the ground tells."""
    gone = [frame({})] * 3
    frames = still(20) + still(12, ground=RED) + [frame({}, RED)] * 3 + still(10, ground=RED)
    found, tubes = spans(frames)
    assert found == [(0, 20), (20, 32), (35, 45)] and tubes.empty == 3 and tubes.scenes == 2
    assert spans(gone)[0] == []


def test_a_face_that_goes_elsewhere_begins_a_new_chunk():
    """Each time when less than a quarter of the union is shared with the chunk's first box."""
    frames = [frame({5: (4 + 2 * number, 30)}) for number in range(50)]
    boxes = [Outlines().faces(picture)[0].box for picture in frames]
    found, _ = spans(frames)
    assert len(found) > 2 and [end for _, end in found[:-1]] == [first for first, _ in found[1:]]
    for first, end in found[:-1]:
        assert boxes[first].overlap(boxes[end - 1]) > 0.23 and boxes[first].overlap(boxes[end]) < 0.27


def test_chunks_have_a_longest_length():
    assert spans(still(25), max_frames=10)[0] == [(0, 10), (10, 20), (20, 25)]


def test_two_people_are_two_chunks():
    frames = [frame({5: (10 + number % 3, 30)} | ({9: (95, 30)} if number >= 8 else {})) for number in range(30)]
    assert spans(frames)[0] == [(0, 30), (8, 30)]


def test_what_is_a_chunk():
    """The union of boxes, grown by a tenth of its longer side on each side, whole pixels, inside the picture."""
    rules = Rules(min_frames=10, min_size=50)

    def judged(frames, box, size=(400, 400)):
        return rules.judged(Tube(0, frames, box, box), size)

    assert judged(10, (100, 100, 150, 200)) == ((65, 90, 120, 120), "")
    assert judged(9, (100, 100, 150, 200))[1] == SHORT
    assert judged(10, (100, 100, 148, 149))[1] == SMALL and not judged(10, (100, 100, 140, 150))[1]
    assert judged(10, (100, 9, 150, 109))[1] == OUTSIDE and not judged(10, (100, 10, 150, 110))[1]
    assert judged(10, (100, 291, 150, 391))[1] == OUTSIDE and not judged(10, (100, 290, 150, 390))[1]
    assert Rules() == Rules(64, 1024, 256, 0.25, 0.1), "as published"


# ---------------------------------------------------------------- the data set


@pytest.mark.parametrize("ending", ["mp4", "gif", "png"])
def test_the_published_layout(tmp_path, ending):
    """Clips of several sizes and kinds, sorted in sub-folders; one shows two people."""
    clips, both = tmp_path / "clips", [frame({5: (10, 30), 9: (95, 30 + number % 2)}) for number in range(12)]
    moving = [frame({5: (40 + number // 2, 30)}, size=(150, 200)) for number in range(20)]
    as_clip(clips / "anna" / "first talk.mp4", moving, 20)  # a rate that a GIF has exactly
    as_folder(clips / "anna" / "more" / "second", still(9))
    as_folder(clips / "anna" / "both", both)
    as_folder(clips / "bo" / "first", still(8, seed=9) + still(7, seed=9, ground=RED))
    as_folder(clips / "cem", still(10))
    (clips / "notes.txt").write_text("not a clip")
    before = tree(clips)
    report = prepare(clips, tmp_path / "data", format=ending)

    assert tree(clips) == before, "the clips themselves are never changed"
    names = [Path(name) for name in chunks(tmp_path / "data")]
    assert {name.suffix for name in names} == {".gif" if ending == "gif" else ".mp4"}
    assert sorted(name.stem for name in names) == [
        "anna#both#000000#000012",
        "anna#both-2#000000#000012",
        "anna#first_talk#000000#000020",
        "anna#second#000000#000009",
        "bo#first#000000#000008",
        "bo#first#000008#000015",
        "cem#cem#000000#000010",
    ]
    train, test = split(tmp_path / "data")
    who = [{path.name.split("#")[0] for path in part} for part in (train, test)]
    assert len(who[0]) == 2 and len(who[1]) == 1 and not who[0] & who[1], "nobody in both"
    assert sorted(os.listdir(tmp_path / "data")) == ["prepare.jsonl", "report.json", "test", "train"]

    path = next(path for path in train + test if "first_talk" in path.name)
    (line,) = (line for line in report.clips if "first talk" in line["clip"])
    box = line["kept"][0]["box"]
    seen = np.stack(list(media.read_frames(path)))
    wanted = media.fit(np.stack(moving), 32, box=box)
    assert path.is_dir() == (ending == "png") and seen.shape == wanted.shape == (20, 32, 32, 3)
    away = np.abs(seen[:, None].astype(int) - wanted).mean((2, 3, 4))  # 20 x 20: it moves a pixel every second frame
    assert box[2] == box[3] and (away.argmin(1) // 2 == np.arange(20) // 2).all() and np.diag(away).max() < 8
    if ending != "png":
        assert media.probe(path).fps == 20
    data = ClipPairs(Clips(folder=str(tmp_path / "data"), workers=1), seed=1)
    batch = data.batch(0, 32, len(train))
    data.close()
    assert batch.source.picture.shape == (len(train), 3, 32, 32) and not data.broken

    stored = json.loads((tmp_path / "data" / "report.json").read_text())
    assert stored["split"] == report.split and len(stored["clips"]) == 5 and not report.broken
    assert "from 5 of 5 clips" in str(report) and "2 identities" in str(report)


def test_what_is_dropped_is_counted_and_what_is_broken_is_named(tmp_path):
    clips = tmp_path / "clips"
    as_folder(clips / "short", still(5))
    as_folder(clips / "edge", still(10, y=HIGH - HEAD))
    as_folder(clips / "gone", [frame({})] * 4 + still(8))
    as_folder(clips / "nobody", [frame({})] * 6)
    as_folder(clips / "single", still(1))
    as_folder(clips / "uneven", [*still(4), frame({}, size=(90, 90))])
    (clips / "page.mp4").write_text("<!DOCTYPE html><html></html>")
    as_clip(clips / "cut.mp4", still(8))
    whole = (clips / "cut.mp4").read_bytes()
    (clips / "cut.mp4").write_bytes(whole[: len(whole) // 8])
    (clips / "lost.mp4").symlink_to(tmp_path / "a disk that is not there.mp4")
    report = prepare(clips, tmp_path / "data")
    assert report.dropped() == {SHORT: (2, 6), OUTSIDE: (1, 10)}
    assert sorted(report.broken) == ["cut.mp4", "lost.mp4", "page.mp4", "uneven"]
    assert chunks(tmp_path / "data") == [f"{part}/gone#gone#000004#000012.mp4" for part in ("test", "train")]
    told = str(report)
    for word in ("too short", "leaves the picture", "page.mp4 is a web page", "cut.mp4", "lost", "fewer than 6 frames"):
        assert word in told
    assert told.count("No face was found") == 1 and "nobody: outlines saw no face" in told
    assert [line["empty"] for line in report.clips if line["clip"] == "gone"] == [4] and "no face" in told

    with pytest.raises(InputError, match="No chunk came out") as error:
        prepare(clips, tmp_path / "none", min_size=60)
    assert "too small" in error.value.what and "min_size" in error.value.remedy
    assert json.loads((tmp_path / "none" / "report.json").read_text())["split"] == {}
    assert not (tmp_path / "none" / "train").exists()


def test_memory_does_not_grow_with_a_clip(tmp_path):
    class Watching(Outlines):
        batches, most = [], 0

        def __call__(self, frames):
            self.batches.append(weakref.ref(frames))
            self.most = max(self.most, sum(batch() is not None for batch in self.batches))
            return super().__call__(frames)

    as_folder(tmp_path / "clips" / "long", still(60))
    finder = Watching()
    prepare(tmp_path / "clips", tmp_path / "data", finder)
    assert len(finder.batches) > 6 and finder.most <= 2


def test_whole_frames(tmp_path):
    clips = tmp_path / "clips"
    as_folder(clips / "one", still(7) + still(5, ground=GREEN))
    report = prepare(clips, tmp_path / "data", whole=True, min_frames=None, min_size=None, format="png")
    assert [chunk["first"] for chunk in report.clips[0]["kept"]] == [0, 7]
    assert report.notes and "only identity" in report.notes[0]
    train, test = split(tmp_path / "data")
    (first,) = media.read_frames(train[0], trim=(None, 0.04))
    assert np.array_equal(first, media.fit(still(1)[0], 32)) and len(test) == 1

    prepare(clips, tmp_path / "padded", whole=True, fit="pad", format="png")
    (path,) = (tmp_path / "padded" / "train").iterdir()
    assert np.array_equal(next(media.read_frames(path)), media.fit(still(1)[0], 32, "pad"))


def test_a_rate_is_brought_about(tmp_path):
    as_clip(tmp_path / "clips" / "fast.mp4", still(24), 50)
    report = prepare(tmp_path / "clips", tmp_path / "data", fps=25)
    (path,) = (tmp_path / "data" / "train").iterdir()
    assert path.name == "fast#fast#000000#000012.mp4" and report.clips[0]["frames"] == 12
    assert media.probe(path).fps == 25 and len(list(media.read_frames(path))) == 12


# ---------------------------------------------------------------- whose is it


def test_identity_by_a_pattern(tmp_path):
    for name in ("001_smile", "001_frown", "002_smile"):
        as_folder(tmp_path / "clips" / name, still(6))
    prepare(tmp_path / "clips", tmp_path / "data", identity=r"^(\d+)_")
    assert {name.split("/")[1].split("#")[0] for name in chunks(tmp_path / "data")} == {"001", "002"}
    with pytest.raises(ConfigError, match="no regular expression"):
        prepare(tmp_path / "clips", tmp_path / "other", identity="(")
    with pytest.raises(ConfigError, match="finds nothing in 001_frown"):
        prepare(tmp_path / "clips", tmp_path / "other", identity="smile")
    assert not (tmp_path / "other").exists()


def test_names_do_for_the_published_loaders(tmp_path):
    """They look for files whose names begin like an identity, by a pattern."""
    for name in ("a", "a b", "a_b", "A", "a1", "b[1]", "王五", "x#y", "..z"):
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "a.mov").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.mp4").touch()
    (tmp_path / "b" / "c.mov").touch()
    clips = named(listed(tmp_path, None), {})
    names = {clip.key: clip.identity for clip in clips}
    assert "..z.mp4" not in names, "hidden"
    assert names["王五.mp4"] == "王五" and names["b/c.mp4"] == names["b/c.mov"]
    assert {clip.video for clip in clips if clip.key.startswith("b/")} == {"c", "c-2"}
    different = sorted({name.casefold() for name in names.values()})
    assert len(different) == 10 and not any(set(name) & set("#*?[] ") for name in different)
    assert not any(two.startswith(one) for one, two in zip(different, different[1:]))

    known = {clip.key: {"label": clip.label, "identity": clip.identity, "video": clip.video} for clip in clips}
    (tmp_path / "王.mp4").touch()
    again = {clip.key: clip.identity for clip in named(listed(tmp_path, None), known)}
    assert again.items() >= names.items() and not "王五".startswith(again["王.mp4"])


# ---------------------------------------------------------------- once more


KILLED = """
import os, signal, toolkit
def stop(label, done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
toolkit.prepare("clips", "killed", whole=True, size=32, format="png", progress=stop)
"""


def test_resume_after_a_kill(tmp_path):
    """The same data set as if it had never been killed, and what was done is not done again."""
    for name in ("a/1", "a/2", "b/1", "b/2", "c/1"):
        as_folder(tmp_path / "clips" / name, still(8))
    settings = {"whole": True, "size": 32, "format": "png"}
    toolkit.prepare("clips", "wanted", **settings, progress=False)
    environment = os.environ | {"PYTHONPATH": str(Path(toolkit.__file__).resolve().parent.parent)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "killed" / "train").exists()
    waiting = tmp_path / "killed" / ".chunks"  # the third was cut, but not yet noted down
    assert sorted(path.name[:3] for path in waiting.iterdir()) == ["a#1", "a#2", "b#1"]
    (waiting / "b#1#000000#000008.mp4" / "9.png").write_bytes(b"half a picture")
    with open(tmp_path / "killed" / "prepare.jsonl", "a") as file:
        file.write('{"clip": "b/1", "kept": [{"na')

    written, totals = [path.stat().st_mtime_ns for path in waiting.glob("a*/*")], []
    for _ in range(2):
        toolkit.prepare("clips", "killed", **settings, progress=lambda label, done, total: totals.append(total))
    assert max(totals) * 5 == 3 * sum(map(len, tree(tmp_path / "clips").values())) and totals[-1] == 0
    assert sorted(written) == sorted(path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("t*/a*/*"))
    renamed = {name: data.replace(b'"wanted"', b'"killed"') for name, data in tree(tmp_path / "wanted").items()}
    assert tree(tmp_path / "killed") == renamed


def test_new_and_changed_clips_are_taken_up(tmp_path):
    """Who was put somewhere stays there; the first one alone was in both."""
    clips, data = tmp_path / "clips", tmp_path / "data"
    as_folder(clips / "anna" / "1", still(14))
    report = prepare(clips, data, max_frames=7)
    assert sorted(report.split.values()) == ["test", "train"]
    for name in ("bo", "cem"):
        as_folder(clips / name / "1", still(7))
    report = prepare(clips, data, max_frames=7)
    who = {name.split("#")[0]: place for name, place in report.split.items()}
    assert sorted(who.values()) == ["test", "train", "train"]
    assert chunks(data) == sorted(f"{place}/{name}" for name, place in report.split.items())
    assert len({place for name, place in report.split.items() if name.startswith("anna")}) == 1

    Image.fromarray(still(1)[0]).save(clips / "bo" / "1" / "9.png")  # one frame more
    as_folder(clips / "dora" / "1", still(7))
    finder = Outlines()
    report = prepare(clips, data, finder, max_frames=7)
    assert finder.count == 8 + 7
    assert who.items() <= {name.split("#")[0]: place for name, place in report.split.items()}.items()
    with pytest.raises(ConfigError, match="max_frames was 7, is 9; size was 32, is 64"):
        prepare(clips, data, max_frames=9, size=64)


# ---------------------------------------------------------------- bad input


def test_what_cannot_be_prepared_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    as_folder(tmp_path / "clips" / "one", still(7))
    clips = tmp_path / "clips"
    with pytest.raises(InputError, match="no folder .*nowhere"):
        prepare(tmp_path / "nowhere", tmp_path / "data")
    with pytest.raises(InputError, match="no clip in .*empty"):
        prepare(tmp_path / "empty", tmp_path / "data")
    with pytest.raises(OutputError, match="among the clips"):
        prepare(clips, clips / "data")
    with pytest.raises(OutputError, match="among the clips"):
        prepare(clips, tmp_path / "clips" / ".." / "clips")
    assert sorted(tree(clips)) == [f"one/{number:04d}.png" for number in range(7)]
    (tmp_path / "file").write_text("a file")
    with pytest.raises(OutputError, match="can't be written"):
        prepare(clips, tmp_path / "file" / "data")
    (tmp_path / "mine" / "train").mkdir(parents=True)
    with pytest.raises(OutputError, match="prepare did not make"):
        prepare(clips, tmp_path / "mine")
    wrong = {
        "size": 33,
        "test_share": 1.0,
        "min_frames": 1,
        "max_frames": 3,
        "format": "avi",
        "fit": "squash",
        "fps": 0,
    }
    for name, value in wrong.items():
        with pytest.raises(ConfigError):
            prepare(clips, tmp_path / "data", **{name: value})
    with pytest.raises(ConfigError, match="no face finder"):
        prepare(clips, tmp_path / "data", "nobody")
    assert not (tmp_path / "data").exists()


# ---------------------------------------------------------------- what it is for


def test_drawn_heads_are_found_and_a_model_learns_from_them(tmp_path, capsys):
    """The network that ships finds them; a tiny FOMM takes two steps."""
    for seed in (5, 9):
        pose = puppets.Pose.neutral(6).replace(yaw=torch.linspace(-0.3, 0.3, 6))
        who = puppets.identities(1, seed=seed).repeat(6)
        drawn = (puppets.draw(who, pose, 128) * 255).byte()[:, :3].permute(0, 2, 3, 1).numpy()
        as_folder(tmp_path / "clips" / f"head{seed}", drawn)
    options = ["--size", "64", "--min-frames", "6", "--min-size", "32", "--finder", "perception", "-q"]
    assert main(["prepare", str(tmp_path / "clips"), "-o", str(tmp_path / "data"), *options]) == 0
    told = capsys.readouterr().out
    assert "from 2 of 2 clips" in told and "train" in told
    hourglass = {"block_expansion": 4, "max_features": 8, "num_blocks": 2, "scale_factor": 0.25}
    decoder = {"block_expansion": 4, "max_features": 8, "num_down_blocks": 2, "num_bottleneck_blocks": 1}
    stage = {"name": "whole", "size": 64, "batch": 2, "steps": 2, "train": ["kp_detector", "generator"]}
    table = {
        "name": "tiny",
        "task": "fomm",
        "model": {
            "common_params": {"num_kp": 4, "num_channels": 3, "estimate_jacobian": True},
            "kp_detector": hourglass,
            "generator": {**decoder, "estimate_occlusion_map": True, "dense_motion_params": hourglass},
        },
        "precision": "fp32",
        "clips": {"folder": str(tmp_path / "data"), "id_sampling": True, "workers": 1},
        "stages": [{**stage, "levels": ["1"], "weights": {"perceptual": 1.0, "equivariance_value": 1.0}}],
    }
    model = Trainer(Recipe.load(table), tmp_path / "run", device="cpu", progress=False).run()
    losses = [row["loss/perceptual"] for row in read_log(tmp_path / "run") if "loss/perceptual" in row]
    assert model.is_file() and losses and np.isfinite(losses).all()


def test_the_command_prints_a_table_or_an_error(tmp_path, capsys):
    as_folder(tmp_path / "clips" / "anna" / "1", still(4))
    assert main(["prepare", "clips", "-o", "data", "--whole", "--size", "32", "--fps", "29.97"]) == 0
    out = capsys.readouterr().out
    assert (
        "data: from 1 of 1 clips" in out
        and "its only chunk is in train and test" in out
        and out.count("1 identity") == 2
    )
    assert main(["prepare", "clips", "-o", "data", "--whole", "--size", "64"]) == 2
    assert "size was 32, is 64" in capsys.readouterr().err
