"""`promote` from the first model to a rollback: first model, an equal one, a better one, rollback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from commands import LEARNS, aliases_of, client_of, environment, run, runs_of
from mlflow.entities import Run

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import ClinicalConfig, PromoteConfig, RegistryConfig, validate
from spondylo_ml.errors import DataError, SpondyloError, TrackingError
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.workflows.promote import Promotion, promote
from spondylo_ml.workflows.promote.rollback import roll_back
from spondylo_ml.workflows.registry import show_history

QUICK = {"resamples": 200, "latency_films": 2, "overlays": 1, "metric": "mre_px512", "noise_floor": 0.1}
LOOSE = {
    "latency_percent": 1e6,
    "detection_recall": 100,
    "listhesis_sensitivity": 100,
    "calibration": 100,
    "worst_source_px512": 1000,
}
"""Never binding, since these models train for seconds; tests/promotion tests the margins."""

FILM_PASSES = {"bad": "240", "first": "2400", "equal": "2400", "better": "6000"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store has a run for each of `FILM_PASSES`, trained on the same films."""
    folder = tmp_path_factory.mktemp("promotions")
    for name, passes in FILM_PASSES.items():
        run(folder, "train", *LEARNS, "--tracking.run_name", name, "--training.film_passes", passes)
    return folder


@pytest.fixture
def training_runs(folder: Path) -> Iterator[dict[str, Run]]:
    """Makes the store of the folder the current one; its training runs by name."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(environment(folder)["MLFLOW_TRACKING_URI"])
    yield {r.info.run_name: r for r in runs_of(folder) if r.info.run_name in FILM_PASSES}
    mlflow.set_tracking_uri(before)


def run_promotion(*runs: Run, **more: object) -> Promotion:
    options = {"run_ids": [r.info.run_id for r in runs], **QUICK, "margins": LOOSE, **more}
    return promote(validate(PromoteConfig, options))


def verdicts(promotion: Promotion) -> list[str]:
    return [outcome.decision.verdict.value for outcome in promotion.outcomes]


@pytest.mark.slow
def test_the_life_of_a_registered_model(training_runs: dict[str, Run], folder: Path) -> None:
    client = client_of(folder)
    poor = run_promotion(training_runs["bad"])
    assert verdicts(poor) == ["refused"]
    assert poor.outcomes[0].decision.against[0].startswith("it does not beat the mean shape: MRE worse by ")
    assert poor.champion is None

    first = run_promotion(training_runs["first"])
    assert (verdicts(first), first.champion) == (["champion"], 1)
    _assert_version_is_documented(folder, training_runs["first"], first)

    same = run_promotion(training_runs["first"], training_runs["equal"])
    assert verdicts(same) == ["refused", "refused"]
    for outcome in same.outcomes:
        assert outcome.decision.against == (
            "it is the same model as the champion, version 1 (unet): the weights are equal",
        )

    unsure = run_promotion(training_runs["better"], noise_floor=None)
    assert verdicts(unsure) == ["challenger"]
    assert aliases_of(client) == {"champion": 1, "challenger": 2}

    better = run_promotion(training_runs["better"], training_runs["bad"])
    assert verdicts(better) == ["champion", "refused"], "no challenger that does not beat the mean shape"
    assert better.outcomes[1].decision.against[0].startswith("it does not beat the mean shape: MRE worse by ")
    assert [outcome.version for outcome in better.outcomes] == [2, None], (
        "the champion keeps its version, a refused model gets none"
    )
    registered = client.get_registered_model("spondylo-landmarks")
    assert aliases_of(client) == {"champion": 2}
    assert "**Champion: version 2** (unet)" in registered.description
    assert "replaced by version 2: a gain that excludes zero" in registered.description
    assert "Replaced on" in client.get_model_version("spondylo-landmarks", "1").description

    roll_back(validate(PromoteConfig, {"rollback": True, "reason": "misses L5"}))
    assert aliases_of(client)["champion"] == 1
    assert "rolled back to version 1: rollback: misses L5" in client.get_registered_model(registered.name).description
    history = show_history(RegistryConfig())
    assert [line.split("  ")[1].split(":")[0] for line in history.splitlines() if line.startswith("20")] == [
        "promoted",
        "promoted",
        "rolled back",
    ]
    with pytest.raises(TrackingError, match="spondylo-landmarks has no former champion: version 1 was the first"):
        roll_back(PromoteConfig(rollback=True))
    chosen = run_promotion(models=["unet"])
    assert verdicts(chosen) == ["refused"]
    assert re.search(r"rolled back on \S+ \(misses L5\): name it in run_ids", chosen.outcomes[0].decision.against[0])
    assert verdicts(run_promotion(training_runs["better"])) == ["champion"], "a run named in run_ids is evaluated again"
    _assert_other_films_are_refused(training_runs)
    assert [model.name for model in client.search_registered_models()] == ["spondylo-landmarks"], "no lock is left"


def _assert_version_is_documented(folder: Path, training_run: Run, promotion: Promotion) -> None:
    client = client_of(folder)
    version = client.get_model_version("spondylo-landmarks", "1")
    tags, run = version.tags, client.get_run(promotion.run_id)
    assert version.run_id == training_run.info.run_id
    assert tags["frozen_films.digest"] == run.data.tags["data_digest.test"]
    assert len(tags) <= 12, "few enough to be read"
    assert len(tags["weights_digest"]) == 64
    assert (tags["status"], tags["promotion_run"]) == ("champion", promotion.run_id)
    card_folder = tags["model_card"].rsplit("/", 1)[0]
    root = Path(client.download_artifacts(promotion.run_id, card_folder))
    report = EvaluationReport.load(root / "report")
    mre = report.numbers["mre_px512"]
    result = f"{mre.value:.2f} ({mre.low:.2f} to {mre.high:.2f}), n {mre.n}"
    assert f"| MRE px512 | {result} |" in version.description
    assert json.loads((root / "decision.json").read_text())["verdict"] == "champion"
    differences = pd.read_csv(root / "differences.csv").set_index("metric")
    assert differences.loc["mre_px512", "high"] < 0
    card = (root / "model_card.html").read_text()
    assert card.count("data:image/jpeg;base64,") == 3
    assert len(list((root / "overlays").glob("*.png"))) == 3
    origin = [training_run.data.tags[name] for name in ("data_digest.train", "git_commit")]
    origin.append(rules_digest(ClinicalConfig()))
    assert all(f"<code>{value}</code>" in card for value in origin)
    value, interval = result.split(" ", 1)
    assert f"{value}<br><small>{interval}</small>" in card
    for phrase in (
        "Research use",
        "not a medical device",
        "<b>synthetic</b> films",
        "Intended use",
        "Limits",
        f"{int(training_run.data.tags['parameter_count']):,}",
    ):
        assert phrase in card
    assert "### Why it is champion\n* there is no champion to compare with" in version.description
    assert "(synthetic)" in version.description


def _assert_other_films_are_refused(training_runs: dict[str, Run]) -> None:
    options = {"run_ids": [training_runs["first"].info.run_id], "data": {"phantom_seed": 7}, **QUICK, "margins": LOOSE}
    config = validate(PromoteConfig, options)
    promotion = promote(config)
    assert verdicts(promotion) == ["refused"]
    reasons = promotion.outcomes[0].decision.against
    assert re.fullmatch(r"the films are not those of the champion: digest \w{12}, the champion's \w{12}", reasons[0])
    assert "--new_films true" in reasons[1]
    failing = config.model_copy(update={"new_films": True, "metric": "cobb_smape_percent"})
    with pytest.raises(SpondyloError, match="these films have no such metric"):
        promote(failing)
    assert "new films" not in show_history(RegistryConfig()), "nothing is recorded by a promotion that fails"
    with_new_films = promote(config.model_copy(update={"new_films": True}))
    assert verdicts(with_new_films) == ["challenger"]
    assert "new films: version 2 (unet) evaluated again" in show_history(RegistryConfig())


def test_an_untrained_model_is_refused_and_the_run_says_why(
    two_tiny_runs: tuple[Path, Run, Run],
) -> None:
    folder, _, other = two_tiny_runs
    output = run(
        folder, "promote", "--run_ids", other.info.run_id, "--resamples", "100", "--latency_films", "1",
        "--overlays", "1", "--registered_model", "refused", "--split", "val",
    )  # fmt: skip
    assert "refused" in output
    assert "it does not beat the mean shape: MRE worse by" in output
    assert "champion: none" in output
    plan = f"comparing {other.info.run_name} {other.info.run_id[:8]} with the mean shape, as there is no champion, on "
    assert plan in output
    assert "; noise floor not known\n" in output
    assert "latency_films" not in output, "the configuration is not printed"
    promotion_run = next(r for r in runs_of(folder) if r.data.tags.get("registered_model") == "refused")
    assert promotion_run.info.status == "FINISHED"
    assert promotion_run.data.params["config.margins.latency_percent"] == "25.0"
    assert promotion_run.data.params["config.noise_floor_used"] == "not known"
    root = Path(
        client_of(folder).download_artifacts(promotion_run.info.run_id, f"candidates/unet-{other.info.run_id[:8]}")
    )
    assert {p.name for p in root.iterdir()} == {
        "decision.json",
        "differences.csv",
        "model_card.html",
        "overlays",
        "report",
    }
    assert json.loads((root / "decision.json").read_text())["verdict"] == "refused"
    assert client_of(folder).search_registered_models() == [], "no version, and no lock is left"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"run_ids": ["nowhere"]}, TrackingError, "no run 'nowhere' in sqlite"),
        ({"metric": "grade_acuracy_all"}, DataError, r"metric: .*Did you mean 'grade_accuracy_all'\?"),
        ({"split": "test", "first_metric": "x"}, DataError, "first_metric: these films have no such metric"),
        ({"break_lock": "0"}, TrackingError, "there is no lock spondylo-landmarks.lock to break"),
        ({"noise_floor_from": "tiny"}, TrackingError, "has no metric 'noise_floor/grade_accuracy_all'"),
        ({"rollback": True, "run_ids": ()}, TrackingError, "'spondylo-landmarks' in sqlite.* has no history"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_invalid_options_are_errors_and_leave_no_lock(
    tiny_run: tuple[Path, Run, str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    folder, tiny, _ = tiny_run
    monkeypatch.chdir(folder)
    if changes.get("noise_floor_from"):
        changes = {"noise_floor_from": tiny.info.run_id}
    options = {"run_ids": [tiny.info.run_id], "split": "val", "resamples": 100, "latency_films": 1} | changes
    config = validate(PromoteConfig, options)
    uri_before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(environment(folder)["MLFLOW_TRACKING_URI"])
    try:
        with pytest.raises(error, match=message):
            roll_back(config) if config.rollback else promote(config)
    finally:
        mlflow.set_tracking_uri(uri_before)
    assert client_of(folder).search_registered_models() == []
