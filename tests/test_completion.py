"""The completion scripts for shells; the one for bash runs in a real bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.completion import completion_script
from spondylo_ml.config.schema import PRESETS
from spondylo_ml.errors import ConfigError

ASK = """
source {script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${{#COMP_LINE}}
command=$(complete -p spondylo-ml | grep -o '_[a-z_]*')
"$command" spondylo-ml "${{@: -1}}" "${{@: -2:1}}"
echo "${{COMPREPLY[*]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "spondylo-ml.bash"
    path.write_text(completion_script(["bash"]), encoding="utf-8")
    return path


def complete(script: Path, *words: str) -> list[str]:
    """The completions that bash offers for the last word."""
    command = ["bash", "--norc", "-c", ASK.format(script=script), "bash", "spondylo-ml", *words]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.parent)
    assert process.stderr == ""
    return process.stdout.split()


def test_bash_completes_commands_options_and_values(script: Path) -> None:
    assert complete(script, "") == [*COMMANDS, "tune", "completion"]
    assert complete(script, "ev") == ["evaluate"]
    assert complete(script, "train", "--training.ep") == ["--training.epochs"]
    assert complete(script, "train", "--preset", "") == list(PRESETS)
    assert complete(script, "train", "--preset", "smoke", "--data.k") == ["--data.kind"]
    assert complete(script, "predict", "--overlays", "") == ["true", "false"]
    assert complete(script, "predict", "--to", "spondylo") == ["spondylo-ml.bash"]
    assert complete(script, "completion", "") == ["bash", "zsh", "fish"]


def test_bash_completes_short_names_and_model_names(script: Path) -> None:
    assert complete(script, "train", "--minu") == ["--minutes"]
    assert complete(script, "train", "--model", "un") == ["unet"]
    assert complete(script, "train", "--model.name", "maht") == ["maht_net"]
    assert complete(script, "train", "--loss.heatmap", "corner") == ["cornernet_focal"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_with_every_command(shell: str) -> None:
    text = completion_script([shell])
    assert [name for name in COMMANDS if name not in text] == []
    assert "training.epochs" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"give a shell, bash, zsh or fish: put eval \"\$\(spondylo-ml completion bash\)\" into ~/\.bashrc"),
        (["bash", "zsh"], r"give a shell"),
        (["bahs"], r"unknown shell 'bahs'\. Did you mean 'bash'\? Allowed: bash, fish, zsh"),
    ],
)
def test_an_unknown_shell_is_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        completion_script(arguments)
