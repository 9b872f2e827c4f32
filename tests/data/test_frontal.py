"""Synthetic frontal films: truth by hand, repeatable, sound for every seed, and usable as SpineWeb-16 films are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config import DataConfig, validate
from spondylo_ml.config.commands import DrawConfig
from spondylo_ml.data.audit.checks import check_labels
from spondylo_ml.data.audit.findings import Severity
from spondylo_ml.data.frontal import SLOTS, frontal_film, frontal_films, render
from spondylo_ml.data.frontal.curves import L5, T1, TOP_SLOT, tilts_deg
from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.frontal.rendering import attenuation
from spondylo_ml.data.frontal.spine import LABELLED, balanced, median_proportions, spine_of
from spondylo_ml.data.frontal.vertebrae import posterior_elements, vertebral_bodies
from spondylo_ml.data.loading import draw_films, load_films, requested_data
from spondylo_ml.data.readers import spineweb16
from spondylo_ml.data.synthetic import PhantomImage, phantom_films
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.evaluation.cobb import cobb_angles_deg
from spondylo_ml.landmarks import OUTLINE, Facing, FloatArray

STRAIGHT = np.zeros(TOP_SLOT + 1)
TALL_PX = 1000.0


def head_to_tail(corners: FloatArray) -> FloatArray:
    """(17, 4, 2) T1 to L5 of all drawn bodies."""
    return corners[LABELLED][::-1]


def test_a_straight_spine_of_the_median_patient_has_the_sizes_of_the_table() -> None:
    spine = spine_of(STRAIGHT, median_proportions())
    centres = spine.corners_mm.mean(axis=1)
    np.testing.assert_allclose(centres[:, 0], 0.0, atol=1e-9)
    np.testing.assert_allclose(spine.corners_mm[:, 0, 1], spine.corners_mm[:, 1, 1], atol=1e-9)
    np.testing.assert_array_equal(spine.rotation_deg, 0.0)
    l5, l4 = spine.corners_mm[L5], spine.corners_mm[L5 + 1]
    # The median width is .077 of 425 mm, L5 is 1.43 times as wide, and narrower above by the square root of .954.
    assert l5[1, 0] - l5[0, 0] == pytest.approx(0.077 * 425 * 1.43 * 0.954**0.5)
    assert l5[3, 0] - l5[2, 0] == pytest.approx(0.077 * 425 * 1.43 / 0.954**0.5)
    # Bone takes .700 of the step from S1 and .697 of that to L4; L5 has half of each.
    assert l5[2, 1] - l5[0, 1] == pytest.approx(425 * (0.078 * 0.700 + 0.080 * 0.697) / 2)
    assert l5[0, 1] - l4[2, 1] == pytest.approx(0.303 * 0.080 * 425)
    assert cobb_angles_deg(head_to_tail(spine.corners_mm), TALL_PX)[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("cobb_deg", [10.0, 37.5, 60.0, 85.0])
def test_one_curve_has_the_cobb_angle_that_was_asked_for_and_bows_to_its_side(cobb_deg: float) -> None:
    for sign in (1.0, -1.0):
        tilts = balanced(tilts_deg([13, 6], [sign * cobb_deg]), median_proportions().step_mm, 0.0)
        spine = spine_of(tilts, median_proportions())
        assert cobb_angles_deg(head_to_tail(spine.corners_mm), TALL_PX)[0] == pytest.approx(cobb_deg, abs=1e-6)
        x = spine.corners_mm.mean(axis=1)[:, 0]
        apex = 9 if abs(x[9] - (x[13] + x[6]) / 2) > abs(x[10] - (x[13] + x[6]) / 2) else 10
        assert sign * (x[apex] - (x[13] + x[6]) / 2) < -1.0, "convex to the left for a positive angle"
        assert sign * spine.rotation_deg[apex] > 0, "the spinous process points away from the convexity"


def test_two_curves_have_both_cobb_angles() -> None:
    tilts = balanced(tilts_deg([14, 9, 3], [50.0, -32.0]), median_proportions().step_mm, 0.0)
    corners = head_to_tail(spine_of(tilts, median_proportions()).corners_mm)
    main, *others = cobb_angles_deg(corners, TALL_PX)
    assert main == pytest.approx(50.0, abs=1e-6)
    assert max(others) == pytest.approx(32.0, abs=1e-6)


def test_the_tilts_of_the_end_vertebrae_are_the_extremes_and_differ_by_the_angle() -> None:
    tilts = tilts_deg([13, 6], [40.0])
    assert (tilts[13], tilts[6]) == pytest.approx((20.0, -20.0))
    assert np.abs(tilts).max() == pytest.approx(20.0)


def test_a_spine_leans_as_asked() -> None:
    for lean_deg in (-5.0, 0.0, 4.0):
        tilts = balanced(tilts_deg([13, 6], [30.0]), median_proportions().step_mm, lean_deg)
        centres = spine_of(tilts, median_proportions()).corners_mm.mean(axis=1)
        x, y = centres[T1] - centres[L5]
        assert np.degrees(np.arctan2(x, -y)) == pytest.approx(lean_deg, abs=0.6)


@given(seed=st.integers(0, 2**31), index=st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_films_of_every_seed_are_sound(seed: int, index: int) -> None:
    film = frontal_film(seed, index, 704)
    height, width = film.size_hw
    assert (height, width <= 704) == (704, True)
    assert [v.slot for v in film.vertebrae] == list(range(1, 18))
    corners = np.stack([v.corners_xy for v in film.vertebrae])
    assert (corners >= 1.9).all()
    assert (corners <= np.array([width, height]) - 2.9).all()
    assert (np.diff(corners.mean(axis=1)[:, 1]) < 0).all(), "each body is above the one before"
    outline = corners[:, list(OUTLINE)]
    way = np.roll(outline, -1, axis=1) - outline
    onward = np.roll(way, -1, axis=1)
    assert (way[..., 0] * onward[..., 1] - way[..., 1] * onward[..., 0] > 0).all(), "convex and clockwise"
    for below, above in pairwise(corners):
        along, to = below[1] - below[0], above[2:] - below[0]
        assert (along[0] * to[:, 1] - along[1] * to[:, 0] < 0).all(), "the floor above is over the plate below"
    assert np.isfinite(cobb_angles_deg(corners[::-1], height)).all()


def test_the_same_name_always_gives_the_same_film() -> None:
    first = frontal_film(3, 5, 192)
    pixels = render(first)
    render(frontal_film(3, 9, 192))
    repeat = frontal_film(3, 5, 192)
    np.testing.assert_array_equal(repeat.framing.corners_px, first.framing.corners_px)
    np.testing.assert_array_equal(render(repeat), pixels)
    np.testing.assert_array_equal(render(first), pixels)
    assert pixels.shape == first.size_hw
    others = [frontal_film(seed, index, 192).vertebrae[0].corners_xy[0, 0] for seed, index in ((3, 6), (4, 5))]
    assert len({first.vertebrae[0].corners_xy[0, 0], *others}) == 3


def test_a_larger_film_shows_the_same_patient() -> None:
    small, large = frontal_film(4, 8, 352), frontal_film(4, 8, 704)
    assert large.spacing.x_mm == pytest.approx(small.spacing.x_mm / 2, rel=0.02)
    angles = [cobb_angles_deg(f.framing.labelled_px[::-1], f.size_hw[0]) for f in (small, large)]
    np.testing.assert_allclose(*angles, atol=1e-6)


def test_curves_reach_sixty_degrees_and_more_on_both_sides() -> None:
    films = [frontal_film(5, index) for index in range(200)]
    main = np.array([cobb_angles_deg(f.framing.labelled_px[::-1], f.size_hw[0])[0] for f in films])
    assert (main < 10).any()
    assert 0.05 < (main > 60).mean() < 0.25
    apex_left = np.array([f.framing.centres_px[6:13, 0].min() < f.framing.centres_px[[1, 17], 0].min() for f in films])
    assert 0.2 < apex_left.mean() < 0.9


def test_drawn_bodies_end_at_their_corners() -> None:
    for index in range(4):
        framing = frontal_film(11, index, 704).framing
        adult = replace(framing, corners_px=_apart(framing))
        sheet = vertebral_bodies(adult, np.random.default_rng(0))
        for corners in adult.labelled_px:
            for corner, opposite in zip(corners, corners[::-1], strict=True):
                outward = (corner - opposite) / np.linalg.norm(corner - opposite)
                beyond, within = np.round(corner + 2.5 * outward), np.round(corner - 2.5 * outward)
                assert sheet[int(within[1]), int(within[0])] > 0.05
                assert sheet[int(beyond[1]), int(beyond[0])] < sheet[int(within[1]), int(within[0])] - 0.03


def _apart(framing: FrontalFraming) -> FloatArray:
    """(V, 4, 2) the same bodies, each shrunk around its centre, so that no disc touches a corner's surroundings."""
    centres = framing.corners_px.mean(axis=1, keepdims=True)
    return centres + 0.95 * (framing.corners_px - centres)


def test_axial_rotation_moves_the_spinous_processes_to_its_side() -> None:
    framing = frontal_film(2, 3, 704).framing
    columns = np.arange(framing.size_hw[1], dtype=np.float64)
    middle = {}
    for turn in (-25.0, 0.0, 25.0):
        turned = replace(framing, rotation_deg=np.full(len(framing.corners_px), turn))
        weight = posterior_elements(turned, np.random.default_rng(0)).sum(axis=0)
        middle[turn] = float((weight * columns).sum() / weight.sum())
    assert middle[-25.0] < middle[0.0] - 0.1 * framing.unit_px
    assert middle[25.0] > middle[0.0] + 0.1 * framing.unit_px


def test_lungs_are_thinner_than_the_abdomen_and_bodies_denser_than_what_lies_beside_them() -> None:
    denser, thinner = [], []
    for index in range(8):
        framing = frontal_film(1, index, 352).framing
        sheet = attenuation(framing, np.random.default_rng(index))
        centres = np.rint(framing.centres_px).astype(int)
        beside = np.rint(framing.beside_axis(np.array([[12.0, -2.0], [3.0, -2.0]]))).astype(int)
        beside[:, 0] = beside[:, 0].clip(0, framing.size_hw[1] - 1)
        lung, abdomen = (float(sheet[y - 3 : y + 4, max(x - 3, 0) : x + 4].mean()) for x, y in beside)
        thinner.append(lung < abdomen)
        denser.append(sheet[centres[12, 1], centres[12, 0]] > lung)
    assert np.mean(thinner) > 0.85
    assert np.mean(denser) > 0.85


def test_the_levels_are_those_of_the_reader_of_real_films() -> None:
    films = frontal_films(2, 0, 128)
    assert films.slots == SLOTS == spineweb16.SLOTS
    assert SLOTS.names[0] == "L5"
    assert SLOTS.names[-1] == "T1"
    assert films.kind == "phantom"


def test_nothing_lateral_is_measured_on_a_frontal_film() -> None:
    (film,) = frontal_films(1, 0, 128)
    measured = measure_film(film)
    real = measure_film(replace(film, spacing=None))
    assert measured.facing == Facing.NONE.value
    assert measured.withheld == real.withheld == "an AP film has no anterior side"
    assert all(np.isnan(level.slip.value) for level in measured.levels)


def test_frontal_films_pass_the_audit_of_their_labels() -> None:
    findings = check_labels(frontal_films(40, 1, 352))
    assert [str(f) for f in findings if f.severity is Severity.ERROR] == []


def test_names_and_fingerprints_tell_the_films_apart() -> None:
    plain, other = frontal_films(3, 7, 128), frontal_films(3, 7, 128, ("print",))
    assert plain.name == "phantom-7-3x128px-frontal"
    assert other.name == "phantom-7-3x128px-without-print-frontal"
    assert frontal_films(3, 7, 256).name == "phantom-7-3x256px-frontal"
    assert [f.film_id for f in plain.films] == [f"phantom-7-0000{i}-frontal" for i in range(3)]
    prints = {f.image.fingerprint() for films in (plain, other) for f in films}
    assert len(prints) == 6


def test_styles_can_be_excluded_and_frontal_films_have_no_stretched_exports() -> None:
    styles = {frontal_film(0, i, 128, ("aged", "print")).style.names for i in range(60)}
    assert {name for names in styles for name in names} == {
        "young", "adult", "even", "steep", "flat", "local", "detector", "plate",
    }  # fmt: skip
    with pytest.raises(DataError, match="no style is left of detector, plate, print, export"):
        frontal_film(0, 0, 128, ("detector", "plate", "print"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1, 0, 384), "seed and an index of 0 or more; given -1"), ((0, 0, 10), "64 px or more; given 10")],
)
def test_impossible_films_are_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        frontal_film(*arguments)


def test_without_a_view_synthetic_films_are_the_lateral_ones_of_before() -> None:
    default = load_films(DataConfig(phantom_films=12, phantom_seed=7, phantom_long_side_px=96))
    named = load_films(DataConfig(phantom_films=12, phantom_seed=7, phantom_long_side_px=96, phantom_view="lateral"))
    before = phantom_films(12, 7, 96)
    assert default.name == named.name == before.name == "phantom-7-12x96px"
    assert default.slots == before.slots
    for film, same in zip(default.films, before.films, strict=True):
        image = PhantomImage(7, int(film.film_id[-5:]), 96)
        assert film.image == same.image == image
        assert film.image.fingerprint().startswith(f"phantom-7-{image.index}-96--clinic-")
        np.testing.assert_array_equal(film.image.read(), image.read())


def test_a_view_is_chosen_in_the_configuration() -> None:
    films = load_films(DataConfig(phantom_films=12, phantom_seed=7, phantom_long_side_px=96, phantom_view="frontal"))
    assert films.name == "phantom-7-12x96px-frontal"
    assert films.slots == SLOTS
    assert {film.split for film in films.films} == {"train", "val", "test"}
    drawn = draw_films(DrawConfig(count=2, seed=7, long_side_px=96, view="frontal"))
    assert drawn.films[0].image == next(f for f in films.films if f.film_id == drawn.films[0].film_id).image


@pytest.mark.parametrize(
    ("schema", "values", "names"),
    [
        (DataConfig, {"phantom_view": "frontal", "phantom_slips": "even"}, "phantom_slips change"),
        (
            DataConfig,
            {"phantom_view": "frontal", "phantom_additions": ("sacrum",), "phantom_condition": "inverted"},
            "phantom_additions and phantom_condition change",
        ),
        (DrawConfig, {"view": "frontal", "additions": ("sacrum",)}, "additions change"),
    ],
)
def test_what_only_lateral_films_have_is_refused(schema: Any, values: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=f"{names} lateral films only, and .*view is frontal: leave them out"):
        validate(schema, values)


def test_another_view_keeps_nothing_of_the_training_run_that_it_does_not_have() -> None:
    base = DataConfig(phantom_slips="even", phantom_additions=("sacrum",), first_slot=0, n_slots=10)
    frontal = requested_data(base, DataConfig(phantom_view="frontal", phantom_seed=1))
    assert (frontal.phantom_view, frontal.phantom_seed) == ("frontal", 1)
    assert (frontal.phantom_slips, frontal.phantom_additions) == ("clinic", ())
    assert (frontal.first_slot, frontal.n_slots) == (None, None)
    same = requested_data(base, DataConfig(phantom_seed=1))
    assert (same.phantom_slips, same.first_slot) == ("even", 0)
