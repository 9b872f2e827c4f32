"""The page of two films: what it says where nothing is known in mm."""

from __future__ import annotations

from dataclasses import replace

from reports import film_with

from spondylo_ml.clinical.change import MeasuredFilm, film_change
from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.landmarks import Film
from spondylo_ml.pages.change_page import ChangePage, PairedFilm, change_page
from spondylo_ml.spacing import Spacing

NO_MM = "No slip is given in mm: no pixel spacing is known."


def page(before: Film, after: Film) -> str:
    first, second = (MeasuredFilm(measure_film(film), film.vertebrae or (), film.spacing) for film in (before, after))
    films = (PairedFilm("a", "visit 1"), PairedFilm("b", "visit 2"))
    change = film_change(first, second)
    return change_page(ChangePage("a pair", "a model", films, change, ClinicalConfig(), None, {}, None))


def test_without_a_spacing_there_is_a_reason_in_place_of_columns_in_mm() -> None:
    film = film_with(30.0, 0.0)
    assert "Slip, mm" not in page(film, film)
    assert NO_MM in page(film, film)


def test_one_spacing_is_enough_for_columns_in_mm() -> None:
    film = film_with(30.0, 0.0)
    spaced = replace(film, spacing=Spacing(0.5, 0.5, "made up"))
    for first, second in ((spaced, spaced), (film, spaced), (spaced, film)):
        assert "Slip, mm" in page(first, second)
        assert NO_MM not in page(first, second)
