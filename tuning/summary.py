"""The results of a study: a table of its trials, the best one, and its recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.headline import rounded
from spondylo_ml.tracking.addresses import page_link
from tuning import tickets
from tuning.options import StudyOptions
from tuning.parameters import json_value
from tuning.space import Space, point_text

BEST_RECIPE, STUDY_PAGE = "best.yaml", "index.html"
REPLACED = "replaced"
STATES = (*(state.name.lower() for state in TrialState), REPLACED)


@dataclass(frozen=True)
class StudySummary:
    """The state of a study.

    Attributes:
        states: number of trials in each state; those that were cut off and replaced are `replaced`.
        best: the trial with the best value (of the first objective, if there are two); None where none is complete.
        recipe: the best trial's whole configuration as YAML for `train --recipe`; empty where there is none.
        front: the trials that no other beats in both objectives; with one objective, the best trial.
        table: one row per trial.
        reports_saved: share of the epochs (or folds) that pruning saved; NaN where nothing was reported.
    """

    name: str
    objectives: tuple[str, ...]
    states: dict[str, int]
    best: FrozenTrial | None
    recipe: str
    front: tuple[FrozenTrial, ...]
    table: pd.DataFrame
    reports_saved: float

    def metrics(self) -> dict[str, float]:
        """Metrics for the study's run; a count that fell to 0 replaces the one that was logged before."""
        out = {f"trials/{state}": float(self.states.get(state, 0)) for state in STATES}
        if self.best is not None:
            best = zip(self.objectives, self.best.values, strict=True)
            out |= {f"val_best/{name}": rounded(name, value) for name, value in best}
            out["best/trial"] = float(self.best.number)
        return out | {"pruning/reports_saved": self.reports_saved}

    def description(self, run_id: str) -> str:
        """Markdown for the study's run, which has this id."""
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        page = page_link("Open the page of this study", STUDY_PAGE, run_id)
        head = f"Study **{self.name}**: {counts}. {page}\n"
        if self.best is None:
            return head + "\nNo trial is complete yet.\n"
        saved = f"Pruning saved {self.reports_saved:.0%} of the reports.\n\n" if self.reports_saved > 0 else ""
        rows = [trial_row(trial, self.objectives) for trial in self.front]
        best = "Best trial" if len(self.objectives) == 1 else "Trials that no other beats in both"
        return f"""{head}
{best} (on the validation part, on which it was chosen):

| trial | {" | ".join(headings(self.objectives))} | parameters | run |
| --- | {"--- | " * len(self.objectives)}--- | --- |
{chr(10).join(rows)}

Train it: download `{BEST_RECIPE}` from Artifacts, then `python -m spondylo_ml train --recipe {BEST_RECIPE}`, or
`mlflow run . -e train -P recipe={BEST_RECIPE}`. All trials: `trials.csv`.

{saved}{DISCLAIMER}
"""


def summarise(study: Study, space: Space, options: StudyOptions) -> StudySummary:
    """Summarise the study so far."""
    trials = study.get_trials(deepcopy=False)
    replaced_numbers = tickets.replaced(trials)
    states: dict[str, int] = {}
    for trial in trials:
        state = REPLACED if trial.number in replaced_numbers else trial.state.name.lower()
        states[state] = states.get(state, 0) + 1
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    sign = -1.0 if options.directions[0] == "maximize" else 1.0
    best = min(complete, key=lambda trial: (sign * trial.values[0], trial.number), default=None)
    front = tuple(study.best_trials) if len(options.objectives) > 1 and complete else (best,) if best else ()
    return StudySummary(
        name=study.study_name,
        objectives=options.objectives,
        states=states,
        best=best,
        recipe=recipe_of(best, study.study_name, space, options) if best else "",
        front=front,
        table=pd.DataFrame([_table_row(trial, options, trial.number in replaced_numbers) for trial in trials]),
        reports_saved=_reports_saved(trials),
    )


def recipe_of(trial: FrozenTrial, study: str, space: Space, options: StudyOptions) -> str:
    """The whole configuration of a trial as YAML, with a comment on its origin."""
    config = space.resolve(point_of(trial))
    values = ", ".join(f"{name} {value:.4g}" for name, value in zip(options.objectives, trial.values, strict=True))
    comment = f"# Trial {trial.number} of study {study}: {values} on the validation part, on which it was chosen.\n"
    return comment + yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def point_of(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, as `Space.resolve` takes them."""
    return {name: json_value(value) for name, value in trial.params.items()}


def headings(objectives: tuple[str, ...]) -> list[str]:
    """The objectives as pages name them, with their units."""
    return [metric_definition(name).heading for name in objectives]


def trial_row(trial: FrozenTrial, objectives: tuple[str, ...]) -> str:
    """A trial as a row of a Markdown table."""
    values = " | ".join(f"{value:.4g}" for value in trial.values[: len(objectives)])
    run_id = trial.user_attrs.get(tickets.TRIAL_RUN_ID, "")
    return f"| {trial.number} | {values} | {point_text(point_of(trial))} | {run_id} |"


def _table_row(trial: FrozenTrial, options: StudyOptions, replaced: bool) -> dict[str, Any]:
    complete = trial.state is TrialState.COMPLETE
    values = trial.values if complete and trial.values else [math.nan] * len(options.objectives)
    return {
        "trial": trial.number,
        "state": trial.state.name,
        "replaced": replaced,
        **dict(zip(options.objectives, values, strict=True)),
        "last_report": trial.last_step,
        "failure": trial.user_attrs.get(tickets.FAILURE, ""),
        "run_id": trial.user_attrs.get(tickets.TRIAL_RUN_ID, ""),
        **trial.params,
    }


def _reports_saved(trials: list[FrozenTrial]) -> float:
    """Share that pruning saved, against pruned trials as long as the longest complete one; NaN if none was pruned."""
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED) and t.intermediate_values]
    longest = max((len(t.intermediate_values) for t in ended if t.state is TrialState.COMPLETE), default=0)
    pruned = [longest - len(t.intermediate_values) for t in ended if t.state is TrialState.PRUNED]
    return sum(pruned) / (longest * len(ended)) if longest and pruned else math.nan
