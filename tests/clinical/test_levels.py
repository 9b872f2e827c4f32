"""Level names are counted from the sacrum up, and withheld if the sacrum is not identified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from spines import LOWER, TiltedFilm, stacked, tilted_film

from spondylo_ml.clinical.levels import (
    CUT_OFF,
    ENDPLATE_ALONE,
    SACRUM_NEUTRAL,
    SACRUM_OFFSET,
    SACRUM_WEIGHTS,
    name_levels,
    sacrum_confidence,
    sacrum_signs,
)
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.landmarks import Facing, Vertebra

ASSUMED = "assumed: the lowest labelled vertebra is S1"
DEFAULT_RULES = ClinicalConfig()


def without_sacrum(vertebrae: Sequence[Vertebra]) -> tuple[Vertebra, ...]:
    """A film that ends at L5, as a reader sees it: the lowest vertebra is assumed to be S1."""
    return tuple(Vertebra(v.slot - 1, v.corners_xy) for v in vertebrae[1:])


def true_names(film: TiltedFilm) -> dict[int, str]:
    names = ["S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8"]
    return dict(enumerate(names[: len(film.vertebrae)]))


def test_names_of_2000_tilted_synthetic_films_are_correct_and_rarely_withheld() -> None:
    withheld = 0
    for index in range(2000):
        film = tilted_film(5, index)
        labelled = name_levels(film.vertebrae, film.facing, "label", DEFAULT_RULES)
        assert (labelled.known, labelled.names, labelled.reason) == (True, true_names(film), "")
        assumed = name_levels(film.vertebrae, film.facing, ASSUMED, DEFAULT_RULES)
        if assumed.known:
            assert assumed.names == true_names(film)
        withheld += not assumed.known
    assert withheld < 60  # a transitional first sacral body may be as square as a lumbar one


def test_a_spine_that_ends_at_l5_gets_no_level_names_if_the_sacrum_is_assumed() -> None:
    n_named = 0
    for index in range(1000):
        film = tilted_film(6, index)
        naming = name_levels(without_sacrum(film.vertebrae), film.facing, ASSUMED, DEFAULT_RULES)
        n_named += naming.known
        if not naming.known:
            assert naming.names[0] == "lowest visible"
            assert naming.names[1] == "lowest visible + 1"
            assert naming.reason.startswith(f"the sacrum was not identified ({ASSUMED}; by its shape, ")
    assert n_named <= 10


def test_labels_are_trusted_and_gaps_are_named() -> None:
    vertebrae = [v for v in stacked(0, 0, 0, 0) if v.slot not in (0, 2)]
    naming = name_levels(vertebrae, Facing.LEFT, "label", DEFAULT_RULES)
    assert (naming.names, naming.known, naming.confidence) == ({1: "L5", 2: "L4", 3: "L3", 4: "L2"}, True, 1.0)


def test_without_the_sacrum_s_slot_nothing_is_assumed() -> None:
    naming = name_levels(stacked(0, 0, 0)[2:], Facing.LEFT, ASSUMED, DEFAULT_RULES)
    assert naming.names == {2: "lowest visible", 3: "lowest visible + 1"}
    assert (naming.known, naming.confidence) == (False, 0.0)
    assert naming.reason == "the sacrum was not identified (S1 is absent; the lowest visible vertebra may be L4)"
    assert name_levels((), Facing.LEFT, ASSUMED, DEFAULT_RULES).names == {}


def test_a_lowest_vertebra_with_its_superior_endplate_alone_is_s1() -> None:
    corners = LOWER.copy()
    corners[2:] = np.nan
    film = (Vertebra(0, corners), *stacked(0, 0)[1:])
    assert sacrum_confidence(film, Facing.LEFT) == ENDPLATE_ALONE
    assert sacrum_confidence(film[:1], Facing.LEFT) < ENDPLATE_ALONE  # nothing to compare with
    assert sacrum_confidence(film, Facing.LEFT, cut_off=True) == CUT_OFF


def test_the_threshold_is_set_by_the_rules() -> None:
    film = tilted_film(5, 0)
    confidence = sacrum_confidence(film.vertebrae, film.facing)
    assert 0.9 < confidence < 1
    strict = ClinicalConfig(least_sacrum_confidence=min(0.9999999, confidence + 1e-9))
    assert not name_levels(film.vertebrae, film.facing, ASSUMED, strict).known


def test_levels_are_withheld_if_the_network_doubts_them_however_clear_the_sacrum_is() -> None:
    film = tilted_film(5, 0)
    by_shape = sacrum_confidence(film.vertebrae, film.facing)
    naming = name_levels(film.vertebrae, film.facing, ASSUMED, DEFAULT_RULES, level_confidence=0.4)
    assert (naming.known, naming.confidence) == (False, 0.4)
    assert naming.reason == (
        "all levels may be one or two too high or too low "
        "(the network takes the lowest visible vertebra for S1, with a probability of 0.40)"
    )
    sure = name_levels(film.vertebrae, film.facing, ASSUMED, DEFAULT_RULES, level_confidence=0.9999)
    assert (sure.known, sure.confidence) == (True, min(by_shape, 0.9999))


def test_signs_by_hand() -> None:
    """Tops of 100 px, a floor of 50 px: log 2. Level plates and walls in line: no break, not backward."""
    corners = LOWER.copy()
    corners[2, 0], corners[3, 0] = 125, 175
    film = (Vertebra(0, corners), *stacked(0)[1:])
    np.testing.assert_allclose(sacrum_signs(film, Facing.LEFT), [np.log(2), 0, 0], atol=1e-12)
    np.testing.assert_allclose(sacrum_signs(film, Facing.UNKNOWN), [np.log(2), *SACRUM_NEUTRAL[1:]])
    np.testing.assert_allclose(sacrum_signs(film[:1], Facing.LEFT), [np.log(2), *SACRUM_NEUTRAL[1:]])
    np.testing.assert_allclose(sacrum_signs((), Facing.LEFT), SACRUM_NEUTRAL)


@pytest.mark.slow
def test_the_weights_are_reproduced_by_the_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    signs, has_sacrum = [], []
    for index in range(6000):
        film, rng = tilted_film(0, index), np.random.default_rng([0, index, 3])
        has_sacrum.append(rng.random() < 0.5)
        vertebrae = film.vertebrae if has_sacrum[-1] else without_sacrum(film.vertebrae)
        noisy = [Vertebra(v.slot, v.corners_xy + rng.normal(0, 0.05 * film.depth_px, (4, 2))) for v in vertebrae]
        signs.append(sacrum_signs(noisy, film.facing))
    model = LogisticRegression().fit(np.stack(signs) - SACRUM_NEUTRAL, has_sacrum)
    np.testing.assert_allclose(model.coef_[0], SACRUM_WEIGHTS, atol=0.06)
    assert model.intercept_[0] == pytest.approx(SACRUM_OFFSET, abs=0.06)
