"""The best configuration trained with several seeds: how far results differ by chance alone."""

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
from tuning.study import OpenStudy
from tuning.summary import point_of
from tuning.tickets import RUN_ID

log = logging.getLogger(__name__)

SEED = "seed"


@dataclass(frozen=True)
class SeedSpread:
    """The best configuration over seeds.

    Attributes:
        values: of the first objective, by seed; a seed whose training failed has none.
        sd: standard deviation of the sample; NaN for fewer than two values.
        floors: of `noise_floors`; empty where fewer than two trainings have values.
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


def retrain(found: OpenStudy, objective: Objective, films: str) -> SeedSpread:
    """Train the best configuration of a study with `retrain_seeds` seeds; all workers share the work.

    It is a study of its own in the same database, whose runs stand below the same parent, which gets the noise floor.

    Args:
        objective: leaves `VALUES_FILE` with each training.
        films: on which they are evaluated, in words.
    """
    best = found.summary().best
    assert best is not None
    options = found.options
    settings = found.space.resolve(point_of(best)).model_dump(mode="json", exclude={SEED})
    seeds = list(range(options.retrain_seeds))
    file = validate(SpaceFile, {"parameters": {SEED: {"type": "categorical", "choices": seeds}}})
    seeded = OpenStudy(
        f"{found.name}-best-{best.number}-seeds",
        options.model_copy(update={"sampler": "grid", "pruner": "none", "trials": None, "retrain_seeds": 0}),
        Space(file, settings),
        found.storage,
        found.experiment,
        parent_id=found.runs.parent_id,
        child="retraining",
    )
    seeded.run(objective)
    complete = seeded.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    groups = [values for trial in complete if (values := read_values(trial.user_attrs[RUN_ID])) is not None]
    spread = SeedSpread(options.objectives[0], {t.params[SEED]: t.values[0] for t in complete}, noise_floors([groups]))
    parent, runs = found.runs.parent_id, found.runs
    statistics = {"mean": spread.mean, "sd": spread.sd}
    runs.metrics(
        parent, {f"seeds/{spread.objective}_{name}": value for name, value in statistics.items()} | spread.floors, 0
    )
    runs.metrics(parent, {"seeds/n": float(len(spread.values))}, 0)
    if spread.floors:
        runs.tag(parent, NOISE_FLOOR_OF, f"{settings['model']['name']} {len(groups)} seeds; on {films}")
    log.info("%s over %d seeds: %.4g, standard deviation %.3g", spread.objective, len(seeds), spread.mean, spread.sd)
    return spread
