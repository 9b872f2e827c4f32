"""Read radiographs from DICOM files: 8-bit grey levels with bright bone, and the pixel spacing."""

from __future__ import annotations

from spondylo_ml.data.dicom.film import decode_dicom, dicom_size_hw, lacks_preamble
from spondylo_ml.data.dicom.header import PREFIX, PREFIX_AT, WANTED, is_dicom

__all__ = (
    "PREFIX",
    "PREFIX_AT",
    "WANTED",
    "decode_dicom",
    "dicom_size_hw",
    "is_dicom",
    "lacks_preamble",
)
