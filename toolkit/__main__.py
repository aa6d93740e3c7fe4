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
    """Run one command; the exit code is 0, 2 for something the user can mend, 130 for Ctrl-C."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except ToolkitError as error:
        print(f"error: {error.what}", file=sys.stderr)
        if error.remedy:
            print(f"       {error.remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Nothing half-written was left.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head`
        return 0
    return 0


# -- the commands ----------------------------------------------------------------------------------------------------


def _animate(args: argparse.Namespace) -> None:
    import toolkit

    clip = toolkit.animate(
        args.picture,
        args.driving,
        model=args.model,
        mode=args.mode,
        adapt_scale=not args.no_adapt_scale,
        reference=args.reference,
        strength=args.strength,
        smooth=args.smooth,
        trim=args.trim,
        sound={"none": None}.get(args.sound, args.sound),
        size=args.size,
        side_by_side=args.side_by_side,
        output=args.output,
        progress=not args.quiet,
        fit=args.fit,
        overwrite=args.overwrite,
        device=args.device,
        precision=args.precision,
    )
    if args.quiet:  # otherwise they stood above the progress
        for note in clip.report["notes"]:
            print(f"note: {note}", file=sys.stderr)
    _tell(clip)


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

    print(
        toolkit.train(
            args.recipe, output=args.output, resume=args.resume, init=args.init, settings=args.set or ()
        )
    )


def _evaluate(args: argparse.Namespace) -> None:
    import toolkit

    print(toolkit.evaluate(args.model, characters=args.characters, sheet=args.sheet))


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

    sub = command("animate", _animate, "Make a picture move as a driving clip does.")
    sub.add_argument("picture", help="PNG, JPEG, WebP, …")
    sub.add_argument(
        "driving", help="a clip (mp4, mov, webm, avi, gif), a folder of frames, or a saved motion (.safetensors)"
    )
    sub.add_argument("-o", "--output", metavar="FILE", help="out.mp4, .gif or .webp (default: a free name in results/)")
    sub.add_argument(
        "--model", metavar="NAME|FILE", help="a model's name or checkpoint file (default: the small one shipped)"
    )
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
    sub.add_argument("--size", type=int, metavar="PIXELS", help="side of the result (default: the model's own)")
    sub.add_argument("--side-by-side", action="store_true", help="picture, driver and result beside each other")
    sub.add_argument(
        "--fit", choices=("crop", "pad"), default="crop", help="cut to the middle square, or keep all of it"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace the output even if the toolkit did not make it")
    sub.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    sub.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="default: %(default)s"
    )
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress")

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
    sub.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="change a setting of the recipe"
    )

    sub = command("evaluate", _evaluate, "Measure a model on held-out drawn characters.")
    sub.add_argument("model", nargs="?", default="mini-fomm", help="default: %(default)s")
    sub.add_argument("--characters", type=int, default=64, help="how many (default: %(default)s)")
    sub.add_argument("--sheet", metavar="FILE", help="also draw picture, driver, truth and result into this .png")

    command("bench", _bench, "Measure speed and memory on this machine (from a clone).")
    return parser


if __name__ == "__main__":
    sys.exit(main())
