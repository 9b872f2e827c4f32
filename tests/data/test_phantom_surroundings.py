"""Clutter and film edges of synthetic films as an addition: they cover no labelled corner and move none."""

from __future__ import annotations

import numpy as np
import pytest

from spondylo_ml.data.phantom import phantom_film, render
from spondylo_ml.data.phantom.additions.clutter import bubbles, skin_folds, streaks, thinned, white
from spondylo_ml.data.phantom.additions.film_edges import cover_edge, mark_film, room_px
from spondylo_ml.data.synthetic import phantom_films

BOTH = ("sacrum", "surroundings")


def test_surroundings_move_no_corner_and_change_pixels() -> None:
    changed = []
    for index in range(20):
        plain, added = phantom_film(5, index, 160), phantom_film(5, index, 160, additions=("surroundings",))
        for one, other in zip(plain.vertebrae, added.vertebrae, strict=True):
            np.testing.assert_array_equal(one.corners_xy, other.corners_xy)
        changed.append((render(plain) != render(added)).mean())
    assert np.mean(np.array(changed) > 0.05) > 0.7, "most films carry folds, streaks, gas or an edge"


def test_a_film_with_surroundings_has_the_bones_of_the_film_without() -> None:
    """Everything else is drawn from the same random numbers: around the bodies the films are alike."""
    alike = []
    for index in range(20):
        film = phantom_film(5, index, 160, additions=("sacrum",))
        corners = np.concatenate([v.corners_xy for v in film.vertebrae])
        (left, top), (right, bottom) = corners.min(axis=0).astype(int), corners.max(axis=0).astype(int)
        spine = np.s_[top:bottom, left:right]
        plain, added = (render(phantom_film(5, index, 160, additions=names))[spine] for names in (("sacrum",), BOTH))
        alike.append(np.corrcoef(plain.ravel(), added.ravel())[0, 1])
    assert np.median(alike) > 0.85


def test_the_same_name_always_gives_the_same_film() -> None:
    first = render(phantom_film(3, 5, 160, additions=BOTH))
    render(phantom_film(3, 6, 160, additions=BOTH))
    np.testing.assert_array_equal(render(phantom_film(3, 5, 160, additions=BOTH[::-1])), first)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("slant", [0.0, 0.09])
def test_film_edges_leave_every_labelled_corner_visible(side: str, slant: float) -> None:
    covered = []
    for index in range(40):
        framing = phantom_film(9, index, 256, additions=BOTH).framing
        image = np.full(framing.size_hw, 77, dtype=np.uint8)
        cover_edge(image, framing, side, slant, np.random.default_rng(index))
        corners = framing.corners_px[: framing.labelled].reshape(-1, 2)
        around = np.concatenate([corners + step for step in ([0, 0], [1, 0], [-1, 0], [0, 1], [0, -1])])
        at = np.rint(around).astype(int)
        assert (image[at[:, 1], at[:, 0]] == 77).all()
        covered.append((image != 77).mean())
    assert np.median(covered) > 0.003
    assert max(covered) < 0.5


def test_room_is_the_distance_of_the_labelled_corners_from_each_side() -> None:
    framing = phantom_film(9, 0, 256).framing
    room = room_px(framing)
    corners = framing.corners_px[: framing.labelled].reshape(-1, 2)
    height, width = framing.size_hw
    assert room["left"] == pytest.approx(corners[:, 0].min())
    assert room["right"] + corners[:, 0].max() == pytest.approx(width - 1)
    assert room["bottom"] + corners[:, 1].max() == pytest.approx(height - 1)


def test_clutter_is_of_the_sign_and_size_that_it_says() -> None:
    film = phantom_film(9, 1, 256)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for sheet, most in (
            (skin_folds(film.framing, rng), 0.17),
            (bubbles(film.framing, rng), 0.21),
            (streaks(film.framing, rng), 0.036),
        ):
            assert sheet.shape == film.framing.size_hw
            assert sheet.min() >= 0
            assert sheet.max() <= most
    means = [thinned(film.framing, np.random.default_rng(seed)).mean() for seed in range(60)]
    assert np.count_nonzero(means) > 50, "hardly a film is without"
    whites = [white(film.framing, np.random.default_rng(seed)).max() for seed in range(300)]
    assert 2 <= np.count_nonzero(np.array(whites) > 2.0) <= 30, "cement and contrast medium are rare"


def test_marks_stay_on_the_picture_and_are_occasional() -> None:
    film = phantom_film(9, 2, 256)
    marked = []
    for seed in range(200):
        image = np.full(film.framing.size_hw, 77, dtype=np.uint8)
        mark_film(image, film.framing, np.random.default_rng(seed))
        marked.append((image != 77).any())
    assert 0.35 < np.mean(marked) < 0.75


def test_the_dataset_names_both_additions_in_one_order() -> None:
    assert phantom_films(1, 0, 96, additions=BOTH).name == "phantom-0-1x96px-with-sacrum+surroundings"
    one, other = (phantom_films(1, 0, 96, additions=names) for names in (BOTH, BOTH[::-1]))
    assert one.name == other.name
    assert one.films[0].image.fingerprint() == other.films[0].image.fingerprint()
