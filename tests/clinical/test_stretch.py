"""A stretched film is recognised by its bodies, whichever way it is rotated; what is unstretched is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film
from spines import rotated

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.stretch import LATERAL_ASPECT, film_stretch
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.landmarks import Facing, Film, Spacing, Vertebra

BODY = np.array([[0.0, 0.0], [139.0, 0.0], [0.0, 100.0], [139.0, 100.0]])
FILMS = phantom_films(400, 31, 256).films


def spine(tilt_deg: float = 0.0, bend_deg: float = 8.0) -> tuple[Vertebra, ...]:
    """S1 to L1, bodies of the usual shape along a gentle bend, the whole rotated."""
    bodies = [rotated(BODY + np.array([300.0, 900.0 - 130.0 * slot]), tilt_deg + bend_deg * slot) for slot in range(6)]
    return tuple(Vertebra(slot, corners) for slot, corners in enumerate(bodies))


def widened(vertebrae: tuple[Vertebra, ...], factor: float) -> tuple[Vertebra, ...]:
    return tuple(Vertebra(v.slot, v.corners_xy * [factor, 1.0]) for v in vertebrae)


def plainly(film: Film, factor: float = 1.0, noise: float = 0.0, seed: int = 0) -> Film:
    """The film as it was taken, then stretched by the factor, its corners off by a share of a body's depth; nothing
    of its scale is known."""
    rng = np.random.default_rng(seed)
    own = widened(film.vertebrae or (), film.pixel_aspect or 1.0)
    depth = np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in own])
    off = tuple(Vertebra(v.slot, v.corners_xy + noise * depth * rng.normal(size=(4, 2))) for v in own)
    return replace(film, vertebrae=widened(off, factor), spacing=None, pixel_aspect=1.0, aspect_given=False)


@pytest.mark.parametrize("tilt", [-30.0, 0.0, 25.0])
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.2, 1.5])
def test_the_factor_of_bodies_of_the_usual_shape(tilt: float, factor: float) -> None:
    told = film_stretch(widened(spine(tilt), factor))
    assert told.bodies == 5
    assert told.factor == pytest.approx(factor, rel=0.06)
    assert told.probable == (factor != 1.0)
    assert film_stretch(widened(spine(tilt), factor), 1 / factor).factor == pytest.approx(1.0)


def test_one_body_must_be_farther_off_and_none_tells_nothing() -> None:
    for factor, probable in ((1.3, False), (1.5, True)):
        told = film_stretch((Vertebra(1, BODY * [factor, 1.0]),))
        assert (told.factor, told.probable) == (pytest.approx(factor), probable)
    assert np.isnan(film_stretch((Vertebra(0, BODY),)).factor)  # the sacrum has another shape
    assert not film_stretch(()).probable
    crossed = Vertebra(1, BODY[[0, 1, 3, 2]])
    assert film_stretch((crossed,)).bodies == 0
    assert LATERAL_ASPECT == 1.39


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.01), (0.03, 0.015)])
def test_films_as_they_were_taken_are_hardly_ever_called_stretched(noise: float, most: float) -> None:
    wrong = [film_stretch(plainly(f, 1.0, noise, i).vertebrae or ()).probable for i, f in enumerate(FILMS)]
    assert np.mean(wrong) <= most


@pytest.mark.parametrize(("factor", "least"), [(1.25, 0.8), (1.4, 0.97), (1 / 1.4, 0.97)])
def test_stretched_films_are_found(factor: float, least: float) -> None:
    found = [film_stretch(plainly(f, factor, 0.03, i).vertebrae or ()).probable for i, f in enumerate(FILMS)]
    assert np.mean(found) >= least


def test_what_is_probably_stretched_is_withheld_until_someone_says_the_aspect() -> None:
    film = plain_film(vertebrae=widened(spine(), 1.4), size_hw=(1200, 900), facing=Facing.LEFT)
    reason = "the film was probably stretched: its bodies are 1."
    measured = measure_film(film)
    assert all(level.slip.reason.startswith(reason) and level.grade is None for level in measured.levels)
    assert any(text.startswith(reason) and "give the pixel aspect" in text for text in measured.warnings)
    assert (measured.aspect_from, measured.withheld[: len(reason)]) == ("assumed", reason)
    known = measure_film(replace(film, pixel_aspect=1 / 1.4, aspect_given=True))
    true = measure_film(plain_film(vertebrae=spine(), size_hw=(1200, 900), facing=Facing.LEFT))
    assert [level.slip.value for level in known.levels] == pytest.approx([level.slip.value for level in true.levels])
    assert (known.aspect_from, known.withheld) == ("given", "")
    believed = measure_film(replace(film, aspect_given=True))
    assert not np.isnan(believed.levels[0].slip.value)
    assert any("that was given: is that right?" in text for text in believed.warnings)


def test_a_square_spacing_does_not_make_a_stretched_film_whole() -> None:
    film = plain_film(vertebrae=widened(spine(), 1.4), size_hw=(1200, 900), facing=Facing.LEFT)
    measured = measure_film(replace(film, spacing=Spacing(0.25, 0.25, "films.csv")))
    assert measured.levels[0].slip_mm.reason.startswith("the film was probably stretched")
    squeezed = measure_film(plain_film(vertebrae=widened(spine(), 0.7), size_hw=(1200, 900), facing=Facing.LEFT))
    assert "its bodies are 1.42 times narrower for their height than bones are" in squeezed.withheld


def test_a_square_film_of_which_no_one_says_the_aspect_is_measured_with_a_warning() -> None:
    film = plain_film(vertebrae=spine(), size_hw=(1200, 1200), facing=Facing.LEFT)
    assert any(text.startswith("the film is square, as stretched exports are") for text in measure_film(film).warnings)
    assert not np.isnan(measure_film(film).levels[0].slip.value)
    said = measure_film(replace(film, aspect_given=True))
    assert not any("square" in text for text in said.warnings)
