"""Convert grey levels of any depth to 8 bits.

Deep levels (more than 8 bits) are mapped linearly: the 0.1th and 99.9th percentile of the film's levels become 0 and
255. Without this, 12 bits in a 16-bit file would be nearly black. Pixels that all have the lowest or the highest level,
far from the rest (collimation, a burnt-in border, padding), are left out of the percentiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.landmarks import FloatArray, GreyImage

DEEP_PERCENTILES = (0.1, 99.9)
BLOCK_SHARE = 0.001
"""Share of the pixels below which a block does not affect the percentiles."""

BLOCK_GAP = 0.1
"""Least distance of a block from the rest, as a share of the range of the rest."""

LEAST_REST = 0.05
"""Share of the pixels that must remain without the blocks."""

MOST_BLOCKS = 16
FEWEST_LEVELS = 32
"""Levels that must remain: with fewer, evenly spaced ones, the lowest would look like a block far from the rest."""

LARGEST_TABLE = 1 << 16


def spread_levels(pixels: NDArray[Any], used: NDArray[np.bool_] | None = None) -> tuple[GreyImage, tuple[str, ...]]:
    """(H, W) levels as 8 bits, and remarks: 8-bit levels are unchanged, a uniform deep film becomes black.

    Args:
        used: (H, W) mask of the pixels that determine the range; all if None.
    """
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, dtype=np.uint8), ()
    low, high, remarks = _range(pixels if used is None else pixels[used])
    if high <= low:
        return np.zeros(pixels.shape, dtype=np.uint8), ()
    if (table := _table_range(pixels)) is None:
        return _spread(pixels.astype(np.float64), low, high), remarks
    lowest, highest = table  # a film has far more pixels than levels
    return _spread(np.arange(lowest, highest + 1, dtype=np.float64), low, high)[
        pixels.astype(np.int64) - lowest
    ], remarks


def _spread(levels: FloatArray, low: float, high: float) -> NDArray[np.uint8]:
    return np.asarray(np.clip((levels - low) * (255.0 / (high - low)), 0, 255).round(), dtype=np.uint8)


def _table_range(pixels: NDArray[Any]) -> tuple[int, int] | None:
    """The lowest and the highest of whole levels that are few enough for a table of all between them; else None."""
    if not pixels.size or pixels.dtype.kind not in "iu":
        return None
    lowest, highest = int(pixels.min()), int(pixels.max())
    return (lowest, highest) if highest - lowest < LARGEST_TABLE else None


def as_8_bit_where_they_fit(levels: NDArray[Any]) -> NDArray[Any]:
    """Integers of any type that all lie within 0 to 255 as 8-bit levels; other arrays unchanged."""
    fits = levels.dtype.kind in "iu" and levels.size > 0 and 0 <= levels.min() <= levels.max() <= 255
    return levels.astype(np.uint8) if fits else levels


def _range(pixels: NDArray[Any]) -> tuple[float, float, tuple[str, ...]]:
    """The levels that become 0 and 255, and remarks on blocks that were left out."""
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
    """The histogram without the block at one of its ends, if there is one far enough from the rest."""
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
    """The levels that occur, ascending, and the number of pixels of each."""
    if (table := _table_range(pixels)) is not None:
        numbers = np.bincount((pixels.astype(np.int64) - table[0]).ravel())
        occurring = np.flatnonzero(numbers)
        return (occurring + table[0]).astype(np.float64), numbers[occurring]
    levels, counts = np.unique(pixels, return_counts=True)
    return levels.astype(np.float64), counts


def _percentiles(levels: FloatArray, counts: NDArray[np.int64]) -> tuple[float, float]:
    """The `DEEP_PERCENTILES` of a histogram, interpolated like `np.percentile`."""
    ends = np.cumsum(counts)
    at = np.asarray(DEEP_PERCENTILES) / 100 * (ends[-1] - 1)
    below, above = (levels[np.searchsorted(ends, f(at), side="right")] for f in (np.floor, np.ceil))
    low, high = below + (above - below) * (at - np.floor(at))
    return float(low), float(high)
