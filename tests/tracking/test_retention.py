"""The rules by which `clean` keeps runs, on runs that are in no store."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from mlflow.entities import Metric, Run, RunData, RunInfo, RunTag
from stores import MS_A_DAY, NOW_MS, TRAINING_TAGS

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.retention import UNRECOGNISED, RetentionLimits, RetentionPolicy

MRE = "val_best/mre_px512"
EVALUATION_TAGS = {"git_commit": "c", "judged_run": "x"}
STUDY_TAGS = {"git_commit": "c", "study": "s", "study_state": "finished"}


def made_run(
    run_id: str,
    tags: Mapping[str, str] = TRAINING_TAGS,
    mre: float | None = None,
    days_old: float = 100,
    status: str = "FINISHED",
    parent: str = "",
) -> Run:
    ended = round(NOW_MS - days_old * MS_A_DAY)
    all_tags = {**tags, **({"mlflow.parentRunId": parent} if parent else {})}
    metrics = [] if mre is None else [Metric(MRE, mre, ended, 0)]
    info = RunInfo(run_id, "0", "u", status, ended - 1000, ended, "active", run_name=run_id)
    return Run(info, RunData(metrics, [], [RunTag(name, value) for name, value in all_tags.items()]))


def reasons(
    *runs: Run, days: float = 30, newest: int = 1, best: int = 0, registered: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Reason for which each run is kept; of each command, one run is kept whatever its age."""
    newest_first = sorted(runs, key=lambda run: -run.info.start_time)
    policy = RetentionPolicy(newest_first, registered or {}, RetentionLimits(days, newest, best, MRE), NOW_MS)
    return {run.info.run_id: policy.reason_as_part(run) for run in runs}


def not_kept(*runs: Run, days: float = 30, newest: int = 1, best: int = 0) -> set[str]:
    return {run_id for run_id, reason in reasons(*runs, days=days, newest=newest, best=best).items() if not reason}


def test_age_rank_and_number_decide() -> None:
    runs = [
        made_run("best", mre=5.0, days_old=90),
        made_run("second", mre=6.0, days_old=80),
        made_run("old", mre=7.0, days_old=70),
        made_run("other", TRAINING_TAGS | {"model": "resnet50"}, mre=9.0, days_old=60),
        made_run("no value", days_old=50),
        made_run("nan", mre=float("nan"), days_old=40),
        made_run("young", mre=8.0, days_old=29),
        made_run("newest", mre=10.0, days_old=1),
    ]
    assert not_kept(*runs) == {"best", "second", "old", "other", "no value", "nan"}
    assert not_kept(*runs, best=1) == {"second", "old", "no value", "nan"}
    assert not_kept(*runs, best=2) == {"old", "no value", "nan"}
    assert not_kept(*runs, newest=6) == {"best", "second"}
    assert not_kept(*runs, days=29, best=2) == {"young", "old", "no value", "nan"}
    assert not_kept(*runs, days=1000) == set()
    ranks = RetentionPolicy(runs, {}, RetentionLimits(30, 1, 0, MRE), NOW_MS).ranks
    assert ranks == {"best": 1, "second": 2, "old": 3, "young": 4, "newest": 5, "other": 1}


def test_datasets_of_the_same_name_are_ranked_apart() -> None:
    """Two folders named films: the best run of each is kept, though the first is worse than both runs of the other."""
    one, other = (TRAINING_TAGS | {"dataset": "films", "data_digest.val": digest} for digest in ("a", "b"))
    runs = [
        made_run("best of one", one, mre=9.0, days_old=90),
        made_run("best of other", other, mre=3.0, days_old=80),
        made_run("second of other", other, mre=4.0, days_old=70),
        made_run("newest", other, mre=5.0, days_old=60),
    ]
    assert not_kept(*runs, best=1) == {"second of other"}


def test_the_runs_from_which_a_kept_run_went_on_are_kept() -> None:
    runs = [
        made_run("first0000"),
        made_run("second000", TRAINING_TAGS | {"pretrained_run": "first0000"}, days_old=99),
        made_run("third0000", TRAINING_TAGS | {"pretrained_run": "second000"}, days_old=98),
        made_run("unrelated", days_old=97),
        made_run("newest000", TRAINING_TAGS | {"pretrained_run": "third0000"}, days_old=1),
    ]
    found = reasons(*runs)
    assert found["third0000"] == "run newest00, which is kept, goes on from its model"
    assert found["first0000"] == "run second00, which is kept, goes on from its model"
    assert [run_id for run_id, reason in found.items() if not reason] == ["unrelated"]


def test_a_metric_that_no_training_run_has_does_not_keep_the_best_silently() -> None:
    runs = [made_run("newest", mre=6.0, days_old=1), made_run("one", mre=5.0)]
    policy = RetentionPolicy(runs, {}, RetentionLimits(30, 1, 3, "eval/mre_px512"), NOW_MS)
    with pytest.raises(
        TrackingError, match=r"no finished training run has eval/mre_px512.*They have val_best/mre_px512"
    ):
        policy.reason_as_part(runs[1])
    none_by_rank = RetentionPolicy(runs, {}, RetentionLimits(30, 1, 0, "eval/mre_px512"), NOW_MS)
    assert none_by_rank.reason_as_part(runs[1]) == ""


def test_runs_that_something_depends_on_are_kept_for_a_reason() -> None:
    found = reasons(
        made_run("champion"),
        made_run("running", status="RUNNING"),
        made_run("promotion", {"git_commit": "c", "candidates": "champion"}),
        made_run("study", STUDY_TAGS),
        made_run("trial 0", {"git_commit": "c", "study": "s", "trial": "0"}, parent="study"),
        made_run("trial 1", {"git_commit": "c", "study": "s", "trial": "1"}, parent="study", days_old=99),
        made_run("new study", STUDY_TAGS, days_old=99),
        made_run("of another program", {"benchmark": "theirs", "command": "train"}),
        made_run("newest", days_old=99),
        registered={"champion": "landmarks version 2 (champion)"},
    )
    part = "a study, benchmark or cross-validation, or part of one"
    assert found == {
        "champion": "registered as landmarks version 2 (champion)",
        "running": "still running, as far as the store knows",
        "promotion": "the record of a promotion",
        "study": part,
        "trial 0": part,
        "trial 1": "among the 1 newest of its command",
        "new study": "among the 1 newest of its command",
        "of another program": UNRECOGNISED,
        "newest": "among the 1 newest of its command",
    }


def test_parents_and_children_stay_or_go_together() -> None:
    found = reasons(
        made_run("kept parent"),
        made_run("young child", EVALUATION_TAGS, days_old=10, parent="kept parent"),
        made_run("sibling", EVALUATION_TAGS, parent="kept parent"),
        made_run("parent"),
        made_run("child", EVALUATION_TAGS, parent="parent"),
        made_run("grandchild", EVALUATION_TAGS, parent="child"),
        made_run("child of a deleted run", EVALUATION_TAGS, parent="deleted"),
        made_run("newest", days_old=99),
    )
    assert {run_id for run_id, reason in found.items() if not reason} == {
        "parent", "child", "grandchild", "child of a deleted run"
    }  # fmt: skip
    assert found["kept parent"] == found["sibling"] == "parent or child of a run that is kept"


def test_runs_that_are_parents_of_each_other_end_no_search() -> None:
    assert not_kept(made_run("a", parent="b"), made_run("b", parent="a"), made_run("new", days_old=99)) == {"a", "b"}


def test_checkpoints_of_an_unfinished_cross_validation_are_kept() -> None:
    for status, reason in (
        ("FINISHED", ""),
        ("KILLED", "part of a benchmark or cross-validation that is not finished"),
    ):
        parent = made_run("cv", {"git_commit": "c", "folds": "2"}, status=status)
        fold = made_run("fold", parent="cv")
        policy = RetentionPolicy(
            [made_run("new", days_old=99), parent, fold], {}, RetentionLimits(30, 1, 0, MRE), NOW_MS
        )
        assert policy.reason_for_checkpoints(fold) == reason
