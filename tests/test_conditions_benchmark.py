"""The measuring script of conditions: its numbers by hand, and the whole script with a small network."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import plain_film, prediction_of
from small_models import small_bundle

from benchmarks.conditions import HEADINGS, condition_result, main, markdown_table, to_json
from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, Vertebra
from spondylo_ml.serving.bundle import save_bundle

LUMBAR = phantom_films(2, 4, 512).films


def known(film: Film) -> Film:
    """The film with its lowest five vertebrae alone."""
    return replace(film, vertebrae=(film.vertebrae or ())[:5])


def one_level_up(film: Film) -> FilmPrediction:
    moved = tuple(Vertebra(v.slot + 1, v.corners_xy) for v in film.vertebrae or ())
    return prediction_of(replace(film, vertebrae=moved), SLOTS)


def test_the_numbers_of_a_condition_are_worked_out_by_hand() -> None:
    """The first film is exact, the second one level off: half the vertebrae have the right level."""
    films = [known(film) for film in LUMBAR]
    predictions = [prediction_of(films[0], SLOTS), replace(one_level_up(films[1]), remarks=("small",))]
    result = condition_result("made", PredictionSet(films, predictions), DEFAULT_RULES)
    assert (result.n_films, result.n_vertebrae) == (2, 10)
    assert (result.recall, result.mre_px512, result.right_level) == (100, pytest.approx(0, abs=1e-9), 50)
    assert result.strict_sdr_24 == pytest.approx(50)
    assert (result.remarked, result.refused) == (50, 0)
    assert result.confidently_off == 0, "without S1 the levels have no names"
    assert result.measured == 100


def test_a_film_that_is_off_counts_only_if_its_levels_have_names() -> None:
    """The sacrum is called L5, and a wedge like it, drawn below, is called S1."""
    film = known(LUMBAR[0])
    sacrum = (film.vertebrae or ())[0]
    down = 2 * (sacrum.corners_xy[2:].mean(axis=0) - sacrum.corners_xy[:2].mean(axis=0))
    below = Vertebra(0, sacrum.corners_xy + down)
    lower = replace(film, vertebrae=(below, *(Vertebra(v.slot + 1, v.corners_xy) for v in film.vertebrae or ())))
    sure = prediction_of(lower, SLOTS)
    of_sure, of_unsure, of_refused = (
        condition_result("made", PredictionSet([film], [one]), DEFAULT_RULES)
        for one in (sure, replace(sure, level_confidence=0.5), replace(sure, refusal="this is a chest"))
    )
    assert (of_sure.right_level, of_sure.confidently_off) == (0, 100)
    assert (of_unsure.right_level, of_unsure.confidently_off) == (0, 0)
    assert (of_refused.refused, of_refused.measured, of_refused.confidently_off) == (100, 0, 0)


def test_a_film_that_is_read_on_its_head_with_names_is_off_although_no_body_is_matched() -> None:
    film = known(LUMBAR[0])
    last_xy = np.array(film.size_hw[::-1]) - 1
    on_its_head = tuple(replace(v, corners_xy=last_xy - v.corners_xy) for v in film.vertebrae or ())
    predictions = PredictionSet([replace(film, vertebrae=on_its_head)], [prediction_of(film, SLOTS)])
    result = condition_result("rotated-180", predictions, DEFAULT_RULES)
    assert (result.recall, result.confidently_off) == (0, 100)


def test_films_without_a_spine_have_refusals_alone() -> None:
    film = plain_film("blank", ())
    prediction = replace(prediction_of(film, SLOTS), refusal="this is a blank")
    result = condition_result("blank", PredictionSet([film], [prediction]), DEFAULT_RULES)
    assert (result.n_vertebrae, result.refused, result.measured) == (0, 100, 0)
    assert np.isnan([result.recall, result.strict_sdr_24, result.mre_px512, result.right_level]).all()
    assert to_json([result])[0]["recall"] is None
    assert markdown_table([result]).splitlines()[-1] == "| blank | 1 | 0 |  |  |  |  | 0.0 | 0.0 | 100.0 | 0.0 |"


def test_the_script_writes_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_bundle(small_bundle("cascade_net"), tmp_path / "model")
    films = ["--films", "1", "--conditions", "whole-film-35", "noise", "--long_side_px", "96"]
    main(["--model", str(tmp_path / "model"), *films, "--to", str(tmp_path / "out")])
    results = json.loads((tmp_path / "out" / "conditions.json").read_text())
    assert [one["condition"] for one in results] == ["whole-film-35", "noise"]
    assert results[0]["n_vertebrae"] > 0
    assert math.isfinite(results[0]["recall"])
    table = (tmp_path / "out" / "conditions.md").read_text()
    assert table == capsys.readouterr().out
    assert table.splitlines()[0] == f"| {' | '.join(HEADINGS)} |"
    assert len(table.splitlines()) == 4
