"""Agreement of readers: simulated readers of known noise, slips and grades by hand, and disagreements on bodies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, square
from simulated_readers import reader_of
from spines import stacked

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.reader_agreement import (
    ONLY_FIRST,
    ONLY_SECOND,
    OTHER_NAME,
    REPRODUCIBILITY,
    Agreement,
    agreement_of,
    disagreement_counts,
)
from spondylo_ml.landmarks import Facing, Film

RULES = ClinicalConfig()
NOISE_PX = 2.0


def agree(films: dict[str, list[Film]], resamples: int = 0) -> Agreement:
    patients = [film.patient for film in next(iter(films.values()))]
    return agreement_of(films, RULES, PatientBootstrap(patients, resamples))


@pytest.fixture(scope="module")
def simulated() -> Agreement:
    """Three readers with an error of 2 px per axis on synthetic films of 512 px, so that px is px512."""
    films = [replace(film, facing=Facing.NONE) for film in phantom_films(40, 5, 512).films]  # no slips, which take long
    return agree({name: reader_of(films, NOISE_PX, seed) for seed, name in enumerate("ABC")}, resamples=100)


@pytest.mark.parametrize("pair", ["A-B", "A-C", "B-C", "all"])
def test_readers_of_known_noise_differ_by_that_noise(simulated: Agreement, pair: str) -> None:
    # The difference of two normal errors is normal with sqrt(2) times the deviation, so that distances follow a
    # Rayleigh distribution: mean s sqrt(pi / 2), variance (2 - pi / 2) s^2, and 1 - exp(-t^2 / 2 s^2) within t.
    numbers, sd_px = simulated.numbers[pair], NOISE_PX * math.sqrt(2)
    mre = numbers["mre_px512"]
    standard_error = sd_px * math.sqrt(2 - math.pi / 2) / math.sqrt(mre.n)
    assert mre.n > 1000
    assert mre.n_absent == 0
    assert mre.value == pytest.approx(sd_px * math.sqrt(math.pi / 2), abs=4 * standard_error)
    assert mre.low < mre.value < mre.high
    assert numbers["mre_px"].value == pytest.approx(mre.value)
    assert numbers["median_px512"].value == pytest.approx(sd_px * math.sqrt(2 * math.log(2)), rel=0.06)
    for limit in (6, 12):
        expected = 1 - math.exp(-(limit**2) / (2 * sd_px**2))
        error = 100 * math.sqrt(max(expected * (1 - expected), 1e-6) / mre.n)
        assert numbers[f"sdr_{limit}px"].value == pytest.approx(100 * expected, abs=4 * error + 0.1)


def test_bodies_are_the_same_for_all_simulated_readers(simulated: Agreement) -> None:
    assert simulated.disagreements.empty
    for pair in ("A-B", "A-C", "B-C"):
        numbers = simulated.numbers[pair]
        assert numbers["presence_f1"].value == numbers["detection_f1"].value == 100
        assert numbers["instance_mre_px512"].value == pytest.approx(numbers["mre_px512"].value)


def test_simulated_readers_have_no_bias_in_their_slips() -> None:
    films = phantom_films(6, 5, 512).films
    numbers = agree({name: reader_of(films, NOISE_PX, seed) for seed, name in enumerate("AB")}).numbers["A-B"]
    low, bias, high = (numbers[f"slip_{name}_percent"] for name in ("limit_low", "bias", "limit_high"))
    sd_percent = (high.value - low.value) / (2 * 1.96)
    assert bias.n > 20
    assert sd_percent > 1
    assert abs(bias.value) < 4 * sd_percent / math.sqrt(bias.n)


def readers_with_slips(*slips: tuple[float, ...]) -> dict[str, list[Film]]:
    """Readers A, B, ... of films that show one level; the slip of each film by reader."""
    return {
        name: [
            plain_film(f"f{i}", stacked(slip), size_hw=(512, 400), facing=Facing.LEFT)
            for i, slip in enumerate(of_reader)
        ]
        for name, of_reader in zip("ABC", slips, strict=False)
    }


def test_slip_agreement_equals_a_calculation_by_hand() -> None:
    agreement = agree(readers_with_slips((0.0, 10.0, 20.0), (2.0, 10.0, 24.0)))
    numbers, every = agreement.numbers["A-B"], agreement.numbers["all"]
    # Differences 2, 0, 4: mean 2, standard deviation 2.
    assert numbers["slip_bias_percent"].value == pytest.approx(2)
    assert numbers["slip_limit_low_percent"].value == pytest.approx(2 - 1.96 * 2)
    assert numbers["slip_limit_high_percent"].value == pytest.approx(2 + 1.96 * 2)
    # Two-way table: MS of films 222, of readers 6, of the rest 2; (222 - 2) / (222 + 2 + 2 (6 - 2) / 3).
    assert numbers["slip_icc_2_1"].value == pytest.approx(220 / (224 + 8 / 3))
    assert every["slip_icc_2_1"].value == pytest.approx(220 / (224 + 8 / 3))
    assert numbers["slip_mae_percent"].value == pytest.approx(2)
    assert every[REPRODUCIBILITY].value == pytest.approx(1.96 * math.sqrt((4 + 0 + 16) / 3))


def test_the_kappa_of_two_readers_equals_a_calculation_by_hand() -> None:
    agreement = agree(readers_with_slips((0.0, 10.0, 30.0, 60.0), (0.0, 10.0, 60.0, 60.0)))
    first, second = np.array([0, 1, 2, 3]), np.array([0, 1, 3, 3])
    by_chance = np.mean([(a - b) ** 2 for a in first for b in second])
    assert agreement.numbers["A-B"]["grade_kappa"].value == pytest.approx(1 - 0.25 / by_chance)
    assert agreement.numbers["A-B"]["grade_accuracy"].value == 75


def test_over_all_readers_kappa_is_the_mean_of_the_pairs_and_differences_are_pooled() -> None:
    agreement = agree(readers_with_slips((0.0, 10.0, 30.0), (0.0, 30.0, 30.0), (10.0, 10.0, 30.0)))
    pairs = [agreement.numbers[pair] for pair in ("A-B", "A-C", "B-C")]
    every = agreement.numbers["all"]
    assert every["grade_kappa"].value == pytest.approx(np.mean([numbers["grade_kappa"].value for numbers in pairs]))
    # A-B: 0, 20, 0; A-C: 10, 0, 0; B-C: 10, 20, 0.
    assert every["slip_mae_percent"].value == pytest.approx(60 / 9)
    assert every[REPRODUCIBILITY].value == pytest.approx(1.96 * math.sqrt((400 + 100 + 100 + 400) / 9))


def test_equal_readers_agree_perfectly() -> None:
    same = readers_with_slips((0.0, 10.0, 30.0), (0.0, 10.0, 30.0))
    numbers = agree(same).numbers["A-B"]
    assert numbers["mre_px512"].value == numbers["slip_bias_percent"].value == 0
    assert numbers["sdr_6px"].value == numbers["grade_accuracy"].value == 100
    assert numbers["slip_icc_2_1"].value == numbers["grade_kappa"].value == 1


def test_a_slip_of_one_reader_alone_is_counted_not_compared() -> None:
    films = readers_with_slips((0.0, 10.0, 20.0), (2.0, 10.0, 24.0))
    first_film = films["B"][0]
    films["B"][0] = replace(first_film, vertebrae=(first_film.vertebrae or ())[:1])
    agreement = agree(films)
    numbers = agreement.numbers["A-B"]
    assert (numbers["slip_bias_percent"].value, numbers["slip_bias_percent"].n) == (pytest.approx(2), 2)
    assert numbers["slip_bias_percent"].n_absent == 1
    assert (numbers["mre_px512"].n, numbers["mre_px512"].n_absent) == (20, 4)
    assert agreement.disagreements.values.tolist() == [["f0", "A", "B", ONLY_FIRST, "L5", ""]]
    swapped = agree({"B": films["B"], "A": films["A"]})
    assert swapped.numbers["B-A"]["mre_px512"] == numbers["mre_px512"]
    assert swapped.numbers["B-A"]["slip_bias_percent"].n_absent == 1
    assert swapped.disagreements.values.tolist() == [["f0", "B", "A", ONLY_SECOND, "", "L5"]]


def test_bodies_that_are_named_differently_are_listed_by_position() -> None:
    first = plain_film(vertebrae=(square(1, 20, 60), square(2, 20, 40)))
    second = replace(first, vertebrae=(square(2, 20, 60), square(3, 20, 40)))
    agreement = agree({"A": [first], "B": [second]})
    assert agreement.disagreements.values.tolist() == [
        ["film", "A", "B", OTHER_NAME, "L5", "L4"],
        ["film", "A", "B", OTHER_NAME, "L4", "L3"],
    ]
    assert disagreement_counts(agreement.disagreements) == {"A-B": {OTHER_NAME: 2}}
    assert agreement.numbers["A-B"]["instance_mre_px512"].value == 0
    assert agreement.numbers["A-B"]["mre_px"].value == 20, "by name, L4 is another body"


def test_one_reader_or_other_films_are_an_error() -> None:
    film = plain_film(vertebrae=(square(1, 20, 60),))
    with pytest.raises(DataError, match="agreement needs two or more readers; given 1"):
        agree({"A": [film]})
    with pytest.raises(DataError, match="the same films in the same order"):
        agree({"A": [film], "B": [replace(film, film_id="other")]})
    with pytest.raises(DataError, match="film film has no labels"):
        agree({"A": [film], "B": [replace(film, vertebrae=None)]})
