"""The command that a summary proposes is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.summaries import next_steps

RUN_ID = "0123456789abcdef0123456789abcdef"
STEPS = {
    "audit": next_steps.use_mapping(Path("my films"), None, adds=False),
    "corrections": next_steps.correct_drafts(Path("my results"), "cvat"),
    "train": next_steps.train_on([Path("my results/drafts")], "starter", 12),
    "promote": next_steps.promote(RUN_ID),
    "predict": next_steps.read_films("spondylo-landmarks", "spondylo-landmarks"),
    "next": next_steps.choose_films("champion"),
}


def arguments(line: str) -> list[str]:
    return shlex.split(re.sub("<(.*?)>", lambda place: shlex.quote(place[1]), line.split("python -m spondylo_ml ")[1]))


@pytest.mark.parametrize("name", STEPS)
def test_the_command_is_valid(name: str) -> None:
    command, *options = arguments(STEPS[name])
    assert command == name
    COMMANDS[command].parse(options)


def test_names_with_spaces_stay_one_value() -> None:
    assert arguments(STEPS["corrections"])[1:] == ["--drafts", "my results", "--data", "my results/drafts"]


def test_another_registered_model_is_named_in_full() -> None:
    assert "--model models:/mine@champion " in next_steps.read_films("mine", "spondylo-landmarks")


def test_several_folders_are_left_to_the_user_to_join() -> None:
    assert "--data.path <one folder" in next_steps.train_on([Path("a"), Path("b")], "starter", 40)


def test_with_few_patients_the_part_for_testing_is_larger() -> None:
    assert next_steps.train_on([Path("a")], "starter", 19).endswith(" --data.test_fraction 0.25")
    assert "test_fraction" not in next_steps.train_on([Path("a")], "starter", 20)


def test_what_follows_a_proposed_mapping_depends_on_where_it_is() -> None:
    root, other = Path("my films"), Path("mine.yaml")
    place = root / "mapping.yaml"
    steps = [next_steps.use_mapping(root, file, adds) for file, adds in ((place, False), (other, False), (other, True))]
    what = [step.split(": ")[0].removeprefix("Next, ") for step in steps]
    assert what[0] == "check my films/mapping.yaml, see what is understood with it"
    assert what[1] == "check mine.yaml, copy it to my films/mapping.yaml"
    assert what[2] == "check the proposal, add it to my films/mapping.yaml"
    assert all(arguments(step) == ["audit", "--data", "my films"] for step in steps)
    assert arguments(STEPS["audit"])[1:] == ["--data", "my films", "--mapping_to", "my films/mapping.yaml"]
