"""The grain of a photograph: measured where it is flat, and made anew."""

from __future__ import annotations

import numpy as np

BLOCK, FEWEST, FLAT = 16, 10, 0.2  # side of a block in pixels; the fewest blocks, the share of them taken for flat


def flat_blocks(picture: np.ndarray) -> np.ndarray:
    """Numbers of the flattest blocks of a uint8 H x W x 3 picture: what is rough in them is noise. Blocks with clipped
    colours don't count; a small picture may have none.
    """
    blocks = _blocks(picture)
    usable = np.flatnonzero((blocks.min((1, 2)) > 2) & (blocks.max((1, 2)) < 253))
    rough = _rough(blocks[usable]).var((1, 2))
    return usable[np.argsort(rough)[: max(FEWEST, int(FLAT * len(usable)))]] if len(usable) >= FEWEST else usable[:0]


def measured(picture: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, float]:
    """The noise in these blocks: the covariance of its channels (3 x 3, squared levels) and the correlation of
    neighbouring pixels.
    """
    rest = _rough(_blocks(picture)[blocks])
    covariance = np.einsum("npi,npj->ij", rest, rest) / (len(rest) * (BLOCK**2 - len(_surfaces())))
    square = rest.reshape(-1, BLOCK, BLOCK, 3)
    beside = (square[:, 1:] * square[:, :-1]).mean() + (square[:, :, 1:] * square[:, :, :-1]).mean()
    return covariance, float(beside / (2 * (square**2).mean() + 1e-9))


def noise(shape: tuple[int, int], covariance: np.ndarray, correlation: float, seed: int) -> np.ndarray:
    """Normal noise, float32 H x W x 3, of this covariance of its channels and correlation of its neighbours."""
    values = np.random.default_rng(seed).standard_normal((*shape, 3), np.float32)
    close = min(correlation, 0.7)
    if close > 0.02:
        tap = (1 - np.sqrt(1 - 2 * close**2)) / (2 * close)  # of the kernel (tap, 1, tap), which gives just that
        for axis in (0, 1):
            values = values + tap * (np.roll(values, 1, axis) + np.roll(values, -1, axis))
        values /= 1 + 2 * tap**2
    power, directions = np.linalg.eigh(covariance)
    return values @ (directions * np.sqrt(np.maximum(power, 0)) @ directions.T).astype(np.float32)


def _blocks(picture: np.ndarray) -> np.ndarray:
    """H x W x 3 -> N x BLOCK² x 3, float32."""
    rows, columns = (side // BLOCK for side in picture.shape[:2])
    blocks = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, 3).swapaxes(1, 2)
    return blocks.reshape(-1, BLOCK * BLOCK, 3).astype(np.float32)


def _rough(blocks: np.ndarray) -> np.ndarray:
    """Blocks without what changes slowly in them, which is light and shape."""
    surfaces = _surfaces()
    return blocks - surfaces.T @ (surfaces @ blocks)


def _surfaces() -> np.ndarray:
    """An orthonormal basis of the quadratic surfaces over a block: 6 x BLOCK²."""
    line = np.linspace(-1, 1, BLOCK)
    y, x = (part.ravel() for part in np.meshgrid(line, line, indexing="ij"))
    return np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1))[0].T.astype(np.float32)
