"""Radiographs in DICOM files: their pixels as 8-bit grey, bone bright, and the size of a pixel."""

from __future__ import annotations

from spondylo_ml.data.dicom.film import DicomFilm, decode_dicom, lacks_preamble
from spondylo_ml.data.dicom.header import DICOM_SUFFIXES, PREFIX, PREFIX_AT, WANTED, is_dicom

__all__ = (
    "DICOM_SUFFIXES",
    "PREFIX",
    "PREFIX_AT",
    "WANTED",
    "DicomFilm",
    "decode_dicom",
    "is_dicom",
    "lacks_preamble",
)
