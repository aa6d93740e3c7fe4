"""The house itself: imports, requirements, the size of what is in git."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import toolkit

ROOT = Path(__file__).resolve().parent.parent


def test_import_is_light():
    code = "import sys, toolkit; print(sorted({'torch', 'numpy', 'PIL', 'imageio_ffmpeg'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_verb_is_there():
    for name in toolkit.__all__:
        assert getattr(toolkit, name) is not None
    assert callable(toolkit.animate), "the verb, not a module of the same name"


def _names(lines):
    return {
        re.split(r"[<>=\[; ]", line.strip())[0].lower().replace("_", "-")
        for line in lines
        if line.strip() and line[0] != "#"
    }


def test_requirements_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    declared = project["dependencies"] + project["optional-dependencies"]["lab"]
    assert sorted(wanted) == sorted(declared)
    assert not [line for line in wanted if "==" in line or "<" in line], "lower bounds only"
    locked = _names((ROOT / "constraints.txt").read_text().splitlines())
    assert _names(wanted) <= locked
    conda = (
        (ROOT / "environment.yml").read_text().replace("face_alignment", "face-alignment").replace("pytorch", "torch")
    )
    assert [name for name in _names(wanted) if f"- {name}>" not in conda] == []


def test_what_is_in_git_is_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = {name: (ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).exists()}
    assert max(sizes.values(), default=0) < 20e6
    heavy = (".safetensors", ".npz", ".mp4", ".png", ".gif", ".webp", ".jpg", ".wav")
    assert sum(size for name, size in sizes.items() if name.endswith(heavy)) < 45e6
    assert not [name for name in sizes if name.endswith((".pth", ".tar", ".pkl"))]
