"""The header of a de-identified film, built anew from the tables in `elements`."""

from __future__ import annotations

import re

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.valuerep import DSfloat

from spondylo_ml.data.deidentify.elements import CODES, EMPTIED, LUTS, NUMBERS, SET, SOP_CLASSES, UIDS
from spondylo_ml.data.dicom.display import padding_level
from spondylo_ml.data.dicom.film import patient_of
from spondylo_ml.data.dicom.header import Header, OddElementError, Refusal
from spondylo_ml.data.dicom.luts import WHOLE, read_lut
from spondylo_ml.data.dicom.stored import Layout
from spondylo_ml.data.pseudonyms import keyed_pseudonym, keyed_uid
from spondylo_ml.version import __version__

UNSPECIFIED = "US"
"""Units of rescaled levels: none are stated."""

METHOD = ("PS3.15 Annex E basic profile, by a list of what is kept", f"spondylo_ml {__version__}")
MASKED = "letters at the margins masked by a detector, not checked"


def new_header(header: Header, layout: Layout) -> Dataset:
    """Everything but the pixels and their layout; elements that could not be kept are remarks of `header`.

    Raises:
        Refusal: another kind of object than `SOP_CLASSES`, or an object without UIDs.
    """
    target = Dataset()
    target.SOPClassUID = _sop_class(header)
    _add_identity(target, header)
    for name in CODES:
        _add_code(target, header, name)
    for name in NUMBERS:
        _add_numbers(target, header, name, layout)
    for name in LUTS:
        _add_lut(target, header, name, layout)
    if "RescaleSlope" in target or "RescaleIntercept" in target:
        target.RescaleType = UNSPECIFIED
    for name in EMPTIED:
        setattr(target, name, None)
    for name, value in SET.items():
        setattr(target, name, value)
    target.DeidentificationMethod = list(METHOD)
    target.DeidentificationMethodCodeSequence = [_basic_profile()]
    return target


def _sop_class(header: Header) -> str:
    uid = _uid(header, "SOPClassUID")
    if uid not in SOP_CLASSES:
        raise Refusal(f"a DICOM object of another kind: {', '.join(SOP_CLASSES.values())} are de-identified")
    return uid


def _add_identity(target: Dataset, header: Header) -> None:
    uids = {name: _uid(header, name) for name in UIDS}
    if missing := [name for name, uid in uids.items() if not uid]:
        raise Refusal(f"a DICOM file without {', '.join(missing)}: it has no place in a study")
    for name, uid in uids.items():
        setattr(target, name, keyed_uid(uid))
    patient = patient_of(header)
    if not patient:
        header.add_remark("the file has no PatientID: its study counts as a patient of its own")
    target.PatientID = target.PatientName = keyed_pseudonym(patient or f"study {uids['StudyInstanceUID']}")


def _uid(header: Header, name: str) -> str:
    try:
        values = header.values(name)
    except OddElementError:
        return ""
    return str(values[0]).strip("\0 ") if len(values) == 1 else ""


def _add_code(target: Dataset, header: Header, name: str) -> None:
    try:
        values = [str(value).strip().upper() for value in header.values(name)]
    except OddElementError:
        values = ["?"]
    if all(re.fullmatch(CODES[name], value) for value in values):
        if values:
            setattr(target, name, values if len(values) > 1 else values[0])
    else:
        header.add_remark(f"{name} is not one of the codes that are kept, and was removed")


def _add_numbers(target: Dataset, header: Header, name: str, layout: Layout) -> None:
    try:
        numbers = header.numbers(name)[: NUMBERS[name]]
    except OddElementError:
        numbers = (0.0,) * (NUMBERS[name] + 1)
    if not numbers:
        return
    whole = dictionary_VR(name) != "DS"
    if len(numbers) != NUMBERS[name] or (whole and any(number != int(number) for number in numbers)):
        header.add_remark(f"{name} is not {NUMBERS[name]} valid number(s), and was removed")
        return
    values: list[int] | list[DSfloat]
    if name.startswith("PixelPadding"):
        values = [padding_level(int(number), layout) for number in numbers]
    else:
        values = [int(n) for n in numbers] if whole else [DSfloat(n, auto_format=True) for n in numbers]
    setattr(target, name, values if len(values) > 1 else values[0])


def _add_lut(target: Dataset, header: Header, name: str, layout: Layout) -> None:
    """A table as numbers: what the source has in their place could be text."""
    for source in header.items(name)[:1]:
        try:
            lut = read_lut(source, layout.signed)
            bits = int(Header(source).numbers("LUTDescriptor")[2])
            if lut.entries.max() >= WHOLE:
                raise OddElementError(name)
        except OddElementError:
            header.add_remark(f"{name} is not a valid table, and was removed")
            return
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [len(lut.entries) % WHOLE, lut.first % WHOLE, bits])
        item.add_new("LUTData", "OW", lut.entries.astype("<u2").tobytes())
        if name == "ModalityLUTSequence":
            item.ModalityLUTType = UNSPECIFIED
        setattr(target, name, Sequence([item]))


def _basic_profile() -> Dataset:
    code = codes.DCM.BasicApplicationConfidentialityProfile
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
