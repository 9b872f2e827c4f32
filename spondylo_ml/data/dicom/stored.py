"""Extract the stored levels of a DICOM file: the bits of each pixel that hold its grey level.

PS3.5 8.1.1: a level has `BitsStored` bits, the highest of which is `HighBit`. Other bits are not part of the level (in
older files they may hold overlays).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from spondylo_ml.data.dicom.coding import Decoded, decode
from spondylo_ml.data.dicom.header import Header, OddElementError, Refusal

DEPTHS = (8, 16)
BIT_DEPTHS = range(8, 17)
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOURS = (
    "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420",
    "YBR_ICT", "YBR_RCT", "XYB",
)  # fmt: skip
_NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")


@dataclass(frozen=True)
class Layout:
    """Size of the film in px, and the position of the level within a pixel of `allocated` bits."""

    size_hw: tuple[int, int]
    allocated: int
    stored: int
    high_bit: int
    signed: bool

    @property
    def lowest(self) -> int:
        """The lowest level that can be stored."""
        return -(1 << (self.stored - 1)) if self.signed else 0

    @property
    def shift(self) -> int:
        """Bits below the level."""
        return self.high_bit - self.stored + 1


def layout_of(header: Header, max_pixels: int) -> Layout:
    """Read the layout of the pixels.

    Raises:
        Refusal: not a single grey film with 8 to 16 bits, or larger than `max_pixels`.
    """
    if "PixelData" not in header.dataset:
        raise Refusal("a DICOM file without pixels (a report, a structured document or a raw measurement)")
    if (frames := header.whole("NumberOfFrames") or 1) != 1:
        raise Refusal(f"a DICOM file of {frames} frames: export the frame to be read as a separate file")
    elements = {name: header.whole(name) for name in _NEEDED}
    if missing := [name for name, value in elements.items() if value is None]:
        raise Refusal(f"a DICOM file without {', '.join(missing)}: the shape of its pixels is unknown")
    rows, columns, allocated, stored, representation = (value or 0 for value in elements.values())
    _require_grey(header)
    if allocated not in DEPTHS or stored not in BIT_DEPTHS or stored > allocated:
        raise Refusal(f"a DICOM file of {stored} bits in {allocated}: 8 to 16 in 8 or 16 are read")
    if representation not in (0, 1):
        raise Refusal("a DICOM file whose PixelRepresentation is neither 0 (unsigned) nor 1 (signed)")
    if min(rows, columns) < 1:
        raise Refusal("a DICOM file without a pixel")
    if rows * columns > max_pixels:
        raise Refusal(too_large((rows, columns), max_pixels))
    high_bit = header.whole("HighBit")
    if high_bit is None:
        header.add_remark(f"HighBit is missing: taken as {stored - 1}, the usual one for {stored} bits")
        high_bit = stored - 1
    if not stored - 1 <= high_bit < allocated:
        raise Refusal(f"a DICOM file whose {stored} bits cannot end at bit {high_bit} of {allocated} (HighBit)")
    return Layout((rows, columns), allocated, stored, high_bit, representation == 1)


def too_large(size_hw: tuple[int, int], max_pixels: int) -> str:
    """Message for a film that is too large."""
    size = f"of {size_hw[1]} x {size_hw[0]} px"
    return f"a film {size}: more than the {max_pixels / 1e6:g} million px that are read; scale it down"


def stored_levels(header: Header, syntax: UID, layout: Layout) -> tuple[NDArray[np.int32], Layout, NDArray[np.bool_]]:
    """Decode the levels of a film.

    Padding with more bits than a level (BitsStored) can only be recognised here; other padding is a level.

    Returns:
        (H, W) stored levels, their actual layout, and (H, W) mask of padding outside the range of levels.

    Raises:
        Refusal: the pixels cannot be decoded, or contradict the header.
    """
    try:
        decoded = decode(header.dataset, syntax, layout.size_hw, layout.allocated)
    except Refusal:
        raise
    except Exception as error:
        # A decoder's message may quote a damaged file, so only its type is kept.
        raise Refusal(f"a DICOM file whose pixels cannot be decoded ({type(error).__name__})") from None
    layout = _coded_layout(decoded, layout, header)
    containers = decoded.pixels.astype(np.int32) & ((1 << layout.allocated) - 1)
    padding = _padding_above(containers, layout, header)
    containers[padding] = 0
    layout = _actual_layout(containers, layout, header)
    mask = (1 << layout.stored) - 1
    levels = (containers >> layout.shift) & mask
    if _has_bits_above(containers, layout):
        if _wraps(containers >> layout.shift, levels, layout.stored):
            raise Refusal(
                f"a DICOM file whose pixels use more than the {layout.stored} bits stated in its header (BitsStored, "
                "HighBit): its grey levels are unknown"
            )
        header.add_remark("bits that are not part of the grey level, such as overlays, were masked")
    if layout.signed:
        levels -= (levels >> (layout.stored - 1)) << layout.stored
    return levels, layout, padding


def _padding_above(containers: NDArray[np.int32], layout: Layout, header: Header) -> NDArray[np.bool_]:
    """(H, W) mask of padding outside the range of levels; an invalid PixelPaddingValue is reported elsewhere."""
    try:
        numbers = header.numbers("PixelPaddingValue")
    except OddElementError:
        numbers = ()
    outside = np.zeros(containers.shape, dtype=bool)
    for number in numbers:
        low, high = layout.lowest, layout.lowest + (1 << layout.stored)
        if number == int(number) and not low <= number < high:
            outside |= containers == int(number) % (1 << layout.allocated)
    return outside


def _require_grey(header: Header) -> None:
    colours = header.word("PhotometricInterpretation")
    samples = header.whole("SamplesPerPixel")
    if colours not in MONOCHROME or samples not in (None, 1):
        kind = repr(colours) if colours in (*MONOCHROME, *COLOURS) else "that are not in the standard"
        if not colours:
            kind = "that it does not name"
        many = "" if samples in (None, 1) else f" and {samples} values per pixel"
        raise Refusal(f"a DICOM file with the colours {kind}{many}: {' or '.join(MONOCHROME)} is needed")


def _coded_layout(decoded: Decoded, layout: Layout, header: Header) -> Layout:
    """The layout of compressed pixels, whose levels occupy the low bits."""
    if decoded.precision is None:
        return layout
    if decoded.precision < layout.stored:
        header.add_remark(f"the pixels are coded with {decoded.precision} bits, fewer than BitsStored")
    stored = min(layout.stored, decoded.precision)
    high_bit = stored - 1 if decoded.precision <= layout.stored else layout.high_bit
    signed = layout.signed if decoded.signed is None else decoded.signed
    allocated = max(layout.allocated, 8 * decoded.pixels.dtype.itemsize)
    return replace(layout, stored=stored, high_bit=high_bit, signed=signed, allocated=allocated)


def _actual_layout(containers: NDArray[np.int32], layout: Layout, header: Header) -> Layout:
    """The layout with HighBit corrected, if it is too high although all levels are in the low bits."""
    if layout.shift == 0 or containers.max() >= 1 << layout.stored:
        return layout
    below = containers & ((1 << layout.shift) - 1)
    if np.count_nonzero(below) * 2 <= np.count_nonzero(containers):
        return layout
    header.add_remark(f"HighBit is {layout.high_bit}, but all levels are in the low {layout.stored} bits: read there")
    return replace(layout, high_bit=layout.stored - 1)


def _has_bits_above(containers: NDArray[np.int32], layout: Layout) -> bool:
    """Whether bits above the level are set that are not copies of its sign."""
    above = containers >> (layout.high_bit + 1)
    if layout.signed:
        ones = (1 << (layout.allocated - layout.high_bit - 1)) - 1
        negative = (containers >> layout.high_bit) & 1 == 1
        above = np.where(negative & (above == ones), 0, above)
    return bool(above.any())


def _wraps(whole: NDArray[Any], masked: NDArray[Any], stored: int) -> bool:
    """Whether the upper bits belong to the level: masking them makes adjacent pixels differ that were similar."""
    half = 1 << (stored - 1)
    steps, masked_steps = (np.abs(np.diff(levels, axis=1)) for levels in (whole, masked))
    torn = np.count_nonzero((steps < half) & (masked_steps >= half))
    continuous = np.count_nonzero((steps >= half) & (masked_steps < half))
    return bool(torn > continuous)
