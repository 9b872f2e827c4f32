"""Corrupted files by a seed: bytes changed, removed, doubled and moved, and tokens that break readers put in."""

from __future__ import annotations

import random

import pytest

TOKENS = (
    b"9" * 4301, b"-" + b"9" * 5000, b"1e999", b"-1e-999", b"NaN", b"Infinity", b"null", b"true", b"[", b"{", b'"',
    b"]", b"}", b"\\", b"\\ud800", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b";", b",", b"\t", b":", b"#",
    b"- ", b"&a ", b"*a", b"!!python/object:os.system ", b"../../", b"/etc/passwd", b"x" * 300, b"a" * 5000 + b".png",
    "é".encode(), "e\u0301".encode(), "\u202e".encode(), b"0", b"-1", b"2", b"0.5", b"1_0", b"0x1F", b"=1+1", b"' '",
)  # fmt: skip


def corrupted(data: bytes, seed: object) -> bytes:
    """The data with one to three corruptions; the same for the same seed."""
    source = random.Random(f"{seed}")
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        data = _changed(bytearray(data), source)
    return data


QUICK, SLOW = 300, 10_000
"""Number of inputs in the quick and in the slow suite."""


def seed_ranges(quick: int = QUICK) -> pytest.MarkDecorator:
    """Run a test on so many seeds in the quick suite, and on the others in the slow one."""
    slow = pytest.param(range(quick, SLOW), id="slow", marks=pytest.mark.slow)
    return pytest.mark.parametrize("seeds", [pytest.param(range(quick), id="quick"), slow])


def _changed(data: bytearray, source: random.Random) -> bytes:
    start = source.randrange(len(data) + 1)
    stop = min(len(data), start + source.choice((1, 1, 2, 4, 16, 200)))
    match source.randrange(8):
        case 0:
            data[start:stop] = bytes(source.randrange(256) for _ in range(stop - start))
        case 1:
            del data[start:stop]
        case 2:
            del data[start:]
        case 3:
            data[start:start] = data[start:stop] * source.choice((1, 2, 50))
        case 4 if data:
            at = min(start, len(data) - 1)
            data[at] ^= 1 << source.randrange(8)
        case 5 if data:
            to = source.randrange(len(data))
            data[to : to + stop - start] = data[start:stop]
        case 6:
            data[start:stop] = source.choice(TOKENS)
        case _:
            _replace_number(data, source)
    return bytes(data)


def _replace_number(data: bytearray, source: random.Random) -> None:
    """Put a token in the place of a number or a word."""
    places = [at for at, byte in enumerate(data) if chr(byte).isalnum()]
    if not places:
        return
    start = stop = source.choice(places)
    while start > 0 and chr(data[start - 1]).isalnum():
        start -= 1
    while stop < len(data) and (chr(data[stop]).isalnum() or data[stop] == ord(".")):
        stop += 1
    data[start:stop] = source.choice(TOKENS)
