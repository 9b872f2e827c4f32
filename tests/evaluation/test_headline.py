"""The few metrics that a run logs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.evaluation.catalogue import find_metric
from spondylo_ml.evaluation.headline import EPOCH, HEADLINE, epoch_headline, headline, rounded


def test_every_headline_metric_is_in_the_catalogue_and_there_are_few() -> None:
    assert [name for name in HEADLINE if find_metric(name) is None] == []
    assert len(HEADLINE) == len(set(HEADLINE)) <= 25


def test_intervals_strata_and_nan_are_left_out() -> None:
    values = {"mre_px512": 15.5149, "mre_px512_low": 1.0, "L5-S1/referred_percent": 2.0, "sdr_24px": math.nan}
    assert headline(values, "eval/") == {"eval/mre_px512": 15.51}
    assert headline(values | {"own": 3.0}, "eval/", ("own",)) == {"eval/mre_px512": 15.51, "eval/own": 3.0}


def test_an_epoch_keeps_the_loss_and_what_only_its_user_knows() -> None:
    measured = (*EPOCH, "mre_px", "p95_px512", "n_corners")
    values = {f"{part}/{name}": 1.0 for part in ("val", "train") for name in measured}
    values |= {"train/loss": 0.5, "train/loss_heatmap": 0.4, "time/epoch_s": 9.0, "time/films_per_s": 3.0, "mine": 2.0}
    kept = epoch_headline(values | {"val/nan": math.nan, "val/mine": 4.0, "learning_rate": 1e-6})
    assert {name for name in kept if name.startswith("val/")} == {f"val/{name}" for name in EPOCH} | {"val/mine"}
    assert {name for name in kept if not name.startswith("val/")} == {
        "train/loss", "train/loss_heatmap", "train/mre_px512", "time/epoch_s", "mine", "learning_rate",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("mre_px512", 15.5149, 15.51),
        ("mre_px512", 0.0123456, 0.0123),
        ("sdr_6px", 92.349, 92.3),
        ("learning_rate", 1.23456e-7, 1.23e-7),
        ("n_films", 123456.0, 123456.0),
        ("mine", 1 / 3, 1 / 3),
        ("mre_px512", math.inf, math.inf),
        ("mre_px512", 0.0, 0.0),
    ],
)
def test_a_value_has_the_digits_of_its_metric(name: str, value: float, expected: float) -> None:
    assert rounded(name, value) == expected


@given(st.floats(1e-9, 1e9))
def test_rounding_keeps_three_significant_digits(value: float) -> None:
    assert rounded("mre_px512", value) == pytest.approx(value, rel=5.1e-3)
