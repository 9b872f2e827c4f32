"""The sacrum of synthetic films as an addition: shape and place of S1, one bone with S2, and no other film changed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from spondylo_ml.clinical.plausibility import find_implausible_parts
from spondylo_ml.config import DataConfig
from spondylo_ml.config.films import PhantomAddition
from spondylo_ml.data.audit.checks import check_labels
from spondylo_ml.data.audit.findings import Severity
from spondylo_ml.data.loading import load_films
from spondylo_ml.data.phantom import ADDITION_NAMES, PhantomFilm, phantom_film, render
from spondylo_ml.data.phantom.additions.first_sacral import SHORTEST_LOWER_EDGE, FirstSacral, random_first_sacral
from spondylo_ml.data.phantom.additions.sacral_outline import sacral_outline
from spondylo_ml.data.phantom.additions.sacrum import MOST_OF_BONE_IN_SLIT, sacrum
from spondylo_ml.data.phantom.painting import FloatMap
from spondylo_ml.data.phantom.styles import Anatomy
from spondylo_ml.data.synthetic import PhantomImage, phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray, Vertebra

N = 500
FIRST_GENERATOR = [
    (114.44, 53.55),
    (98.31, 42.99),
    (82.35, 58.13),
    (33.6, 32.23),
    (57.1, 46.12),
    (53.47, 48.16),
    (62.05, 43.87),
    (75.79, 63.94),
]
"""Mean and standard deviation of the grey levels of films 0 to 7 of seed 7, 256 px high."""


@pytest.fixture(scope="module")
def films() -> list[PhantomFilm]:
    return [phantom_film(7, index, additions=("sacrum",)) for index in range(N)]


@pytest.fixture(scope="module")
def real(real_data: Path) -> pd.DataFrame:
    boxes = pd.read_csv(real_data / "lumbar_geometry" / "mendeley_boxes.csv")
    columns = ["box_x1", "box_y1", "box_x2", "box_y2"]
    return pd.DataFrame([lowest(film[columns].to_numpy()) for _, film in boxes.groupby("filename")])


def lowest(boxes: FloatArray) -> dict[str, float]:
    """Size of the lowest of (V, 4) boxes, and its size and place relative to the next one."""
    lower, upper = boxes[np.argsort(-(boxes[:, 1] + boxes[:, 3]))][:2]
    (width, height), (upper_width, upper_height) = lower[2:] - lower[:2], upper[2:] - upper[:2]
    return {
        "aspect": width / height,
        "width": width / upper_width,
        "height": height / upper_height,
        "down": (lower[1] + lower[3] - upper[1] - upper[3]) / 2 / upper_height,
    }


def synthetic_boxes(additions: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for index in range(700):
        film = phantom_film(5, index, 640, ("detector", "plate", "print"), additions=additions)
        corners = np.stack([v.corners_xy for v in film.vertebrae])
        rows.append(lowest(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)))
    return pd.DataFrame(rows)


def test_s1_is_as_large_and_as_wide_as_on_real_films_and_was_not(real: pd.DataFrame) -> None:
    first, later = synthetic_boxes(()), synthetic_boxes(("sacrum",))
    for feature, furthest in {"aspect": 0.15, "width": 0.11, "height": 0.10, "down": 0.11}.items():
        assert ks_2samp(real[feature], later[feature]).statistic < furthest, feature
    assert ks_2samp(real["width"], first["width"]).statistic > 0.5
    assert ks_2samp(real["aspect"], first["aspect"]).statistic > 0.3


def test_corners_of_s1_are_those_of_its_shape() -> None:
    shape = FirstSacral(front_shift=0.4, back_shift=0.1, front_height=0.8, back_height=0.6, plate=1.1, steeper_deg=0.0)
    corners = shape.corners(20.0)
    np.testing.assert_allclose(corners.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(corners - corners[0], [[0, 0], [22, 0], [8.8, 17.6], [24.2, 13.2]], atol=1e-9)


def test_the_slope_of_s1_has_limits() -> None:
    upright = FirstSacral(0.0, 0.0, 0.8, 0.8, 1.0, steeper_deg=5.0)
    assert upright.slope_deg(30.0) == pytest.approx(35.0)
    assert upright.slope_deg(-40.0) == pytest.approx(2.0)
    leaning = FirstSacral(0.8, 0.8, 0.8, 0.8, 1.0, steeper_deg=5.0)  # its axis leans 45 degrees
    assert leaning.slope_deg(70.0) == pytest.approx(33.0)


def test_s1_is_a_wedge_whose_walls_run_backward() -> None:
    shapes = [random_first_sacral(np.random.default_rng([2, i]), Anatomy.ADULT) for i in range(2000)]
    ratio = np.array([s.front_height / s.back_height for s in shapes])
    edge = np.array([np.hypot(1 + s.back_shift - s.front_shift, s.back_height - s.front_height) for s in shapes])
    front = np.degrees([np.arctan2(s.front_height, s.front_shift) for s in shapes])
    back = 90 + np.degrees([np.arctan2(s.back_shift, s.back_height) for s in shapes])
    assert 1.10 < np.median(ratio) < 1.25, "the front is higher than the back: about 1.2 on real films"
    assert 0.60 < np.median(edge) < 0.82, "it tapers: the lower edge of labelled sacra has 0.53 to 0.67 of the upper"
    assert edge.min() >= SHORTEST_LOWER_EDGE
    assert 55 < np.median(front) < 72, "angle at the promontory"
    assert 92 < np.median(back) < 104, "sacral table angle, about 97 degrees in adults"
    assert np.percentile(back, [2, 98])[0] < 85
    assert np.percentile(back, [2, 98])[1] > 110


def test_a_transitional_s1_tapers_less() -> None:
    def edge(anatomy: Anatomy) -> float:
        shapes = [random_first_sacral(np.random.default_rng([2, i]), anatomy) for i in range(300)]
        return float(np.median([1 + s.back_shift - s.front_shift for s in shapes]))

    assert edge(Anatomy.TRANSITIONAL) > edge(Anatomy.ADULT) + 0.08


def test_corners_are_on_the_film_and_convex(films: list[PhantomFilm]) -> None:
    for film in films:
        corners = np.stack([v.corners_xy for v in film.vertebrae])
        assert (corners >= 1.9).all()
        assert (corners <= np.array(film.size_hw[::-1]) - 2.9).all()
        outline = corners[0][[0, 1, 3, 2]]
        way = np.roll(outline, -1, axis=0) - outline
        onward = np.roll(way, -1, axis=0)
        assert (way[:, 0] * onward[:, 1] - way[:, 1] * onward[:, 0] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("slips", ["clinic", "even"])
def test_labels_pass_the_audit_and_are_plausible_with_noise(slips: str) -> None:
    film_set = phantom_films(300, 13, 256, slips=slips, additions=("sacrum",))
    assert [str(f) for f in check_labels(film_set) if f.severity is Severity.ERROR] == []
    rng = np.random.default_rng(3)
    for film in film_set.films:
        vertebrae = film.vertebrae or ()
        depth = np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in vertebrae])
        noisy = [Vertebra(v.slot, v.corners_xy + 0.04 * depth * rng.normal(size=(4, 2))) for v in vertebrae]
        assert find_implausible_parts(noisy, {}, film.pixel_aspect).warnings == ()


def test_only_s1_changes_patient_size_and_style_stay(films: list[PhantomFilm]) -> None:
    for index, film in enumerate(films[:100]):
        plain = phantom_film(7, index)
        assert (film.size_hw, film.facing, film.n_lumbar, film.style) == (
            plain.size_hw,
            plain.facing,
            plain.n_lumbar,
            plain.style,
        )
        np.testing.assert_allclose(film.slip_percent, plain.slip_percent, atol=1e-9)
        assert len(film.vertebrae) == len(plain.vertebrae)


def sampled(sheet: FloatMap, points: FloatArray) -> NDArray[np.float64]:
    """(N,) values at the nearest pixels of (N, 2) points, NaN outside."""
    at = np.rint(points).astype(int)
    on = (at >= 0).all(axis=1) & (at < np.array(sheet.shape[::-1])).all(axis=1)
    values = np.full(len(at), np.nan)
    values[on] = sheet[at[on, 1], at[on, 0]]
    return values


def test_no_dark_gap_between_s1_and_s2() -> None:
    """Along the sacrum the attenuation at the fused disc is at least half of that in S1 and in S2."""
    seen = 0
    for index in range(60):
        framing = phantom_film(11, index, 512, additions=("sacrum",)).framing
        sheet = sacrum(framing, np.random.default_rng(index))
        s1 = framing.corners_px[0]
        middle = s1[2:].mean(axis=0)
        down = (middle - s1[:2].mean(axis=0)) / 2
        values = sampled(sheet, middle + np.linspace(-1.0, 1.0, 81)[:, None] * down)
        if np.isnan(values).any():
            continue
        seen += 1
        gap = values[28:53].min() / min(np.median(values[:28]), np.median(values[53:]))
        assert gap > 0.8 * (1 - MOST_OF_BONE_IN_SLIT), f"film {index}"
    assert seen >= 25


def test_the_sacrum_below_begins_at_the_labelled_corners_and_goes_on_down(films: list[PhantomFilm]) -> None:
    for index, film in enumerate(films[:100]):
        s1, unit = film.framing.corners_px[0], film.framing.depth_px
        below = sacral_outline(s1, unit, np.random.default_rng(index))
        np.testing.assert_allclose(below.front[0], s1[2], atol=1e-9)
        np.testing.assert_allclose(below.back[0], s1[3], atol=1e-9)
        assert below.front[:, 1].max() > s1[2:, 1].mean() + 0.5 * unit
        assert (below.junctions[0] != s1[2:]).all()


def profile_across(sheet: FloatMap, start: FloatArray, end: FloatArray, inward: FloatArray) -> NDArray[np.float64]:
    """(61,) mean attenuation on lines parallel to an edge, from 0.3 of its length outside it to 0.3 inside."""
    along = start + np.linspace(0.1, 0.9, 25)[:, None] * (end - start)
    steps = np.linspace(-0.3, 0.3, 61) * np.linalg.norm(end - start)
    return np.array([np.nanmean(sampled(sheet, along + step * inward)) for step in steps])


def test_endplate_and_front_wall_are_drawn_where_they_are_labelled() -> None:
    """The mean of 40 films rises most steeply within 0.06 of the endplate's length of the label, on its inner side."""
    plates, fronts = [], []
    for index in range(40):
        framing = phantom_film(11, index, 512, additions=("sacrum",)).framing
        sheet = sacrum(framing, np.random.default_rng(index))
        front, back, low_front, _ = framing.corners_px[0]
        plate, wall = (back - front) / np.linalg.norm(back - front), low_front - front
        wall /= np.linalg.norm(wall)
        plates.append(profile_across(sheet, front, back, np.array([-plate[1], plate[0]])))
        fronts.append(profile_across(sheet, front, low_front, np.array([wall[1], -wall[0]])))
    for profiles in (plates, fronts):
        rise = np.diff(np.mean(profiles, axis=0))
        steepest = float(np.linspace(-0.295, 0.295, 60)[rise.argmax()])
        assert -0.02 <= steepest <= 0.06, steepest


def test_the_same_name_always_gives_the_same_film() -> None:
    first = render(phantom_film(3, 5, additions=("sacrum",)))
    render(phantom_film(3, 6, additions=("sacrum",)))
    np.testing.assert_array_equal(render(phantom_film(3, 5, additions=("sacrum",))), first)
    assert first.shape == phantom_film(3, 5).size_hw


def test_films_without_additions_never_change() -> None:
    """Mean and spread of the grey levels of eight films, as the first generator drew them."""
    grey = [render(phantom_film(7, index, 256)).astype(np.float64) for index in range(8)]
    seen = [(image.mean(), image.std()) for image in grey]
    np.testing.assert_allclose(seen, FIRST_GENERATOR, atol=0.05)


def test_datasets_with_and_without_additions_differ_in_name_and_fingerprint() -> None:
    plain, added = phantom_films(2, 0, 96), phantom_films(2, 0, 96, additions=("sacrum",))
    assert (plain.name, added.name) == ("phantom-0-2x96px", "phantom-0-2x96px-with-sacrum")
    assert plain.films[0].image.fingerprint() != added.films[0].image.fingerprint()
    assert plain.films[0].image.fingerprint() == PhantomImage(0, 0, 96).fingerprint()
    assert (plain.films[0].image.read() != added.films[0].image.read()).mean() > 0.2


def test_the_configuration_reaches_the_films() -> None:
    assert get_args(PhantomAddition) == ADDITION_NAMES
    config = DataConfig(phantom_films=4, phantom_long_side_px=96, phantom_additions=("sacrum",))
    assert load_films(config).name == "phantom-0-4x96px-with-sacrum"
    assert load_films(DataConfig(phantom_films=4, phantom_long_side_px=96)).name == "phantom-0-4x96px"


def test_an_unknown_addition_is_refused() -> None:
    with pytest.raises(DataError, match="unknown addition to synthetic films 'sacrm'"):
        phantom_film(0, 0, additions=("sacrm",))
