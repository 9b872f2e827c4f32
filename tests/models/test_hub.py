"""A file is downloaded from a hub; a hub that stalls, disconnects or fails gives a short message."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import numpy as np
import pytest
from hubs import Answer, half_then_disconnect, half_then_silent, hub, server_error, silent, slow_bytes, whole_file

from spondylo_ml.models.hub import cached_file, fetched_file

REPOSITORY, NAME = "test/network", "model.safetensors"
STALL_S = 2.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_downloaded_file_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).bytes(300_000)
    with hub(whole_file, data) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        path = fetched_file(REPOSITORY, NAME, STALL_S)
    assert isinstance(path, Path), path
    assert path.read_bytes() == data
    assert cached_file(REPOSITORY, NAME) == path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "answers_head", "pattern"),
    [
        (silent, False, r"it stalled: less than 64 KiB in 2 s"),
        (silent, True, r"it stalled: less than 64 KiB in 2 s"),
        (half_then_silent, True, r"it stalled: less than 64 KiB in 2 s"),
        (slow_bytes, True, r"it stalled: less than 64 KiB in 2 s"),
        (half_then_disconnect, True, r"Error|it stalled"),
        (server_error, False, r"^HTTPError 500$"),
    ],
    ids=["silent", "silent after HEAD", "half, silent", "slow bytes", "half, disconnect", "500"],
)
def test_a_failed_download_gives_a_short_message(
    answer: Answer, answers_head: bool, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub(answer, answers_head=answers_head) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        message = fetched_file(REPOSITORY, NAME, STALL_S)
    assert isinstance(message, str)
    assert re.search(pattern, message), message
    assert "\n" not in message
    assert len(message) < 80


def test_a_silent_port_and_a_closed_port_give_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as accepting:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{accepting.getsockname()[1]}")
        assert fetched_file(REPOSITORY, NAME, STALL_S) == "it stalled: less than 64 KiB in 2 s"
    assert fetched_file(REPOSITORY, NAME, STALL_S) == "ConnectionRefusedError"
