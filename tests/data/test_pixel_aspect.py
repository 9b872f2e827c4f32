"""The pixel aspect as stated in any layout, with a command or in a request: a number, unknown, or nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import mendeley_folder
from dicoms import dicom, gradient
from pydantic import ValidationError

from spondylo_ml.clinical.scale import PixelGeometry, film_scale
from spondylo_ml.config import PredictConfig
from spondylo_ml.data.decode import FilmDetails, open_array, open_bytes
from spondylo_ml.data.film_files import collect_films
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing
from spondylo_ml.serving.pyfunc import _details as details_of_request
from spondylo_ml.spacing import Spacing, parse_pixel_aspect, resolve_pixel_aspect
from spondylo_ml.workflows.predict.workflow import _details as details_of_command

PIXELS = np.arange(96 * 64, dtype=np.uint16).reshape(96, 64)


@pytest.mark.parametrize(
    ("text", "aspect"),
    [("0.8", 0.8), (1, 1.0), (" Unknown", "unknown"), ("", None), (None, None), (float("nan"), None)],
)
def test_valid_aspects(text: object, aspect: object) -> None:
    assert parse_pixel_aspect(text) == aspect


@pytest.mark.parametrize("text", ["0", "-1", "wide", "inf", True, [1]])
def test_invalid_aspects(text: object) -> None:
    with pytest.raises(DataError, match="pixel_aspect must be a number above 0"):
        parse_pixel_aspect(text)


def test_a_stated_aspect_precedes_the_spacing_and_that_precedes_the_default() -> None:
    spacing = Spacing(0.2, 0.4, "test")
    assert resolve_pixel_aspect(0.8, spacing) == (0.8, True)
    assert resolve_pixel_aspect("unknown", spacing) == (None, False)
    assert resolve_pixel_aspect(None, spacing) == (0.5, False)
    assert resolve_pixel_aspect(None, None, 0.75) == (0.75, False)
    for stated, resolved in ((0.8, (0.8, True)), ("unknown", (None, False)), (None, (1.0, False))):
        film = open_array(PIXELS, "a", FilmDetails(pixel_aspect=stated))
        assert (film.pixel_aspect, film.aspect_given) == resolved


@pytest.mark.parametrize("header", [{"PixelSpacing": [0.5, 0.4]}, {"PixelAspectRatio": [5, 4]}])
def test_a_stated_spacing_does_not_replace_the_shape_of_a_pixel_that_the_file_states(header: dict[str, object]) -> None:
    data = dicom(gradient(), **header)  # vertical size, horizontal size
    square = open_bytes(data, "a", FilmDetails(spacing=Spacing(0.4, 0.4, "given")))
    assert (square.pixel_aspect, square.aspect_given) == (pytest.approx(0.8), False)
    scale = film_scale((), Facing.LEFT, PixelGeometry.of(square))
    assert scale.withheld == "the spacing (0.4 x 0.4 mm) and the pixel aspect (0.8) disagree on the shape of a pixel"
    both = open_bytes(data, "a", FilmDetails(spacing=Spacing(0.4, 0.4, "given"), pixel_aspect=1.0))
    assert (both.pixel_aspect, both.aspect_given) == (1.0, True)
    alone = open_bytes(data, "a")
    by_file = film_scale((), Facing.LEFT, PixelGeometry.of(alone))
    assert (by_file.withheld, by_file.pixel_aspect) == ("", pytest.approx(0.8))
    assert by_file.aspect_from == ("spacing" if alone.spacing else "file")


def test_films_csv_states_the_aspect_for_readers_and_predict(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), (PIXELS % 256).astype(np.uint8))
    (tmp_path / "films.csv").write_text("filename,pixel_aspect\na.png,0.8\nb.png,unknown\nc.png,\n")
    films = {film.path.stem: film for film in read_folder(tmp_path).films if film.path}
    resolved = {"a": (0.8, True), "b": (None, False), "c": (1.0, False)}
    assert {name: (film.pixel_aspect, film.aspect_given) for name, film in films.items()} == resolved
    aspects = {item.path.stem: item.details.pixel_aspect for item in collect_films([str(tmp_path)]).films}
    assert aspects == {"a": 0.8, "b": "unknown", "c": None}
    (tmp_path / "films.csv").write_text("filename,pixel_aspect\na.png,wide\n")
    with pytest.raises(DataError, match="row 2: pixel_aspect must be a number above 0"):
        read_folder(tmp_path)


def test_films_csv_states_the_aspect_in_the_mendeley_layout(tmp_path: Path) -> None:
    root = mendeley_folder(tmp_path, train=2, val=1, test=0)
    stem = "90000-F-050Y1_jpg.rf.0000"
    (root / "films.csv").write_text(
        f"filename,facing,pixel_aspect,spacing_x_mm,spacing_y_mm\n{stem},left,0.8,0.4,0.5\n"
    )
    films = {film.film_id: film for film in read_folder(root).films}
    listed_film, other = films.pop(stem), next(iter(films.values()))
    assert (listed_film.pixel_aspect, listed_film.aspect_given, listed_film.facing) == (0.8, True, Facing.LEFT)
    assert listed_film.spacing == Spacing(0.4, 0.5, "films.csv")
    assert (other.pixel_aspect, other.aspect_given, other.facing) == (1.0, False, Facing.UNKNOWN)


def test_a_flag_states_the_aspect_of_films_without_one_in_films_csv() -> None:
    config = PredictConfig.model_validate({"films": ["x"], "to": "y", "pixel_aspect": 0.8, "spacing_mm": 0.3})
    assert details_of_command(FilmDetails(), config) == FilmDetails(
        Facing.UNKNOWN, Spacing(0.3, 0.3, "given with the command"), 0.8
    )
    details = FilmDetails(Facing.LEFT, Spacing(0.1, 0.2, "films.csv"), "unknown")
    assert details_of_command(details, config) == details
    assert (
        PredictConfig.model_validate({"films": ["x"], "to": "y", "pixel_aspect": "unknown"}).pixel_aspect == "unknown"
    )
    for name, value, match in (
        ("pixel_aspect", -1.0, "a number above 0"),
        ("pixel_aspect", "wide", "unknown"),
        ("spacing_mm", 0.0, "in mm"),
    ):
        with pytest.raises(ValidationError, match=match):
            PredictConfig.model_validate({"films": ["x"], "to": "y", name: value})


def test_a_request_states_the_aspect() -> None:
    assert details_of_request({"pixel_aspect": "unknown"}).pixel_aspect == "unknown"
    assert details_of_request({"pixel_aspect": 0.8}).pixel_aspect == 0.8
    assert details_of_request({}).pixel_aspect is None
    with pytest.raises(DataError, match="pixel_aspect must be a number above 0"):
        details_of_request({"pixel_aspect": "wide"})
