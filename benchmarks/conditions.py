"""Evaluates a model on synthetic films under each named condition, those that show no lateral lumbar film included.

Corners and levels are compared whether or not a film was refused; refusals are a column of their own. px512 are those
of the film: on a whole film of a detector, on which the spine is small, an error in px512 is a larger share of a
vertebra.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from spondylo_ml.config import ClinicalConfig, ReadingConfig
from spondylo_ml.data.conditions import CONDITIONS, condition_films
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slips import measure_prediction
from spondylo_ml.nan import finite_or_none
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_model import NAMED_BY_MODEL
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.serving.predictor import Predictor

SEED = 1
LONG_SIDE_PX = 512


@dataclass(frozen=True)
class ConditionResult:
    """A model on the films under one condition; shares in percent, NaN where there is nothing to measure.

    Attributes:
        recall: of the true vertebrae, by position.
        strict_sdr_24: of the true corners, by level name, within 24 px512.
        mre_px512: mean error of the corners of the vertebrae found.
        right_level: of the vertebrae found.
        confidently_off: of the films: levels are named, and at least half of the vertebrae found have a wrong name, or
            none of those that are named is on the film, as where it is read upside down.
        remarked: of the films: read on a crop, turned, with small vertebrae, or with levels that change on
            parts of the film.
        refused: of the films, as no lateral lumbar films.
        measured: of the films: a slip is stated at one level or more.
    """

    condition: str
    n_films: int
    n_vertebrae: int
    recall: float
    strict_sdr_24: float
    mre_px512: float
    right_level: float
    confidently_off: float
    remarked: float
    refused: float
    measured: float


HEADINGS = (
    "condition", "films", "vertebrae", "recall %", "strict SDR@24 %", "MRE of found, px512", "right level %",
    "confidently off %", "with a remark %", "refused %", "measured %",
)  # fmt: skip


def evaluate_under(
    bundle: Bundle, conditions: Iterable[str], count: int, seed: int = SEED, long_side_px: int = LONG_SIDE_PX
) -> list[ConditionResult]:
    """The results of a model under each condition, on `count` films each."""
    predictor, results = Predictor(bundle), []
    for condition in conditions:
        films = condition_films(condition, count, seed, long_side_px).films
        predictions = PredictionSet(films, predictor.predict(films))
        results.append(condition_result(condition, predictions, bundle.config.clinical))
        sys.stderr.write(f"{condition} done\n")
    return results


def condition_result(condition: str, predictions: PredictionSet, rules: ClinicalConfig) -> ConditionResult:
    """The numbers of one condition."""
    numbers, counts = score(predictions), predictions.detections[["n_true", "n_matched", "n_right_level"]].sum()
    measured = [measure_prediction(film, p, rules, NAMED_BY_MODEL) for film, p in predictions.pairs]
    off = [
        bool(one.levels_known and (not match.pairs or np.mean([v.slot != slot for v, slot in match.pairs]) >= 0.5))
        for one, match in zip(measured, predictions.matches, strict=True)
    ]
    return ConditionResult(
        condition=condition,
        n_films=len(measured),
        n_vertebrae=int(counts["n_true"]),
        recall=numbers["detection_recall"],
        strict_sdr_24=numbers["sdr_24px"],
        mre_px512=numbers["instance_mre_px512"],
        right_level=_percent(counts["n_right_level"], counts["n_matched"]),
        confidently_off=_percent(sum(off), len(off)),
        remarked=_percent(sum(bool(p.remarks) for p in predictions.predictions), len(off)),
        refused=_percent(sum(bool(p.refusal) for p in predictions.predictions), len(off)),
        measured=_percent(sum(any(not level.slip.reason for level in one.levels) for one in measured), len(off)),
    )


def markdown_table(results: Sequence[ConditionResult]) -> str:
    """One row per condition; an empty cell where there is nothing to measure."""
    rows = [[_cell(value) for value in asdict(result).values()] for result in results]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([*HEADINGS], ["---"] * len(HEADINGS), *rows)) + "\n"


def to_json(results: Sequence[ConditionResult]) -> list[dict[str, object]]:
    """The same as JSON values, without rounding; null where there is nothing to measure."""
    return [
        {name: finite_or_none(value) if isinstance(value, float) else value for name, value in asdict(result).items()}
        for result in results
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate the model and write `conditions.md` and `conditions.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="starter", help="starter, a run id, an alias or version, or a folder")
    parser.add_argument("--films", type=int, default=50, help="films under each condition")
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS, metavar="CONDITION")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--long_side_px", type=int, default=LONG_SIDE_PX, help="of the films")
    parser.add_argument("--once", action="store_true", help="read each film once, whatever the model says")
    parser.add_argument("--to", type=Path, default=Path("conditions"), help="folder of the results")
    options = parser.parse_args(arguments)
    bundle = find_model(options.model).bundle
    if options.once:
        bundle = replace(bundle, config=bundle.config.model_copy(update={"reading": ReadingConfig()}))
    results = evaluate_under(bundle, options.conditions, options.films, options.seed, options.long_side_px)
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "conditions.json").write_text(json.dumps(to_json(results), indent=1) + "\n", encoding="utf-8")
    (options.to / "conditions.md").write_text(markdown_table(results), encoding="utf-8")
    sys.stdout.write(markdown_table(results))


def _percent(part: float, whole: float) -> float:
    return 100.0 * float(part) / float(whole) if whole else float("nan")


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if np.isnan(value) else f"{value:.1f}"


if __name__ == "__main__":
    main()
