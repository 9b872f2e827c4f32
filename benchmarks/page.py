"""The tables of benchmarks/README.md that scripts write, each between two markers, under a line on the machine."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


def machine(threads: int, note: str) -> str:
    """A line on what was measured where and when."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = (
        f"{date.today()}", f"{platform.system()} {platform.machine()}", f"{cores} core(s)", f"{threads} thread(s)",
        f"Python {platform.python_version()}", f"PyTorch {version('torch')}", note,
    )  # fmt: skip
    return ", ".join(filter(None, parts))


def write_table(text: str, begin: str, end: str) -> None:
    """Put the text between the two markers, in place of what is there.

    Raises:
        ValueError: the page does not have the markers once each, in this order.
    """
    page = README.read_text(encoding="utf-8")
    if not (page.count(begin) == page.count(end) == 1 and page.index(begin) < page.index(end)):
        raise ValueError(f"{README.name} does not have {begin} and {end} once each, in this order")
    before, after = page.split(begin)[0], page.split(end)[1]
    README.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
