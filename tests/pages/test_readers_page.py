"""The tables of a reader study on which a model stands beside the readers."""

from __future__ import annotations

import math

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.model_as_reader import ModelAsReader
from spondylo_ml.pages.readers_page import against_readers, beside_readers, estimates_table

ERRORS_PX512 = {
    "model-A": 1.0, "A-others": 2.0, "model-others of A": 3.0, "model-B": 4.0, "B-others": 5.0,
    "model-others of B": 6.0, "model-consensus": 7.0,
}  # fmt: skip
ESTIMATES = {name: Estimate(value=v, low=math.nan, high=math.nan, n=9) for name, v in ERRORS_PX512.items()}
MODEL = ModelAsReader({name: {"mre_px512": estimate} for name, estimate in ESTIMATES.items()}, {}, None)


def test_each_reader_has_the_model_beside_it() -> None:
    assert estimates_table(beside_readers(MODEL, ("A", "B"))) == [
        ["metric", "unit", "A", "model beside A", "B", "model beside B"],
        ["MRE", "px512", "2.00\nn 9", "3.00\nn 9", "5.00\nn 9", "6.00\nn 9"],
    ]


def test_the_model_has_an_error_against_each_reader_and_against_all() -> None:
    assert estimates_table(against_readers(MODEL, ("A", "B"))) == [
        ["metric", "unit", "against A", "against B", "against the consensus"],
        ["MRE", "px512", "1.00\nn 9", "4.00\nn 9", "7.00\nn 9"],
    ]
