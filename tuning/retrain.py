"""The best configuration trained with several seeds: how far results differ by chance alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from optuna.trial import TrialState

from spondylo_ml.config import validate
from tuning.attempt import Objective
from tuning.space import Space, SpaceFile
from tuning.study import OpenStudy
from tuning.summary import point_of

log = logging.getLogger(__name__)

SEED = "seed"


@dataclass(frozen=True)
class NoiseFloor:
    """Values of the first objective over seeds.

    Attributes:
        values: by seed; a seed whose training failed has none.
        sd: standard deviation of the sample; NaN for fewer than two values.
    """

    objective: str
    values: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(list(self.values.values()))) if self.values else float("nan")

    @property
    def sd(self) -> float:
        """See the class."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else float("nan")


def retrain(found: OpenStudy, objective: Objective) -> NoiseFloor:
    """Train the best configuration of a study with `retrain_seeds` seeds; all workers share the work.

    It is a study of its own in the same database, whose runs stand below the same parent.
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
    floor = NoiseFloor(options.objectives[0], {t.params[SEED]: t.values[0] for t in complete})
    found.runs.metrics(
        found.runs.parent_id,
        {f"noise_floor/{floor.objective}_mean": floor.mean, f"noise_floor/{floor.objective}_sd": floor.sd,
         "noise_floor/n_seeds": float(len(floor.values))},
        0,
    )  # fmt: skip
    log.info("%s over %d seeds: %.4g, standard deviation %.3g", floor.objective, len(seeds), floor.mean, floor.sd)
    return floor
