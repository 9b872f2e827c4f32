"""The workflow of `python -m tuning`: run the trials, then retrain the best configuration with several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.config import Config
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.data.films import digest
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.tracking.store import chosen_experiment
from spondylo_ml.workflows.train.films import load_all_films, load_training_films
from tuning.cli import checked_space
from tuning.films import DevelopmentFilms
from tuning.objective import TrainingObjective
from tuning.options import STUDIES, TuneOptions
from tuning.retrain import SeedSpread, retrain
from tuning.space import point_text
from tuning.study import OpenStudy, open_study
from tuning.summary import BEST_RECIPE, STUDY_PAGE, StudySummary, point_of


@dataclass(frozen=True)
class TuneResult:
    """A study after this worker's share; `spread` is None unless the best configuration was retrained."""

    study: OpenStudy
    summary: StudySummary
    spread: SeedSpread | None


def tune(options: TuneOptions, overrides: Mapping[str, Any]) -> TuneResult:
    """Open the study and work on it.

    Args:
        overrides: nested configuration values that hold for all trials.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, name = checked_space(options, overrides)
    base = space.resolve({})
    films = _films(base, options)
    if options.folds > 1 and films.kind != PHANTOM_KIND:  # each synthetic film belongs to a patient of its own
        films = films.with_same_exposures()
    experiment = chosen_experiment(base.tracking.experiment, EXPERIMENT)
    study = open_study(options.of_study, space, name, experiment, digest((*films.train, *films.val), films.slots))
    objective = TrainingObjective(films, options.objectives, options.folds, base.data.split_seed)
    summary = study.run(objective)
    spread = None
    if options.retrain_seeds and summary.best is not None:
        evaluated_on = f"{films.name} {'out of fold' if options.folds > 1 else 'val'}"
        spread = retrain(study, replace(objective, keep_values=True), evaluated_on)
    return TuneResult(study, summary, spread)


def _films(config: Config, options: TuneOptions) -> DevelopmentFilms:
    """The films of a study; with folds they have all their labels, since each is in the validation part of one."""
    if options.folds == 1:
        return DevelopmentFilms.of(load_training_films(config)[0])
    films, audit = load_all_films(config)
    return DevelopmentFilms.of(films, audit, config.data.on_audit_error)


def summary_text(result: TuneResult) -> str:
    """Summary of a study for the terminal."""
    study, summary, spread = result.study, result.summary, result.spread
    lines = [f"study       {study.name}: " + ", ".join(f"{n} {s}" for s, n in sorted(summary.states.items()))]
    if summary.best is not None:
        values = ", ".join(f"{k} {v:.4g}" for k, v in zip(summary.objectives, summary.best.values, strict=True))
        path = STUDIES / study.name / BEST_RECIPE
        lines += [
            f"best        trial {summary.best.number}: {values} (validation part)",
            f"parameters  {point_text(point_of(summary.best))}",
            f"recipe      {path}; train it: python -m spondylo_ml train --recipe {path}",
        ]
    if summary.reports_saved > 0:  # not if NaN: nothing was reported
        lines.append(f"pruning     saved {summary.reports_saved:.0%} of the reports")
    if spread is not None:
        lines.append(f"seeds       {len(spread.values)}: {spread.objective} {spread.mean:.4g}, sd {spread.sd:.3g}")
        lines.append(f"noise floor {_floor_text(spread, study.runs.parent_id)}")
    lines += [f"run         {study.runs.parent_id}; charts: {STUDY_PAGE}, under Artifacts"]
    return "\n".join([*lines, where_to_see(study.runs.parent_id)])


def _floor_text(spread: SeedSpread, run_id: str) -> str:
    metric = str(PromoteConfig.model_fields["metric"].default)
    floor = spread.floors.get(f"noise_floor/{metric}")
    if floor is None:
        return f"of {metric} not measured: two training runs that have it are needed"
    return f"{metric} {floor:.3g} (95 % of pairs of seeds differ by less); use it: promote --noise_floor_from {run_id}"
