"""Samplers and pruners by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from tuning.options import StudyOptions


def _gp_sampler(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return GPSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    # Never samples: all points of a grid are enqueued.
    "grid": lambda seed: RandomSampler(seed=seed),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=20),
    "gp": _gp_sampler,
}


class SeededByTrial(BaseSampler):
    """Creates a new sampler for each trial, seeded by the study's seed and the trial's number.

    Otherwise two workers with the same seed would draw the same points. With the random sampler, a point depends on
    nothing else, so that a study can be repeated with another pruner.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Create the trial's sampler."""
        self._sampler = self._make(int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Delegate to the trial's sampler."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Delegate to the trial's sampler."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        """Delegate to the trial's sampler."""
        return self._sampler.sample_independent(study, trial, name, distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Delegate to the trial's sampler."""
        self._sampler.after_trial(study, trial, state, values)


def build_sampler(options: StudyOptions) -> BaseSampler:
    """The configured sampler."""
    return SeededByTrial(SAMPLERS[options.sampler], options.sampler_seed)


def build_pruner(options: StudyOptions) -> BasePruner:
    """The configured pruner."""
    match options.pruner:
        case "median":
            first_report = 0 if options.folds > 1 else 1  # folds are reported from 0, epochs from 1
            return MedianPruner(options.pruner_startup_trials, options.pruner_warmup + first_report)
        case "hyperband":
            return HyperbandPruner()
        case "wilcoxon":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return WilcoxonPruner(n_startup_steps=options.pruner_warmup + 1)
    return NopPruner()
