"""The comparison of kinds of starting weights by the number of films: its table, and all of it at toy size."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks.few_films import main, table_of


def test_the_table_has_a_row_per_training_run_on_films_in_the_order_of_their_number() -> None:
    errors = {"mre_px512": 7.154, "sdr_6px": 70.0, "sdr_24px": 90.0, "instance_mre_px512": 3.2}
    done = {
        "training on synthetic films": {"run_id": "a"},
        "scratch 50": {"start": "scratch", "n_train": 50, **errors},
        "synthetic 25": {"start": "synthetic", "n_train": 25, **errors},
        "imagenet 50": {"start": "imagenet", "n_train": 50, **errors},
    }
    assert [line.split(" | ")[:3] for line in table_of(done).splitlines()[2:]] == [
        ["| 25", "synthetic", "7.15"], ["| 50", "imagenet", "7.15"], ["| 50", "scratch", "7.15"],
    ]  # fmt: skip


def test_a_folder_of_films_is_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--to", str(tmp_path)])
    assert "--data: name the folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_comparison_runs_and_goes_on(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(*starts: str) -> list[list[str]]:
        main(["--smoke", "--to", str(tmp_path / "few"), "--starts", *starts])
        return [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith(("| 4", "| 8"))]

    first = rows("scratch")
    assert [row[:2] for row in first] == [["| 4", "scratch"], ["| 8", "scratch"]]
    both = rows("scratch", "synthetic")
    assert [row[1] for row in both] == ["scratch", "synthetic"] * 2
    assert both[::2] == first
