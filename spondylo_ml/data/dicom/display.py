"""Convert stored levels to the 8-bit grey levels that the file asks to display, with bright bone.

The steps (PS3.3 C.11.1, C.11.2, C.11.6, C.7.6.3.1.2) are: rescale or modality LUT; VOI LUT or window; negative, if
MONOCHROME1 or PresentationLUTShape INVERSE make the lowest level white. Without window and VOI LUT, 8-bit levels are
kept and deeper ones are spread as for any other film. Padding becomes background and does not count for any range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.dicom.header import Header, OddElementError, Refusal
from spondylo_ml.data.dicom.luts import read_lut
from spondylo_ml.data.dicom.stored import Layout
from spondylo_ml.data.grey_levels import spread_levels
from spondylo_ml.landmarks import FloatArray, GreyImage

WHITE_IS_LOW = "MONOCHROME1"
BACKGROUND = 0
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
FEW_LEVELS = 16
_NO_CONTRAST = "the file's {} leaves no contrast and was not applied"


def display_levels(
    levels: NDArray[np.int32], layout: Layout, header: Header, outside: NDArray[np.bool_] | None = None
) -> GreyImage:
    """(H, W) grey levels, 0 to 255, with bright bone.

    Args:
        levels: (H, W) stored levels.
        outside: (H, W) mask of padding outside the range of levels, from `stored_levels`.

    Raises:
        Refusal: all pixels are padding.
    """
    padding = _padding(levels, layout, header)
    if outside is not None and outside.any():
        padding = outside if padding is None else padding | outside
    used = None if padding is None else ~padding
    if used is not None and not used.any():
        raise Refusal("a DICOM file with padding only (PixelPaddingValue)")
    stored = np.arange(layout.lowest, layout.lowest + (1 << layout.stored), dtype=np.float64)

    def occurring() -> NDArray[np.bool_]:
        occur = np.zeros(len(stored), dtype=bool)
        occur[(levels if used is None else levels[used]) - layout.lowest] = True
        return occur

    values, linear = _modality(stored, layout, header)
    bright = _voi(values, occurring, header)
    if bright is not None:
        grey = (255 * bright).round().astype(np.uint8)[levels - layout.lowest]
    elif layout.stored == 8 and linear:
        grey = (levels - layout.lowest).astype(np.uint8)
        grey = 255 - grey if values[-1] < values[0] else grey
    else:
        grey, remarks = spread_levels(values[levels - layout.lowest] if not _as_stored(values) else levels, used)
        for remark in remarks:
            header.add_remark(remark)
    grey = 255 - grey if _negative(header) else grey
    return grey if padding is None else np.where(padding, np.uint8(BACKGROUND), grey)


def _as_stored(values: FloatArray) -> bool:
    """Whether rescaling is increasing and linear, so that the stored whole numbers can be spread instead."""
    steps = np.diff(values)
    return bool((steps > 0).all() and np.allclose(steps, steps[0]))


def _padding(levels: NDArray[np.int32], layout: Layout, header: Header) -> NDArray[np.bool_] | None:
    """(H, W) mask of padding; None if there is none. PS3.3 C.7.5.1.1.2."""
    ends = []
    for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        try:
            numbers = header.numbers(name)
        except OddElementError:
            numbers = (0.5,)
        if len(numbers) > 1 or any(number != int(number) for number in numbers):
            header.add_remark(f"{name} is not one whole number and was not used")
            numbers = ()
        ends += [padding_level(int(number), layout) for number in numbers]
        if not ends:
            return None
    mask = (levels >= min(ends)) & (levels <= max(ends))
    return mask if mask.any() else None


def padding_level(number: int, layout: Layout) -> int:
    """A padding value as a level; its VR, and with it its sign, often differs from that of the pixels."""
    level = number % (1 << 16)
    if layout.signed:
        return level - (1 << 16) if level >= 1 << 15 else level
    return level


def _modality(stored: FloatArray, layout: Layout, header: Header) -> tuple[FloatArray, bool]:
    """Rescaled value of each stored level, and whether the rescaling is linear. PS3.3 C.11.1."""
    if items := header.items("ModalityLUTSequence"):
        try:
            return read_lut(items[0], layout.signed)(stored), False
        except OddElementError as odd:
            header.add_remark(f"the modality LUT was not applied: its {odd} violates the standard")
    rescale = {}
    for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        try:
            numbers = header.numbers(name)
            if len(numbers) > 1 or (numbers and name == "RescaleSlope" and numbers[0] == 0):
                raise OddElementError(name)
        except OddElementError:
            header.add_remark(f"{name} is not a single valid number: levels were not rescaled")
            return stored, True
        if not numbers and name in header.dataset:
            header.add_remark(f"{name} is empty: taken as {default:g}")
        rescale[name] = numbers[0] if numbers else default
    with np.errstate(over="ignore"):
        values = stored * rescale["RescaleSlope"] + rescale["RescaleIntercept"]
    if not np.isfinite(values).all() or values[0] == values[1]:
        header.add_remark("the rescaling would remove all contrast: levels were not rescaled")
        return stored, True
    return values, True


def _voi(values: FloatArray, occurring: Callable[[], NDArray[np.bool_]], header: Header) -> FloatArray | None:
    """Brightness of each stored level, 0 to 1; None without a usable VOI LUT or window. PS3.3 C.11.2.

    Args:
        occurring: returns whether each stored level occurs; only called where there is a VOI LUT or a window.
    """
    if items := header.items("VOILUTSequence"):
        try:
            lut = read_lut(items[0], bool(values.min() < 0))
        except OddElementError as odd:
            header.add_remark(f"the VOI LUT was not applied: its {odd} violates the standard")
        else:
            bright = (lut(values) / lut.top).clip(0, 1)
            if _has_contrast(bright, occurring()):
                return np.asarray(bright)
            header.add_remark(_NO_CONTRAST.format("VOI LUT"))
    window = _window(header)
    if window is None:
        return None
    if any("rescaled" in remark for remark in header.remarks):
        header.add_remark("the window was not applied: it is meant for rescaled levels")
        return None
    bright = _in_window(values, *window)
    if _has_contrast(bright, occurring()):
        return bright
    header.add_remark(_NO_CONTRAST.format("window"))
    return None


def _has_contrast(bright: FloatArray, occurring: NDArray[np.bool_]) -> bool:
    """Whether enough of the levels that occur remain distinct."""
    grey = (255 * bright[occurring]).round()
    n_shown, n_stored = len(np.unique(grey)), int(occurring.sum())
    return n_shown >= min(FEW_LEVELS, n_stored / 2) and (n_shown > 1 or n_stored == 1)


def _window(header: Header) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window; None if there is no usable one."""
    function = header.word("VOILUTFunction") or "LINEAR"
    try:
        centres, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
    except OddElementError as odd:
        header.add_remark(f"{odd} is not a number: the window was not applied")
        return None
    if not centres and not widths:
        return None
    if not centres or not widths:
        header.add_remark(f"{'WindowWidth' if centres else 'WindowCenter'} is missing: the window was not applied")
        return None
    if function not in FUNCTIONS:
        header.add_remark("VOILUTFunction is not one of the standard: the window was applied as LINEAR")
        function = "LINEAR"
    if widths[0] < 1 if function == "LINEAR" else widths[0] <= 0:
        header.add_remark("WindowWidth is smaller than the standard allows: the window was not applied")
        return None
    return centres[0], widths[0], function


def _in_window(values: FloatArray, centre: float, width: float, function: str) -> FloatArray:
    """Brightness by the formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)))
        if function == "LINEAR_EXACT":
            return np.asarray(((values - centre) / width + 0.5).clip(0, 1))
        if width == 1:
            return (values > centre - 0.5).astype(np.float64)
        return np.asarray(((values - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1))


def _negative(header: Header) -> bool:
    """Whether the lowest level is white.

    MONOCHROME1 and INVERSE mean the same; together they do not cancel out.
    """
    low = header.word("PhotometricInterpretation") == WHITE_IS_LOW
    shape = header.word("PresentationLUTShape")
    if shape == "INVERSE" and not low:
        header.add_remark(
            "MONOCHROME2 and PresentationLUTShape INVERSE contradict each other: read as INVERSE, lowest level white"
        )
        return True
    if shape not in ("", "IDENTITY", "INVERSE"):
        header.add_remark("PresentationLUTShape is not one of the standard and was not used")
    return low
