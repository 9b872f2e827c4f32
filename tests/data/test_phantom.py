"""Synthetic films: repeatable, varied like real ones, and true to their own pixels."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config.films import PhantomStyle
from spondylo_ml.data.audit.checks import check_labels
from spondylo_ml.data.audit.findings import Severity
from spondylo_ml.data.phantom import STYLE_NAMES, PhantomFilm, phantom_film, render
from spondylo_ml.data.phantom.anatomy import EVEN_LEVELS, Slips, random_spine
from spondylo_ml.data.phantom.bones import bodies
from spondylo_ml.data.phantom.foreign import METAL, screws_and_rods
from spondylo_ml.data.phantom.framing import COUNTS, Ending
from spondylo_ml.data.phantom.painting import Patch
from spondylo_ml.data.phantom.styles import Anatomy, Device, random_style
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import OUTLINE, Facing, FloatArray, GreyImage

N = 600


@pytest.fixture(scope="module")
def films() -> list[PhantomFilm]:
    return [phantom_film(7, i) for i in range(N)]


@pytest.fixture(scope="module")
def rendered(films: list[PhantomFilm]) -> list[tuple[PhantomFilm, GreyImage]]:
    return [(film, render(film)) for film in films[:40]]


def inside(corners: FloatArray, size_hw: tuple[int, int], shrink: float = 0.7) -> NDArray[np.bool_]:
    """(H, W) pixels of the middle part of a quadrilateral."""
    middle = corners.mean(axis=0)
    outline = (middle + shrink * (corners - middle))[list(OUTLINE)]
    mask = np.zeros(size_hw, dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask.astype(bool)


def disc(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """Corners of the space between two neighbouring bodies."""
    return np.stack([upper[2], upper[3], lower[0], lower[1]])


def test_the_same_name_always_gives_the_same_film() -> None:
    first = phantom_film(3, 5)
    pixels = render(first)
    for other in (9, 2):
        render(phantom_film(3, other))
    repeat = phantom_film(3, 5)
    assert repeat.size_hw == first.size_hw
    assert repeat.facing is first.facing
    assert repeat.spacing == first.spacing
    assert len(repeat.vertebrae) == len(first.vertebrae)
    for a, b in zip(first.vertebrae, repeat.vertebrae, strict=True):
        np.testing.assert_array_equal(a.corners_xy, b.corners_xy)
    np.testing.assert_array_equal(render(repeat), pixels)
    np.testing.assert_array_equal(render(first), pixels)


def test_another_seed_or_index_gives_another_film() -> None:
    films = [phantom_film(seed, index) for seed, index in ((0, 0), (0, 1), (1, 0), (1, 1))]
    places = {tuple(f.vertebrae[0].corners_xy[0]) for f in films}
    assert len(places) == 4


def test_long_side_scales_the_same_film() -> None:
    small, large = phantom_film(4, 8, 384), phantom_film(4, 8, 768)
    assert max(small.size_hw) == 384
    assert max(large.size_hw) == 768
    assert render(large).shape == large.size_hw
    assert len(small.vertebrae) == len(large.vertebrae)
    assert large.spacing.x_mm == pytest.approx(small.spacing.x_mm / 2, rel=0.02)


def test_numbers_of_vertebrae_are_distributed_as_on_real_films(films: list[PhantomFilm]) -> None:
    styles = Counter(len(f.vertebrae) for f in films)
    assert set(styles) <= set(COUNTS)
    total = sum(COUNTS.values())
    groups = [(3, 4), (5,), (6,), (7,), (8,), (9, 10, 11)]
    chi2 = 0.0
    for group in groups:
        expected = N * sum(COUNTS[n] for n in group) / total
        chi2 += (sum(styles[n] for n in group) - expected) ** 2 / expected
    assert chi2 < 20.5, f"{styles}: chi-square {chi2:.1f} with 5 degrees of freedom (p < 0.001)"


def test_three_tenths_face_right(films: list[PhantomFilm]) -> None:
    share = np.mean([f.facing is Facing.RIGHT for f in films])
    assert 0.24 < share < 0.36
    assert {f.facing for f in films} == {Facing.LEFT, Facing.RIGHT}


def test_slots_are_ordered_from_the_sacrum_up_and_corners_are_on_the_film(films: list[PhantomFilm]) -> None:
    for film in films:
        assert [v.slot for v in film.vertebrae] == list(range(len(film.vertebrae)))
        corners = np.stack([v.corners_xy for v in film.vertebrae])
        assert (corners >= 1.9).all()
        assert (corners <= np.array(film.size_hw[::-1]) - 2.9).all()
        assert np.stack([v.visible for v in film.vertebrae]).all()


def test_quadrilaterals_are_simple_and_the_superior_edge_is_nearer_the_head(films: list[PhantomFilm]) -> None:
    for film in films:
        for v in film.vertebrae:
            outline = v.corners_xy[list(OUTLINE)]
            way = np.roll(outline, -1, axis=0) - outline
            onward = np.roll(way, -1, axis=0)
            turns = way[:, 0] * onward[:, 1] - way[:, 1] * onward[:, 0]
            assert (turns > 0).all(), "convex and clockwise on the image"
            assert v.corners_xy[:2, 1].mean() < v.corners_xy[2:, 1].mean()


def test_bodies_do_not_overlap_and_follow_each_other_upward(films: list[PhantomFilm]) -> None:
    for film in films:
        heights = [v.corners_xy[:, 1].mean() for v in film.vertebrae]
        assert (np.diff(heights) < 0).all()
        for lower, upper in zip(film.vertebrae, film.vertebrae[1:], strict=False):
            both = inside(lower.corners_xy, film.size_hw, 0.9) & inside(upper.corners_xy, film.size_hw, 0.9)
            assert not both.any()


def test_the_sacrum_slopes_down_and_forward(films: list[PhantomFilm]) -> None:
    right_way = []
    for film in films:
        remaining, right = film.vertebrae[0].corners_xy[:2]
        front, back = (remaining, right) if film.facing is Facing.LEFT else (right, remaining)
        right_way.append(front[1] > back[1])
    assert np.mean(right_way) > 0.97


def test_every_complete_body_is_labelled_unless_hidden(films: list[PhantomFilm]) -> None:
    endings = Counter(f.framing.ending for f in films)
    assert min(endings[e] for e in Ending) > 0.05 * N
    for film in films:
        if film.framing.ending is Ending.EDGE:
            assert (film.framing.corners_px[film.framing.labelled :, :, 1].min(axis=1) < 0).all()
        else:
            assert 0 < film.framing.ending_px


def test_drawn_slip_is_the_slip_of_the_corners() -> None:
    for seed in range(20):
        spine = random_spine(np.random.default_rng(seed))
        for below, above, percent in zip(spine.corners_mm, spine.corners_mm[1:], spine.slip_percent, strict=False):
            plate = below[0] - below[1]
            slip = (above[3] - below[1]) @ plate / (plate @ plate)
            assert 100 * slip == pytest.approx(percent, abs=1e-6)


def test_every_film_carries_its_true_slips_also_where_an_export_stretched_it(films: list[PhantomFilm]) -> None:
    """In mm, that is with the stretch undone, the slip of the labelled corners is the one drawn."""
    for film in films[:200]:
        mm = np.array([film.spacing.x_mm, film.spacing.y_mm])
        bodies_mm = [(v if film.facing is Facing.LEFT else v.mirrored(film.size_hw[1])) for v in film.vertebrae]
        corners = [(v.corners_xy + 0.5) * mm for v in bodies_mm]
        for below, above, percent in zip(corners, corners[1:], film.slip_percent, strict=False):
            plate = below[0] - below[1]
            assert 100 * (above[3] - below[1]) @ plate / (plate @ plate) == pytest.approx(percent, abs=1e-6)
        assert len(film.slip_percent) == len(film.vertebrae) - 1


def test_slips_measured_on_the_films_are_the_true_ones_exports_included() -> None:
    for index, film in enumerate(phantom_films(60, 4, 384).films):
        true = phantom_film(4, index).slip_percent
        levels = measure_film(film).levels
        assert [level.slip.value for level in levels] == pytest.approx(list(true), abs=1e-6)


def test_slips_of_every_grade_forward_at_every_lumbar_level_and_backward(films: list[PhantomFilm]) -> None:
    slips = np.stack([random_spine(np.random.default_rng([9, i])).slip_percent for i in range(3000)])
    for level in range(5):
        assert (slips[:, level] > 25).any()
        assert (slips[:, level] < -8).any()
    for low, high in pairwise((8, 25, 50, 75, 100, 120)):
        assert ((slips > low) & (slips <= high)).any(), f"no slip between {low} and {high} per cent"
    assert (slips < -25).any()
    assert 0.15 < (slips.max(axis=1) > 8).mean() < 0.45


def test_even_slips_hold_each_level_direction_and_grade_equally_often() -> None:
    spines = [random_spine(np.random.default_rng([9, i]), slips=Slips.EVEN) for i in range(3000)]
    slips = np.stack([spine.slip_percent for spine in spines])
    assert (slips[:, EVEN_LEVELS:] > -15).all(), "above T12/L1 there are small steps alone"
    limits = (8, 25, 50, 75, 100, 112)
    forward = np.array([np.histogram(slips[:, level], limits)[0] for level in range(EVEN_LEVELS)])
    backward = np.array([np.histogram(-slips[:, level], limits)[0] for level in range(EVEN_LEVELS)])
    counts = np.stack([forward, backward])
    assert counts.min() >= 25, "50 of each are expected"
    assert forward.sum() / 3000 == pytest.approx(0.5, abs=0.04)
    assert counts[:, :, 1:].sum(axis=(0, 1)) / 3000 == pytest.approx(np.full(4, 0.2), abs=0.03)
    assert counts[:, :, 1:].sum(axis=(0, 2)) / 3000 == pytest.approx(np.full(EVEN_LEVELS, 0.8 / 6), abs=0.03)


def test_an_even_spine_is_that_of_the_clinic_with_another_slip() -> None:
    for index in range(40):
        clinic, even = (random_spine(np.random.default_rng([9, index]), slips=s) for s in (Slips.CLINIC, Slips.EVEN))
        assert (even.depth_mm, even.n_lumbar) == (clinic.depth_mm, clinic.n_lumbar)
        shapes = [spine.corners_mm - spine.corners_mm.mean(axis=1, keepdims=True) for spine in (clinic, even)]
        np.testing.assert_allclose(*shapes, atol=1e-9)


@pytest.mark.slow
def test_films_of_even_slips_show_each_grade_in_both_directions_and_pass_the_audit() -> None:
    films = phantom_films(250, 1, 384, slips="even")
    styles: Counter[tuple[bool, int | None]] = Counter()
    for film in films.films:
        styles.update((level.slip.value > 0, level.grade) for level in measure_film(film).levels)
    assert min(styles[forward, grade] for forward in (True, False) for grade in range(1, 6)) >= 8, styles
    assert [str(f) for f in check_labels(films) if f.severity is Severity.ERROR] == []


def test_clinic_films_never_change() -> None:
    """Corners and slips to a thousandth of a px; a change here changes every dataset of synthetic films."""
    digest = hashlib.sha256()
    for index in range(40):
        film = phantom_film(7, index)
        corners = np.concatenate([v.corners_xy for v in film.vertebrae])
        rendered = (film.size_hw, film.facing.value, film.n_lumbar, film.style.names)
        digest.update(repr((rendered, corners.round(3).tolist(), film.slip_percent.round(3).tolist())).encode())
    assert digest.hexdigest() == "af830e5d146814528494613ac1aeead6f5e8bdba1152735f02cb008daa0f3f5c"


def test_a_film_of_even_slips_is_drawn_from_its_own_spine() -> None:
    clinic, even = (phantom_films(12, 3, 96, slips=slips).films for slips in ("clinic", "even"))
    for plain, slipped in zip(clinic, even, strict=True):
        assert slipped.image.fingerprint() != plain.image.fingerprint()
        assert slipped.image.read().shape == slipped.size_hw
    assert max(level.slip.value for film in even for level in measure_film(film).levels) > 50


def test_exports_are_square_and_record_their_stretch(films: list[PhantomFilm]) -> None:
    exports = [film for film in films if film.style.device is Device.EXPORT]
    assert 0.33 < len(exports) / N < 0.47
    stretch = []
    for film in exports:
        height, width = film.size_hw
        assert height == width
        stretch.append(film.spacing.y_mm / film.spacing.x_mm)
        assert stretch[-1] == pytest.approx(width / film.framing.size_hw[1])
    assert np.percentile(stretch, 5) < 0.95
    assert np.percentile(stretch, 95) > 1.7
    others = [film for film in films if film.style.device is not Device.EXPORT]
    assert all(film.spacing.x_mm == film.spacing.y_mm for film in others)
    assert all(film.size_hw == film.framing.size_hw for film in others)


def test_transitional_spines_have_four_or_six_lumbar_vertebrae_and_all_others_five(films: list[PhantomFilm]) -> None:
    by_anatomy: dict[bool, set[int]] = {True: set(), False: set()}
    for film in films:
        by_anatomy[film.style.anatomy is Anatomy.TRANSITIONAL].add(film.n_lumbar)
        assert film.framing.first_rib == film.n_lumbar + 1
    assert by_anatomy == {True: {4, 6}, False: {5}}


def test_age_narrows_discs() -> None:
    def gap(anatomy: Anatomy) -> float:
        spines = [random_spine(np.random.default_rng([3, i]), anatomy) for i in range(300)]
        gaps = [np.linalg.norm(s.corners_mm[1:6, 2:].mean(1) - s.corners_mm[:5, :2].mean(1), axis=1) for s in spines]
        return float(np.mean([g / s.depth_mm for g, s in zip(gaps, spines, strict=True)]))

    assert gap(Anatomy.AGED) < gap(Anatomy.ADULT) < gap(Anatomy.YOUNG)


def test_a_style_held_out_is_never_drawn_and_changes_no_other_film() -> None:
    for index in range(80):
        film, other = phantom_film(1, index), phantom_film(1, index, without=("print", "aged"))
        assert not {"print", "aged"} & set(other.style.names)
        if film.style == other.style:
            assert film.size_hw == other.size_hw
            np.testing.assert_array_equal(film.vertebrae[0].corners_xy, other.vertebrae[0].corners_xy)
    remaining = {phantom_film(1, i, without=("detector", "plate", "export")).style.device for i in range(20)}
    assert remaining == {Device.PRINT}


def test_styles_that_do_not_exist_or_leave_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="unknown style of synthetic films 'prnt'"):
        random_style(np.random.default_rng(0), ("prnt",))
    with pytest.raises(DataError, match="no style is left of detector, plate, print, export: hold out fewer"):
        random_style(np.random.default_rng(0), ("detector", "plate", "print", "export"))


def test_the_configuration_knows_the_same_styles() -> None:
    assert get_args(PhantomStyle) == STYLE_NAMES


def test_screws_are_metal_inside_the_bodies_that_they_hold() -> None:
    film = phantom_film(11, 3, 512)
    sheet = screws_and_rods(film.framing, np.random.default_rng(0))
    assert sheet.max() > 0.8 * METAL
    excluded = [inside(c, film.framing.size_hw, 1.0) for c in film.framing.corners_px]
    with_metal = [bool((sheet[body] > METAL / 2).any()) for body in excluded if body.any()]
    assert 2 <= sum(with_metal) <= 4


def test_predicting_the_mean_position_of_each_slot_is_inaccurate(films: list[PhantomFilm]) -> None:
    places: dict[int, list[FloatArray]] = defaultdict(list)
    for film in films[:300]:
        height, width = film.size_hw
        side = max(film.size_hw)
        for v in film.vertebrae:
            pad = np.array([(side - width) / 2, (side - height) / 2])
            places[v.slot].append((v.corners_xy + pad) * 512 / side)
    errors = [np.linalg.norm(np.array(p) - np.mean(p, axis=0), axis=-1).ravel() for p in places.values()]
    assert np.concatenate(errors).mean() >= 45


def test_scale_varies_as_on_real_films(films: list[PhantomFilm]) -> None:
    share = [f.framing.depth_px / f.size_hw[0] for f in films]
    low, median, high = np.percentile(share, [5, 50, 95])
    assert low < 0.08
    assert 0.09 < median < 0.13
    assert high > 0.17


def test_films_have_contrast_and_are_not_saturated(rendered: list[tuple[PhantomFilm, GreyImage]]) -> None:
    for film, image in rendered:
        assert image.shape == film.size_hw
        assert image.dtype == np.uint8
        assert image.std() > 10
        assert (image == 255).mean() < 0.15


def test_bodies_are_brighter_than_their_discs(rendered: list[tuple[PhantomFilm, GreyImage]]) -> None:
    brighter = []
    for film, image in rendered:
        for lower, upper in zip(film.vertebrae[1:], film.vertebrae[2:], strict=False):
            gap = inside(disc(upper.corners_xy, lower.corners_xy), film.size_hw, 0.6)
            bone = inside(lower.corners_xy, film.size_hw) | inside(upper.corners_xy, film.size_hw)
            if gap.sum() >= 6:
                brighter.append(image[bone].mean() > image[gap].mean())
    assert len(brighter) > 60
    assert np.mean(brighter) > 0.85


@pytest.mark.parametrize("facing", [Facing.LEFT, Facing.RIGHT])
def test_corners_lie_on_the_rims_for_both_facings(
    rendered: list[tuple[PhantomFilm, GreyImage]], facing: Facing
) -> None:
    contrast = []
    for film, image in rendered:
        if film.facing is facing:
            grey = image.astype(np.float64)
            for v in film.vertebrae[1:]:
                contrast.append(_across_endplate(grey, v.corners_xy))
    assert len(contrast) >= 30
    profile = np.mean(contrast, axis=0)
    # from disc to body across the superior endplate, in steps of a twentieth of the depth
    assert profile[5:9].max() > profile[:3].mean() + 4


def test_mirroring_a_film_mirrors_truth_and_pixels_together() -> None:
    for index in range(12):
        film = phantom_film(2, index)
        width = film.size_hw[1]
        other = replace(film, facing=film.facing.mirrored(), vertebrae=tuple(v.mirrored(width) for v in film.vertebrae))
        image, twin = render(film).astype(np.float64), render(other).astype(np.float64)
        np.testing.assert_array_equal(image, twin[:, ::-1])
        for v, w in zip(film.vertebrae, other.vertebrae, strict=True):
            bone = inside(v.corners_xy, film.size_hw, 1.0)
            np.testing.assert_allclose(image[bone].mean(), twin[inside(w.corners_xy, film.size_hw, 1.0)].mean(), atol=4)


def _across_endplate(grey: NDArray[np.float64], corners: FloatArray) -> FloatArray:
    """(11,) mean grey along lines parallel to the superior edge, from the disc into the body."""
    remaining, right, low_left, low_right = corners
    t = np.linspace(0.15, 0.85, 15)[:, None]
    edge = remaining + t * (right - remaining)
    down = (low_left + t * (low_right - low_left) - edge) / 20
    rows = []
    for step in range(-4, 7):
        at = np.round(edge + step * down).astype(int)
        at = np.clip(at, 0, np.array(grey.shape[::-1]) - 1)
        rows.append(grey[at[:, 1], at[:, 0]].mean())
    return np.array(rows)


def test_drawn_bodies_end_at_their_corners() -> None:
    """Along each diagonal the drawn body ends within a pixel of its corner."""
    for index in range(6):
        film = phantom_film(11, index, 512)
        sheet = bodies(film.framing, 0.3, np.random.default_rng(0))
        for corners in film.framing.corners_px[: film.framing.labelled]:
            for corner, opposite in zip(corners, corners[::-1], strict=True):
                outward = (corner - opposite) / np.linalg.norm(corner - opposite)
                beyond, within = np.round(corner + 2.0 * outward), np.round(corner - 2.0 * outward)
                assert sheet[int(within[1]), int(within[0])] > 0.05
                assert sheet[int(beyond[1]), int(beyond[0])] < 0.02


def test_fills_have_the_area_and_centre_of_their_outline() -> None:
    outline = np.array([[10.3, 12.1], [47.6, 9.4], [50.2, 38.8], [12.9, 41.5]])
    patch = Patch(outline, (64, 64), 2.0)
    cover = patch.fill(outline).astype(np.float64)
    rows, columns = np.mgrid[patch.place]
    x, y = outline.T
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    cross = x * y2 - x2 * y
    area = cross.sum() / 2
    centre = np.array([((x + x2) * cross).sum(), ((y + y2) * cross).sum()]) / (6 * area)
    assert cover.sum() == pytest.approx(area, rel=0.003)
    drawn_centre = np.array([(cover * columns).sum(), (cover * rows).sum()]) / cover.sum()
    np.testing.assert_allclose(drawn_centre, centre, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1, 0, 384), "seed and an index of 0 or more; given -1"), ((0, 0, 10), "64 px or more; given 10")],
)
def test_impossible_films_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        phantom_film(*arguments)
