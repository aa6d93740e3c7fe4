"""The command line: the same verbs and the same names as `import toolkit`.

python -m toolkit animate picture.png clip.mp4 -o out.mp4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from .errors import ConfigError, ToolkitError
from .translations import translate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 for something the user can mend (or a file that would not load), 130 for
    Ctrl-C.
    """
    args = _parser().parse_args(arguments)
    try:
        code = args.run(args)
    except ToolkitError as error:
        print(translate(f"error: {error.what}"), file=sys.stderr)
        if error.remedy:
            print(f"       {translate(error.remedy)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\n" + translate("Stopped. Nothing half-written was left in its place."), file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head`
        return 0
    return code or 0


# -- the commands ----------------------------------------------------------------------------------------------------


def _animate(args: argparse.Namespace) -> None:
    import toolkit

    picture = args.picture[0] if len(args.picture) == 1 else args.picture
    own = {"model": args.model, "side_by_side": args.side_by_side, "paste": args.paste}
    clip = toolkit.animate(picture, args.driving, **own, **_settings(args))
    _notes(clip, args.quiet)
    _tell(clip)


def _chorus(args: argparse.Namespace) -> None:
    import toolkit

    clip = toolkit.chorus(args.pictures, args.driving, model=args.model, **_settings(args))
    _notes(clip, args.quiet)
    _tell(clip)


def _compare(args: argparse.Namespace) -> None:
    import toolkit

    clip = toolkit.compare(
        args.picture, args.driving, models=args.models, inputs=not args.results_only, **_settings(args)
    )
    _notes(clip, args.quiet)
    if args.quiet:
        print(clip.report["table"])
    print(clip.path)


def _group(args: argparse.Namespace) -> None:
    import toolkit

    clip = toolkit.animate_all(args.picture, args.driving, faces=args.faces, model=args.model, **_settings(args))
    _notes(clip, args.quiet)
    _tell(clip)


def _crop(args: argparse.Namespace) -> None:
    import toolkit

    output = args.output
    if output is None:
        from .faces.finding import is_clip
        from .media import free_name
        from .paths import results_folder

        ending = "mp4" if is_clip(args.source) else "png"
        output = free_name(results_folder() / f"{Path(args.source).stem}--crop.{ending}")
    made = toolkit.crop(
        args.source,
        output,
        model=args.model,
        recipe=args.recipe,
        box=args.box,
        pick=args.pick,
        follow=args.follow,
        lost=args.lost,
        size=args.size,
        trim=args.trim,
        overwrite=args.overwrite,
        progress=not args.quiet,
    )
    clip_report = getattr(made, "report", None)
    if args.quiet or clip_report is None:  # otherwise they stood above the progress
        for note in clip_report["notes"] if clip_report else made.notes:
            print(translate(f"note: {note}"), file=sys.stderr)
    print(made.path)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What animate, chorus, group and compare have in common."""
    return {
        "mode": args.mode,
        "adapt_scale": not args.no_adapt_scale,
        "reference": args.reference,
        "strength": args.strength,
        "smooth": args.smooth,
        "trim": args.trim,
        "sound": {"none": None}.get(args.sound, args.sound),
        "size": args.size,
        "mark": args.mark,
        "output": args.output,
        "progress": not args.quiet,
        "fit": args.fit,
        "landmarks": (getattr(args, "picture_landmarks", None), args.landmarks),  # a chorus has none of its pictures
        "overwrite": args.overwrite,
        "device": args.device,
        "precision": args.precision,
    }


def _notes(clip: Any, quiet: bool) -> None:
    if quiet:  # otherwise they stood above the progress
        for note in clip.report["notes"]:
            print(translate(f"note: {note}"), file=sys.stderr)


def _demo(args: argparse.Namespace) -> None:
    import toolkit

    from .paths import results_folder

    clip = toolkit.animate(
        toolkit.sample("picture.png"),
        toolkit.sample("driving.mp4"),
        output=args.output or results_folder() / "demo.mp4",
        side_by_side=args.side_by_side,
        trim=args.trim,
    )
    _tell(clip)


def _tell(clip: Any) -> None:
    report = clip.report
    reference, took = report["reference"], report["took"]
    lines = (
        f"{report['model']}, {report['mode']} motion, {report['device']}",
        f"reference: the driver's frame {reference['frame']}, at {reference['seconds']:g} s ({reference['chosen']})",
        f"took {took['seconds']} s, {took['rendering frames a second']} frames a second",
    )
    print("\n".join(map(translate, lines)), file=sys.stderr)
    print(clip.path)


def _faces(args: argparse.Namespace) -> None:
    from . import media
    from .faces import find
    from .faces.finding import is_clip

    given = {"trim": args.trim} if args.trim else {}
    if is_clip(args.source) and args.samples:
        given["samples"] = args.samples
    found = find(args.source, pick=args.pick, backend=args.finder, **given)
    if args.save:
        media.write_picture(args.save, found.drawn(), generated=False, overwrite=args.overwrite)
    print(repr(found))


def _check(args: argparse.Namespace) -> None:
    import toolkit

    own = {"backend": args.finder, "trim": args.trim, "device": args.device}
    print(toolkit.check(args.picture, args.driving, args.model, **own))


def _info(args: argparse.Namespace) -> None:
    import toolkit

    print(toolkit.info())


def _prepare(args: argparse.Namespace) -> None:
    import toolkit

    names = ("whole", "size", "fit", "fps", "min_frames", "max_frames", "min_size", "test_share", "identity", "format")
    settings = {name: getattr(args, name) for name in names}
    print(toolkit.prepare(args.clips, args.output, **settings, backend=args.finder, progress=not args.quiet))


def _train(args: argparse.Namespace) -> None:
    import toolkit

    where = {"output": args.output, "resume": args.resume, "init": args.init, "data": args.data, "device": args.device}
    path = toolkit.train(args.recipe, **where, settings=args.set or ())
    from .training.processes import is_main, leave

    if is_main():
        print(path)
    leave()


def _evaluate(args: argparse.Namespace) -> None:
    import toolkit

    protocol = {key: getattr(args, key) for key in ("pairs", "clips", "finder", "frames", "protocol")}
    protocol = {key: value for key, value in protocol.items() if value is not None} | (
        {"fid": True} if args.fid else {}
    )
    if args.data is not None:
        protocol["progress"] = not args.quiet
    if args.output is not None:  # now: measuring takes minutes
        from .media import check_output

        check_output(args.output, endings=(".json",))
    found = toolkit.evaluate(args.model, args.characters, args.sheet, data=args.data, device=args.device, **protocol)
    print(found)
    if args.data is not None or args.output is not None:
        print(f"\n{found.save(args.output)}")


def _export(args: argparse.Namespace) -> None:
    import toolkit

    print(toolkit.export(args.run_or_model, args.output, published=args.published, overwrite=args.overwrite))


def _zoo(args: argparse.Namespace) -> None:
    from .zoo import table

    print(table().markdown() if args.markdown else table(), end="" if args.markdown else "\n")


def _fetch(args: argparse.Namespace) -> None:
    import toolkit

    for name in args.names:
        print(toolkit.fetch(name, progress=not args.quiet, timeout=args.timeout))


def _verify(args: argparse.Namespace) -> int:
    from .zoo import verify

    report = verify(args.file)
    print(report)
    return 0 if report.loads else 2


def _bench(args: argparse.Namespace) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    try:
        from benchmarks.speed import run_all
    except ImportError:
        raise ConfigError(
            "The benchmarks are not here.", "They live in the repository: run this from a clone."
        ) from None
    run_all()


# -- words on the command line ---------------------------------------------------------------------------------------


def _reference(text: str) -> str | int | float:
    if text in ("best", "first"):
        return text
    try:
        return float(text[:-1]) if text.endswith("s") else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no reference: give best, first, 12 (a frame) or 1.5s (a time)"
        ) from None


def _pick(text: str) -> int | tuple[float, float]:
    try:
        if "," in text:
            x, y = map(float, text.split(","))
            return x, y
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' picks no face: give 0 (the largest), 1 … or 120,80 (x,y)") from None


def _trim(text: str) -> tuple[float | None, float | None]:
    try:
        begin, end = (float(part) if part else None for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no part of a clip: give 2:5.5, 2: or :5 (seconds)") from None
    return begin, end


def _face(text: str) -> int | tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
        if len(numbers) in (2, 4):
            return numbers
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no face: give 0 (the largest), 1 …, 120,80 (a point in it) or 60,20,200,200 (a box to cut)"
        ) from None


def _box(text: str) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no box: give X,Y,WIDTH,HEIGHT in pixels") from None
    return x, y, width, height


def _crop_of(text: str) -> Any:
    if text in ("auto", "none"):
        return None if text == "none" else text
    return _box(text)


def _rate(text: str) -> Fraction:
    from .media import as_rate

    try:
        return as_rate(text if "/" in text else float(text))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is no rate: give 25, 29.97 or 30000/1001") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toolkit",
        description="One still picture and a clip of somebody moving: the picture does the same, with the sound.",
        epilog="'python -m toolkit COMMAND --help' tells more about a command.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        return sub

    driving = "a clip (mp4, mov, webm, avi, gif), a folder of frames, or a saved motion (.safetensors)"
    model = "a model's name or checkpoint file (default: the small one shipped)"

    points = "the picture's own 68 landmarks, or a row for each of several pictures; a file as for --landmarks"

    sub = command("animate", _animate, "Make a picture move as a driving clip does.")
    sub.add_argument("picture", nargs="+", help="PNG, JPEG, WebP, …; several of one person for few-shot heads")
    sub.add_argument("driving", help=driving)
    sub.add_argument("--model", metavar="NAME|FILE", help=model)
    sub.add_argument("--side-by-side", action="store_true", help="picture, driver and result beside each other")
    sub.add_argument("--picture-landmarks", metavar="FILE", help=points)
    sub.add_argument("--paste", action="store_true", help="put the animated face back into the full picture")
    _add_settings(sub, "side of the result (default: the model's own; with --paste the picture's)")

    sub = command("chorus", _chorus, "Let several pictures sing one clip together, in a grid with one sound track.")
    sub.add_argument("pictures", nargs="+", help="PNG, JPEG, WebP, …; two or more")
    sub.add_argument("driving", help=driving)
    sub.add_argument("--model", metavar="NAME|FILE", help=model)
    _add_settings(sub, "height of each picture in the grid (default: the model's own)")

    sub = command("group", _group, "Animate every face of one picture at once, each in its place.")
    sub.add_argument("picture", help="a group photo: PNG, JPEG, WebP, …")
    sub.add_argument("driving", nargs="+", help=f"{driving}; or one for each face, in the order of the faces")
    sub.add_argument(
        "--faces",
        nargs="+",
        type=_face,
        metavar="FACE",
        help="which: 0 (the largest) 2, points in them (120,80) or boxes to cut (60,20,200,200); default: all",
    )
    sub.add_argument("--model", metavar="NAME|FILE", help=model)
    _add_settings(sub, "the longer side of the result is no more than that (default: the picture's own size)")

    sub = command("compare", _compare, "Give the same picture and clip to several models, in a grid with their names.")
    sub.add_argument("picture", help="PNG, JPEG, WebP, …")
    sub.add_argument("driving", help=driving)
    sub.add_argument(
        "--models", nargs="+", required=True, metavar="NAME|FILE", help="names or files; after picture and clip"
    )
    # In the usual order picture and clip would be taken for models.
    sub.usage = "%(prog)s picture driving --models NAME|FILE [NAME|FILE …] [options]"
    sub.add_argument("--picture-landmarks", metavar="FILE", help=points)
    sub.add_argument("--results-only", action="store_true", help="leave picture and driver out of the grid")
    _add_settings(sub, "height of each result in the grid (default: the largest model's own)")

    sub = command("crop", _crop, "Cut a picture or a clip to a face, as a model wants it.")
    sub.add_argument("source", metavar="PICTURE|CLIP")
    sub.add_argument("-o", "--output", metavar="FILE", help="a picture or a clip (default: a free name in results/)")
    sub.add_argument("--model", metavar="NAME|FILE", help="for which model (default: the small one shipped)")
    sub.add_argument("--recipe", choices=("face", "head", "bust", "whole"), help="how, instead of by a model")
    sub.add_argument("--box", type=_box, metavar="X,Y,WIDTH,HEIGHT", help="in pixels, instead of looking for a face")
    sub.add_argument("--pick", type=_pick, metavar="NUMBER|X,Y", help="which face: 0 is the largest; or a point in it")
    sub.add_argument("--follow", type=float, default=0.0, metavar="0…1", help="a clip's box stands still … goes along")
    sub.add_argument(
        "--lost", choices=("hold", "cut"), default="hold", help="where the face is lost (default: hold the last box)"
    )
    sub.add_argument("--size", type=int, metavar="PIXELS", help="side of the result (default: as it is)")
    sub.add_argument("--trim", type=_trim, metavar="BEGIN:END", help="only this part of the clip, in seconds")
    sub.add_argument("--overwrite", action="store_true", help="replace the output even if the toolkit did not make it")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")

    sub = command(
        "demo", _demo, "Animate the shipped picture with the shipped clip; the last line is the path of the result."
    )
    sub.add_argument("-o", "--output", metavar="FILE", help="default: results/demo.mp4")
    sub.add_argument("--side-by-side", action="store_true", help="picture, driver and result beside each other")
    sub.add_argument("--trim", type=_trim, metavar="BEGIN:END", help="only this part of the clip, in seconds")

    sub = command("faces", _faces, "List the faces of a picture, or the people of a clip, and who found them.")
    sub.add_argument("source", metavar="PICTURE|CLIP", help="where to look")
    sub.add_argument(
        "--pick", type=_pick, metavar="N|X,Y", help="only face number N (0 is the largest), or the one there"
    )
    sub.add_argument(
        "--finder",
        default="auto",
        choices=("auto", "perception", "face-alignment", "cascade"),
        help="drawn heads, people, people from the front (boxes only); default: the first that sees a face",
    )
    sub.add_argument("--trim", type=_trim, metavar="BEGIN:END", help="only this part of a clip, in seconds")
    sub.add_argument(
        "--samples", type=int, default=24, metavar="N", help="frames of a clip to look at; 0: all (default: 24)"
    )
    sub.add_argument("--save", metavar="FILE", help="also draw them into this .png, .jpg or .webp")
    sub.add_argument("--overwrite", action="store_true", help="replace that file even if the toolkit did not make it")

    sub = command("check", _check, "Say what is odd about a picture, a clip and a model before they are used.")
    sub.add_argument("picture", help="PNG, JPEG, WebP, …")
    sub.add_argument("driving", nargs="?", help=driving)
    sub.add_argument("--model", metavar="NAME|FILE", help=model)
    sub.add_argument(
        "--finder",
        default="auto",
        choices=("auto", "perception", "face-alignment", "cascade"),
        help="who looks for faces (default: the first that sees one)",
    )
    sub.add_argument("--trim", type=_trim, metavar="BEGIN:END", help="only this part of the clip, in seconds")
    sub.add_argument("--device", help="cpu, cuda, mps (default: the best there is)")

    command("info", _info, "Say which versions, device, precision, ffmpeg and weights are here.")

    sub = command("prepare", _prepare, "Cut a folder of clips into training clips of one face each: train/ and test/.")
    sub.add_argument("clips", metavar="FOLDER", help="clips, or folders of frames; sub-folders are identities")
    sub.add_argument("-o", "--output", default="data", metavar="FOLDER", help="the data set (default: %(default)s)")
    sub.add_argument("--whole", action="store_true", help="keep whole frames: look for nobody, cut at scenes alone")
    sub.add_argument(
        "--size", type=int, default=256, metavar="PIXELS", help="side of the frames (default: %(default)s)"
    )
    sub.add_argument(
        "--fit",
        choices=("crop", "pad"),
        default="crop",
        help="whole frames: their middle square, or all (default: crop)",
    )
    sub.add_argument("--fps", type=_rate, metavar="RATE", help="frames a second (default: each clip's own)")
    sub.add_argument("--min-frames", type=int, metavar="N", help="drop shorter chunks (default: 64; whole frames 2)")
    sub.add_argument("--max-frames", type=int, default=1024, metavar="N", help="of a chunk (default: %(default)s)")
    sub.add_argument("--min-size", type=int, metavar="PIXELS", help="drop smaller faces (default: --size; whole: none)")
    sub.add_argument(
        "--test-share", type=float, default=0.1, metavar="SHARE", help="of the identities, for test/ (default: 0.1)"
    )
    sub.add_argument(
        "--identity",
        metavar="REGEX",
        help="finds whose a clip is in its path (default: its sub-folder, or each its own)",
    )
    sub.add_argument(
        "--format",
        choices=("mp4", "gif", "png"),
        default="mp4",
        help="clips, GIFs, or folders of frames (without loss; default: %(default)s)",
    )
    sub.add_argument(
        "--finder",
        default="auto",
        choices=("auto", "perception", "face-alignment", "cascade"),
        help="who looks for faces (default: the first that sees one)",
    )
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")

    sub = command("train", _train, "Train a model by a recipe.")
    sub.add_argument("recipe", help="a recipe's name (mini-fomm, tpsmm-vox-256, …) or a .toml file")
    sub.add_argument("-o", "--output", metavar="FOLDER", help="the run's folder (default: runs/RECIPE)")
    sub.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    sub.add_argument("--data", metavar="FOLDER", help="learn from clips: train/ and test/ (default: drawn heads)")
    sub.add_argument("--init", metavar="NAME|FILE|RUN", help="begin with these weights: mini-fomm, fomm-vox, …")
    sub.add_argument("--set", action="append", metavar="KEY=VALUE", help="change a setting of the recipe")
    sub.add_argument("--device", help="cpu, cuda, … (default: a GPU if there is one)")

    sub = command("evaluate", _evaluate, "Measure a model on held-out drawn characters, or on clips (--data).")
    sub.add_argument("model", nargs="?", default="mini-fomm", help="a name, file or run (default: %(default)s)")
    sub.add_argument("--characters", type=int, default=64, help="how many (default: %(default)s)")
    sub.add_argument("--sheet", metavar="FILE", help="also draw picture, driver, truth and result into this .png")
    sub.add_argument(
        "--data", metavar="FOLDER|puppets", help="clips instead: those in test/ of a data set, or drawn ones"
    )
    sub.add_argument(
        "--protocol",
        choices=("reconstruction", "animation"),
        help="of the papers: each clip from its first frame (default), or one clip driven by another",
    )
    sub.add_argument("--pairs", metavar="FILE", help="for animation: a .csv with columns source, driving")
    sub.add_argument("--clips", type=int, metavar="N", help="no more than N clips, or pairs")
    sub.add_argument("--finder", choices=("auto", "perception", "face-alignment"), help="of the landmarks")
    sub.add_argument("--fid", action="store_true", help="also FID (needs Inception's weights, and many frames)")
    sub.add_argument("--frames", metavar="FOLDER", help="keep the results, a folder of lossless frames each")
    sub.add_argument(
        "-o", "--output", metavar="FILE", help="the figures as .json (default, with --data: a free name in results/)"
    )
    sub.add_argument("--device", default="cpu", help="cpu, cuda, … (default: %(default)s)")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")

    sub = command(
        "export", _export, "Write a trained model as one file: the toolkit's own, or in the published layout."
    )
    sub.add_argument("run_or_model", metavar="RUN|CHECKPOINT|NAME", help="a run's folder, a file of weights, a name")
    sub.add_argument("-o", "--output", required=True, metavar="FILE", help=".safetensors; published: .pth.tar or .pth")
    sub.add_argument("--published", action="store_true", help="sections and keys as the authors' programs read them")
    sub.add_argument("--overwrite", action="store_true", help="replace a file that is there")

    sub = command("zoo", _zoo, "List every published checkpoint: what for, how large, its licence, is it here.")
    sub.add_argument("--markdown", action="store_true", help="as the README has it")

    sub = command("fetch", _fetch, "Download weights, checked; prints where they are.")
    sub.add_argument("names", nargs="+", metavar="NAME", help="tpsmm-vox, …: see the command zoo")
    sub.add_argument("--timeout", type=float, default=20.0, metavar="SECONDS", help="without a byte (default: 20)")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")

    sub = command("verify", _verify, "Say which model a file of weights is, what doesn't fit, and whether it loads.")
    sub.add_argument("file", help="a published checkpoint, or one of the toolkit's own")

    command("bench", _bench, "Measure speed and memory on this machine (from a clone).")
    return parser


def _add_settings(sub: argparse.ArgumentParser, size: str) -> None:
    """The options that animate, chorus, group and compare have in common; see `_settings`."""
    sub.add_argument("-o", "--output", metavar="FILE", help="out.mp4, .gif or .webp (default: a free name in results/)")
    sub.add_argument(
        "--mode",
        default="auto",
        help="auto, relative, absolute, or avd where the model has it (default: %(default)s, the model's own)",
    )
    sub.add_argument(
        "--strength", type=float, default=1.0, help="1 is the driver's motion; less calms, more exaggerates"
    )
    sub.add_argument(
        "--smooth", type=float, default=0.0, metavar="FRAMES", help="calm jitter over so many frames (default: 0)"
    )
    sub.add_argument("--reference", type=_reference, default="best", help="best, first, 12 (a frame) or 1.5s (a time)")
    sub.add_argument(
        "--no-adapt-scale", action="store_true", help="move as far as the driver, whatever the sizes of the heads"
    )
    sub.add_argument("--trim", type=_trim, metavar="BEGIN:END", help="only this part of the clip, in seconds")
    sub.add_argument(
        "--sound", default="driving", metavar="driving|none|FILE", help="whose sound (default: %(default)s)"
    )
    sub.add_argument("--size", type=int, metavar="PIXELS", help=size)
    sub.add_argument(
        "--mark",
        action="store_true",
        help="write 'made with AI' (in Chinese where that is spoken and a font here can write it) into a corner, where "
        "no face is; it takes no words: for your own, mark=TEXT in Python",
    )
    sub.add_argument(
        "--fit", choices=("crop", "pad"), default="crop", help="cut to the middle square, or keep all of it"
    )
    sub.add_argument(
        "--landmarks",
        metavar="FILE",
        help="the clip's 68 landmarks, a row a frame, for models that see through them: .npy or .json, -1 … 1 from "
        "edge to edge (default: the toolkit finds them)",
    )
    sub.add_argument(
        "--crop",
        type=_crop_of,
        default="auto",
        metavar="auto|none|X,Y,WIDTH,HEIGHT",
        help="the picture's crop: to the face as the model was trained, none, or a box in pixels (default: auto)",
    )
    sub.add_argument(
        "--crop-clip", type=_crop_of, default="auto", metavar="auto|none|X,Y,WIDTH,HEIGHT", help="the clip's crop"
    )
    sub.add_argument("--pick", type=_pick, metavar="NUMBER|X,Y", help="the picture's face: 0 is the largest; a point")
    sub.add_argument("--pick-clip", type=_pick, metavar="NUMBER|X,Y", help="the clip's face")
    sub.add_argument(
        "--follow", type=float, default=0.0, metavar="0…1", help="the clip's box stands still … goes along"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace the output even if the toolkit did not make it")
    sub.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    sub.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="default: %(default)s"
    )
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")


if __name__ == "__main__":
    sys.exit(main())
