"""Invalid DICOM headers: values that are corrected, ignored with a note, or rejected with a message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dicoms import dataset, dicom, file_bytes, gradient, to_8_bit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian

from spondylo_ml.data.dicom import decode_dicom
from spondylo_ml.data.film_content import FilmContent
from spondylo_ml.data.grey_levels import spread_levels
from spondylo_ml.errors import FileError

SIZE_HW = (64, 80)
WINDOW: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}


def read(data: bytes) -> FilmContent:
    return decode_dicom(data, "film.dcm", 1_000_000)


def film_levels(low: int = 0, high: int = 4095, size_hw: tuple[int, int] = SIZE_HW) -> NDArray[np.uint16]:
    """Smooth levels from `low` to `high`, different in every pixel of a row."""
    height, width = size_hw
    down, across = np.mgrid[0:height, 0:width]
    share = (across + 0.2 * down) / (width + 0.2 * height)
    return (low + (high - low) * share).round().astype(np.uint16)


def as_text(phantom: Dataset, name: str, value: bytes) -> bytes:
    """The file with raw bytes as an element's value, whatever the standard says of it: written over a placeholder."""
    data, tag = file_bytes(phantom), Tag(name)
    at = data.index(tag.group.to_bytes(2, "little") + tag.elem.to_bytes(2, "little"), 132)
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    padded = value + b" " * (len(value) % 2)
    return data[: at + 6] + len(padded).to_bytes(2, "little") + padded + data[at + 8 + length :]


def shown_in(levels: NDArray[Any], centre: float = 2048, width: float = 4096) -> NDArray[np.uint8]:
    """The linear window of PS3.3 C.11.2.1.2."""
    bright = ((levels.astype(float) - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1)
    return np.asarray((255 * bright).round(), np.uint8)


# --------------------------------------------------------------------------------------------------------------- bits


@pytest.mark.parametrize("signed", [False, True])
def test_levels_are_taken_from_the_bits_that_the_header_names(signed: bool) -> None:
    levels = film_levels()
    stored = (levels.astype(np.int32) - 2048) & 0xFFF if signed else levels.astype(np.int32)
    shifted = ((stored << 4) | 0x5).astype(np.uint16).view(np.int16 if signed else np.uint16)
    window = {"WindowCenter": 0 if signed else 2048, "WindowWidth": 4096}
    np.testing.assert_array_equal(read(dicom(shifted, HighBit=15, **window)).pixels, shown_in(levels))


def test_an_overlay_in_the_unused_bits_is_masked_and_reported() -> None:
    levels = film_levels()
    marked = levels.copy()
    marked[10:40, 20:50] |= 0x8000
    result = read(dicom(marked, **WINDOW))
    np.testing.assert_array_equal(result.pixels, shown_in(levels))
    assert result.notes == ("bits that are not part of the grey level, such as overlays, were masked",)


def test_negative_levels_may_fill_the_unused_bits_with_their_sign() -> None:
    levels = film_levels().astype(np.int16) - 2048
    result = read(dicom(levels, 12, WindowCenter=0, WindowWidth=4096))
    np.testing.assert_array_equal(result.pixels, shown_in(film_levels()))
    assert result.notes == ()


def test_a_header_that_names_too_few_bits_is_refused() -> None:
    with pytest.raises(FileError, match=r"use more than the 10 bits stated in its header \(BitsStored, HighBit\)"):
        read(dicom(film_levels(high=4095), 10))


def test_a_high_bit_above_the_levels_is_reported_and_ignored() -> None:
    result = read(dicom(film_levels(), HighBit=15, **WINDOW))
    np.testing.assert_array_equal(result.pixels, shown_in(film_levels()))
    assert result.notes == ("HighBit is 15, but all levels are in the low 12 bits: read there",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"HighBit": 7}, r"12 bits cannot end at bit 7 of 16 \(HighBit\)"),
        ({"HighBit": 16}, "12 bits cannot end at bit 16 of 16"),
        ({"BitsStored": 17, "HighBit": 16}, "of 17 bits in 16"),
        ({"BitsAllocated": 32}, "of 12 bits in 32: 8 to 16 in 8 or 16 are read"),
        ({"PixelRepresentation": 2}, "neither 0"),
        ({"SamplesPerPixel": 3}, "'MONOCHROME2' and 3 values per pixel"),
        ({"PhotometricInterpretation": "ZEBULON"}, "with the colours that are not in the standard: MONOCHROME1"),
        ({"PhotometricInterpretation": None}, "with the colours that it does not name"),
        ({"Columns": 72}, "header and pixels disagree on the film's size"),
        ({"Columns": 88}, "cut off, or without all pixels"),
        ({"BitsStored": None}, "without BitsStored"),
        ({"Rows": [64, 80]}, "whose Rows is not one whole number"),
        ({"NumberOfFrames": 3}, "of 3 frames"),
    ],
)
def test_invalid_headers_are_rejected_with_a_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FileError, match=message) as refusal:
        read(dicom(film_levels(), **fields))
    assert "ZEBULON" not in str(refusal.value)


def test_a_missing_high_bit_is_the_usual_one() -> None:
    result = read(dicom(film_levels(), HighBit=None, **WINDOW))
    np.testing.assert_array_equal(result.pixels, shown_in(film_levels()))
    assert result.notes == ("HighBit is missing: taken as 11, the usual one for 12 bits",)


def test_big_endian_pixels_are_read() -> None:
    phantom = dataset(film_levels(), **WINDOW)
    phantom.PixelData = film_levels().astype(">u2").tobytes()
    np.testing.assert_array_equal(read(file_bytes(phantom, ExplicitVRBigEndian)).pixels, shown_in(film_levels()))


# ------------------------------------------------------------------------------------------------------ 8-bit levels


@pytest.mark.parametrize("allocated", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "fields", [{}, {"RescaleSlope": 1, "RescaleIntercept": 0}, {"RescaleSlope": 2.5, "RescaleIntercept": -70}]
)
def test_8_bit_levels_without_a_window_are_kept(allocated: type, fields: dict[str, Any]) -> None:
    levels = film_levels(30, 190).astype(allocated)
    result = read(dicom(levels, 8, **fields))
    np.testing.assert_array_equal(result.pixels, levels)
    assert result.notes == ()


def test_a_negative_slope_inverts_8_bit_levels_and_signed_levels_start_at_black() -> None:
    levels = film_levels(30, 190).astype(np.uint8)
    falling = read(dicom(levels, 8, RescaleSlope=-1, RescaleIntercept=255)).pixels
    np.testing.assert_array_equal(falling, 255 - levels)
    signed = (levels.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_array_equal(read(dicom(signed, 8)).pixels, levels)


# ----------------------------------------------------------------------------------------------- padding and blocks


@pytest.mark.parametrize(("padding", "bits"), [(0, 12), (4095, 12), (65535, 16)])
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_background_and_takes_no_range(padding: int, bits: int, interpretation: str) -> None:
    levels = film_levels(1500, 2000)
    padded = levels.copy()
    padded[:20] = padding
    result = read(dicom(padded, bits, PixelPaddingValue=padding, PhotometricInterpretation=interpretation))
    assert not result.pixels[:20].any()
    rest = to_8_bit(levels[20:])
    np.testing.assert_array_equal(result.pixels[20:], 255 - rest if interpretation == "MONOCHROME1" else rest)


def test_a_range_of_padding_and_a_padding_of_the_other_sign_are_understood() -> None:
    levels = film_levels(1500, 2000)
    ranged = levels.copy()
    ranged[:20] = np.arange(20, dtype=np.uint16)[:, None]
    result = read(dicom(ranged, PixelPaddingValue=0, PixelPaddingRangeLimit=19)).pixels
    np.testing.assert_array_equal(result[20:], to_8_bit(levels[20:]))
    signed = levels.astype(np.int16)
    signed[:20] = -2000
    phantom = dataset(signed, 16, PixelPaddingValue=63536)
    phantom["PixelPaddingValue"].VR = "US"
    result = read(file_bytes(phantom)).pixels
    assert not result[:20].any()
    np.testing.assert_array_equal(result[20:], to_8_bit(levels[20:]))


@pytest.mark.parametrize("signed", [False, True])
def test_padding_that_the_bits_of_a_level_cannot_hold_is_background(signed: bool) -> None:
    levels = film_levels(1500, 2000)
    padded = levels.astype(np.int16 if signed else np.uint16)
    padding = -32768 if signed else 65535
    padded[:20] = padding
    phantom = dataset(padded, 12, PixelPaddingValue=padding)
    phantom["PixelPaddingValue"].VR = "SS" if signed else "US"
    result = read(file_bytes(phantom))
    assert not result.pixels[:20].any()
    np.testing.assert_array_equal(result.pixels[20:], to_8_bit(levels[20:]))
    assert result.notes == ()


@pytest.mark.parametrize("n_levels", [16, 25, 40])
def test_the_levels_of_a_film_of_few_of_them_are_no_blocks(n_levels: int) -> None:
    levels = (1988 + 8 * (np.arange(64 * 64) % n_levels)).reshape(64, 64).astype(np.uint16)
    grey, remarks = spread_levels(levels)
    assert remarks == ()
    assert len(np.unique(grey)) == n_levels


def test_a_film_with_padding_only_is_rejected_and_an_invalid_padding_is_reported() -> None:
    with pytest.raises(FileError, match="a DICOM file with padding only"):
        read(dicom(np.full(SIZE_HW, 7, np.uint16), PixelPaddingValue=7))
    result = read(dicom(film_levels(), PixelPaddingValue=[1, 2]))
    assert result.notes == ("PixelPaddingValue is not one whole number and was not used",)


@pytest.mark.parametrize(("border", "name"), [(0, "lowest"), (4095, "highest")])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_a_block_at_one_extreme_leaves_the_range_to_the_film(border: int, name: str, share: float) -> None:
    levels = film_levels(1500, 2000)
    n_rows = int(share * SIZE_HW[0])
    levels[:n_rows] = border
    result = read(dicom(levels))
    rest = result.pixels[n_rows:]
    assert (rest.min(), rest.max()) == (0, 255)
    assert (result.pixels[:n_rows] == (0 if border == 0 else 255)).all()
    assert len(result.notes) == 1
    assert f"in a block at the {name} levels, were left out of the grey range" in result.notes[0]


def test_a_film_whose_range_reaches_to_its_black_is_spread_as_a_whole() -> None:
    levels = film_levels(0, 4000)
    levels[:10] = 0
    result = read(dicom(levels))
    np.testing.assert_allclose(result.pixels[10:], levels[10:] * (255 / np.percentile(levels[10:], 99.9)), atol=3)
    assert result.notes == ()


# -------------------------------------------------------------------------------------------------- rescale and LUTs


def lut(count: int, first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [count, first, bits], entries
    item["LUTData"].VR = item["LUTDescriptor"].VR = "US"
    return item


def test_a_modality_lut_of_12_bits_is_applied() -> None:
    table = [int(4095 - 0.5 * i) for i in range(4096)]
    result = read(dicom(film_levels(), ModalityLUTSequence=[lut(4096, 0, 12, table)], **WINDOW))
    np.testing.assert_array_equal(result.pixels, shown_in(np.array(table)[film_levels()]))
    assert result.notes == ()


def test_a_voi_lut_that_names_more_bits_than_it_uses_still_reaches_white() -> None:
    result = read(dicom(film_levels(), VOILUTSequence=[lut(4096, 0, 16, list(range(4096)))]))
    np.testing.assert_array_equal(result.pixels, (film_levels() * 255.0 / 4095).round())


@pytest.mark.parametrize("kind", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize(
    "item", [lut(4096, 0, 12, [1, 2, 3]), lut(3, 0, 99, [1, 2, 3]), Dataset()], ids=["short", "99 bits", "empty"]
)
def test_an_invalid_lut_is_reported_and_not_applied(kind: str, item: Dataset) -> None:
    result = read(dicom(film_levels(), **{kind: [item]}))
    np.testing.assert_array_equal(result.pixels, to_8_bit(film_levels()))
    assert len(result.notes) == 1
    assert "LUT was not applied: its LUT" in result.notes[0]


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_an_empty_rescale_value_is_the_usual_one(name: str) -> None:
    fields: dict[str, Any] = {"RescaleSlope": 1, "RescaleIntercept": 0, name: ""}
    result = read(dicom(film_levels(), **fields, **WINDOW))
    np.testing.assert_array_equal(result.pixels, shown_in(film_levels()))
    assert result.notes == (f"{name} is empty: taken as {1 if name == 'RescaleSlope' else 0}",)


@pytest.mark.parametrize("value", [b"1,5", b"0", b"nan", b"inf", b"one", b"1\\2", b"1e308"])
def test_an_invalid_rescale_slope_disables_the_window_too(value: bytes) -> None:
    phantom = dataset(film_levels(), RescaleSlope="1", RescaleIntercept="0", WindowCenter="100", WindowWidth="50")
    result = read(as_text(phantom, "RescaleSlope", value))
    np.testing.assert_array_equal(result.pixels, to_8_bit(film_levels()))
    assert "rescaled" in result.notes[0]
    assert result.notes[1] == "the window was not applied: it is meant for rescaled levels"


# ------------------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize(
    ("name", "value", "note"),
    [
        ("WindowWidth", b"0", "WindowWidth is smaller than the standard allows: the window was not applied"),
        ("WindowWidth", b"-100", "WindowWidth is smaller than the standard allows: the window was not applied"),
        ("WindowWidth", b"nan", "WindowWidth is not a number: the window was not applied"),
        ("WindowWidth", b"", "WindowWidth is missing: the window was not applied"),
        ("WindowCenter", b"NaN", "WindowCenter is not a number: the window was not applied"),
        ("WindowCenter", b"inf", "WindowCenter is not a number: the window was not applied"),
        ("WindowCenter", b"1000,5", "WindowCenter is not a number: the window was not applied"),
        ("WindowCenter", b"ZEBULON", "WindowCenter is not a number: the window was not applied"),
        ("WindowCenter", b"1e300", "the file's window leaves no contrast and was not applied"),
        ("WindowWidth", b"1e300", "the file's window leaves no contrast and was not applied"),
        ("VOILUTFunction", b"ZEBULON", "VOILUTFunction is not one of the standard: the window was applied as LINEAR"),
    ],
)
def test_a_window_that_cannot_be_used_is_reported(name: str, value: bytes, note: str) -> None:
    phantom = dataset(film_levels(), WindowCenter="2048", WindowWidth="4096", VOILUTFunction="LINEAR")
    result = read(as_text(phantom, name, value))
    assert result.notes == (note,)
    original = shown_in(film_levels()) if name == "VOILUTFunction" else to_8_bit(film_levels())
    np.testing.assert_array_equal(result.pixels, original)


def test_empty_windows_are_no_windows() -> None:
    result = read(dicom(film_levels(), WindowCenter="", WindowWidth=""))
    np.testing.assert_array_equal(result.pixels, to_8_bit(film_levels()))
    assert result.notes == ()


# --------------------------------------------------------------------------------------------------------- negatives


@pytest.mark.parametrize(
    ("interpretation", "shape", "turned", "message"),
    [
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME1", "IDENTITY", True, False),
    ],
)
def test_a_negative_is_turned_once(interpretation: str, shape: str, turned: bool, message: bool) -> None:
    result = read(dicom(film_levels(), PhotometricInterpretation=interpretation, PresentationLUTShape=shape, **WINDOW))
    grey = shown_in(film_levels())
    np.testing.assert_array_equal(result.pixels, 255 - grey if turned else grey)
    assert any("contradict each other" in note for note in result.notes) == message


# --------------------------------------------------------------------------------------------- where elements may lie


@pytest.mark.parametrize("group", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_an_enhanced_file_has_spacing_window_and_rescale_in_functional_groups(group: str) -> None:
    measures, voi, rescale, frame = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.2, 0.1]
    voi.WindowCenter, voi.WindowWidth = 1000, 500
    rescale.RescaleSlope, rescale.RescaleIntercept = 2, -1000
    frame.PixelMeasuresSequence, frame.FrameVOILUTSequence = [measures], [voi]
    frame.PixelValueTransformationSequence = [rescale]
    result = read(dicom(film_levels(), **{group: [frame]}))
    np.testing.assert_array_equal(result.pixels, shown_in(2.0 * film_levels() - 1000, 1000, 500))
    assert result.spacing is not None
    assert (result.spacing.x_mm, result.spacing.y_mm, result.pixel_aspect) == (0.1, 0.2, 0.5)


@pytest.mark.parametrize(
    "value", [b"0,143\\0,143", b"0.143", b"0\\0", b"-1\\-1", b"nan\\nan", b"ZEBULON\\1", b"1\\2\\3"]
)
def test_an_odd_spacing_is_reported_and_not_used(value: bytes) -> None:
    result = read(as_text(dataset(film_levels(), PixelSpacing=[0.1, 0.1]), "PixelSpacing", value))
    assert (result.spacing, result.pixel_aspect) == (None, 1.0)
    assert result.notes == ("PixelSpacing is not two positive numbers and was not used",)


@pytest.mark.parametrize("value", [b"1A", b"one", b"1.5", b"1\\1"])
def test_an_invalid_number_of_frames_is_rejected(value: bytes) -> None:
    with pytest.raises(FileError, match="whose NumberOfFrames is not one whole number"):
        read(as_text(dataset(film_levels(), NumberOfFrames=1), "NumberOfFrames", value))


# ----------------------------------------------------------------------------------------------------- transfer syntax


def test_a_private_or_unknown_transfer_syntax_is_refused_unquoted() -> None:
    for uid in ("1.2.840.113619.5.2", "1.2.826.0.1.19370209.4711", "1.2.840.10008.1.1"):
        with pytest.raises(FileError, match="transfer syntax is private or not one of the standard") as refusal:
            read(
                file_bytes(dataset(gradient())).replace(b"1.2.840.10008.1.2.1\0", uid.encode()[:19].ljust(20, b"\0"), 1)
            )
        assert uid not in str(refusal.value)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_missing_transfer_syntax_is_recognised_from_the_bytes(implicit: bool) -> None:
    phantom = dataset(film_levels(), **WINDOW)
    original = file_bytes(phantom, UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"))
    start = original.index(b"\x02\0\x10\0UI")
    length = 8 + int.from_bytes(original[start + 6 : start + 8], "little")
    group_at = original.index(b"\x02\0\0\0UL") + 8
    group = int.from_bytes(original[group_at : group_at + 4], "little") - length
    data = (
        original[:group_at] + group.to_bytes(4, "little") + original[group_at + 4 : start] + original[start + length :]
    )
    result = read(data)
    np.testing.assert_array_equal(result.pixels, shown_in(film_levels()))
    assert result.notes == ("the file does not name its transfer syntax, which was inferred from its bytes",)


# ---------------------------------------------------------------------------------------------- nothing but FileError


SMALL: dict[str, Any] = {
    "PixelSpacing": [0.1, 0.1],
    "RescaleSlope": 1,
    "RescaleIntercept": 0,
    "NumberOfFrames": 1,
    "PixelPaddingValue": 0,
    "PixelAspectRatio": [1, 1],
    **WINDOW,
}
SMALL_FILE = dicom(film_levels(size_hw=(16, 16)), **SMALL)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_file_is_read_or_refused_in_words(data: st.DataObject) -> None:
    original = bytearray(SMALL_FILE)
    for _ in range(data.draw(st.integers(1, 4))):
        original[data.draw(st.integers(128, len(original) - 400))] = data.draw(st.integers(0, 255))
    try:
        result = read(bytes(original[: data.draw(st.integers(132, len(original)))]))
    except FileError:
        return
    assert result.pixels.dtype == np.uint8


@example("WindowCenter", b"1e400")
@example("Rows", b"")
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        ["Rows", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "WindowCenter", "WindowWidth",
         "RescaleSlope", "RescaleIntercept", "NumberOfFrames", "PhotometricInterpretation", "Modality",
         "PixelPaddingValue", "PixelAspectRatio"]
    ),
    st.binary(max_size=20) | st.sampled_from([b"1\\2", b"nan", b"-inf", b"1,5", b"1e999", b"\xff\xfe", b"\0\0\0"]),
)  # fmt: skip
def test_any_value_of_any_element_is_read_or_rejected_with_a_message(name: str, value: bytes) -> None:
    phantom = dataset(film_levels(size_hw=(16, 16)), **SMALL)
    try:
        result = read(as_text(phantom, name, value))
    except FileError:
        return
    assert result.pixels.shape[1] == 16
