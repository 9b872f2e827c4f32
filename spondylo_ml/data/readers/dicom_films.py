"""What a DICOM file in a dataset says of its film beside the pixels, for every layout alike."""

from __future__ import annotations

from dataclasses import replace

from spondylo_ml.data.film_pixels import is_dicom_file, read_film
from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.landmarks import Film, resolve_pixel_aspect

CUSTOM_SOURCE = "own"
"""`source` of films whose layout does not name their patients."""


def with_dicom_header(film: Film) -> tuple[Film, tuple[FileFinding, ...]]:
    """The film with spacing, pixel aspect and patient (as a pseudonym) of its DICOM file, and what was set aside there.

    What the dataset itself says goes before. The pixels are read, so that an undecodable file is reported now.

    Raises:
        FileError: the file's pixels cannot be read.
    """
    if film.path is None or not is_dicom_file(film.path):
        return film, ()
    found = read_film(film.path, film.film_id)
    spacing, aspect = film.spacing or found.spacing, film.pixel_aspect
    if film.spacing is None and not film.aspect_given and aspect is not None:
        aspect, _ = resolve_pixel_aspect(None, spacing, found.pixel_aspect)
    patient = film.patient
    if film.source == CUSTOM_SOURCE and patient == film.film_id and found.patient:
        patient = pseudonym(found.patient)
    notes = tuple(FileFinding(film.path.name, note) for note in found.notes)
    return replace(film, spacing=spacing, pixel_aspect=aspect, patient=patient), notes
