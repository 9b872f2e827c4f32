"""Grey levels of any depth as 8 bits.

Deep levels (more than 8 bits) are mapped linearly, so that the 0.1th and 99.9th percentile of the film's own levels
become 0 and 255: 12 bits in a 16-bit file would else be nearly black. A block of pixels that all have the lowest or the
highest level, far from the rest (collimation, a burnt-in border, padding), is left out of the percentiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.landmarks import FloatArray, GreyImage

DEEP_PERCENTILES = (0.1, 99.9)
BLOCK_SHARE = 0.001
"""Fewer pixels at one level do not reach the percentiles."""

BLOCK_GAP = 0.1
"""How far a block lies from the rest, as a share of the range of the rest."""

LEAST_REST = 0.05
"""Share of the pixels that must remain for their range to count as the film's."""

MOST_BLOCKS = 16
FEWEST_LEVELS = 32
"""Levels that must remain: of fewer, evenly spaced, the lowest would look like a block far from the rest."""

LARGEST_TABLE = 1 << 16


def to_8_bit(pixels: NDArray[Any]) -> GreyImage:
    """8-bit levels as they are; deeper ones spread (see `spread`)."""
    return spread(pixels)[0]


def spread(pixels: NDArray[Any], used: NDArray[np.bool_] | None = None) -> tuple[GreyImage, tuple[str, ...]]:
    """(H, W) levels as 8 bits: 8-bit ones as they are, others spread, black where all are equal; and remarks.

    Args:
        used: (H, W) pixels from which the range is taken; all where None.
    """
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, dtype=np.uint8), ()
    low, high, remarks = _range(pixels if used is None else pixels[used])
    if high <= low:
        return np.zeros(pixels.shape, dtype=np.uint8), ()
    scaled = (pixels.astype(np.float64) - low) * (255.0 / (high - low))
    return np.asarray(np.clip(scaled, 0, 255).round(), dtype=np.uint8), remarks


def as_8_bit_where_they_fit(levels: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers that all lie from 0 to 255 as 8-bit levels, whatever their type; others as they are."""
    fits = levels.dtype.kind in "iu" and levels.size > 0 and 0 <= levels.min() <= levels.max() <= 255
    return levels.astype(np.uint8) if fits else levels


def _range(pixels: NDArray[Any]) -> tuple[float, float, tuple[str, ...]]:
    """Levels that become 0 and 255, and what was left out to find them."""
    levels, counts = _histogram(pixels)
    if not len(levels):
        return 0.0, 0.0, ()
    n_pixels = counts.sum()
    remarks = []
    for lowest, name in ((True, "lowest"), (False, "highest")):
        n_before = counts.sum()
        levels, counts = _without_blocks(levels, counts, lowest, LEAST_REST * n_pixels)
        if left_out := n_before - counts.sum():
            share = f"{100 * left_out / n_pixels:.0f} %" if left_out >= 0.01 * n_pixels else "less than 1 %"
            remarks.append(f"{share} of the pixels, in a block at the {name} levels, were left out of the grey range")
    low, high = _percentiles(levels, counts)
    return low, high, tuple(remarks)


def _without_blocks(
    levels: FloatArray, counts: NDArray[np.int64], lowest: bool, least: float
) -> tuple[FloatArray, NDArray[np.int64]]:
    """The histogram less the blocks at one of its ends; whole where nothing lies far enough from the rest."""
    for n_left_out in range(min(MOST_BLOCKS, len(levels) - FEWEST_LEVELS), 0, -1):
        block = slice(0, n_left_out) if lowest else slice(len(levels) - n_left_out, None)
        rest = slice(n_left_out, None) if lowest else slice(0, len(levels) - n_left_out)
        n_rest = counts[rest].sum()
        if counts[block].sum() <= BLOCK_SHARE * n_rest or n_rest < least:
            continue
        low, high = _percentiles(levels[rest], counts[rest])
        gap = low - levels[block].max() if lowest else levels[block].min() - high
        if high > low and gap > BLOCK_GAP * (high - low):
            return levels[rest], counts[rest]
    return levels, counts


def _histogram(pixels: NDArray[Any]) -> tuple[FloatArray, NDArray[np.int64]]:
    """Levels that occur, ascending, and how many pixels have each."""
    if pixels.size and pixels.dtype.kind in "iu":
        lowest, highest = int(pixels.min()), int(pixels.max())
        if highest - lowest < LARGEST_TABLE:
            table = np.bincount((pixels.astype(np.int64) - lowest).ravel())
            found = np.flatnonzero(table)
            return (found + lowest).astype(np.float64), table[found]
    levels, counts = np.unique(pixels, return_counts=True)
    return levels.astype(np.float64), counts


def _percentiles(levels: FloatArray, counts: NDArray[np.int64]) -> tuple[float, float]:
    """`DEEP_PERCENTILES` as `np.percentile` has them."""
    ends = np.cumsum(counts)
    at = np.asarray(DEEP_PERCENTILES) / 100 * (ends[-1] - 1)
    below, above = (levels[np.searchsorted(ends, f(at), side="right")] for f in (np.floor, np.ceil))
    low, high = below + (above - below) * (at - np.floor(at))
    return float(low), float(high)
