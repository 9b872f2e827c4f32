from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, square

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.scale import STRETCHED
from spondylo_ml.clinical.stretch import LATERAL_ASPECT
from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.robust import group_medians, mahalanobis, robust_z
from spondylo_ml.data.audit.sizes import stretch_factors
from spondylo_ml.data.audit.statistics import audit_film_table, audit_slip_table
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.spacing import Spacing


def oblong(slot: int, x: float, y: float, width: float = 13.9, height: float = 10.0) -> Vertebra:
    """An upright body of the usual aspect."""
    return Vertebra(slot, np.array([[x, y], [x + width, y], [x, y + height], [x + width, y + height]]))


def lateral(**fields: object) -> Film:
    """L5 lies 2.78 px, a fifth of the endplate, in front of S1 on a film that faces left."""
    film = plain_film("a", (oblong(0, 30, 60), oblong(1, 27.22, 40)), size_hw=(120, 80))
    return replace(film, **{"sex": "F", "age_years": 73, **fields})  # type: ignore[arg-type]


def test_slip_sex_and_age_of_a_film() -> None:
    table = audit_film_table([lateral()])
    row = table.iloc[0]
    assert (row["sex"], row["age_years"], row["n_vertebrae"]) == ("F", 73.0, 2)
    assert (row["lowest"], row["highest"], row["facing"], row["slip_withheld"]) == ("S1", "L5", "left", "")
    slips = audit_slip_table([lateral()])
    assert slips["level"].tolist() == ["L5/S1"]
    assert slips["slip_percent"].tolist() == pytest.approx([20.0])


@pytest.mark.parametrize(
    ("film", "reason"),
    [
        (lateral(facing=Facing.NONE), "an AP film has no anterior side"),
        (lateral(vertebrae=None), "no labels"),
        (lateral(pixel_aspect=None), STRETCHED),
        (
            lateral(vertebrae=(oblong(0, 30, 60, 25), oblong(1, 27, 40, 25), oblong(2, 27, 20, 25))),
            "the film was probably stretched: its bodies are 1.80 times wider for their height than bones are",
        ),
        (
            plain_film("x", (oblong(1, 30, 60),), (120, 80), facing=Facing.UNKNOWN),
            "nothing on the film shows which side is anterior",
        ),
    ],
)
def test_slip_is_withheld_with_a_reason(film: Film, reason: str) -> None:
    table = audit_film_table([film])
    assert table.iloc[0]["slip_withheld"].startswith(reason)
    assert audit_slip_table([film]).empty


def test_a_spacing_lifts_the_doubt_and_undoes_the_stretch() -> None:
    wide = tuple(Vertebra(v.slot, v.corners_xy * [2.0, 1.0]) for v in lateral().vertebrae or ())
    film = lateral(vertebrae=wide, size_hw=(160, 160), spacing=Spacing(1.0, 2.0, "made"), pixel_aspect=0.5)
    table = audit_film_table([film])
    assert table.iloc[0]["stretch"] == pytest.approx(1.0)
    assert audit_slip_table([film])["slip_percent"].tolist() == pytest.approx([20.0])


def test_the_slip_table_equals_the_measurements() -> None:
    """Of a film twice as wide the slip is unchanged with a known aspect, and withheld with an unknown one."""
    wide = tuple(Vertebra(v.slot, v.corners_xy * [2.0, 1.0]) for v in lateral().vertebrae or ())
    with_aspect, without_aspect = (lateral(vertebrae=wide, size_hw=(160, 160), pixel_aspect=a) for a in (0.5, None))
    assert audit_slip_table([with_aspect, without_aspect])["slip_percent"].tolist() == pytest.approx([20.0])
    assert measure_film(with_aspect).levels[0].slip.value == pytest.approx(20.0)
    assert measure_film(without_aspect).levels[0].slip.reason == STRETCHED


def test_the_stretch_is_the_aspect_over_the_expected_one() -> None:
    films = [plain_film("a", (square(0, 30, 60), square(1, 30, 40), square(2, 30, 20))), plain_film("b", None)]
    assert stretch_factors(Bodies.of(films))[0] == pytest.approx(1 / LATERAL_ASPECT)
    assert np.isnan(stretch_factors(Bodies.of(films))[1])


def test_an_empty_dataset_has_empty_tables() -> None:
    table = audit_film_table([])
    assert table.empty
    assert audit_slip_table([]).empty


def test_robust_z_by_hand() -> None:
    values = np.array([*range(11), 100.0])  # median 5.5, MAD 3
    assert robust_z(values, 0.0)[-1] == pytest.approx((100 - 5.5) / (1.4826 * 3))
    assert np.isnan(robust_z(np.arange(5.0), 0.0)).all()
    assert robust_z(np.array([1.0] * 11 + [1.1]), 0.05)[-1] == pytest.approx(2.0)


def test_group_medians_by_hand() -> None:
    out = group_medians(np.array([1.0, 5.0, 2.0, 3.0, 9.0]), np.array([0, 1, 0, 0, 1]), fewest=3)
    assert out[[0, 2, 3]].tolist() == [2.0, 2.0, 2.0]
    assert np.isnan(out[[1, 4]]).all()


def test_outliers_do_not_influence_the_mahalanobis_distance() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 2)) * [1.0, 3.0]
    rows[:30] = [50.0, 0.0]
    distance = mahalanobis(rows)
    assert distance[:30].min() > 40
    assert np.median(distance[30:]) == pytest.approx(np.sqrt(2 * np.log(2)), rel=0.2)  # median of a chi with 2 degrees
    assert np.isnan(mahalanobis(rows[:50])).all()
