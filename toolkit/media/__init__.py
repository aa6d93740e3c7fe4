"""The one border between files and arrays: pictures, clips and sound, in and out. All arrays are uint8 RGB or RGBA."""

from .files import MARK, check_output, free_name
from .fit import Fit, Plan, beside, fit, resize
from .frames import Frames, expected_frames, read_frames
from .grid import Grid
from .pictures import flatten, read_picture, write_picture
from .probe import ClipInfo, SoundInfo, probe, probe_sound
from .rates import as_rate
from .sound import check_sound, read_sound
from .writer import Writer

__all__ = [
    "MARK",
    "ClipInfo",
    "Fit",
    "Frames",
    "Grid",
    "Plan",
    "SoundInfo",
    "Writer",
    "as_rate",
    "beside",
    "check_output",
    "check_sound",
    "expected_frames",
    "fit",
    "flatten",
    "free_name",
    "probe",
    "probe_sound",
    "read_frames",
    "read_picture",
    "read_sound",
    "resize",
    "write_picture",
]
