"""What a process knows from torchrun's environment before it imports torch."""

from __future__ import annotations

import pytest
from processes import environment_of

from spondylo_ml.config import resolve_config
from spondylo_ml.errors import ConfigError
from spondylo_ml.processes import ALONE, Process, launched_process
from spondylo_ml.workflows.train.processes import announce


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")  # left behind, or of another program
    assert launched_process() == ALONE


def test_rank_and_numbers_are_those_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**environment_of(1, 4, 0), "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert launched_process() == Process(1, 4, 2)
    assert not launched_process().is_first


def test_machines_with_different_numbers_of_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**environment_of(0, 3, 0), "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="started 3 processes on 2 machines, 2 of them on this one: give each"):
        launched_process()


def test_a_program_of_several_processes_trains_by_the_command_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(0, 2, 0).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="under torchrun, models are trained by the command"):
        announce(resolve_config(), None)
