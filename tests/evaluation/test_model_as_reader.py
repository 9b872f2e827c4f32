"""A model beside readers of known noise: the errors of closed form, and a fair comparison with a reader."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from builders import plain_film, prediction_of, square
from simulated_readers import reader_of
from spines import stacked

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.model_as_reader import ModelAsReader, compare_with_readers
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.landmarks import Facing, Film, SlotRange
from spondylo_ml.pages.readers_page import model_verdict

FILMS = [replace(film, facing=Facing.NONE) for film in phantom_films(25, 7, 512).films]
"""Without slips, whose measurement takes longest."""

RAYLEIGH_MEAN = math.sqrt(math.pi / 2)


@cache
def compared(model_noise_px: float, n_readers: int = 3) -> ModelAsReader:
    readers: dict[str, Sequence[Film]] = {
        name: reader_of(FILMS, 2.0, seed) for seed, name in zip(range(n_readers), "ABC", strict=False)
    }
    predictions = [prediction_of(film, SLOTS) for film in reader_of(FILMS, model_noise_px, 99)]
    bootstrap = PatientBootstrap([film.patient for film in FILMS], resamples=100)
    return compare_with_readers(readers, predictions, ClinicalConfig(), bootstrap)


def difference(model: ModelAsReader, metric: str = "mre_px512", reader: str = "all") -> PairedDifference:
    return next(d for d in model.differences[reader] if d.metric == metric)


@pytest.mark.parametrize("noise_px", [2.0, 4.0])
def test_errors_against_readers_and_the_consensus_of_the_others_have_their_closed_form(noise_px: float) -> None:
    model = compared(noise_px)
    # Against one reader: variances add. Against the mean of two others, half of a reader's variance is added.
    against_reader = math.sqrt(noise_px**2 + 4) * RAYLEIGH_MEAN
    of_reader, of_model = math.sqrt(4 + 2) * RAYLEIGH_MEAN, math.sqrt(noise_px**2 + 2) * RAYLEIGH_MEAN
    for name in "ABC":
        assert model.errors[f"model-{name}"]["mre_px512"].value == pytest.approx(against_reader, rel=0.07)
        assert model.errors[f"{name}-others"]["mre_px512"].value == pytest.approx(of_reader, rel=0.07)
        assert model.errors[f"model-others of {name}"]["mre_px512"].value == pytest.approx(of_model, rel=0.07)
    # The median of three has 0.4487 times the variance of one.
    against_all = math.sqrt(noise_px**2 + 4 * 0.4487) * RAYLEIGH_MEAN
    assert model.errors["model-consensus"]["mre_px512"].value == pytest.approx(against_all, rel=0.07)
    found = difference(model).difference
    assert found.value == pytest.approx(of_model - of_reader, abs=0.15)
    assert found.low < found.value < found.high


def test_the_verdict_on_a_model_as_good_as_better_and_worse_than_a_reader() -> None:
    as_good, worse, better = (model_verdict(compared(noise_px)) for noise_px in (2.0, 4.0, 0.5))
    assert as_good.sentence.startswith("No clear difference between the model and another reader")
    assert as_good.details[0].startswith("MRE ")
    assert worse.sentence.startswith("The model is worse than another reader")
    assert better.sentence.startswith("The model is better than another reader")


def test_two_readers_are_each_compared_with_the_other_one() -> None:
    model = compared(2.0, n_readers=2)
    assert set(model.differences) == {"A", "B", "all"}
    assert model.errors["A-others"]["mre_px512"].value == pytest.approx(model.errors["B-others"]["mre_px512"].value)
    # The others of A are B alone.
    assert model.errors["model-others of A"]["mre_px512"].value == pytest.approx(
        model.errors["model-B"]["mre_px512"].value
    )


def test_what_model_or_reader_lacks_is_left_out_for_both_and_counted() -> None:
    film = plain_film(vertebrae=(square(1, 20, 60), square(2, 20, 40), square(3, 20, 20)))
    reader_without = plain_film(vertebrae=(square(1, 20, 60), square(3, 20, 20)))
    model_without = prediction_of(film, SlotRange(0, 3), (3.0, 4.0))  # no slot for L3
    model = compare_with_readers(
        {"A": [film], "B": [reader_without]}, [model_without], ClinicalConfig(), PatientBootstrap(["film"], 0)
    )
    against_a = model.errors["model-A"]["mre_px512"]
    assert (against_a.n, against_a.n_absent) == (8, 4)
    assert against_a.value == pytest.approx(5 * 512 / 100)
    of_b = model.errors["B-others"]["mre_px512"]
    assert (of_b.value, of_b.n, of_b.n_absent) == (0, 4, 8), "L4 lacks the reader, L3 the model"
    assert difference(model, "mre_px512", "B").difference.n == 4


def test_slips_are_compared_with_those_of_the_other_readers() -> None:
    def read(extra_percent: float) -> list[Film]:
        slips = enumerate((0.0, 10.0, 35.0))
        return [plain_film(f"f{i}", stacked(slip + extra_percent), size_hw=(512, 400)) for i, slip in slips]

    predictions = [prediction_of(film, SlotRange(0, 2)) for film in read(5.0)]
    bootstrap = PatientBootstrap(["f0", "f1", "f2"], resamples=0)
    model = compare_with_readers({"A": read(0.0), "B": read(2.0)}, predictions, ClinicalConfig(), bootstrap)
    errors = {name: numbers["slip_error_percent"].value for name, numbers in model.errors.items()}
    assert errors == pytest.approx(
        {"model-A": 5, "model-B": 3, "A-others": 2, "B-others": 2, "model-others of A": 3, "model-others of B": 5,
         "model-consensus": 4}
    )  # fmt: skip
    assert difference(model, "slip_error_percent").difference.value == pytest.approx((5 + 3) / 2 - 2)
    assert model.errors["model-consensus"]["slip_bias_percent"].value == pytest.approx(4)


def test_a_vertebra_that_the_model_says_is_absent_is_not_charged_to_it() -> None:
    """Most networks place corners for every level, wherever their map has its peak."""
    readers = {name: reader_of(FILMS, 0.0, seed) for seed, name in enumerate("AB")}
    bootstrap = PatientBootstrap([film.patient for film in FILMS], resamples=100)

    def model_with_l5(presence_of_l5: float) -> ModelAsReader:
        predictions = []
        for film in FILMS:
            prediction = prediction_of(film, SLOTS)
            corners, presence = prediction.corners_xy.copy(), prediction.presence.copy()
            corners[1], presence[1] = 5.0, presence_of_l5
            predictions.append(replace(prediction, corners_xy=corners, presence=presence))
        return compare_with_readers(readers, predictions, ClinicalConfig(), bootstrap)

    wrong, absent = model_with_l5(0.9), model_with_l5(0.02)
    before, after = (model.errors["model-A"]["mre_px512"] for model in (wrong, absent))
    n_l5 = sum(v.present.sum() for film in FILMS for v in film.vertebrae or () if v.slot == 1)
    assert before.value > 10
    assert (after.value, after.n_absent) == (pytest.approx(0.0, abs=1e-9), before.n_absent + n_l5)
    assert difference(absent).difference.value == pytest.approx(0.0, abs=1e-9)
