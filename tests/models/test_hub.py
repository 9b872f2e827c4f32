"""A hub that stalls, breaks off or fails is a few words, and what a good one sends is the file."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import numpy as np
import pytest
from hubs import Answer, a_byte_now_and_then, failing, half_then_gone, half_then_silent, hub, silent, whole

from spondylo_ml.models.hub import cached_file, fetched_file

REPOSITORY, NAME = "made/network", "model.safetensors"
STALL_S = 2.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_file_is_fetched_once_and_then_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).bytes(300_000)
    with hub(whole, data) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        found = fetched_file(REPOSITORY, NAME, STALL_S)
    assert isinstance(found, Path), found
    assert found.read_bytes() == data
    assert cached_file(REPOSITORY, NAME) == found


@pytest.mark.parametrize(
    ("answer", "answers_head", "words"),
    [
        (silent, False, r"it stalled: less than 64 KiB in 2 s"),
        (silent, True, r"it stalled: less than 64 KiB in 2 s"),
        (half_then_silent, True, r"it stalled: less than 64 KiB in 2 s"),
        (a_byte_now_and_then, True, r"it stalled: less than 64 KiB in 2 s"),
        (half_then_gone, True, r"Error|it stalled"),
        (failing, False, r"^HTTPError 500$"),
    ],
    ids=["silent from the first", "silent after the head", "half, silent", "drips", "half, gone", "500"],
)
def test_a_bad_hub_is_reported_in_a_few_words(
    answer: Answer, answers_head: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub(answer, answers_head=answers_head) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        found = fetched_file(REPOSITORY, NAME, STALL_S)
    assert isinstance(found, str)
    assert re.search(words, found), found
    assert "\n" not in found
    assert len(found) < 80


def test_a_port_that_accepts_and_says_nothing_and_one_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as accepting:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{accepting.getsockname()[1]}")
        assert fetched_file(REPOSITORY, NAME, STALL_S) == "it stalled: less than 64 KiB in 2 s"
    assert fetched_file(REPOSITORY, NAME, STALL_S) == "ConnectionRefusedError"
