"""The command line of studies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from forked import ForkedProgram
from stores import store_in

from tuning import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trial", "3"], "unknown option '--trial'. Did you mean '--trials'"),
        (["--training.learning_rat", "1"], "Did you mean '--training.learning_rate'"),
        (["--space", "optimizer"], "no space 'optimizer' for unet. Did you mean 'optimiser'"),
        (["--heatmap.sigma_cells", "2"], "heatmap.sigma_cells: both set and searched by space.yaml"),
        (["--sampler", "grid"], "sampler grid tries every combination, and training.learning_rate"),
        (["--model", "unett"], "Did you mean 'unet'"),
        (["--trials", "0"], "trials: given '0'"),
    ],
)
def test_invalid_input_is_reported_at_once(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [], "nothing was started"


def test_a_missing_optuna_is_reported_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # importing it raises ImportError
    assert cli.main(["--trials", "1"]) == 2
    assert "studies need Optuna, which is not installed: pip install 'spondylo_ml[tuning]'" in capsys.readouterr().err


def test_the_command_line_imports_no_slow_library() -> None:
    code = "import sys, tuning.cli; print([m for m in ('torch', 'mlflow', 'optuna', 'plotly') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_study_of_real_training_runs_from_the_command_line(tmp_path: Path) -> None:
    environment = {"OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": store_in(tmp_path)}
    options = (
        "--model", "unet", "--preset", "smoke", "--trials", "2", "--study", "s", "--retrain_seeds", "2",
        "--data.phantom_films", "12", "--data.max_films", "12", "--pruner", "median",
    )  # fmt: skip
    process = ForkedProgram(tmp_path, "tuning", options, environment)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    assert "study       s: 2 complete" in output
    assert "seeds       2: mre_px512" in output
    assert re.search(r"noise floor grade_accuracy_all [\d.]+ \(95 % .*: promote --noise_floor_from \w{32}", output)
    assert (tmp_path / "studies" / "s" / "best.yaml").is_file()
    assert (tmp_path / "studies.db").is_file()
