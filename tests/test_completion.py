"""The shell scripts that complete commands and options; that for bash in a real bash."""

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


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    command = ["bash", "--norc", "-c", ASK.format(script=script), "bash", "spondylo-ml", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.parent)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_values(script: Path) -> None:
    assert completed(script, "") == [*COMMANDS, "completion"]
    assert completed(script, "ev") == ["evaluate"]
    assert completed(script, "train", "--training.ep") == ["--training.epochs"]
    assert completed(script, "train", "--preset", "") == list(PRESETS)
    assert completed(script, "train", "--preset", "smoke", "--data.k") == ["--data.kind"]
    assert completed(script, "predict", "--overlays", "") == ["true", "false"]
    assert completed(script, "predict", "--to", "spondylo") == ["spondylo-ml.bash"]
    assert completed(script, "completion", "") == ["bash", "zsh", "fish"]


def test_bash_completes_short_names_and_names_of_models(script: Path) -> None:
    assert completed(script, "train", "--minu") == ["--minutes"]
    assert completed(script, "train", "--model", "un") == ["unet"]
    assert completed(script, "train", "--model.name", "maht") == ["maht_net"]
    assert completed(script, "train", "--loss.heatmap", "corner") == ["cornernet_focal"]


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
def test_a_wrong_shell_is_an_error(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        completion_script(arguments)
