"""Frames that carry their own number, and so tell after any coding which frame they are."""

import subprocess

import imageio_ffmpeg
import numpy as np

HEIGHT, WIDTH, BLOCK, BITS = 48, 64, 16, 12


def frame(number):
    """48 x 64 x 3: twelve black or white blocks, one bit each."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8).reshape(HEIGHT // BLOCK, WIDTH // BLOCK)
    return np.repeat(np.kron(bits, np.full((BLOCK, BLOCK), 255, np.uint8))[..., None], 3, axis=2)


def number(picture):
    """Read the number back from a frame of any size."""
    height, width = picture.shape[0] / 3, picture.shape[1] / 4
    bits = [picture[int((bit // 4 + 0.5) * height), int((bit % 4 + 0.5) * width)].mean() > 128 for bit in range(BITS)]
    return sum(on << bit for bit, on in enumerate(bits))


def numbers(frames):
    return [number(picture) for picture in frames]


def encode(path, frames, rate, *options):
    """Write frames with plain ffmpeg, not with what is tested."""
    frames = np.asarray(frames)
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{frames.shape[2]}x{frames.shape[1]}", "-r", str(rate)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *raw, "-i", "pipe:0", *options, str(path)]
    subprocess.run(command, input=frames.tobytes(), check=True)
    return path


def pipe(path, *options):
    """Run ffmpeg with its output going through a pipe, where it cannot go back to fill in length and index."""
    with open(path, "wb") as file:
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *map(str, options)], stdout=file, check=True)


H264 = ("-c:v", "libx264", "-threads", "1", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
CODECS = {
    "mp4": ("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"),  # B-frames: stored and shown in different order
    "mov": H264,
    "mkv": H264,
    "webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    "avi": ("-c:v", "mpeg4", "-q:v", "2"),
    "gif": (),
}
