"""The two DICOM objects of a film: the Structured Report, and the overlay as a Secondary Capture.

Each is a series of its own in the film's study. Both are marked as research: they are neither verified nor final.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from highdicom import UID
from highdicom.sc import SCImage
from highdicom.sr import ComprehensiveSR, MeasurementReport
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from spondylo_ml.dicom_results.codes import scheme_items
from spondylo_ml.dicom_results.content import SOFTWARE, Algorithm
from spondylo_ml.dicom_results.source import UTF_8
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.version import __version__

LONGEST_LO = 64
"""Longest text of the value representation LO."""

REPORT_SERIES, OVERLAY_SERIES = 21001, 21002
"""Numbers of the series, beyond those of a modality."""

SAME_IN_A_PICTURE = (
    "BurnedInAnnotation", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
"""What holds for the film holds for a picture of it: the drawing adds no identity and undoes no compression."""


def structured_report(content: MeasurementReport, source: Dataset, algorithm: Algorithm) -> Dataset:
    """A Comprehensive SR in the study of the source."""
    return ComprehensiveSR(
        evidence=[source],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_number=REPORT_SERIES,
        **_common(algorithm, "Vertebral slips, research use only"),
    )


def overlay_image(picture: Picture, source: Dataset, algorithm: Algorithm) -> Dataset:
    """A Secondary Capture of an (H, W, 3) RGB picture of the source."""
    image = SCImage.from_ref_dataset(
        source,
        np.ascontiguousarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("A", "F"),  # replaced below: highdicom insists on one, the source may have none
        series_number=OVERLAY_SERIES,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **_common(algorithm, "Vertebral corners drawn, research use only"),
    )
    image.PatientOrientation = source.get("PatientOrientation", "")
    image.BodyPartExamined = "SPINE"
    image.ConversionType = "WSD"
    image.DerivationDescription = f"Scaled film with corners, levels and slips drawn. {DISCLAIMER}"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    image.SourceImageSequence = [reference]
    for name in SAME_IN_A_PICTURE:
        if name in source:
            setattr(image, name, source[name].value)
    return image


def _common(algorithm: Algorithm, series: str) -> dict[str, Any]:
    return {
        "series_instance_uid": UID(),
        "sop_instance_uid": UID(),
        "instance_number": 1,
        "manufacturer": SOFTWARE,
        "manufacturer_model_name": algorithm.name[:LONGEST_LO],
        "software_versions": __version__,
        "device_serial_number": algorithm.digest,
        "series_description": series,
        "content_qualification": "RESEARCH",
        "coding_schemes": scheme_items(),
        "specific_character_set": UTF_8,
    }
