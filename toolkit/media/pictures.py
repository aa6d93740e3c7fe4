"""Still pictures: any file, array or PIL image becomes uint8 H x W x C, upright, in sRGB; and back to a file."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from ..errors import ConfigError, InputError
from .files import MARK, SAVED, check_input, check_output, replacing

if TYPE_CHECKING:
    from PIL import Image

Picture = Union[str, os.PathLike, bytes, np.ndarray, "Image.Image"]

SMALLEST, LARGEST = 16, 16384  # pixels of a side
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def read_picture(picture: Picture, channels: int = 3) -> np.ndarray:
    """Return a picture as uint8 H x W x channels, upright, sRGB.

    picture: a file (PNG, JPEG, WebP and what else Pillow reads; the first frame of an animated one), the bytes of such
    a file, a PIL image, or an array H x W, H x W x 1, 3 or 4 (uint8, uint16, bool, or float from 0 to 1).
    channels: 3, transparent parts laid over white; or 4, opaque pictures get an alpha of 255.
    Raises InputError for whatever cannot be used.
    """
    if channels not in (3, 4):
        raise ConfigError(f"Pictures have 3 or 4 channels, not {channels}.")
    if isinstance(picture, np.ndarray):
        name, array = "The array", _from_array(picture)
    elif isinstance(picture, (str, os.PathLike)):
        path = check_input(picture, "picture")
        name, array = str(path), _decode(path, str(path))
    elif isinstance(picture, (bytes, bytearray, memoryview)):
        name, array = "The picture", _decode(io.BytesIO(picture), "The picture")
    elif hasattr(picture, "getbands"):
        name, array = "The picture", _from_pil(picture, "The picture")
    else:
        raise InputError(f"A {type(picture).__name__} is not a picture.", "Give a file name, an array or a PIL image.")
    _check_size(name, *array.shape[1::-1])
    return _with_channels(array, channels)


def write_picture(
    path: str | os.PathLike, array: np.ndarray, *, generated: bool = True, overwrite: bool = False, quality: int = 95
) -> Path:
    """Write a uint8 H x W x 3 or 4 array (or H x W) as PNG, JPEG or WebP, by the path's ending, and return the path.

    It appears whole or not at all. generated: whether a model made it, which its metadata then says. A file already
    there that the toolkit did not make is kept unless overwrite=True. Raises OutputError where it cannot be written.
    """
    from PIL import Image, PngImagePlugin

    path = check_output(path, overwrite, PICTURE_ENDINGS)
    mark, kind = MARK if generated else SAVED, path.suffix.lower()
    array = _from_array(np.asarray(array))
    if kind == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", mark)
        options = {"format": "PNG", "pnginfo": text}
    elif kind == ".webp":
        options = {"format": "WEBP", "quality": quality, "xmp": xmp(mark)}
    else:
        array = flatten(array)
        options = {"format": "JPEG", "quality": quality, "subsampling": 0, "comment": mark}
    with replacing(path) as temporary:
        Image.fromarray(array).save(temporary, **options)
    return path


def flatten(frames: np.ndarray) -> np.ndarray:
    """Lay uint8 … x 4 over white and return … x 3; three channels come back as they are."""
    if frames.shape[-1] == 3:
        return frames
    alpha = frames[..., 3:]
    if alpha.size and alpha.min() == 255:
        return np.ascontiguousarray(frames[..., :3])
    weight = alpha.astype(np.uint16)
    return ((frames[..., :3] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def xmp(text: str) -> bytes:
    """The text as the description of an XMP packet, the metadata of WebP files."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt>'
        f'<rdf:li xml:lang="x-default">{text}</rdf:li>'
        "</rdf:Alt></dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _decode(file: Path | io.BytesIO, name: str) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large and of damaged files: both are judged here
            with Image.open(file) as image:
                return _from_pil(image, name)
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not a picture that can be read.", "Save it as PNG or JPEG.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} has far too many pixels.", f"Make it smaller than {LARGEST} x {LARGEST}.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for damaged files
        raise InputError(f"{name} is damaged or cut off ({error}).", "Get it again, or save it anew.") from error


def _from_pil(image: Image.Image, name: str) -> np.ndarray:
    from PIL import ImageOps

    _check_size(name, *image.size)  # before a pixel is decoded
    image.load()
    image = ImageOps.exif_transpose(_to_srgb(image))
    if image.mode.startswith(("I", "F")):
        return _from_array(_deep_grey(image))
    transparent = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
    return np.array(image.convert("RGBA" if transparent else "RGB"))


def _deep_grey(image: Image.Image) -> np.ndarray:
    """16-bit and 32-bit grey as uint16 or as float 0 to 1; Pillow's own conversion to 8 bits would clip it."""
    array = np.asarray(image)
    if image.mode == "F":
        return array / max(1.0, float(array.max()))
    return np.clip(array, 0, 65535).astype(np.uint16)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Apply the colour profile: phones save in Display P3, whose numbers look pale when taken for sRGB."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    with contextlib.suppress(Exception):  # a damaged or odd profile is no reason to refuse a picture
        from PIL import ImageCms

        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" not in ImageCms.getProfileDescription(own):
            mode = "RGB" if image.mode == "CMYK" else image.mode
            exif = image.info.get("exif")
            image = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode=mode)
            if exif:
                image.info["exif"] = exif
    return image


def _from_array(array: np.ndarray) -> np.ndarray:
    """Any array that can be a picture as uint8 H x W x 3 or 4."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(f"An array of shape {array.shape} is not a picture.", "Its shape must be H x W x 3 or 4.")
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        array = (np.clip(np.nan_to_num(array), 0, 1) * 255 + 0.5).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise InputError(f"An array of {array.dtype} is not a picture.", "Use uint8, or floats from 0 to 1.")
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def _with_channels(array: np.ndarray, channels: int) -> np.ndarray:
    if channels == 3:
        return flatten(array)
    if array.shape[2] == 4:
        return array
    return np.concatenate([array, np.full((*array.shape[:2], 1), 255, np.uint8)], axis=2)


def _check_size(name: str, width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise InputError(f"{name} is only {width} x {height} pixels.", f"Both sides need at least {SMALLEST}.")
    if max(width, height) > LARGEST:
        raise InputError(f"{name} is {width} x {height} pixels.", f"Make it smaller: no side above {LARGEST}.")
