"""De-identified films: what is in their bytes, what is not, and that they show the same film."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from dicoms import PLANTED_WORDS, file_bytes, gradient, study_film
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import DicomDictionary
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from spondylo_ml.data.deidentify import DeidentifiedFilm, deidentify_film, hidden_views
from spondylo_ml.data.deidentify.elements import (
    CODES,
    EMPTIED,
    LUTS,
    NUMBERS,
    PATIENT,
    PIXELS,
    READ,
    REMOVED_EXAMPLES,
    SET,
    UIDS,
)
from spondylo_ml.data.dicom import decode_dicom
from spondylo_ml.data.pseudonyms import SALT_VARIABLE, pseudonym
from spondylo_ml.errors import FileError

LARGEST = 1_000_000


def done(film: Dataset, mask: bool = True) -> tuple[Any, Dataset]:
    result = deidentify_film(file_bytes(film), "film.dcm", mask)
    return result, dcmread(BytesIO(result.data))


def told_about(data: bytes) -> DeidentifiedFilm | str:
    """The de-identified film, or the reason against it as it may be logged."""
    try:
        return deidentify_film(data, "film.dcm")
    except FileError as error:
        return error.in_run()


def shown(data: bytes) -> Any:
    return decode_dicom(data, "film.dcm", LARGEST)


def lettered(ink: int = 4095) -> Any:
    """A smooth film of 12 bits with a letter L at its top left."""
    levels = np.tile(np.linspace(500, 1500, 400).astype(np.uint16), (500, 1))
    levels[20:44, 20:25] = ink
    levels[39:44, 20:38] = ink
    return levels


def test_no_planted_value_is_in_the_bytes_and_the_film_is_the_same() -> None:
    film = study_film(gradient((64, 96)), planted=True, WindowCenter=2000, WindowWidth=3000, PixelSpacing=[0.2, 0.2])
    film.SOPInstanceUID = "1.2.826.0.1.19370209.4711"
    before = file_bytes(film)
    assert all(word.encode() in before for word in PLANTED_WORDS)
    result, after = done(film)
    words = (*PLANTED_WORDS, "ller^", "PID-1", "19501231", "ACC1", film.StudyInstanceUID, film.SeriesInstanceUID)
    assert [word for word in words if word.encode() in result.data] == []
    old, new = shown(before), shown(result.data)
    np.testing.assert_array_equal(new.pixels, old.pixels)
    assert (new.spacing, new.pixel_aspect) == (old.spacing, old.pixel_aspect)
    known = {*CODES, *NUMBERS, *LUTS, *PIXELS, *UIDS, *PATIENT, *EMPTIED, *SET, "SOPClassUID", "RescaleType",
             "DeidentificationMethod", "DeidentificationMethodCodeSequence"}  # fmt: skip
    assert {element.keyword for element in after} <= known
    assert not known & set(REMOVED_EXAMPLES)


TEXTS = {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "CS", "AE"}
PLACES = [
    keyword
    for tag, (vr, multiplicity, _, retired, keyword) in DicomDictionary.items()
    if vr in TEXTS and keyword and not retired and 0x0008 <= tag >> 16 < 0x5000 and multiplicity in ("1", "1-n")
    and keyword not in ("SpecificCharacterSet", "PhotometricInterpretation")
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    keywords=st.lists(st.sampled_from([*PLACES, *(name for name in READ if name in CODES)]), min_size=1, max_size=12),
    secret=st.text("BCEGHJKQWXZ0123456789", min_size=8, max_size=14),
)
def test_no_text_of_any_element_reaches_the_bytes(keywords: list[str], secret: str) -> None:
    film = study_film(gradient((32, 48)))
    for keyword in keywords:
        setattr(film, keyword, secret)
    data = file_bytes(film)
    assert secret.encode() in data
    told = told_about(data)
    if isinstance(told, DeidentifiedFilm):
        assert secret.encode() not in told.data
        told = str(told.remarks)
    assert secret not in told


def test_uids_and_patients_are_consistent_under_one_salt_and_others_under_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    films = [study_film(gradient()) for _ in range(2)]
    films[1].StudyInstanceUID = films[0].StudyInstanceUID
    (first, one), (_, two), (_, again) = done(films[0]), done(films[1]), done(films[0])
    assert one.StudyInstanceUID == two.StudyInstanceUID == again.StudyInstanceUID != films[0].StudyInstanceUID
    assert one.SOPInstanceUID == again.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID == first.uid
    assert len({one.SOPInstanceUID, two.SOPInstanceUID, one.SeriesInstanceUID, one.StudyInstanceUID}) == 4
    assert one.SOPInstanceUID.is_valid
    assert str(one.PatientID) == str(one.PatientName) == first.patient == pseudonym("PID-1")
    monkeypatch.setenv(SALT_VARIABLE, str(tmp_path / "other"))
    _, other = done(films[0])
    assert other.PatientID != one.PatientID
    assert other.StudyInstanceUID != one.StudyInstanceUID


def test_the_standard_is_told_what_was_done() -> None:
    _, after = done(study_film(gradient()))
    assert after.PatientIdentityRemoved == "YES"
    assert after.DeidentificationMethod[0].startswith("PS3.15 Annex E basic profile")
    assert [item.CodeValue for item in after.DeidentificationMethodCodeSequence] == ["113100"]
    assert after.LongitudinalTemporalInformationModified == "REMOVED"
    assert [after[name].value or "" for name in ("StudyDate", "PatientBirthDate", "PatientSex")] == ["", "", ""]


def test_pixels_leave_a_compressed_stream_with_its_comments_behind() -> None:
    import imagecodecs

    levels = gradient((64, 96))
    coded = imagecodecs.jpegls_encode(levels)
    comment = b"\xff\xfe\x00\x0aZEBULON!"  # a COM segment behind the start of the image
    film = study_film(levels)
    film.PixelData = encapsulate([coded[:2] + comment + coded[2:]])
    data = file_bytes(film, JPEGLSLossless)
    assert b"ZEBULON" in data
    result = deidentify_film(data, "film.dcm")
    assert b"ZEBULON" not in result.data
    np.testing.assert_array_equal(dcmread(BytesIO(result.data)).pixel_array, levels)


def test_a_look_up_table_is_kept_as_numbers() -> None:
    film = study_film(gradient((32, 48), 255).astype(np.uint16), PhotometricInterpretation="MONOCHROME1")
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [256, 0, 12], "ZEBULON"
    item.add_new("LUTData", "US", [min(4095, 16 * i) for i in range(256)])
    film.VOILUTSequence = [item]
    result, after = done(film)
    assert b"ZEBULON" not in result.data
    assert [element.keyword for element in after.VOILUTSequence[0]] == ["LUTDescriptor", "LUTData"]
    np.testing.assert_array_equal(shown(result.data).pixels, shown(file_bytes(film)).pixels)


def test_letters_are_masked_with_the_darkest_level_and_nothing_else_changes() -> None:
    film = study_film(lettered())
    result, after = done(film)
    (box,) = result.masked
    assert box.left <= 20
    assert box.top <= 20
    assert 38 <= box.right < 70
    assert 44 <= box.bottom < 70
    expected = lettered()
    expected[box.rows, box.columns] = 500
    np.testing.assert_array_equal(after.pixel_array, expected)
    assert "masked" in after.DeidentificationMethod[-1]
    assert after.BurnedInAnnotation == "NO"  # as the film has it: a detector proves nothing


def test_text_is_refused_on_request_and_where_the_header_states_it_without_letters() -> None:
    with pytest.raises(FileError, match="letters are burnt into its pixels, at 1 place"):
        done(study_film(lettered()), mask=False)
    with pytest.raises(FileError, match="text is burnt into its pixels, and none was found"):
        done(study_film(gradient(), BurnedInAnnotation="YES"))
    result, after = done(study_film(lettered(), BurnedInAnnotation="YES"))
    assert after.BurnedInAnnotation == "YES"
    assert "what was masked may not be all of it" in result.remarks[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "a DICOM object of another kind"),
        ({"SeriesInstanceUID": None}, "without SeriesInstanceUID: it has no place in a study"),
        ({"NumberOfFrames": 2}, "a DICOM file of 2 frames"),
    ],
)
def test_what_cannot_be_deidentified_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FileError, match=message):
        done(study_film(gradient(), **changes))


def test_a_film_without_a_patient_counts_as_a_patient_of_its_study() -> None:
    film = study_film(gradient(), PatientID=None)
    result, _ = done(film)
    assert result.patient == done(film)[0].patient != done(study_film(gradient(), PatientID=None))[0].patient
    assert "the file has no PatientID: its study counts as a patient of its own" in result.remarks


def test_signed_levels_and_padding_beyond_the_levels_stay_what_they_are() -> None:
    levels = np.linspace(-900, 900, 64 * 96).astype(np.int16).reshape(64, 96)
    signed = study_film(levels)
    np.testing.assert_array_equal(done(signed)[1].pixel_array, levels)
    padded = gradient((64, 96))
    padded[:5] = 65535
    film = study_film(padded)
    film.add_new("PixelPaddingValue", "US", 65535)
    after = np.frombuffer(done(film)[1].PixelData, "<u2").reshape(padded.shape)  # all bits, also above the levels
    np.testing.assert_array_equal(after, padded)


def test_letters_that_the_window_hides_are_masked_and_what_it_clips_is_to_be_seen() -> None:
    levels = lettered()
    levels[:80, :80] = 2000
    levels[20:44, 20:25] = levels[39:44, 20:38] = 4095
    film = study_film(levels, WindowCenter=1000, WindowWidth=1200)
    assert (shown(file_bytes(film)).pixels[:80, :80] == 255).all(), "the letter cannot be seen"
    result, after = done(film)
    assert len(result.masked) == 1
    assert 4095 not in after.pixel_array
    everything, clipped = hidden_views(file_bytes(film), "film.dcm", shown(file_bytes(film)).pixels)
    assert everything[30, 22] == 255
    assert everything[10, 10] == round(255 * (2000 - 500) / (4095 - 500))
    assert (clipped[30, 22], clipped[10, 70]) == (255, 0)
