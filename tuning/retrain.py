"""Trains the best configuration with several seeds, to measure how much results vary by chance."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from optuna.trial import TrialState

from spondylo_ml.config import validate
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR_OF, noise_floors
from spondylo_ml.tracking.seed_values import read_values
from tuning.attempt import Objective
from tuning.space import Space, SpaceFile
from tuning.study import OpenStudy, join_study
from tuning.summary import point_of
from tuning.tickets import TRIAL_RUN_ID

log = logging.getLogger(__name__)

SEED = "seed"


@dataclass(frozen=True)
class SeedSpread:
    """Results of the best configuration over seeds.

    Attributes:
        values: the first objective by seed; a seed whose training run failed is missing.
        sd: sample standard deviation; NaN for fewer than two values.
        floors: see `noise_floors`; empty where fewer than two training runs have values.
    """

    objective: str
    values: dict[int, float]
    floors: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(list(self.values.values()))) if self.values else float("nan")

    @property
    def sd(self) -> float:
        """See the class."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else float("nan")


def retrain(parent: OpenStudy, objective: Objective, films: str) -> SeedSpread:
    """Train the best configuration of a study with `retrain_seeds` seeds; all workers share the work.

    The retraining is a separate study in the same database. Its runs are children of the same parent run, which
    gets the noise floor.

    Args:
        objective: logs `VALUES_FILE` in each training run.
        films: description of the films used for evaluation.
    """
    best = parent.summary().best
    assert best is not None
    options = parent.options
    settings = parent.space.resolve(point_of(best)).model_dump(mode="json", exclude={SEED})
    seeds = list(range(options.retrain_seeds))
    file = validate(SpaceFile, {"parameters": {SEED: {"type": "categorical", "choices": seeds}}})
    seeded = join_study(
        f"{parent.name}-best-{best.number}-{len(seeds)}-seeds",
        options.model_copy(update={"sampler": "grid", "pruner": "none", "trials": None, "retrain_seeds": 0}),
        Space(file, settings),
        parent.storage,
        parent.experiment,
        parent_id=parent.runs.parent_id,
        child="retraining",
    )
    seeded.run(objective)
    complete = seeded.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    groups = [values for trial in complete if (values := read_values(trial.user_attrs[TRIAL_RUN_ID])) is not None]
    spread = SeedSpread(options.objectives[0], {t.params[SEED]: t.values[0] for t in complete}, noise_floors([groups]))
    runs, run_id = parent.runs, parent.runs.parent_id
    statistics = {"mean": spread.mean, "sd": spread.sd}
    runs.metrics(
        run_id, {f"seeds/{spread.objective}_{name}": value for name, value in statistics.items()} | spread.floors, 0
    )
    runs.metrics(run_id, {"seeds/n": float(len(spread.values))}, 0)
    if spread.floors:
        runs.tag(run_id, NOISE_FLOOR_OF, f"{settings['model']['name']} {len(groups)} seeds; on {films}")
    log.info("%s over %d seeds: %.4g, standard deviation %.3g", spread.objective, len(seeds), spread.mean, spread.sd)
    return spread
