"""Coded concepts: those of SNOMED CT, DICOM and UCUM where they have one, else the project's own."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from spondylo_ml.landmarks import CORNERS, PATIENT_CORNERS

SCHEME = "99SPONDYLO"
"""Designator of the project's own codes; by PS3.16 8.2 a private one begins with 99."""


def _own(value: str, meaning: str) -> CodedConcept:
    """A code of at most 16 characters with a meaning of at most 64, as its value representations hold."""
    return CodedConcept(value, SCHEME, meaning)


def _short(corner: str) -> str:
    """The code of a corner, such as SUP_ANT."""
    words = {"superior": "sup", "inferior": "inf", "anterior": "ant", "posterior": "post"}
    return "_".join(words.get(word, word) for word in corner.split("_")).upper()


SLIP = _own("SLIP", "Slip of the upper vertebra, forward positive")
SLIP_MM = _own("SLIP_MM", "Slip of the upper vertebra in mm, forward positive")
SLIP_LOW = _own("SLIP_LOW", "Lowest slip that cannot be excluded")
SLIP_HIGH = _own("SLIP_HIGH", "Highest slip that cannot be excluded")
SLIP_PIECES = _own("SLIP_PIECES", "Slips that cannot be excluded, in parts")
COVERAGE = _own("COVERAGE", "Stated probability that these slips include the true one")
GRADE = _own("GRADE", "Meyerding grade")
VERDICT = _own("VERDICT", "Verdict on the grade")
SEGMENTAL_ANGLE = _own("SEGMENTAL_ANGLE", "Segmental angle, lordosis positive")
DISC_ANGLE = _own("DISC_ANGLE", "Disc angle, open forward positive")
DISC_HEIGHT_INDEX = _own("DISC_HEIGHT", "Mean disc height over depth of the upper body")
LORDOSIS = _own("LORDOSIS", "Lumbar lordosis")
SACRAL_SLOPE = _own("SACRAL_SLOPE", "Sacral slope")
WEDGE_RATIO = _own("WEDGE_RATIO", "Anterior over posterior height")
COMPRESSION_RATIO = _own("COMPRESSION", "Posterior height over that of the adjacent bodies")
NOTICE = _own("NOTICE", "Notice")
WARNING = _own("WARNING", "Warning")
FACING = _own("FACING", "Image side of the patient's front")
GRADES = tuple(
    _own(f"GRADE_{number}", f"Grade {roman}") for number, roman in enumerate(("0", "I", "II", "III", "IV", "V"))
)
METHODS = {
    "endplate": _own("SLIP_ENDPLATE", "Slip along the superior endplate of the lower vertebra"),
    "posterior_wall": _own("SLIP_POST_WALL", "Slip along the posterior walls"),
}
"""By `SlipMethod`."""
CORNER_CONFIDENCE = {
    name: _own(_short(name), f"Confidence of the corner: {name.replace('_', ' ')}")
    for name in (*PATIENT_CORNERS, *CORNERS)
}
"""By name of a corner, in the patient's terms or, where the facing is not known, the image's."""
UNITS = {
    "%": codes.UCUM.Percent,
    "mm": codes.UCUM.Millimeter,
    "deg": codes.UCUM.Degree,
    "ratio": codes.UCUM.NoUnits,
}
"""By the unit of a `Measure`."""
LUMBAR_SPINE = codes.SCT.LumbarSpine
RADIOGRAPHY = codes.SCT.PlainRadiography


def vertebra_site(name: str) -> Code | CodedConcept:
    """The vertebra as a finding site, such as L5."""
    return getattr(codes.SCT, f"{name}Vertebra", None) or _own(f"{name}_VERTEBRA", f"{name} vertebra")


def level_site(upper: str, lower: str) -> Code | CodedConcept:
    """The level between two vertebrae as a finding site."""
    standard = getattr(codes.SCT, f"LevelOf{upper}{lower}IntervertebralDisc", None)
    return standard or _own(f"{upper}_{lower}_LEVEL", f"Level {upper}/{lower}")


def scheme_items() -> Sequence[CodingSchemeIdentificationItem]:
    """What `SCHEME` stands for, for readers of the object."""
    return [CodingSchemeIdentificationItem(SCHEME, name="spondylo_ml", responsible_organization="spondylo_ml")]
