"""`compare` as a user runs it: two runs on the same films; different films are refused."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from commands import all_metrics_of, artifacts_of, client_of, run, runs_of
from mlflow.entities import LoggedModelOutput, Run
from stores import store_in

from spondylo_ml.config import CompareConfig, Config, DataConfig, validate
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.errors import ConfigError, DataError, TrackingError
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.tracking.selection import metric_history, top_runs
from spondylo_ml.workflows.compare import TrainedRun, common_films, compare

SLOTS = SlotRange(0, 10)


@pytest.fixture(scope="module")
def comparison(two_tiny_runs: tuple[Path, Run, Run]) -> tuple[Path, Run, str]:
    """The folder of two training runs, the run that compares them, and the output of the command."""
    folder, tiny, other = two_tiny_runs
    run_ids = f"{tiny.info.run_id},{other.info.run_id}"
    output = run(folder, "compare", "--run_ids", run_ids, "--overlays", "1", "--resamples", "200")
    return folder, next(r for r in runs_of(folder) if "compared_runs" in r.data.tags), output


def _csv(folder: Path, logged_run: Run, name: str) -> pd.DataFrame:
    path = client_of(folder).download_artifacts(logged_run.info.run_id, name)
    return pd.read_csv(io.StringIO(Path(path).read_text(encoding="utf-8")))


def test_a_comparison_is_logged_to_its_own_run(
    comparison: tuple[Path, Run, str], two_tiny_runs: tuple[Path, Run, Run]
) -> None:
    folder, comparison_run, output = comparison
    _, tiny, other = two_tiny_runs
    assert comparison_run.info.status == "FINISHED"
    assert comparison_run.data.tags["compared_runs"] == f"{tiny.info.run_id},{other.info.run_id}"
    assert comparison_run.data.tags["data_digest.val"] == tiny.data.tags["data_digest.val"]
    assert f"other {other.info.run_id[:8]} against tiny {tiny.info.run_id[:8]}" in output
    assert "Wilcoxon p" in output
    files = {"index.html", "differences.csv", "films.csv", "runs.csv", "learning_curves.png", "environment.txt"}
    assert files <= set(artifacts_of(folder, comparison_run.info.run_id))
    overlays = artifacts_of(folder, comparison_run.info.run_id, "overlays")
    assert 1 <= len(overlays) <= 2


def test_the_values_equal_those_of_each_runs_validation(
    comparison: tuple[Path, Run, str], two_tiny_runs: tuple[Path, Run, Run]
) -> None:
    folder, comparison_run, _ = comparison
    runs = _csv(folder, comparison_run, "runs.csv").set_index(["run", "name"])["value"]
    for trained_run in two_tiny_runs[1:]:
        name = f"{trained_run.info.run_name} {trained_run.info.run_id[:8]}"
        for metric in ("mre_px512", "sdr_24px", "instance_sdr_24px"):
            assert runs[name, metric] == pytest.approx(all_metrics_of(folder, trained_run)[metric])
    table = _csv(folder, comparison_run, "runs.csv")
    extreme = table[table["name"].str.startswith("sdr_") & table["value"].isin([0, 100])]
    assert len(extreme), "runs that have learnt nothing"
    assert (extreme["high"] > extreme["low"]).all(), "exact limits, which leave room for chance"


def test_differences_equal_the_values_of_runs_and_films(comparison: tuple[Path, Run, str]) -> None:
    folder, comparison_run, _ = comparison
    runs = _csv(folder, comparison_run, "runs.csv")
    first, second = runs["run"].unique()
    values = runs.set_index(["run", "name"])["value"]
    row = _csv(folder, comparison_run, "differences.csv").set_index("metric").loc["mre_px512"]
    assert row["value"] == pytest.approx(values[second, "mre_px512"] - values[first, "mre_px512"])
    assert row["low"] <= row["value"] <= row["high"]
    assert row["n_better"] + row["n_worse"] + row["n_same"] == row["n_patients"]
    films = _csv(folder, comparison_run, "films.csv")
    assert list(films[f"change: {second}"]) == pytest.approx(list(films[second] - films[first]))
    assert comparison_run.data.metrics[f"{second} minus {first}/mre_px512"] == pytest.approx(row["value"])


def test_the_page_is_self_contained(comparison: tuple[Path, Run, str]) -> None:
    folder, comparison_run, output = comparison
    path = client_of(folder).download_artifacts(comparison_run.info.run_id, "index.html")
    html = Path(path).read_text(encoding="utf-8")
    assert re.search(r"<script[^>]*\ssrc=|<link\s", html) is None
    assert html.count("Plotly.newPlot(") == 3
    assert len(html) < 5_000_000
    assert 'class="verdict"' in html
    verdict = comparison_run.data.tags["mlflow.note.content"]
    kinds = "is better than|is worse than|No clear difference between|No difference between|Too few patients to compare"
    sentence = re.search(rf"\*\*((?:.* )?(?:{kinds}) .*)\*\*", verdict)
    assert sentence is not None
    assert sentence[1] in output, "the terminal says the same"
    assert "<td>training.epochs</td>" in html
    assert "<td>training.batch_size</td>" not in html, "only settings that differ are listed"
    assert "Research software, not a medical device." in html


def test_the_best_runs_are_chosen_by_a_metric(two_tiny_runs: tuple[Path, Run, Run]) -> None:
    folder, tiny, other = two_tiny_runs
    with _current_store(folder):
        best = top_runs(5, "val_best/mre_px512")
        assert {r.info.run_id for r in best} == {tiny.info.run_id, other.info.run_id}, "evaluation runs have no model"
        errors = [r.data.metrics["val_best/mre_px512"] for r in best]
        assert errors == sorted(errors)
        rates = [r.data.metrics["val_best/presence_recall"] for r in top_runs(5, "val_best/presence_recall")]
        assert rates == sorted(rates, reverse=True)
        assert len(top_runs(1, "val_best/mre_px512", per_model=True)) == 1
        assert len(top_runs(2, "val_best/mre_px512", ("unet",), per_model=True)) == 2
        assert [epoch for epoch, _ in metric_history(tiny.info.run_id, "val/mre_px512")] == [1, 2]
        with pytest.raises(TrackingError, match=r"'val_best/mre_px51'.* Did you mean 'val_best/mre_px512'\?"):
            top_runs(2, "val_best/mre_px51")
        with pytest.raises(TrackingError, match="unknown experiment 'spondylo'"):
            top_runs(2, "val_best/mre_px512", experiment="spondylo")
        with pytest.raises(TrackingError, match="no finished run with a model has"):
            top_runs(2, "val_best/mre_px512", models=("hrnet",))


def test_the_fastest_run_and_the_one_with_the_fewest_false_vertebrae_come_first(tmp_path: Path) -> None:
    with _current_store(tmp_path):
        for name, latency_ms, n_false in (("slow", 40.0, 2.0), ("fast", 5.0, 9.0), ("middle", 12.0, 5.0)):
            _run_with_model(name, {"cost/latency_ms": latency_ms, "val_best/n_false_vertebrae": n_false})
        assert [r.info.run_name for r in top_runs(3, "cost/latency_ms")] == ["fast", "middle", "slow"]
        assert [r.info.run_name for r in top_runs(3, "val_best/n_false_vertebrae")] == ["slow", "middle", "fast"]


def test_runs_are_not_ranked_by_a_metric_without_a_better_direction(tmp_path: Path) -> None:
    with _current_store(tmp_path):
        _run_with_model("ours", {"cost/threads": 2.0, "mine/sharpness": 1.0})
        with pytest.raises(ConfigError, match="neither lower nor higher values of 'cost/threads' are better"):
            top_runs(1, "cost/threads")
        with pytest.raises(ConfigError, match="'mine/sharpness' is not in the catalogue of metrics"):
            top_runs(1, "mine/sharpness")


def test_runs_with_different_films_are_refused_unless_films_are_named(tmp_path: Path) -> None:
    with _current_store(tmp_path):
        ours, theirs = _trained_run("ours", seed=0), _trained_run("theirs", seed=1)
        with pytest.raises(
            DataError, match=r"different val films.*ours: \w{12}; theirs: \w{12}.*Name the films.*--data"
        ):
            common_films([ours, theirs], "val", DataConfig())
        films = common_films([ours, theirs], "val", DataConfig(kind="phantom", phantom_seed=1))
        assert films.name == "phantom-1-10x64px"
        assert common_films([ours, _trained_run("same", seed=0)], "val", DataConfig()).name == "phantom-0-10x64px"


def test_runs_trained_on_different_files_are_refused(tmp_path: Path) -> None:
    with _current_store(tmp_path):
        ours, theirs = (_trained_run(name, seed=0, tags={"data_digest.val": name * 12}) for name in "ab")
        with pytest.raises(DataError, match=r"different val films.*a: a{12}; b: b{12}"):
            common_films([ours, theirs], "val", DataConfig())


def test_runs_are_compared_on_films_of_a_test_part_only(
    two_tiny_runs: tuple[Path, Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tiny, other = two_tiny_runs
    monkeypatch.setenv("SPONDYLO_SALT_FILE", str(tmp_path / "salt"))
    held_out = tmp_path / "held-out"
    phantoms = phantom_films(4, 77, 96)
    write_dataset(
        replace(phantoms, films=tuple(replace(film, split="test") for film in phantoms.films)), "yolo", held_out
    )
    run_ids = f"{tiny.info.run_id},{other.info.run_id}"
    data = {"path": str(held_out)}
    options = {"run_ids": run_ids, "data": data, "split": "test", "overlays": 0, "resamples": 100}
    with _current_store(folder):
        result = compare(validate(CompareConfig, options))
        assert len(result.data.films) == 4
        truth = sum(4 * len(film.vertebrae or ()) for film in phantoms.films)
        for numbers in result.data.numbers.values():
            assert numbers["sdr_24px"].n == truth
        with pytest.raises(DataError, match="has no labelled film in its val part: choose another --split"):
            compare(validate(CompareConfig, {**options, "split": "val"}))


def test_an_unknown_run_is_named(tiny_run: tuple[Path, Run, str]) -> None:
    folder, tiny, _ = tiny_run
    with _current_store(folder), pytest.raises(TrackingError, match="no run 'nowhere' in sqlite"):
        compare(CompareConfig(run_ids=(tiny.info.run_id, "nowhere")))


def test_a_single_candidate_run_is_refused(two_tiny_runs: tuple[Path, Run, Run]) -> None:
    with (
        _current_store(two_tiny_runs[0]),
        pytest.raises(TrackingError, match="only 1 run has 'val_best/mre_px512' and a model"),
    ):
        compare(CompareConfig(top=1, per_model=True))


class _current_store:
    """Makes the store of a folder the current one."""

    def __init__(self, folder: Path) -> None:
        self._uri, self._before = store_in(folder), ""

    def __enter__(self) -> None:
        self._before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self._uri)

    def __exit__(self, *_: object) -> None:
        mlflow.set_tracking_uri(self._before)


def _run_with_model(name: str, metrics: dict[str, float]) -> None:
    """Log a finished run with these metrics and an empty model."""
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_metrics(metrics)
        model = mlflow.initialize_logged_model(name="model", source_run_id=run.info.run_id)
        mlflow.MlflowClient().log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])


def _trained_run(name: str, seed: int, tags: dict[str, str] | None = None) -> TrainedRun:
    """An untrained model, logged as if trained on ten films of this seed."""
    client = mlflow.MlflowClient()
    logged_run = client.create_run("0", run_name=name, tags=tags)
    config = Config.model_validate(
        {
            "training": {"epochs": 1},
            "data": {"phantom_films": 10, "phantom_seed": seed, "phantom_long_side_px": 64},
        }
    )
    shape = MeanShape(SLOTS, np.zeros((10, 4, 2)), np.zeros(10))
    return TrainedRun(name, logged_run, Bundle(build_model(config, SLOTS), config, shape))
