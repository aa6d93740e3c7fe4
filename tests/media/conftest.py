import coded
import numpy as np
import pytest


@pytest.fixture(scope="session")
def clips(tmp_path_factory, ffmpeg):
    """A folder of good and odd clips of numbered frames, 25 a second, 2 s unless the name says otherwise."""
    folder = tmp_path_factory.mktemp("clips")
    frames = [coded.frame(number) for number in range(50)]
    tone = ("-f", "lavfi", "-i", "sine=440:sample_rate=44100:d=2")
    good = folder / "good.mp4"
    coded.encode(folder / "silent.mp4", frames, 25, *coded.H264, "-g", "25")
    ffmpeg("-i", folder / "silent.mp4", *tone, "-c:v", "copy", "-c:a", "aac", "-movflags", "+faststart", good)
    for turn in (90, 180, 270):
        ffmpeg("-display_rotation", turn, "-i", good, "-c", "copy", folder / f"turned{turn}.mp4")
    coded.encode(folder / "odd.mp4", np.stack(frames)[:, :47, :63], 25, *coded.H264[:-1], "yuv444p")
    coded.pipe(folder / "piped.mkv", "-i", good, "-c", "copy", "-f", "matroska", "pipe:1")
    pieces = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    ffmpeg("-i", folder / "silent.mp4", "-c", "copy", *pieces, folder / "pieces.mp4")
    ffmpeg("-ss", "0.5", "-i", good, "-c", "copy", folder / "copied.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=100x100:d=1:r=1", folder / "cover.png")
    cover = ("-map", "0", "-map", "1", "-c:v:0", "png", "-c:v:1", "copy", "-c:a", "copy")
    ffmpeg("-i", folder / "cover.png", "-i", good, *cover, "-disposition:v:0", "attached_pic", folder / "cover.mp4")
    ffmpeg("-i", good, "-i", folder / "cover.png", "-map", "0:a", "-map", "1", "-c:v", "png", folder / "song.mp3")
    ffmpeg("-i", folder / "silent.mp4", "-vf", "setsar=2/1", "-c:v", "mpeg4", "-q:v", "2", folder / "wide.mp4")
    (folder / "pictures").mkdir()
    ffmpeg("-i", folder / "silent.mp4", "-frames:v", "12", "-start_number", "0", folder / "pictures" / "frame%d.png")
    (folder / "pictures" / "notes.txt").write_text("not a frame")
    (folder / "nothing").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "page.mp4").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    (folder / "pointer.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n")
    (folder / "words.txt").write_text("These are words.\n" * 100)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    ffmpeg("-i", folder / "silent.mp4", "-c", "copy", folder / "index-last.mp4")
    for name, part in (("good.mp4", 0.6), ("index-last.mp4", 0.6), ("piped.mkv", 0.5), ("pieces.mp4", 0.7)):
        content = (folder / name).read_bytes()
        (folder / f"half-{name}").write_bytes(content[: int(len(content) * part)])
    (folder / "header-only.mp4").write_bytes(good.read_bytes()[:400])
    return folder
