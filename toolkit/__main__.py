"""The command line: the same verbs and the same names as `import toolkit`.

python -m toolkit animate picture.png clip.mp4 -o out.mp4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigError, ToolkitError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 for something the user can mend (or a file that would not load), 130 for
    Ctrl-C.
    """
    args = _parser().parse_args(arguments)
    try:
        code = args.run(args)
    except ToolkitError as error:
        print(f"error: {error.what}", file=sys.stderr)
        if error.remedy:
            print(f"       {error.remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Nothing half-written was left in its place.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head`
        return 0
    return code or 0


# -- the commands ----------------------------------------------------------------------------------------------------


def _animate(args: argparse.Namespace) -> None:
    import toolkit

    clip = toolkit.animate(
        args.picture, args.driving, model=args.model, side_by_side=args.side_by_side, **_settings(args)
    )
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


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """What animate, chorus and compare have in common."""
    return {
        "mode": args.mode,
        "adapt_scale": not args.no_adapt_scale,
        "reference": args.reference,
        "strength": args.strength,
        "smooth": args.smooth,
        "trim": args.trim,
        "sound": {"none": None}.get(args.sound, args.sound),
        "size": args.size,
        "output": args.output,
        "progress": not args.quiet,
        "fit": args.fit,
        "overwrite": args.overwrite,
        "device": args.device,
        "precision": args.precision,
    }


def _notes(clip: Any, quiet: bool) -> None:
    if quiet:  # otherwise they stood above the progress
        for note in clip.report["notes"]:
            print(f"note: {note}", file=sys.stderr)


def _demo(args: argparse.Namespace) -> None:
    import toolkit

    clip = toolkit.animate(
        toolkit.sample("picture.png"),
        toolkit.sample("driving.mp4"),
        output=args.output or Path("results") / "demo.mp4",
        side_by_side=args.side_by_side,
        trim=args.trim,
    )
    _tell(clip)


def _tell(clip: Any) -> None:
    report = clip.report
    reference, took = report["reference"], report["took"]
    print(f"{report['model']}, {report['mode']} motion, {report['device']}", file=sys.stderr)
    print(
        f"reference: the driver's frame {reference['frame']}, at {reference['seconds']:g} s ({reference['chosen']})",
        file=sys.stderr,
    )
    print(f"took {took['seconds']} s, {took['rendering frames a second']} frames a second", file=sys.stderr)
    print(clip.path)


def _info(args: argparse.Namespace) -> None:
    import toolkit

    print(toolkit.info())


def _train(args: argparse.Namespace) -> None:
    import toolkit

    print(toolkit.train(args.recipe, output=args.output, resume=args.resume, init=args.init, settings=args.set or ()))


def _evaluate(args: argparse.Namespace) -> None:
    import toolkit

    print(toolkit.evaluate(args.model, characters=args.characters, sheet=args.sheet))


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


def _trim(text: str) -> tuple[float | None, float | None]:
    try:
        begin, end = (float(part) if part else None for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no part of a clip: give 2:5.5, 2: or :5 (seconds)") from None
    return begin, end


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

    sub = command("animate", _animate, "Make a picture move as a driving clip does.")
    sub.add_argument("picture", help="PNG, JPEG, WebP, …")
    sub.add_argument("driving", help=driving)
    sub.add_argument("--model", metavar="NAME|FILE", help=model)
    sub.add_argument("--side-by-side", action="store_true", help="picture, driver and result beside each other")
    _add_settings(sub, "side of the result (default: the model's own)")

    sub = command("chorus", _chorus, "Let several pictures sing one clip together, in a grid with one sound track.")
    sub.add_argument("pictures", nargs="+", help="PNG, JPEG, WebP, …; two or more")
    sub.add_argument("driving", help=driving)
    sub.add_argument("--model", metavar="NAME|FILE", help=model)
    _add_settings(sub, "height of each picture in the grid (default: the model's own)")

    sub = command("compare", _compare, "Give the same picture and clip to several models, in a grid with their names.")
    sub.add_argument("picture", help="PNG, JPEG, WebP, …")
    sub.add_argument("driving", help=driving)
    sub.add_argument("--models", nargs="+", required=True, metavar="NAME|FILE", help="names or checkpoint files")
    sub.add_argument("--results-only", action="store_true", help="leave picture and driver out of the grid")
    _add_settings(sub, "height of each result in the grid (default: the largest model's own)")

    sub = command(
        "demo", _demo, "Animate the shipped picture with the shipped clip; the last line is the path of the result."
    )
    sub.add_argument("-o", "--output", metavar="FILE", help="default: results/demo.mp4")
    sub.add_argument("--side-by-side", action="store_true", help="picture, driver and result beside each other")
    sub.add_argument("--trim", type=_trim, metavar="BEGIN:END", help="only this part of the clip, in seconds")

    command("info", _info, "Say which versions, device, precision, ffmpeg and weights are here.")

    sub = command("train", _train, "Train a model by a recipe.")
    sub.add_argument("recipe", help="a recipe's name (mini-fomm, perception) or a .toml file")
    sub.add_argument("-o", "--output", metavar="FOLDER", help="the run's folder (default: runs/RECIPE)")
    sub.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    sub.add_argument("--init", metavar="FILE", help="begin with these weights")
    sub.add_argument("--set", action="append", metavar="KEY=VALUE", help="change a setting of the recipe")

    sub = command("evaluate", _evaluate, "Measure a model on held-out drawn characters.")
    sub.add_argument("model", nargs="?", default="mini-fomm", help="default: %(default)s")
    sub.add_argument("--characters", type=int, default=64, help="how many (default: %(default)s)")
    sub.add_argument("--sheet", metavar="FILE", help="also draw picture, driver, truth and result into this .png")

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
    """The options that animate, chorus and compare have in common; see `_settings`."""
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
        "--fit", choices=("crop", "pad"), default="crop", help="cut to the middle square, or keep all of it"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace the output even if the toolkit did not make it")
    sub.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    sub.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="default: %(default)s"
    )
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")


if __name__ == "__main__":
    sys.exit(main())
