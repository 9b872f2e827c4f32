"""A study with one worker: runs, states and reasons, number of trials, resuming, pruning, and results."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import mlflow
import optuna
import pytest
import torch
from mlflow.tracking import MlflowClient
from optuna import TrialPruned
from optuna.trial import TrialState
from studies import EXPERIMENT, RATE, SIGMA, bowl, child_runs, children, space_of, states, study_in

from spondylo_ml.config import resolve_config
from spondylo_ml.errors import ConfigError, NonFiniteLossError, TrackingError
from tuning.attempt import Attempt, TrialResult
from tuning.options import StudyOptions
from tuning.samplers import build_pruner
from tuning.study import STUDIES, OpenStudy, open_study
from tuning.summary import _reports_saved
from tuning.worker import RepeatedFailureError


def parent_of(study: object) -> mlflow.entities.Run:
    return MlflowClient().get_run(study.runs.parent_id)  # type: ignore[attr-defined]


def artifacts(study: object) -> set[str]:
    return {item.path for item in MlflowClient().list_artifacts(study.runs.parent_id)}  # type: ignore[attr-defined]


def test_a_study_is_a_parent_run_with_one_child_per_trial_with_state_and_reason(tmp_path: Path) -> None:
    def objective(attempt: Attempt) -> TrialResult:
        match attempt.trial.number:
            case 1:
                raise NonFiniteLossError(2, 3, {"heatmap": math.nan})
            case 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB for film-of-someone")
            case 3:
                return TrialResult([math.nan], {})
            case 4:
                raise KeyError("films of Jane Doe")
        return bowl(attempt)

    study = study_in(tmp_path, trials=6)
    summary = study.run(objective)

    assert states(study) == ["COMPLETE", "FAIL", "FAIL", "FAIL", "FAIL", "COMPLETE"]
    runs = children(study)
    assert [run.info.run_name for run in runs] == [f"trial {i:03d}" for i in range(6)]
    assert [run.info.status for run in runs] == ["FINISHED", *["FAILED"] * 4, "FINISHED"]
    reasons = [run.data.tags.get("error", "") for run in runs]
    assert reasons[0] == reasons[5] == ""
    assert reasons[1].startswith("loss is not finite in epoch 2, step 3: heatmap=nan")
    assert reasons[2] == "out of memory"
    assert "its value is not finite: nan" in reasons[3]
    assert reasons[4] == "KeyError", "messages of other libraries may name a film"
    assert summary.states == {"complete": 2, "fail": 4}
    trial = study.study.get_trials()[0]
    assert float(runs[0].data.params["config.training.learning_rate"]) == trial.params["training.learning_rate"]
    assert set(runs[0].data.params) == {"config.training.learning_rate", "config.heatmap.sigma_cells"}
    assert parent_of(study).data.params["config.training.optimizer"] == "adamw", "shared by all trials"
    assert runs[0].data.metrics["objective/0"] == trial.value
    assert parent_of(study).info.status == "FINISHED"
    parent = parent_of(study)
    assert len(parent.data.params) <= 20
    assert parent.data.metrics["val_best/mre_px512"] == pytest.approx(summary.best.value, rel=0.01)
    counts = {name.removeprefix("trials/"): v for name, v in parent.data.metrics.items() if name.startswith("trials/")}
    assert counts == {"complete": 2, "fail": 4, "pruned": 0, "running": 0, "waiting": 0, "replaced": 0}
    assert "Pruning" not in parent.data.tags["mlflow.note.content"], "nothing was pruned"


@pytest.mark.parametrize("raises", [False, True])
def test_the_result_of_a_trial_marked_as_lost_while_running_does_not_count(
    raises: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_in(tmp_path, "lost", trials=2)

    def objective(attempt: Attempt) -> TrialResult:
        result = bowl(attempt)
        if attempt.trial.number == 0:
            study.study.tell(0, state=TrialState.FAIL)  # as another worker does
            if raises:
                raise TrialPruned("too late")
        return result

    with caplog.at_level("WARNING"):
        summary = study.run(objective)
    assert "a trial was marked as lost while it was running here: its result does not count" in caplog.messages
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"], "the trial is retried once"
    assert summary.states == {"replaced": 1, "complete": 2}


def test_a_trial_with_an_invalid_configuration_has_a_run_that_says_why(tmp_path: Path) -> None:
    width = {"type": "categorical", "choices": [32, 33]}  # the command line would reject this space before the study
    space = space_of({"model.maht_net.width": width}, **{"model.name": "maht_net"})
    study = study_in(tmp_path, "invalid", space, sampler="grid")
    study.run(lambda attempt: TrialResult([float(attempt.config.model.maht_net.width)], {}))
    assert states(study) == ["COMPLETE", "FAIL"]
    good, bad = children(study)
    assert (good.info.status, bad.info.status) == ("FINISHED", "FAILED")
    assert bad.data.params == {"config.model.maht_net.width": "33"}
    assert bad.data.tags["model"] == "maht_net"
    assert "width 33 must be a multiple of heads (8) and of 4" in bad.data.tags["error"]


def test_the_best_trial_is_described_and_its_recipe_can_be_trained(tmp_path: Path) -> None:
    study = study_in(tmp_path, "described", trials=4)
    summary = study.run(bowl)
    assert summary.best is not None
    values = [trial.value for trial in study.study.get_trials()]
    assert summary.best.value == min(values)
    path = STUDIES / "described" / "best.yaml"
    config = resolve_config({}, path)
    assert config == study.space.resolve(summary.best.params)
    assert config.training.learning_rate == summary.best.params["training.learning_rate"]
    note = parent_of(study).data.tags["mlflow.note.content"]
    assert f"| {summary.best.number} | {summary.best.value:.4g} |" in note
    assert "train --recipe best.yaml" in note
    assert "| trial | MRE px512 |" in note
    assert f"/runs/{study.runs.parent_id}/artifacts/index.html?" in note
    assert {"best.yaml", "index.html", "trials.csv"} <= artifacts(study)
    assert path.read_text(encoding="utf-8").startswith(f"# Trial {summary.best.number} of study described: mre_px512")


def test_the_page_contains_every_chart(tmp_path: Path) -> None:
    study = study_in(tmp_path, "drawn", trials=6, pruner="median", pruner_startup_trials=2, pruner_warmup=0)
    study.run(bowl)
    page = Path(mlflow.artifacts.download_artifacts(run_id=study.runs.parent_id, artifact_path="index.html"))
    text = page.read_text(encoding="utf-8")
    for title in (
        "Optimisation history",
        "Importance",
        "Slices",
        "Parallel coordinates",
        "Learning rate and sigma",
        "pruned trials dashed",
    ):
        assert title in text
    assert "not drawn" not in text
    assert text.count("Plotly.newPlot") == 6
    assert "Contours" not in text, "those of learning rate and sigma would be drawn twice"
    assert "PRUNED" in states(study)
    assert '"dash":"dash"' in text.replace(" ", "")


def test_a_chart_that_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    study = study_in(tmp_path, "small", space_of({"training.learning_rate": RATE}), trials=1)
    study.run(bowl)
    page = mlflow.artifacts.load_text(f"runs:/{study.runs.parent_id}/index.html")
    assert "not drawn: this study does not search both" in page
    assert "not drawn: fewer than two parameters that all trials have" in page


def test_a_pruned_trial_is_marked_in_mlflow_and_is_never_the_best(tmp_path: Path) -> None:
    study = study_in(tmp_path, trials=12, pruner="median", pruner_startup_trials=2, pruner_warmup=0)
    summary = study.run(bowl)
    trial_states = states(study)
    assert {"COMPLETE", "PRUNED"} == set(trial_states)
    for state, run in zip(trial_states, children(study), strict=True):
        assert run.data.tags["trial_state"] == state
        assert run.info.status == {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}[state]
        assert ("pruned after step" in run.data.tags.get("reason", "")) == (state == "PRUNED")
    assert summary.best is not None
    assert trial_states[summary.best.number] == "COMPLETE"
    reports = [len(t.intermediate_values) for t in study.study.get_trials()]
    assert summary.reports_saved == pytest.approx(1 - sum(reports) / (3 * 12))
    pruned_at = [len(t.intermediate_values) for t in study.study.get_trials() if t.state is TrialState.PRUNED]
    assert min(pruned_at) == 1, "the first epoch may prune without a warm-up"


@pytest.mark.parametrize(("warmup", "folds", "first"), [(0, 1, 1), (2, 1, 3), (2, 3, 3), (1, 3, 2)])
def test_no_trial_is_pruned_during_the_warm_up(warmup: int, folds: int, first: int) -> None:
    """Epochs are reported from 1, folds from 0; of a bad trial, number of the report after which it may be pruned."""
    options = StudyOptions(pruner="median", pruner_startup_trials=1, pruner_warmup=warmup, folds=folds)
    study = optuna.create_study(pruner=build_pruner(options))
    steps = range(6) if folds > 1 else range(1, 7)
    for _ in range(2):
        good = study.ask()
        for step in steps:
            good.report(0.0, step)
        study.tell(good, 0.0)
    bad = study.ask()
    pruned_after = []
    for number, step in enumerate(steps, start=1):
        bad.report(9.0, step)
        if bad.should_prune():
            pruned_after.append(number)
    assert pruned_after[0] == first


def test_shorter_trials_are_not_saved_by_pruning() -> None:
    trials = [
        optuna.trial.create_trial(value=1.0, intermediate_values=dict.fromkeys(range(length), 1.0)) for length in (4, 2)
    ]
    assert math.isnan(_reports_saved(trials))


@pytest.mark.slow
def test_a_random_study_with_a_pruner_tries_the_same_points(tmp_path: Path) -> None:
    complete = study_in(tmp_path, "complete", trials=5)
    complete.run(bowl)
    pruned = study_in(tmp_path, "pruned", trials=5, pruner="median", pruner_startup_trials=1, pruner_warmup=0)
    pruned.run(bowl)
    assert [t.params for t in complete.study.get_trials()] == [t.params for t in pruned.study.get_trials()]
    other = study_in(tmp_path, "other", trials=1, sampler_seed=1)
    other.run(bowl)
    assert other.study.get_trials()[0].params != complete.study.get_trials()[0].params


def test_five_failures_for_one_reason_stop_the_study_and_a_fixed_one_resumes(tmp_path: Path) -> None:
    def broken(attempt: Attempt) -> TrialResult:
        raise NonFiniteLossError(attempt.trial.number, 1, {"heatmap": math.inf})

    study = study_in(tmp_path, "broken", trials=8)
    with pytest.raises(RepeatedFailureError, match="5 trials failed for the same reason: loss is not finite"):
        study.run(broken)
    assert states(study) == ["FAIL"] * 5 + ["WAITING"] * 3
    assert parent_of(study).info.status == "FAILED"
    fixed = study_in(tmp_path, "broken", trials=8)
    fixed.run(bowl)
    assert states(fixed) == ["FAIL"] * 5 + ["COMPLETE"] * 3
    assert fixed.runs.parent_id == study.runs.parent_id
    assert parent_of(fixed).info.status == "FINISHED"


@pytest.mark.slow
def test_failures_for_different_reasons_do_not_stop_the_study(tmp_path: Path) -> None:
    errors = [MemoryError(), KeyError(1), MemoryError(), ValueError(2), MemoryError(), TypeError(3)]

    def failing(attempt: Attempt) -> TrialResult:
        raise errors[attempt.trial.number]

    study = study_in(tmp_path, "failing", trials=6)
    summary = study.run(failing)
    assert states(study) == ["FAIL"] * 6
    assert summary.best is None
    assert "No trial is complete yet" in parent_of(study).data.tags["mlflow.note.content"]


def test_a_resumed_study_runs_exactly_the_requested_number_of_trials(tmp_path: Path) -> None:
    study_in(tmp_path, trials=3).run(bowl)
    longer = study_in(tmp_path, trials=5)
    longer.run(bowl)
    assert states(longer) == ["COMPLETE"] * 5
    reopened = study_in(tmp_path, trials=5)
    reopened.run(bowl)
    assert states(reopened) == ["COMPLETE"] * 5
    assert len(children(reopened)) == 5
    assert reopened.runs.parent_id == longer.runs.parent_id


def test_a_study_cannot_be_resumed_with_another_definition(tmp_path: Path) -> None:
    study_in(tmp_path, trials=1).run(bowl)
    with pytest.raises(
        ConfigError, match=r"study 'study' was created with different settings \(space\): its trials could not be"
    ):
        study_in(tmp_path, space=space_of({"training.learning_rate": RATE}), trials=2)
    with pytest.raises(ConfigError, match=r"was created with different settings \(objectives\)"):
        study_in(tmp_path, trials=2, objectives=("sdr_6px",))
    with pytest.raises(ConfigError, match=r"was created with different settings \(.*configuration"):
        study_in(tmp_path, space=space_of(seed=4), trials=2)


def test_a_study_cannot_be_resumed_on_other_films(tmp_path: Path) -> None:
    def opened(digest: str) -> OpenStudy:
        options = StudyOptions(storage=f"sqlite:///{tmp_path}/studies.db", sampler="random", heartbeat_s=1, trials=1)
        return open_study(options, space_of(), "study", EXPERIMENT, digest)

    opened("a" * 64).run(bowl)
    opened("a" * 64)
    opened("")  # not compared
    with pytest.raises(ConfigError, match=r"created with other films \(digest a{12}, now b{12}\): its trials"):
        opened("b" * 64)


def test_a_study_whose_run_is_in_another_store_is_an_error(tmp_path: Path) -> None:
    study = study_in(tmp_path, "moved", trials=1)
    study.study.set_user_attr("mlflow_parent", "0123456789abcdef")
    with pytest.raises(TrackingError, match=r"logs to run 0123456789abcdef, which .* does not have"):
        study_in(tmp_path, "moved", trials=1)


def test_an_interrupted_trial_is_retried_with_its_parameters_and_counted_once(tmp_path: Path) -> None:
    def interrupted(attempt: Attempt) -> TrialResult:
        if attempt.trial.number == 2:
            raise KeyboardInterrupt
        return bowl(attempt)

    study = study_in(tmp_path, "interrupted", trials=4)
    with pytest.raises(KeyboardInterrupt):
        study.run(interrupted)
    assert states(study) == ["COMPLETE", "COMPLETE", "FAIL", "WAITING", "WAITING"]
    assert children(study)[2].info.status == "KILLED"
    assert "interrupted" in children(study)[2].data.tags["reason"]
    assert parent_of(study).info.status == "KILLED"
    assert (STUDIES / "interrupted" / "best.yaml").is_file(), "the results so far are written"

    resumed = study_in(tmp_path, "interrupted", trials=4)
    summary = resumed.run(bowl)
    assert states(resumed) == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert summary.states == {"complete": 4, "replaced": 1}
    trials = resumed.study.get_trials()
    assert trials[4].params == trials[2].params
    assert children(resumed)[4].data.tags["retry_of"] == "2"


def test_a_grid_tries_each_point_once_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    space = space_of(
        {
            "training.optimizer": {"type": "categorical", "choices": ["adamw", "sgd"]},
            "training.clip_norm": {"type": "int", "low": 1, "high": 3},
        }
    )
    study = study_in(tmp_path, "grid", space, sampler="grid", trials=4)
    study.run(bowl)
    assert states(study) == ["COMPLETE"] * 4
    resumed = study_in(tmp_path, "grid", space, sampler="grid")
    resumed.run(bowl)
    points = [(t.params["training.optimizer"], t.params["training.clip_norm"]) for t in resumed.study.get_trials()]
    assert points == [(o, c) for o in ("adamw", "sgd") for c in (1, 2, 3)]


def test_two_objectives_searched_by_nsga2_give_a_pareto_front(tmp_path: Path) -> None:
    def both(attempt: Attempt) -> TrialResult:
        attempt.report(1.0, 1)
        sigma = attempt.config.heatmap.sigma_cells
        return TrialResult([sigma, 5.0 - sigma], {})

    study = study_in(
        tmp_path,
        "two",
        space_of({"heatmap.sigma_cells": SIGMA}),
        trials=5,
        sampler="nsga2",
        objectives=("mre_px512", "latency_ms"),
    )
    summary = study.run(both)
    assert states(study) == ["COMPLETE"] * 5
    assert len(summary.front) == 5, "a gain in one objective is a loss in the other"
    assert "Trials that no other beats in both" in parent_of(study).data.tags["mlflow.note.content"]
    assert "Pareto front" in mlflow.artifacts.load_text(f"runs:/{study.runs.parent_id}/index.html")


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("tpe", "median"),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in product(("tpe", "random"), ("none", "median", "hyperband"))
            if pair != ("tpe", "median")
        ),
    ],
)
def test_every_sampler_works_with_every_pruner(tmp_path: Path, sampler: str, pruner: str) -> None:
    study = study_in(tmp_path, f"{sampler}-{pruner}", trials=13, sampler=sampler, pruner=pruner)
    study.run(bowl)
    assert set(states(study)) <= {"COMPLETE", "PRUNED"}
    assert len(states(study)) == 13


@pytest.mark.slow
def test_folds_are_child_runs_of_a_trial_and_wilcoxon_prunes_by_them(tmp_path: Path) -> None:
    def folded(attempt: Attempt) -> TrialResult:
        values = []
        for index in range(10):
            with attempt.fold(index) as run_id:
                values.append(attempt.config.heatmap.sigma_cells + 0.01 * index)
                attempt.runs.metrics(run_id, {"val/mre_px512": values[-1]}, 1)
            attempt.report(values[-1], index)
        return TrialResult([sum(values) / 10], {})

    study = study_in(tmp_path, "folds", trials=6, folds=10, pruner="wilcoxon")
    study.run(folded)
    assert "PRUNED" in states(study)
    for state, run in zip(states(study), children(study), strict=True):
        folds = child_runs(run.info.run_id)
        assert (len(folds) == 10) == (state == "COMPLETE")
        assert {fold.info.status for fold in folds} == {"FINISHED"}
        assert folds[0].data.metrics["val/mre_px512"] > 0
    complete = [t.number for t in study.study.get_trials() if t.state.name == "COMPLETE"]
    values = [study.study.get_trials()[n].value for n in complete]
    assert values == sorted(values, reverse=True), "only trials better than the best so far were completed"
