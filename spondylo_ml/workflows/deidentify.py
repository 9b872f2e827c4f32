"""`deidentify`: DICOM films without what identifies a patient, for research. Nothing of it goes into a run.

films/<film>.dcm      the films, named by pseudonyms, as in runs
report.csv            each film: its patient's pseudonym, what was masked, or why it was refused
pictures/index.html   some of the films as they were written, with what was masked outlined
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from spondylo_ml.config import DeidentifyConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.deidentify import deidentify_film, hidden_views
from spondylo_ml.data.deidentify.burned_in_text import Box
from spondylo_ml.data.film_files import NAMES_FILE, FilmFile, collect_films, write_names
from spondylo_ml.data.film_pixels import file_bytes, is_dicom_file, read_film
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.pseudonyms import is_pseudonym, keyed_pseudonym, require_salt_outside
from spondylo_ml.errors import FileError
from spondylo_ml.film_bar import with_film_bar
from spondylo_ml.folders import require_empty_folder
from spondylo_ml.landmarks import GreyImage
from spondylo_ml.pages.colours import PREDICTION_RGB
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.picture_folder import CaptionedPicture, write_pictures

NOT_DICOM = "no DICOM file: its pixels can be exported by `export`, which writes no header"
LOOK = "No detector finds all text: the pixels of each film need a look by a person before they are passed on."
PICTURE_HEIGHT_PX = 640
TWICE = "has the SOP instance UID of another film, {}"


@dataclass(frozen=True)
class WrittenFilm:
    """A film that was written.

    Attributes:
        patient: pseudonym.
        masked: places that were masked, px.
        remarks: elements that could not be kept, and other remarks.
    """

    film: FilmFile
    file: Path
    patient: str
    masked: tuple[Box, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class RefusedFilm:
    """A film that was not written, and why."""

    film: FilmFile
    error: FileError


@dataclass(frozen=True)
class DeidentifyResult:
    """The result of `deidentify`.

    Attributes:
        page: the page of the pictures.
        failed: films that were refused.
        skipped: files in the folders that are not films.
        notes: what else in the folders is not used.
    """

    folder: Path
    page: Path
    written: tuple[WrittenFilm, ...]
    failed: tuple[RefusedFilm, ...]
    skipped: tuple[Path, ...]
    notes: tuple[str, ...]


def deidentify(config: DeidentifyConfig) -> DeidentifyResult:
    """De-identify each film; one that cannot be is refused, with the reason, and the others are written.

    Raises:
        SpondyloError: no film, a target folder that is not empty, or the salt in it.
    """
    to = expanded(config.to)
    require_empty_folder(to)
    require_salt_outside(to)
    inputs = collect_films(config.films)
    films = [_renamed(film) for film in inputs.films]
    (to / "films").mkdir(parents=True)
    written, refused = list[WrittenFilm](), list[RefusedFilm]()
    of_uid: dict[str, str] = {}
    try:
        for film in with_film_bar(films, "de-identifying films", len(films)):
            try:
                written.append(_written(film, to / "films" / f"{film.film_id}.dcm", config, of_uid))
            except FileError as error:
                refused.append(RefusedFilm(film, error))
    finally:  # tell what there is up to an interruption
        _table(written, refused).to_csv(to / "report.csv", index=False)
    page = _write_pictures(to / "pictures", written, config.pictures)
    if config.private_names:
        write_names(to / NAMES_FILE, films)
    return DeidentifyResult(to, page, tuple(written), tuple(refused), inputs.skipped, inputs.notes)


def _renamed(film: FilmFile) -> FilmFile:
    """The film with a name by this user's salt, even where another salt has made the name of its file."""
    stem = stem_of(film.path)
    return replace(film, film_id=keyed_pseudonym(stem)) if film.film_id == stem and is_pseudonym(stem) else film


def _written(film: FilmFile, file: Path, config: DeidentifyConfig, of_uid: dict[str, str]) -> WrittenFilm:
    """Write one film; `of_uid` has the films so far by their new UIDs."""
    data = file_bytes(film.path, film.film_id)
    if not is_dicom_file(film.path):
        raise FileError(film.path.name, NOT_DICOM, alias=film.film_id)
    result = deidentify_film(data, film.path.name, config.burned_in_text == "mask", film.film_id)
    if (other := of_uid.setdefault(result.uid, film.film_id)) != film.film_id:
        raise FileError(film.path.name, TWICE.format(other), alias=film.film_id)
    file.write_bytes(result.data)
    return WrittenFilm(film, file, result.patient, result.masked, result.remarks)


def _write_pictures(folder: Path, written: Sequence[WrittenFilm], count: int) -> Path:
    """Pictures of `count` films, those with something masked first, and their page."""
    chosen = sorted(written, key=lambda one: not one.masked)[:count]
    pictures = [
        CaptionedPicture(one.film.film_id, f"{len(one.masked)} place(s) masked", _picture(one)) for one in chosen
    ]
    lead = [
        f"{len(chosen)} of {len(written)} films, as they were written: as each is shown, all of its levels, and what "
        "its window clips, if anything; what was masked is outlined.",
        LOOK,
    ]
    return write_pictures(folder, "De-identified films", lead, pictures)


def _picture(one: WrittenFilm) -> Picture:
    """The film as it is shown, and beside it what other windows show."""
    shown = read_film(one.file, one.film.film_id).pixels
    hidden = hidden_views(one.file.read_bytes(), one.file.name, shown)
    return np.hstack([_outlined(grey, one.masked) for grey in (shown, *hidden)])


def _outlined(grey: GreyImage, masked: Sequence[Box]) -> Picture:
    scale = PICTURE_HEIGHT_PX / grey.shape[0]
    size_wh = (max(1, round(grey.shape[1] * scale)), PICTURE_HEIGHT_PX)
    small = cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    for box in masked:
        left, top, right, bottom = (round(edge * scale) for edge in (box.left, box.top, box.right, box.bottom))
        cv2.rectangle(picture, (left, top), (right, bottom), PREDICTION_RGB, 2)
    return picture


def _table(written: Sequence[WrittenFilm], refused: Sequence[RefusedFilm]) -> pd.DataFrame:
    """A row for each film, with pseudonyms alone; places as left, top, right, bottom in px."""
    rows = [
        (
            one.film.film_id,
            "written",
            one.patient,
            "; ".join(f"{box.left} {box.top} {box.right} {box.bottom}" for box in one.masked),
            "; ".join(one.remarks),
        )
        for one in written
    ]
    rows += [(one.film.film_id, "refused", "", "", one.error.reason) for one in refused]
    return pd.DataFrame(rows, columns=["film", "state", "patient", "masked_px", "remarks"])
