"""`deidentify`: DICOM films without what identifies a patient, for research. Nothing of it goes into a run.

films/<film>.dcm   the films, named by pseudonyms, as in runs
report.csv         each film: its patient's pseudonym, what was masked, or why it was refused
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from spondylo_ml.config import DeidentifyConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.deidentify import DeidentifiedFilm, deidentify_film
from spondylo_ml.data.film_files import NAMES_FILE, FilmFile, collect_films, write_names
from spondylo_ml.data.film_pixels import file_bytes, is_dicom_file
from spondylo_ml.data.pseudonyms import require_salt_outside
from spondylo_ml.errors import FileError
from spondylo_ml.folders import require_empty_folder

NOT_DICOM = "no DICOM file: its pixels can be exported by `export`, which writes no header"
TWICE = "has the SOP instance UID of another film, {}"


@dataclass(frozen=True)
class RefusedFilm:
    """A film that was not written, and why."""

    film: FilmFile
    error: FileError


@dataclass(frozen=True)
class DeidentifyResult:
    """The result of `deidentify`.

    Attributes:
        written: films that were written, with the source of each.
        failed: films that were refused.
        skipped: files in the folders that are not films.
    """

    folder: Path
    written: tuple[tuple[FilmFile, DeidentifiedFilm], ...]
    failed: tuple[RefusedFilm, ...]
    skipped: tuple[Path, ...]


def deidentify(config: DeidentifyConfig) -> DeidentifyResult:
    """De-identify each film; one that cannot be is refused, with the reason, and the others are written.

    Raises:
        SpondyloError: no film, a target folder that is not empty, or the salt in it.
    """
    to = expanded(config.to)
    require_empty_folder(to)
    require_salt_outside(to)
    inputs = collect_films(config.films)
    (to / "films").mkdir(parents=True)
    written, refused = list[tuple[FilmFile, DeidentifiedFilm]](), list[RefusedFilm]()
    of_uid: dict[str, str] = {}
    for film in tqdm(inputs.films, desc="de-identifying", unit="film", disable=None):
        try:
            result = _deidentified(film, config)
            if (other := of_uid.setdefault(result.uid, film.film_id)) != film.film_id:
                raise FileError(film.path.name, TWICE.format(other), alias=film.film_id)
        except FileError as error:
            refused.append(RefusedFilm(film, error))
            continue
        (to / "films" / f"{film.film_id}.dcm").write_bytes(result.data)
        written.append((film, result))
    report_table(written, refused).to_csv(to / "report.csv", index=False)
    if config.private_names:
        write_names(to / NAMES_FILE, inputs.films)
    return DeidentifyResult(to, tuple(written), tuple(refused), inputs.skipped)


def _deidentified(film: FilmFile, config: DeidentifyConfig) -> DeidentifiedFilm:
    data = file_bytes(film.path, film.film_id)
    if not is_dicom_file(film.path):
        raise FileError(film.path.name, NOT_DICOM, alias=film.film_id)
    return deidentify_film(data, film.path.name, config.burned_in_text == "mask", film.film_id)


def report_table(written: list[tuple[FilmFile, DeidentifiedFilm]], refused: list[RefusedFilm]) -> pd.DataFrame:
    """A row for each film, with pseudonyms alone; places as left, top, right, bottom in px."""
    rows = [
        (
            film.film_id,
            "written",
            result.patient,
            "; ".join(f"{box.left} {box.top} {box.right} {box.bottom}" for box in result.masked),
            "; ".join(result.remarks),
        )
        for film, result in written
    ]
    rows += [(one.film.film_id, "refused", "", "", one.error.reason) for one in refused]
    return pd.DataFrame(rows, columns=["film", "state", "patient", "masked_px", "remarks"])
