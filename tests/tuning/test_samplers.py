"""How points are chosen."""

from __future__ import annotations

import optuna

from tuning.options import StudyOptions
from tuning.samplers import build_sampler


def test_a_gaussian_process_finds_the_lowest_point_of_a_bowl() -> None:
    study = optuna.create_study(sampler=build_sampler(StudyOptions(sampler="gp", pruner="none")))
    study.optimize(lambda trial: (trial.suggest_float("x", -5, 5) - 1) ** 2 + trial.suggest_float("y", -5, 5) ** 2, 16)
    random = [trial.value for trial in study.trials[:10]]  # GPSampler draws its first ten points at random
    chosen = [trial.value for trial in study.trials[10:]]
    assert min(chosen) < 0.05 < min(random)
