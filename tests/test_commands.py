"""The table of commands: each row names existing functions, and a new command needs only a row."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types

import pytest
from pydantic import Field

from spondylo_ml.cli.command import Command, load
from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.overview import SUMMARIES
from spondylo_ml.config import field_names
from spondylo_ml.config.section import Section
from spondylo_ml.errors import ConfigError
from tuning.cli import TUNE

ROWS = [*COMMANDS.values(), TUNE]


@pytest.mark.parametrize("command", ROWS, ids=lambda command: command.name)
def test_workflow_and_check_take_the_options_and_the_summary_is_a_sentence(command: Command) -> None:
    n_arguments = 2 if command.takes_config else 1
    assert len(inspect.signature(load(command.workflow)).parameters) == n_arguments
    assert len(inspect.signature(command.check).parameters) == n_arguments
    if command.describe:
        assert len(inspect.signature(load(command.describe)).parameters) == 1
    assert command.summary.endswith(".")
    assert command.summary[0].isupper()


def test_the_usage_line_of_each_command_comes_from_a_list_that_is_quick_to_import() -> None:
    assert {command.name: command.summary for command in ROWS} == {
        name: text for name, text in SUMMARIES.items() if name != "completion"
    }
    code = "import sys; from spondylo_ml.cli import main; main(['--help']); assert 'pydantic' not in sys.modules"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert f"  train         {SUMMARIES['train']}\n" in printed


def test_the_flags_of_a_command_are_its_options_and_the_configuration() -> None:
    names = field_names(COMMANDS["benchmark"].flags)
    assert {"entries", "seeds", "training.epochs", "data.path"} <= set(names)
    assert set(field_names(COMMANDS["audit"].flags)) == set(field_names(COMMANDS["audit"].options))


def test_options_are_separated_from_values_of_the_configuration() -> None:
    options, overrides = COMMANDS["train"].parse(["--recipe", "a.yaml", "--seed", "4", "--training.epochs", "3"])
    assert str(options.recipe) == "a.yaml"
    assert overrides == {"seed": "4", "training": {"epochs": "3"}}


class GreetConfig(Section):
    """Whom to greet."""

    name: str = Field(description="a name")
    times: int = Field(1, ge=1, le=3, description="how often")


class _Greeting(str):
    failed = ("nobody answered",)


def test_a_row_is_all_that_a_command_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("greetings")
    module.greet = lambda config: _Greeting(" ".join([f"Hello {config.name}."] * config.times))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "greetings", module)
    greet = Command("greet", GreetConfig, "greetings:greet", "Greet somebody.", exit_code_if_failed=3)
    assert greet.run(["--name", "Ada", "--times=2"]) == 3
    assert capsys.readouterr().out == "Hello Ada. Hello Ada.\n"
    with pytest.raises(ConfigError, match=r"times: given '4'.* less than or equal to 3"):
        greet.run(["--name", "Ada", "--times", "4"])
    with pytest.raises(ConfigError, match=r"unknown option '--nam'. Did you mean '--name'.*spondylo_ml greet --help"):
        greet.run(["--nam", "Ada"])
    with pytest.raises(SystemExit):
        greet.run(["--help"])
    text = capsys.readouterr().out
    assert "usage: python -m spondylo_ml greet" in text
    assert "Greet somebody." in text
    assert "how often [>= 1, <= 3]" in text
