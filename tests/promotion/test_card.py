"""The model card has all its sections and says which films are synthetic."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of, square

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.promotion.card import CardFacts, estimate_text, model_card
from spondylo_ml.promotion.decision import Decision, Verdict

FACTS = CardFacts(
    registered_model="spondylo-landmarks",
    model="unet",
    run_id="r1",
    parameter_count=8650192,
    training_films="phantom-0 (synthetic), preset quick",
    synthetic_training=True,
    synthetic_films=True,
    origin={"git_commit": "abc", "weights_digest": "def"},
    mean_shape={"mre_px512": Estimate(value=76.1, low=70.0, high=80.0, n=8)},
    guarded={"latency_ms": 12.345, "calibration_error": math.nan},
    pictures=[("best synthetic film", np.zeros((8, 8, 3), np.uint8))],
    films_seen=0,
)
DECISION = Decision(Verdict.CHALLENGER, ("too slow",), ("a gain",))


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    films = [plain_film(f"f{i}", (square(0, 100, 300, 50), square(1, 100, 200, 50)), (512, 400)) for i in range(3)]
    predictions = [prediction_of(film, SlotRange(0, 2), (3.0, 0.0)) for film in films]
    header = ReportHeader("phantom-0", "test", "0" * 64, resamples=100)
    return evaluate_predictions(PredictionSet(films, predictions), ClinicalConfig(), header)


def test_the_card_states_intended_use_results_and_limits(report: EvaluationReport) -> None:
    card = model_card(FACTS, report, DECISION)
    headings = re.findall("<h2>(.*?)</h2>", card)
    assert headings == [
        "Why it is challenger and not champion",
        "Results",
        "Films",
        "Intended use",
        "Training data",
        "Limits",
        "Guarded when another model replaces it",
        "Origin",
    ]
    assert "Research software, not a medical device." in card
    value, beside = ("3.00<br><small>(3.00 to 3.00), n 24</small>", "76.10<br><small>(70.00 to 80.00), n 8</small>")
    assert f"<td>MRE px512</td><td>{value}</td><td>{beside}</td>" in card
    assert "3 labelled films of 3 patients; it was trained on none of them" in card
    assert "8,650,192 parameters" in card
    assert "Mean distance between true and predicted corner (mean radial error)." in card
    assert "<td>time per film ms</td><td>12.3</td>" in card
    assert "<td>coverage error points</td><td>none</td>" in card
    assert "<li>too slow</li></ul>" in card
    assert "<li>a gain</li></ul>" in card
    assert re.search('<img src="data:image/jpeg;base64,[^"]+" alt="best synthetic film">', card)
    assert '<td>git_commit</td><td class="words"><code>abc</code></td>' in card


def test_the_intended_use_is_that_of_the_films_evaluated(report: EvaluationReport) -> None:
    assert "Research on lateral lumbar radiographs" in model_card(FACTS, report, DECISION)
    cobb = {"cobb_smape_percent": Estimate(value=8.0, low=7.0, high=9.0, n=64)}
    frontal = model_card(FACTS, report.model_copy(update={"numbers": report.numbers | cobb}), DECISION)
    assert "Research on frontal radiographs of the whole spine" in frontal
    assert "lateral lumbar" not in frontal


def test_the_card_calls_synthetic_films_synthetic_and_real_ones_not(report: EvaluationReport) -> None:
    synthetic = model_card(FACTS, report, DECISION)
    assert "<b>Synthetic films</b>: they say nothing about real films." in synthetic
    assert "These are <b>synthetic</b> films" in synthetic
    assert "It was evaluated on synthetic films alone." in synthetic
    real_facts = replace(
        FACTS, synthetic_training=False, synthetic_films=False, training_films="lateral", films_seen=2, pictures=[]
    )
    card = model_card(real_facts, report, DECISION)
    assert "ynthetic" not in card
    assert "trained on 2 of them" in card
    assert "trained on an unknown number of them" in model_card(replace(FACTS, films_seen=None), report, DECISION)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(value=1.234, low=1.0, high=2.0, n=5, n_absent=2), "1.23 (1.00 to 2.00), n 5, 2 absent"),
        (Estimate(value=1.234, low=math.nan, high=math.nan, n=5), "1.23, n 5"),
        (Estimate(value=math.nan, low=math.nan, high=math.nan, n=0), "none"),
    ],
)
def test_a_number_has_its_interval_and_sample_size(estimate: Estimate, text: str) -> None:
    assert estimate_text("mre_px512", estimate) == text
