"""The command line as a user sees it: its messages in this process, the rest in a new one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spondylo_ml
from spondylo_ml.cli import main
from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.flags import given_values
from spondylo_ml.cli.studies import tune_command
from spondylo_ml.config import field_names, resolve_config
from spondylo_ml.errors import ConfigError

PACKAGE_PARENT = Path(spondylo_ml.__file__).parents[1]
TRAIN_FLAGS = COMMANDS["train"].flags


def spondylo(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "spondylo_ml", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def in_a_new_process(cwd: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Calls the module's `main`; prints its exit code, and the slow packages that were imported."""
    code = f"""
import sys
from {module} import main
try:
    code = main({arguments!r})
except SystemExit as ended:
    code = ended.code
print(code, {{"torch", "mlflow"}} & set(sys.modules))
"""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian",), r"unknown command 'trian'\. Did you mean 'train'\?"),
        (("train", "--training.epoch", "3"), r"option '--training\.epoch'\. Did you mean '--training\.epochs'\?"),
        (
            ("train", "--learning_rat", "3"),
            r"option '--learning_rat'\. Did you mean '--training\.learning_rate'\? Nearest: .*train --help-all",
        ),
        (("train", "--lr", "3"), r"training\.learning_rate: given '3'\. .* less than or equal to 1"),
        (("train", "--epochs", "0"), r"training\.epochs: given '0'\. .* greater than or equal to 1"),
        (("tune", "--trial", "3"), r"unknown option '--trial'\. Did you mean '--trials'\?"),
        (("train", "--model", "unett"), r"model\.name: unknown model 'unett'\. Did you mean 'unet'\? Allowed: .*unet"),
        (("train", "--model=unett"), r"unknown model 'unett'\. Did you mean 'unet'\?"),
        (
            ("train", "--preset", "smok"),
            r"preset 'smok'\. Did you mean 'smoke'\? Allowed: document, finetune, full",
        ),
        (("train", "--data.kind", "phantm"), r"data\.kind: given 'phantm'\. .*'mendeley'.* Did you mean 'phantom'\?"),
        (("train", "--training.epochs", "many"), r"training\.epochs: given 'many'\. .* valid integer"),
        (("train", "--training.learning_rate", "7"), r"training\.learning_rate: given '7'\. .* less than or equal to"),
        (("train", "--training.epochs"), r"--training\.epochs: expected one argument"),
        (("train", "stray"), r"unrecognized arguments: stray\. Options are given as --name value"),
        (("train", "--data.kind", "coco"), r"data\.kind coco needs a folder: --data <path>"),
        (("train", "--data", sys.executable), r"is a file, a folder is needed"),
        (("train", "--model", "UNET"), r"unknown model 'UNET'\. Did you mean 'unet'\?"),
        (("train", "--preset", "FULL"), r"unknown preset 'FULL'\. Did you mean 'full'\?"),
        (("train", "--data.kind", "COCO"), r"data\.kind: given 'COCO'\. .* Did you mean 'coco'\?"),
        (("audit", "--data.kind", "yolo"), r"data\.kind yolo needs a folder"),
        (("audit", "--data", sys.executable), r"is a file, a folder is needed"),
        (("benchmark", "--data.kind", "buu"), r"data\.kind buu needs a folder"),
        (("benchmark", "--only", "x"), r"only: unknown entry 'x'\. Allowed: hrnet_w32"),
        (("evaluate", "--run_id", "x", "--data.kind", "phantom", "--data", "y"), r"phantom makes its own films: leave"),
        (("export", "--data.kind", "coco", "--format", "coco", "--to", "x"), r"data\.kind coco needs a folder"),
        (("phantom", "--to", sys.executable + "/x"), r"cannot be written: .* is a file, a folder is needed"),
        (("phantom", "--to", "/proc/x"), r"/proc/x cannot be written \(.* in /proc\): give a writable folder"),
        (("export-onnx", "--to", "/proc/x"), r"/proc/x cannot be written"),
        (("predict", "--films", sys.executable, "--to", "/proc/x"), r"/proc/x cannot be written"),
        (("train", "--recipe", "nowhere.yaml"), r"recipe nowhere\.yaml does not exist"),
        (("evaluate",), r"run_id: a value is needed \(--run_id \.\.\.\)"),
        (("evaluate", "--run_id", "x", "--split", "vall"), r"split: given 'vall'\. .* Did you mean 'val'\?"),
        (("export", "--to", "x"), r"format: a value is needed \(--format \.\.\.\)"),
        (("export", "--format", "coco"), r"to: a value is needed \(--to \.\.\.\)"),
        (("export", "--format", "cocoo", "--to", "x"), r"format: given 'cocoo'\. .* Did you mean 'coco'\?"),
        (("export", "--format", "coco", "--to", "x"), r"export needs a folder of films: --data <folder>"),
        (("export", "--format", "coco", "--to", "x", "--data", "no"), r"data folder .*no does not exist"),
        (("export", "--formt", "coco"), r"unknown option '--formt'\. Did you mean '--format'\?"),
        (("phantom",), r"to: a value is needed \(--to \.\.\.\)"),
        (("phantom", "--to", "x", "--count", "0"), r"count: given '0'\. .* greater than or equal to 1"),
        (("phantom", "--to", "x", "--data", "y"), r"unknown option '--data'\."),
        (("phantom", "--to", "/", "--count", "1"), r"/ is not empty: give a new or empty folder"),
        (("phantom", "--to", "/dev/null/x"), r"/dev/null/x cannot be written: /dev/null is not a folder"),
        (("export-onnx", "--to", "/dev/null/x"), r"/dev/null/x cannot be written: /dev/null is not a folder"),
        (
            ("predict", "--films", "x", "--to", "/dev/null/x"),
            r"/dev/null/x cannot be written: /dev/null is not a folder",
        ),
        (("phantom", "--to", "~no_such_user/x"), r"~no_such_user is not a user of this machine; give the whole path"),
        (("audit", "--data", "~no_such_user/x"), r"~no_such_user is not a user of this machine; give the whole path"),
        (("audit", "--data", "a" * 300), r"data folder .*aaa does not exist"),
        (("audit", "--picture", "3"), r"unknown option '--picture'\. Did you mean '--pictures'\?"),
        (("readers",), r"data: a value is needed \(--data \.\.\.\)"),
        (("readers", "--data", "a"), r"data: given .*at least 2"),
        (("readers", "--data", "a", "a"), r"a folder is given twice; give that of each reader once"),
        (("readers", "--data", "a", "b"), r"data folder .*a does not exist"),
        (("readers", "--data", "a,b", "--kinds", "coco"), r"kinds: 1 given for 2 folders; give one for each"),
        (("readers", "--data", "a,b", "--kinds", "coco,cvatt"), r"kinds.*given 'cvatt'\. .* Did you mean 'cvat'\?"),
        (("readers", "--data", "a,b", "--layout", "cvat"), r"give to, the folder for them, too"),
        (("corrections",), r"drafts: a value is needed"),
        (("corrections", "--drafts", "a", "--data", "a"), r"a has no drafts\.json: give the folder that predict"),
        (("corrections", "--drafts", "a,a", "--data", "b"), r"drafts: a folder is given twice; give each once"),
        (("corrections", "--drafts", "a", "--data", "b", "--kinds", "coco,cvat"), r"kinds: 2 given for 1 folders"),
        (("next",), r"films: a value is needed \(--films \.\.\.\)"),
        (("next", "--films", "no.png"), r"no file or folder matches no\.png"),
        (("next", "--films", "x", "--count", "0"), r"count: given '0'\. .* equal to 1"),
        (("next", "--films", "x", "--format", "cvat"), r"format and private_names write to a folder: give to, too"),
        (("next", "--films", "x", "--kind", "coco"), r"those of the labelled films: give labelled, too"),
        (("next", "--films", "x", "--to", "y", "--format", "cvatt"), r"format: given 'cvatt'.* Did you mean 'cvat'\?"),
        (("next", "--films", sys.executable, "--labelled", "none"), r"data folder .*none does not exist"),
        (("compare",), r"give run_ids \(two or more, such as a,b\) or top: one of them, not both"),
        (("compare", "--run_ids", "a,b", "--top", "2"), r"give run_ids .* or top: one of them, not both"),
        (("compare", "--run_ids", "a, a"), r"two or more different run_ids are needed; given a, a"),
        (("compare", "--top", "1"), r"top must be 2 or more to compare, or give per_model"),
        (("compare", "--top", "2", "--models", "unett"), r"models: .*unknown model 'unett'\. Did you mean 'unet'\?"),
        (("diagnose",), r"run_id: a value is needed \(--run_id \.\.\.\)"),
        (("diagnose", "--run_id", "x", "--films", "0"), r"films: given '0'\. .* greater than or equal to 1"),
        (("predict", "--to", "x"), r"films: a value is needed \(--films \.\.\.\)"),
        (("predict", "--films", "x"), r"to: a value is needed \(--to \.\.\.\)"),
        (
            ("predict", "--films", "no.png,x/*.dcm", "--to", "x"),
            r"no file or folder matches no\.png: give files",
        ),
        (("predict", "--films", "x", "--to", "x", "--batch_size", "0"), r"batch_size: given '0'\. .* equal to 1"),
        (("predict", "--films", "x", "--to", "x", "--modl", "y"), r"option '--modl'\. Did you mean '--model'\?"),
        (("predict", "--films", "x", "--to", "x", "--backend", "onx"), r"backend: given 'onx'.* Did you mean 'onnx'\?"),
        (("export-onnx",), r"to: a value is needed \(--to \.\.\.\)"),
        (("export-onnx", "--to", "/"), r"/ is not empty: give a new or empty folder"),
        (("export-onnx", "--to", "x", "--format", "coco"), r"unknown option '--format'\."),
        (("benchmark", "--entries", "five_model"), r"list of entries 'five_model'\. Did you mean 'five_models'\?"),
        (("benchmark", "--minute", "3"), r"unknown option '--minute'\. Did you mean '--minutes'\?"),
        (("benchmark", "--seeds", "1,a"), r"seeds\.1: given 'a'\. .* valid integer"),
        (("benchmark", "--data", "no"), r"data folder .*no does not exist"),
        (("promote", "--metrc", "x"), r"unknown option '--metrc'\. Did you mean '--metric'\?"),
        (
            ("promote", "--rollback", "true", "--run_ids", "a"),
            r"rollback and run_ids cannot be combined",
        ),
        (("promote", "--reason", "x"), r"reason is only used with rollback=true"),
        (("promote", "--noise_floor", "1", "--noise_floor_from", "x"), r"give noise_floor or noise_floor_from: one"),
        (("promote", "--models", "hrnet"), r"unknown model 'hrnet'\. Did you mean 'hrnet_w32'\?"),
        (("promote", "--margins.latency", "1"), r"unknown option .* Did you mean '--margins\.latency_percent'\?"),
        (("registry", "--registered_model", "a/b"), r"registered_model: given 'a/b'\. .* match pattern"),
        (("evaluate", "--run", "x"), r"unknown option '--run'\. Did you mean '--run_id'\?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_user_error_ends_with_code_2_and_a_message_on_stderr_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    # In this process, because each new one takes a second to start.
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert re.search(r"^error: .*" + message, errors)
    assert "usage" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=() if name in ("train", "predict", "tune") else pytest.mark.slow) for name in COMMANDS],
)
def test_a_new_process_ends_with_code_2_and_the_message(tmp_path: Path, command: str) -> None:
    process = spondylo(tmp_path, command, "--nonsense", "3")
    assert process.returncode == 2
    assert process.stdout == ""
    assert re.fullmatch(r"error: unknown option '--nonsense'\..*\n", process.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_missing_data_folder_is_reported_with_the_known_layouts(tmp_path: Path) -> None:
    process = spondylo(tmp_path, "train", "--preset", "smoke", "--data", "no_such_folder")
    assert process.returncode == 2
    assert "no_such_folder does not exist. Give one of these layouts" in process.stderr
    assert "mendeley: Train/Keypointrcnn_data" in process.stderr
    assert "Traceback" not in process.stderr


def test_without_a_command_the_usage_is_shown_with_code_2(tmp_path: Path) -> None:
    process = spondylo(tmp_path)
    assert process.returncode == 2
    assert "usage: python -m spondylo_ml <command>" in process.stdout + process.stderr


def test_help_lists_the_commands(tmp_path: Path) -> None:
    process = spondylo(tmp_path, "--help")
    assert process.returncode == 0
    assert re.search(r"train +Train a model", process.stdout)
    assert re.search(r"benchmark +Train several entries under one budget", process.stdout)
    assert re.search(r"evaluate +Evaluate the best model", process.stdout)
    assert re.search(r"diagnose +Diagnose a finished run", process.stdout)
    assert re.search(r"audit +Check a dataset", process.stdout)
    assert re.search(r"compare +Compare the models of two or more runs", process.stdout)


def test_the_help_of_train_lists_every_flag_with_its_range(tmp_path: Path) -> None:
    process = spondylo(tmp_path, "train", "--help-all")
    assert process.returncode == 0
    assert process.stderr == ""
    for name in field_names(TRAIN_FLAGS):
        assert re.search(rf"^  --{re.escape(name)}( |$)", process.stdout, re.M)
    text, config = " ".join(process.stdout.split()), resolve_config()
    assert f"highest learning rate [> 0, <= 1] (default: {config.training.learning_rate})" in text
    assert "--model.unet.width" in text
    assert "Defaults are those of preset quick of unet on synthetic films." in text
    assert "--lr for --training.learning_rate" in text
    assert "[one of smoke, quick, full, document, finetune]" in text
    assert "films per step [>= 1, <= 1024]" in text


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_short_help_has_ten_options_with_the_defaults_of_the_preset_that_will_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = help_of(capsys, "train", "--help")
    assert text.startswith(
        "usage: python -m spondylo_ml train [--name value ...]\n\nTrain a model and log it to MLflow.\n"
    )
    assert re.findall(r"^  --(\S+)", text, re.M) == [
        "model", "data", "preset", "epochs", "lr", "batch", "minutes", "name", "seed", "resume"
    ]  # fmt: skip
    config = resolve_config()
    assert re.search(rf"--lr +highest learning rate \[> 0, <= 1\] \(default: {config.training.learning_rate}\)\n", text)
    assert f"(default: as many as show {config.training.film_passes:,} films)" in text
    assert "(default: synthetic films)" in text
    assert "Defaults are those of preset quick of unet on synthetic films." in text
    assert re.search(r"--help-all lists all \d{3} options", text)

    chosen = resolve_config({"preset": "smoke", "model": {"name": "resnet50"}, "training": {"epochs": 3}})
    text = help_of(capsys, "train", "-h", "--preset", "smoke", "--model", "resnet50", "--epochs", "3")
    assert re.search(r"--epochs .* \(default: 3\)\n", text)
    assert re.search(rf"--batch .* \(default: {chosen.training.batch_size}\)\n", text)
    assert "Defaults are those of preset smoke of resnet50 on synthetic films." in text
    (tmp_path / "mine.yaml").write_text("training.batch_size: 7\n")
    assert "films per step [>= 1, <= 1024] (default: 7)" in help_of(
        capsys, "train", "--recipe", str(tmp_path / "mine.yaml"), "--help"
    )
    assert "not used: training.learning_rate: given '7'" in help_of(capsys, "train", "--lr", "7", "--help")


def test_the_short_help_of_other_commands_has_their_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, "evaluate", "--help")
    assert re.findall(r"^  --(\S+)", text, re.M) == [
        "run_id", "data", "split", "overlays", "resamples", "seed", "experiment"
    ]  # fmt: skip
    assert "(required)" in text
    assert "--trials" in help_of(capsys, "tune", "--help")
    for command in COMMANDS:
        assert COMMANDS[command].summary in help_of(capsys, command, "--help")


def test_help_is_shown_without_slow_imports(tmp_path: Path) -> None:
    process = in_a_new_process(tmp_path, "spondylo_ml.cli", "train", "--help")
    assert process.stdout.startswith("usage: ")
    assert process.stdout.endswith("\n0 set()\n")


@pytest.mark.parametrize(
    "command",
    [
        "spondylo_ml.cli train --data.kind coco",
        f"spondylo_ml.cli predict --films {sys.executable} --to /proc/x",
        *(
            pytest.param(command, marks=pytest.mark.slow)
            for command in (
                f"spondylo_ml.cli train --data {sys.executable}",
                "spondylo_ml.cli benchmark --only x",
                "tuning.cli --data.kind coco",
                f"tuning.cli --data {sys.executable}",
                "tuning.cli --space SPACE",
            )
        ),
    ],
)
def test_invalid_options_are_reported_without_slow_imports(tmp_path: Path, command: str) -> None:
    process = in_a_new_process(tmp_path, *command.split())
    assert process.stdout == "2 set()\n"
    assert process.stderr.startswith("error: ")


# ------------------------------------------------------------------------------- options, in this process


def test_only_options_on_the_command_line_are_given_values() -> None:
    assert given_values(TRAIN_FLAGS, ["--training.epochs", "3", "--seed=4"]) == {
        "training": {"epochs": "3"},
        "seed": "4",
    }
    assert given_values(TRAIN_FLAGS, []) == {}


def test_short_names_are_replaced_by_the_long_ones() -> None:
    for arguments in (["--model", "unet", "--data", "/films"], ["--model=unet", "--data=/films"]):
        assert given_values(TRAIN_FLAGS, arguments) == given_values(
            TRAIN_FLAGS, ["--model.name", "unet", "--data.path", "/films"]
        )
    assert given_values(TRAIN_FLAGS, ["--epochs", "3", "--lr=1e-3", "--batch", "4", "--name", "first"]) == {
        "training": {"epochs": "3", "learning_rate": "1e-3", "batch_size": "4"},
        "tracking": {"run_name": "first"},
    }


def test_tune_without_a_clone_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spondylo_ml.cli.studies.PROJECT", tmp_path)
    with pytest.raises(ConfigError, match=r"tune needs the folder tuning of a clone .* pip install -e '\.\[tuning\]'"):
        tune_command()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "", "--model", "", "--seed", "4"],
        ["--seed", "4", "--data", ""],
        ["--data=", "--seed", "4"],
    ],
)
def test_an_empty_value_counts_as_not_given_under_mlflow_run_alone(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    with pytest.raises(ConfigError, match="--data has an empty value: leave --data out, or give it a value"):
        given_values(TRAIN_FLAGS, arguments)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0")
    assert given_values(TRAIN_FLAGS, arguments) == {"seed": "4"}


def test_an_unknown_option_is_reported_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown option '--sead'\. Did you mean '--seed'\?"):
        given_values(TRAIN_FLAGS, ["--sead", "4"])


def test_values_with_commas_and_spaces_stay_one_value() -> None:
    values = given_values(TRAIN_FLAGS, ["--tracking.run_name", "two words", "--data.path", "/a folder/x=y"])
    assert values == {"tracking": {"run_name": "two words"}, "data": {"path": "/a folder/x=y"}}


def test_environment_variables_do_not_set_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "9")
    monkeypatch.setenv("PRESET", "full")
    assert given_values(TRAIN_FLAGS, ["--training.epochs", "3"]) == {"training": {"epochs": "3"}}
