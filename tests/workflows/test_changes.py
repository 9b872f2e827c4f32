"""Changes between films of a patient as `predict` writes them, with a model that knows the corners of each film."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from small_models import bundle_with_known_corners

from spondylo_ml.data.decode import FilmDetails, open_file
from spondylo_ml.data.film_files import CollectedFilms, collect_films
from spondylo_ml.data.films import HeldImage
from spondylo_ml.data.follow_up import film_pairs
from spondylo_ml.data.phantom import PhantomFilm, Posture, phantom_film, render
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.landmarks import Film, GreyImage
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.workflows.predict.changes import COLUMNS, Changes
from spondylo_ml.workflows.predict.result_folder import ResultFolder

SEED, INDEX = 5, 1
EXTENSION, FLEXION = Posture({1: 3.0}, {1: -4.0}), Posture({1: -12.0}, {1: 16.0})
LATER = Posture({}, {1: 10.0})
PATIENT = "Quentin Ysolde"
TABLE = [
    ("a", PATIENT, "1", "extension", EXTENSION),
    ("b", PATIENT, "1", "flexion", FLEXION),
    ("c", PATIENT, "1", "", Posture()),
    ("d", PATIENT, "2", "", LATER),
    ("e", "another", "1", "neutral", Posture()),
    ("f", "third", "1", "extension", EXTENSION),
    ("g", "third", "1", "flexion", EXTENSION),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of five films of two patients."""
    films, out = tmp_path_factory.mktemp("films"), tmp_path_factory.mktemp("out")
    collected, drawn = _write(films)
    model = FilmModel(bundle_with_known_corners(drawn), "known corners")
    changes = Changes(out, model, film_pairs([film.of_patient for film in collected.films]))
    folder = ResultFolder(out, model, overlays=False)
    sources = (FilmSource(f.film_id, partial(open_file, f.path, f.film_id, f.details)) for f in collected.films)
    for file, result in zip(collected.films, model.results(sources), strict=True):
        folder.add(result)
        changes.add(result, partial(_pixels, file.path, file.film_id, file.details))
    folder.write_tables()
    folder.write_gallery(changes.write())
    return out


def _write(folder: Path) -> tuple[CollectedFilms, list[Film]]:
    """The films with `films.csv`, and their labels in the order in which they are predicted."""
    phantoms: dict[str, PhantomFilm] = {}
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("filename", "patient", "visit", "position", "facing", "spacing_x_mm", "spacing_y_mm"))
        for name, patient, visit, position, posture in TABLE:
            film = phantom_film(SEED, INDEX, 256, posture=posture)
            cv2.imwrite(str(folder / f"{name}.png"), render(film))
            spacing = (film.spacing.x_mm, film.spacing.y_mm)
            table.writerow((name, patient, visit, position, film.facing.value, *spacing))
            phantoms[pseudonym(name)] = film
    collected = collect_films([str(folder)])
    drawn = [_labelled(one.film_id, phantoms[one.film_id]) for one in collected.films]
    return collected, drawn


def _labelled(name: str, film: PhantomFilm) -> Film:
    image = HeldImage(np.zeros(film.size_hw, np.uint8))
    return Film(name, image, film.size_hw, film.vertebrae, film.facing, name, "test", spacing=film.spacing)


def _pixels(path: Path, name: str, details: FilmDetails) -> GreyImage:
    return open_file(path, name, details).image.read()


def test_the_table_holds_what_the_postures_say(results: Path) -> None:
    table = pd.read_csv(results / "changes.csv")
    assert tuple(table.columns) == COLUMNS
    bent = table[(table["kind"] == "flexion-extension") & (table["patient"] == pseudonym(PATIENT))].set_index("level")
    assert (bent.loc["L4/L5", "first_film"], bent.loc["L4/L5", "second_film"]) == (pseudonym("a"), pseudonym("b"))
    assert bent.loc["L4/L5", "slip_change_points"] == pytest.approx(20.0, abs=0.05)
    assert bent.loc["L4/L5", "segmental_angle_change_deg"] == pytest.approx(-15.0, abs=0.05)
    assert bent.loc["L5/S1", "slip_change_points"] == pytest.approx(0.0, abs=0.05)
    percent = bent["slip_second_percent"] - bent["slip_first_percent"]
    np.testing.assert_allclose(bent["slip_change_points"], percent, atol=1e-9)
    assert (bent["slip_change_low_points"] < bent["slip_change_points"]).all()
    assert set(bent["coverage"]) == {0.9}
    later = table[table["kind"] == "follow-up"].set_index("level")
    assert later.loc["L4/L5", "slip_change_points"] == pytest.approx(10.0, abs=0.05)
    assert later["instability"].isna().all()
    alone = table[table["kind"].isna()]
    assert alone["first_film"].tolist() == [pseudonym("e")]
    assert alone["reason"].iloc[0] == "no other film of this patient in the same films.csv is among those given"


def test_a_film_is_not_compared_with_itself_under_another_name(results: Path) -> None:
    table = pd.read_csv(results / "changes.csv")
    (row,) = table[table["patient"] == pseudonym("third")].to_dict("records")
    assert {row["first_film"], row["second_film"]} == {pseudonym("f"), pseudonym("g")}
    assert row["reason"] == "both files hold the same film"
    assert pd.isna(row["slip_change_points"])
    assert pd.isna(row["instability"])


def test_each_pair_has_a_page_and_no_file_names_the_patient(results: Path) -> None:
    a, b, c, d, f, g = (pseudonym(name) for name in "abcdfg")
    assert {path.name for path in (results / "changes").iterdir()} == {
        f"{a}_{b}.html", f"{c}_{d}.html", f"{f}_{g}.html",
    }  # fmt: skip
    page = (results / "changes" / f"{a}_{b}.html").read_text(encoding="utf-8")
    assert f"<h1>Patient {pseudonym(PATIENT)}: extension to flexion at visit 1</h1>" in page
    assert "the slip changes by more than 3 mm or the segmental angle by more than 12°" in page
    levels = (results / "changes.csv").read_text(encoding="utf-8").count(f"flexion-extension,{pseudonym(PATIENT)}")
    assert page.count("data:image/jpeg;base64,") == 2 * levels
    gallery = (results / "index.html").read_text(encoding="utf-8")
    assert (
        f'<a href="changes/{a}_{b}.html">Patient {pseudonym(PATIENT)}: extension to flexion at visit 1</a>' in gallery
    )
    assert "largest change of slip: L4/L5 +10.0 points (" in gallery
    for path in (path for path in results.rglob("*") if path.is_file()):
        assert not [word for word in PATIENT.split() if word.encode() in path.read_bytes()], path
