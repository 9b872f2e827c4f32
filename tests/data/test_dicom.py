"""DICOM: rescale and window, spacing with its provenance, and rejected files with the reason."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicoms import dataset, dicom, file_bytes, gradient, to_8_bit, with_identifiers
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from spondylo_ml.clinical.measure import measure_vertebrae
from spondylo_ml.clinical.scale import PixelGeometry, film_scale
from spondylo_ml.data.dicom import coding, decode_dicom, is_dicom
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing
from spondylo_ml.spacing import Spacing

LARGEST = 1_000_000


def read(data: bytes, max_pixels: int = LARGEST) -> Any:
    return decode_dicom(data, "film.dcm", max_pixels)


# ------------------------------------------------------------------------------------------------------------- levels


def test_twelve_bits_without_a_window_are_spread_as_those_of_any_deep_film() -> None:
    levels = gradient()
    result = read(dicom(levels))
    np.testing.assert_array_equal(result.pixels, to_8_bit(levels))
    assert result.notes == ()


@pytest.mark.parametrize(("bits", "top"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_monochrome1_is_turned_so_that_bone_is_bright(bits: int, top: int) -> None:
    levels = gradient(top=top)
    usual = read(dicom(levels, bits)).pixels
    turned = read(dicom(levels, bits, PhotometricInterpretation="MONOCHROME1")).pixels
    np.testing.assert_array_equal(turned, 255 - usual)
    assert (usual[0, 0], usual[0, -1]) == (0, 255)


def test_eight_bits_stay_as_they_are() -> None:
    levels = (np.arange(32 * 40).reshape(32, 40) % 200).astype(np.uint8)
    np.testing.assert_array_equal(read(dicom(levels, 8)).pixels, levels)


def test_the_window_applies_to_rescaled_levels() -> None:
    # Rescaled levels are 2 * stored - 1000; the window 500 wide round 1000 runs from 750 to 1249 (C.11.2.1.2).
    stored = np.zeros((16, 16), np.uint16)
    stored[0, :5] = (0, 870, 1000, 1120, 4095)  # rescaled -1000, 740, 1000, 1240, 7190
    film = read(dicom(stored, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=500))
    middle = 255 * ((1000 - 999.5) / 499 + 0.5)
    high = 255 * ((1240 - 999.5) / 499 + 0.5)
    assert film.pixels[0, :5].tolist() == [0, 0, round(middle), round(high), 255]


def test_the_exact_linear_and_the_sigmoid_window_are_their_own_formulas() -> None:
    stored = np.full((16, 16), 900, np.uint16)
    stored[0, :3] = (0, 1000, 4095)
    exact = read(dicom(stored, WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")).pixels
    assert (exact[0, :3].tolist(), exact[5, 5]) == ([0, 128, 255], round(255 * (-100 / 500 + 0.5)))
    curved = read(dicom(stored, WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID")).pixels
    assert curved[0, 1] == 128
    assert curved[5, 5] == round(255 / (1 + np.exp(4 * 100 / 500)))


def test_of_several_windows_the_first_is_taken() -> None:
    films = read(dicom(gradient(), WindowCenter=[1000, 3000], WindowWidth=[500, 100])).pixels
    first = read(dicom(gradient(), WindowCenter=1000, WindowWidth=500)).pixels
    np.testing.assert_array_equal(films, first)


def test_a_voi_lut_gives_the_levels_that_it_lists() -> None:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [4, 100, 12], [0, 1000, 4095, 2000]
    item["LUTData"].VR = "US"
    stored = np.full((16, 16), 100, np.uint16)
    stored[0, :4] = (50, 101, 102, 999)
    result = read(dicom(stored, VOILUTSequence=[item])).pixels
    assert result[0, :4].tolist() == [0, round(255 * 1000 / 4095), 255, round(255 * 2000 / 4095)]


def test_signed_levels_are_windowed_as_such() -> None:
    stored = np.full((16, 16), -500, np.int16)
    stored[0, :2] = (-2000, 2000)
    result = read(dicom(stored, 16, WindowCenter=0.5, WindowWidth=2001)).pixels
    assert (result[0, :2].tolist(), result[5, 5]) == ([0, 255], round(255 * 0.25))


@given(center=st.floats(-500, 5000), width=st.floats(2, 6000), slope=st.floats(0.1, 3))
def test_no_window_turns_bright_and_dark_round(center: float, width: float, slope: float) -> None:
    fields = {"WindowCenter": f"{center:.4g}", "WindowWidth": f"{width:.4g}", "RescaleSlope": f"{slope:.4g}"}
    result = read(dicom(gradient((16, 48)), RescaleIntercept=0, **fields)).pixels
    assert (np.diff(result[0].astype(int)) >= 0).all()


def test_a_window_that_leaves_no_contrast_is_reported_and_not_applied() -> None:
    result = read(dicom(gradient(), WindowCenter=60000, WindowWidth=10))
    np.testing.assert_array_equal(result.pixels, to_8_bit(gradient()))
    assert result.notes == ("the file's window leaves no contrast and was not applied",)


# ------------------------------------------------------------------------------------------------------------ spacing


def test_pixel_spacing_is_rows_then_columns_and_gives_the_aspect() -> None:
    result = read(dicom(gradient(), PixelSpacing=[0.2, 0.15]))
    assert (result.spacing.y_mm, result.spacing.x_mm) == (0.2, 0.15)
    assert result.pixel_aspect == pytest.approx(0.75)
    assert result.spacing.provenance == "DICOM PixelSpacing"


@pytest.mark.parametrize(
    ("fields", "provenance"),
    [
        ({"PixelSpacing": [0.1, 0.1], "ImagerPixelSpacing": [0.14, 0.14]}, "DICOM PixelSpacing"),
        (
            {"PixelSpacing": [0.14, 0.14], "ImagerPixelSpacing": [0.14, 0.14]},
            "DICOM PixelSpacing, equal to ImagerPixelSpacing",
        ),
        (
            {"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
            "DICOM PixelSpacing, calibrated (FIDUCIAL)",
        ),
        ({"ImagerPixelSpacing": [0.14, 0.14]}, "DICOM ImagerPixelSpacing"),
    ],
)
def test_spacing_has_its_provenance_and_a_warning_for_the_detector(fields: dict[str, object], provenance: str) -> None:
    result = read(dicom(gradient(), **fields))
    assert result.spacing.provenance == provenance
    pixels = PixelGeometry(result.spacing, result.pixel_aspect)
    warned = measure_vertebrae((), Facing.LEFT, pixels=pixels).warnings
    assert any("magnification" in text for text in warned) == ("Imager" in provenance)


def test_without_a_spacing_the_aspect_ratio_counts_and_a_bad_spacing_is_reported() -> None:
    result = read(dicom(gradient(), PixelAspectRatio=[4, 3]))  # vertical size, horizontal size
    assert (result.spacing, result.pixel_aspect) == (None, 0.75)
    assert read(dicom(gradient())).pixel_aspect == 1
    broken = read(dicom(gradient(), PixelSpacing=[0, 0.1], ImagerPixelSpacing=[0.2, 0.2]))
    assert broken.spacing.provenance == "DICOM ImagerPixelSpacing"
    assert broken.notes == ("PixelSpacing is not two positive numbers and was not used",)


# ------------------------------------------------------------------------------------------------------------- coding


def coded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def test_run_length_implicit_and_deflated_files_have_the_same_pixels() -> None:
    expected = read(dicom(gradient())).pixels
    rle = dataset(gradient())
    rle.file_meta = FileMetaDataset()
    rle.compress(RLELossless, gradient(), encoding_plugin="pydicom")
    for data in (
        file_bytes(rle, RLELossless),
        file_bytes(dataset(gradient()), ImplicitVRLittleEndian),
        file_bytes(dataset(gradient()), DeflatedExplicitVRLittleEndian),
    ):
        np.testing.assert_array_equal(read(data).pixels, expected)


def test_jpeg_and_jpeg_2000_are_read_by_the_installed_plugin() -> None:
    levels = np.tile(np.linspace(0, 255, 48).round().astype(np.uint8), (32, 1))
    exact = dataset(levels, 8, PixelData=encapsulate([coded(levels, "JPEG2000", no_jp2=True)]))
    np.testing.assert_array_equal(read(file_bytes(exact, JPEG2000Lossless)).pixels, levels)
    lossy = dataset(levels, 8, PixelData=encapsulate([coded(levels, "JPEG", quality=95)]))
    assert np.abs(read(file_bytes(lossy, JPEGBaseline8Bit)).pixels.astype(int) - levels).max() <= 4


def lossless_jpeg(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=16))


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (JPEGExtended12Bit, imagecodecs.jpeg8_encode(gradient(), level=100, bitspersample=12)),
        (JPEGLosslessSV1, lossless_jpeg(gradient())),
        (JPEGLSLossless, imagecodecs.jpegls_encode(gradient())),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(gradient(), codecformat="j2k", bitspersample=12)),
    ],
    ids=lambda value: value.name if isinstance(value, UID) else "",
)
def test_deep_levels_survive_every_coding(syntax: UID, frame: bytes) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    expected = read(dicom(gradient(), **window)).pixels
    result = read(file_bytes(dataset(gradient(), PixelData=encapsulate([bytes(frame)]), **window), syntax))
    assert np.abs(result.pixels.astype(int) - expected).max() <= (1 if syntax == JPEGExtended12Bit else 0)
    assert result.notes == ()


def test_a_coding_without_its_plugin_names_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "imagecodecs", None)
    levels = np.tile(np.linspace(0, 255, 48).round().astype(np.uint8), (32, 1))
    exact = dataset(levels, 8, PixelData=encapsulate([coded(levels, "JPEG2000", no_jp2=True)]))
    np.testing.assert_array_equal(read(file_bytes(exact, JPEG2000Lossless)).pixels, levels)
    data = file_bytes(dataset(gradient(), PixelData=encapsulate([lossless_jpeg(gradient())])), JPEGLosslessSV1)
    with pytest.raises(FileError, match=r"coded as JPEG Lossless.*: install a plugin .*pip install imagecodecs"):
        read(data)
    film = file_bytes(dataset(gradient(), PixelData=encapsulate([b"\0\0\1\xb3" * 9])), MPEG2MPML)
    with pytest.raises(FileError, match=r"coded as MPEG2 .*: no decoder supports this"):
        read(film)


def test_bombs_are_refused_before_they_are_decoded() -> None:
    levels = np.zeros((32, 48), np.uint8)
    larger = encapsulate([coded(np.zeros((2000, 3000), np.uint8), "JPEG")])
    with pytest.raises(FileError, match="header and pixels disagree on the film's size"):
        read(file_bytes(dataset(levels, 8, PixelData=larger), JPEGBaseline8Bit))
    runs = encapsulate([bytes(64) + b"\x81\0" * 50_000])
    with pytest.raises(FileError, match="more run-length coded data than its film can need"):
        read(file_bytes(dataset(levels, 8, PixelData=runs), RLELossless))
    inflated = dataset(levels, 8, ImageComments="x" * 40_000_000)
    data = file_bytes(inflated, DeflatedExplicitVRLittleEndian)
    assert len(data) < 100_000
    with pytest.raises(FileError, match="inflates to more than the largest film"):
        read(data)
    with pytest.raises(FileError, match=r"48 x 32 px: more than the 0\.001 million px that are read; scale it down"):
        read(dicom(levels, 8), max_pixels=1000)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"NumberOfFrames": 7}, "7 frames: export the frame to be read as a separate file"),
        ({"PhotometricInterpretation": "RGB"}, r"colours 'RGB': MONOCHROME1 or MONOCHROME2 is needed"),
        ({"PixelData": None}, "without pixels"),
        ({"Rows": None}, "without Rows: the shape of its pixels is unknown"),
        ({"Rows": 0}, "without a pixel"),
        ({"BitsStored": 1, "HighBit": 0}, "of 1 bits in 16: 8 to 16 in 8 or 16 are read"),
        ({"Rows": 64}, "cut off, or without all pixels: it has 3072 of 6144 bytes"),
    ],
)
def test_anything_but_a_single_grey_radiograph_is_rejected_with_its_reason(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(FileError, match=rf"film\.dcm: .*{message}"):
        read(dicom(gradient(), **fields))


def test_a_file_that_is_cut_off_or_no_dicom_is_reported() -> None:
    original = dicom(gradient())
    assert is_dicom(original)
    assert not is_dicom(b"")
    assert not is_dicom(b"\x89PNG" * 100)
    for data in (original[:140], original[: len(original) // 2], original[:132] + b"\xff" * 500):
        with pytest.raises(FileError, match="DICOM file"):
            read(data)


def test_warnings_for_unsuitable_films() -> None:
    fields = {"Modality": "CT", "PresentationIntentType": "FOR PROCESSING", "BurnedInAnnotation": "YES"}
    notes = " ".join(read(dicom(gradient(), **fields)).notes)
    for words in ("modality is 'CT'", "raw detector levels", "text burnt into its pixels"):
        assert words in notes


def test_planted_identifiers_change_nothing_and_are_not_parsed() -> None:
    planted = with_identifiers(dataset(gradient(), PixelSpacing=[0.2, 0.2]))
    assert planted.PatientName == "ZEBULON^QUIXWORTH"
    assert len(planted) > 500
    plain, result = read(dicom(gradient(), PixelSpacing=[0.2, 0.2])), read(file_bytes(planted))
    np.testing.assert_array_equal(result.pixels, plain.pixels)
    assert (result.spacing, result.notes) == (plain.spacing, plain.notes)


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ({"PixelAspectRatio": [10, 9]}, ["PixelAspectRatio"]),
        ({"ImagerPixelSpacing": [0.5, 0.45], "PixelAspectRatio": [10, 9]}, ["ImagerPixelSpacing and PixelAspectRatio"]),
        ({"ImagerPixelSpacing": [0.5, 0.5], "PixelAspectRatio": [1, 1]}, []),
    ],
)
def test_elements_that_contradict_each_other_on_the_shape_of_a_pixel_are_named(
    fields: dict[str, object], others: list[str]
) -> None:
    result = read(dicom(gradient(), PixelSpacing=[0.45, 0.45], **fields))
    assert result.pixel_aspect == 1
    remarks = [f"another shape of a pixel than PixelSpacing, which is used, is stated by {names}" for names in others]
    assert [note for note in result.notes if "shape of a pixel" in note] == remarks


@pytest.mark.parametrize("stated", [True, False])
def test_a_spacing_that_a_dataset_states_does_not_change_the_shape_of_a_pixel(stated: bool, tmp_path: Path) -> None:
    """As for films that are predicted: where the two disagree, nothing is measured until the aspect is stated."""
    (tmp_path / "a.dcm").write_bytes(dicom(gradient((64, 96)), PixelSpacing=[0.5, 0.45]))
    aspect = ",1.0" if stated else ","
    table = f"filename,spacing_x_mm,spacing_y_mm,pixel_aspect\na,0.5,0.5{aspect}\n"
    (tmp_path / "films.csv").write_text(table, encoding="utf-8")
    (film,) = read_folder(tmp_path, "folder").films
    assert film.spacing == Spacing(0.5, 0.5, "films.csv")
    assert (film.pixel_aspect, film.aspect_given) == ((1.0, True) if stated else (pytest.approx(0.9), False))
    withheld = film_scale((), Facing.LEFT, PixelGeometry.of(film)).withheld
    assert ("disagree on the shape of a pixel" in withheld) is not stated
