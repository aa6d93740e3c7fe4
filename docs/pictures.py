"""Make the README's pictures again: python docs/pictures.py (about a minute). Those of the studio are of browser tests:

    TOOLKIT_SCREENSHOTS=shots python -m pytest tests/browser/test_studio_notebook.py && python docs/pictures.py shots

docs/demo.webp: three seconds of picture, driver and result. docs/group.webp: a group photo that sings.
docs/puppets.webp: a sheet of drawn heads. docs/figures.webp: figures that dance. docs/mini.webp, docs/mini-mraa.webp,
docs/mini-tpsmm.webp: picture, driver, truth and result of held-out characters. docs/studio.webp, docs/studio-zh.webp:
the lower part of the studio, with a result.
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import toolkit  # noqa: E402
from toolkit import media, puppets  # noqa: E402


def demo() -> None:
    """Picture, driver and result beside each other, 3 seconds."""
    toolkit.animate(
        toolkit.sample("picture.png"),
        toolkit.sample("driving.mp4"),
        trim=(1.0, 4.0),
        size=224,
        side_by_side=True,
        output=HERE / "demo.webp",
        overwrite=True,
    )


def group() -> None:
    """A group photo of which every face sings, 3 seconds."""
    toolkit.animate_all(
        toolkit.sample("group.png"),
        toolkit.sample("driving.mp4"),
        trim=(1.0, 4.0),
        size=640,
        output=HERE / "group.webp",
        overwrite=True,
    )


def sheet(rows: int = 4, columns: int = 8, size: int = 160) -> None:
    """Characters of both styles in mild poses."""
    count = rows * columns
    pictures = puppets.draw(puppets.identities(count, seed=5), puppets.poses(count, seed=6, amount=0.6), size)[:, :3]
    tiled = pictures.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).reshape(rows * size, columns * size, 3)
    media.write_picture(HERE / "puppets.webp", (tiled * 255).round().byte().numpy(), overwrite=True, quality=88)


def figures(rows: int = 3, columns: int = 6, size: int = 200, seconds: float = 6) -> None:
    """Whole figures, each at another moment of a dance of its own."""
    count, beats = rows * columns, puppets.beats(seconds, seed=2)
    who, moments = puppets.figures(count, seed=5), []
    for k in range(count):
        head = puppets.performance(seconds, 25, seed=k)
        stances = puppets.dance(who[k], beats, seconds, 25, seed=k, head=head)
        moments.append(stances[round(25 * float(beats[1 + k * 7 % (len(beats) - 2)]))])
    pictures = puppets.draw_figures(who, puppets.Stance.cat(moments), size)[:, :3]
    tiled = pictures.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).reshape(rows * size, columns * size, 3)
    media.write_picture(HERE / "figures.webp", (tiled * 255).round().byte().numpy(), overwrite=True, quality=88)


def minis(characters: int = 8) -> None:
    """What the shipped models make of characters that they have never seen."""
    for model, name in (("mini-fomm", "mini"), ("mini-mraa", "mini-mraa"), ("mini-tpsmm", "mini-tpsmm")):
        with tempfile.TemporaryDirectory() as folder:
            toolkit.evaluate(model, characters, Path(folder) / "sheet.png")
            picture = media.read_picture(Path(folder) / "sheet.png")
        height, width = picture.shape[:2]
        small = media.resize(picture, (round(height * 760 / width), 760))
        media.write_picture(HERE / f"{name}.webp", small, overwrite=True, quality=88)


def studio(shots: Path, height: int = 712) -> None:
    """The panel from the strip of frames down, in both languages."""
    for shot, name in (("studio-result", "studio"), ("studio-chinese", "studio-zh")):
        picture = media.read_picture(shots / f"{shot}.png")
        media.write_picture(HERE / f"{name}.webp", picture[-height:], overwrite=True, quality=88)


if __name__ == "__main__":
    if shots := sys.argv[1:]:
        sys.exit(studio(Path(shots[0])))
    sheet()
    figures()
    minis()
    demo()
    group()
