"""A run is found by its id, the beginning of it, its name, or as the latest one."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.entities import LoggedModelOutput
from mlflow.tracking import MlflowClient
from stores import TRAINING_TAGS, add_run

from spondylo_ml.cli.requirements import require_run_ids
from spondylo_ml.config import BenchmarkConfig, CompareConfig, Config, EvaluateConfig, PromoteConfig, TrainOptions
from spondylo_ml.config.references import references
from spondylo_ml.errors import ConfigError, DataError, TrackingError
from spondylo_ml.serving.model_address import model_address, run_id_of_model
from spondylo_ml.tracking.run_names import find_run, with_run_ids
from spondylo_ml.workflows.train.start import with_run_id


def add_model(client: MlflowClient, run_id: str) -> str:
    model = client.create_logged_model("0", "model", run_id)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 1)])
    client.finalize_logged_model(model.model_id, "READY")
    return run_id


def test_a_run_has_several_names(client: MlflowClient) -> None:
    older = add_model(client, add_run(client, "unet lr1e-3", days_old=3))
    newer = add_model(client, add_run(client, "it's new", days_old=2))
    failed = add_run(client, "failed", days_old=1, status="FAILED")
    study = add_run(client, "study", {"git_commit": "c", "study_state": "finished"})
    add_model(client, add_run(client, "retrained", {"git_commit": "c", "trial": "0"}, days_old=0, parent=study))
    for text, run_id in (
        (older, older), (older[:8], older), ("unet lr1e-3", older), ("it's new", newer), ("latest", newer),
        ("failed", failed), (failed[:31], failed),
    ):  # fmt: skip
        assert find_run(text).info.run_id == run_id, text
    assert find_run("latest", "resumable").info.run_id == failed
    for text in ("faild", older[:3], "f" * 8, "L", "\"'"):
        with pytest.raises(
            TrackingError, match=r"no run .* in sqlite.*: give a run id or its first digits \(at least 4\)"
        ):
            find_run(text)
    with pytest.raises(TrackingError, match="Did you mean 'failed'"):
        find_run("faild")
    with pytest.raises(TrackingError, match=r"no run '0000.*copy the id from the run's page"):
        find_run("0" * 32)
    with pytest.raises(TrackingError, match="latest: there is no benchmark in sqlite"):
        find_run("latest", "benchmark")


def test_a_deleted_run_is_not_found(client: MlflowClient) -> None:
    run_id = add_model(client, add_run(client, "unet", days_old=3))
    client.delete_run(run_id)
    with pytest.raises(TrackingError, match=f"run {run_id} was deleted: restore it"):
        find_run(run_id)
    with pytest.raises(TrackingError, match="no run 'unet'"):
        find_run("unet")


def test_a_name_of_several_runs_means_the_one_with_a_model_or_is_an_error(client: MlflowClient) -> None:
    add_run(client, "tiny", status="FAILED")
    first = add_model(client, add_run(client, "tiny"))
    assert find_run("tiny").info.run_id == first
    second = add_model(client, add_run(client, "tiny"))
    with pytest.raises(TrackingError, match=rf"'tiny' names 2 runs in .*{second[:12]} \(tiny\).*\. Give an id"):
        find_run("tiny")


def test_options_are_given_the_ids(client: MlflowClient) -> None:
    one = add_model(client, add_run(client, "one", days_old=2))
    two = add_model(client, add_run(client, "two", days_old=1))
    floor = add_run(client, "bench", {"git_commit": "c", "benchmark": "b"}, {"noise_floor/mre_px512": 1.0})
    stopped = add_run(client, "stopped", days_old=3, status="KILLED")
    compared = require_run_ids(CompareConfig(run_ids=(one[:6], "latest"), split="test"))
    assert (compared.run_ids, compared.split, compared.model_fields_set) == ((one, two), "test", {"run_ids", "split"})
    assert with_run_ids(EvaluateConfig(run_id="latest")).run_id == two
    assert with_run_ids(PromoteConfig(noise_floor_from="latest")).noise_floor_from == floor
    assert with_run_ids(BenchmarkConfig(resume="bench")).resume == floor
    assert with_run_ids(TrainOptions(resume="latest")).resume == stopped
    for unchanged in ("nowhere/last.ckpt", "no such run", "ffff"):
        assert with_run_ids(TrainOptions(resume=unchanged)).resume == unchanged
    with pytest.raises(ConfigError, match="two or more different run_ids are needed"):
        with_run_ids(CompareConfig(run_ids=("one", one[:8])))
    assert references(EvaluateConfig(run_id=one)) == references(PromoteConfig()) == {}


def test_without_a_store_the_options_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert require_run_ids(EvaluateConfig(run_id="latest")).run_id == "latest"
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_named_like_its_run_but_aliases_and_versions_come_first(client: MlflowClient) -> None:
    run_id = add_model(client, add_run(client, "first", days_old=2))
    champion = add_model(client, add_run(client, "champion", days_old=1))
    assert run_id_of_model("latest") == champion
    assert run_id_of_model("champion") == champion
    (model,) = client.get_run(run_id).outputs.model_outputs
    assert model_address(run_id[:8]).uri == f"models:/{model.model_id}"
    client.create_registered_model("spondylo-landmarks")
    client.create_model_version("spondylo-landmarks", f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias("spondylo-landmarks", "champion", "1")
    assert model_address("champion").name == "spondylo-landmarks version 1 (champion)"
    assert model_address("1").name == "spondylo-landmarks version 1"
    assert model_address("first").name == f"run {run_id}"
    assert [run_id_of_model(name) for name in ("starter", "models:/a/1", "runs:/x/model", "1", "none such")] == [
        None
    ] * 5
    with pytest.raises(DataError, match="its id or first digits, its name, or latest"):
        model_address("none such")
    with pytest.raises(TrackingError, match="has no alias 'chalenger'; its aliases: champion"):
        model_address("chalenger")


def test_a_training_run_records_the_id_of_the_run_it_goes_on_from(client: MlflowClient) -> None:
    run_id = add_model(client, add_run(client, "first", TRAINING_TAGS))
    config = Config.model_validate({"training": {"epochs": 1}, "model": {"pretrained": "latest"}})
    assert with_run_id(config).model.pretrained == run_id
    for name in ("none", "starter", "models:/a/1"):
        other = Config.model_validate({"training": {"epochs": 1}, "model": {"pretrained": name}})
        assert with_run_id(other).model.pretrained == name
