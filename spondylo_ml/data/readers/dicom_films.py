"""Complete a film from its DICOM header, in the same way for every layout."""

from __future__ import annotations

from dataclasses import replace

from spondylo_ml.data.film_pixels import is_dicom_file, read_film
from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.landmarks import Film
from spondylo_ml.spacing import resolve_pixel_aspect

CUSTOM_SOURCE = "own"
"""`Film.source` of custom films, whose patients may be named by the DICOM header."""


def with_dicom_header(film: Film) -> tuple[Film, tuple[FileFinding, ...]]:
    """Add spacing, pixel aspect and patient (as a pseudonym) from a film's DICOM header.

    Values stated by the dataset take precedence, but a stated spacing does not change the shape of a pixel. The pixels
    are read too, so that an undecodable file is reported now.

    Returns:
        The film, and notes on header values that were ignored. Films that are not DICOM are returned unchanged.

    Raises:
        FileError: the pixels cannot be read.
    """
    if film.path is None or not is_dicom_file(film.path):
        return film, ()
    dicom = read_film(film.path, film.film_id)
    spacing, aspect = film.spacing or dicom.spacing, film.pixel_aspect
    if not film.aspect_given and aspect is not None:
        if film.spacing is None:
            aspect, _ = resolve_pixel_aspect(None, spacing, dicom.pixel_aspect)
        elif dicom.stated_aspect is not None:
            aspect = dicom.stated_aspect  # measuring then says so where the two disagree, as for predicted films
    patient = film.patient
    if film.source == CUSTOM_SOURCE and patient == film.film_id and dicom.patient:
        patient = pseudonym(dicom.patient)
    notes = tuple(FileFinding(film.path.name, note) for note in dicom.notes)
    return replace(film, spacing=spacing, pixel_aspect=aspect, patient=patient), notes
