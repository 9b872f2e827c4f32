"""The README, the pages of docs/ and the code agree."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODELS = {
    "MAHT-Net": "maht_net",
    "HRNet-W32": "hrnet_w32",
    "ResNet-50": "resnet50",
    "U-Net": "unet",
    "Keypoint R-CNN": "keypoint_rcnn",
    "Cascade Net": "cascade_net",
    "mean shape": "mean shape",
}
VALUE = "\0"
"""Stands for a value in a message."""

WORDS = re.compile(r"[a-z]{2,} [a-z]{2,}")
"""Words in a row: those of a quoted message must be in the source; single names and numbers are values."""

FROM_LIBRARIES = ("expected one argument", "No such file or directory", "Extra data: line 384 column 2")
"""Parts of quoted messages that argparse, the operating system and `json` supply."""


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("name", GENERATOR.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    rendered = GENERATOR.PAGES[name]().rstrip("\n") + "\n"
    assert committed == rendered, "run `python docs/generate.py`"


def test_the_configuration_page_shows_type_default_range_and_meaning() -> None:
    page = GENERATOR.configuration_page()
    assert "| `training.batch_size` | integer | `8` | ≥ 1, ≤ 1024 | films per step |" in page
    assert "| `training.epochs` | integer | none | ≥ 1, ≤ 10000 | epochs; unset: from film_passes |" in page
    assert "| `model.hrnet_w32.dropout` | number | `0.3` | ≥ 0, < 1 | dropout in the head |" in page
    assert "| `data.phantom_slips` | choice | `clinic` | `clinic`, `even` |" in page


def test_a_placeholder_outside_code_is_not_an_html_tag() -> None:
    page = GENERATOR.metrics_page()
    assert "share of the corners within &lt;k> px512" in page
    assert "| `sdr_<k>px` | % | higher |" in page


def test_the_results_in_the_readme_equal_those_of_the_benchmark() -> None:
    benchmark = (ROOT / "projects" / "benchmark" / "README.md").read_text(encoding="utf-8")
    rows_by_model = {
        name: [row for row in benchmark.splitlines() if row.startswith(f"| {name} |")] for name in MODELS.values()
    }
    for title, name in MODELS.items():
        (row,) = re.findall(rf"^\| \[?{re.escape(title)}.*$", README, re.M)
        cells = row.split("|")
        errors, by_position, _, errors_real, by_position_real, *_ = rows_by_model[name]
        sources = [errors, errors, errors_real, errors_real, by_position, by_position_real]
        for cell, source in zip(cells[2:8], sources, strict=True):
            assert re.search(rf"\| {re.escape(cell.strip())}( ± [\d.]+)?( \[.*?\])? \|", source), (title, cell)


def test_all_words_of_the_messages_of_the_troubleshooting_page_occur_in_the_source() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = [line for block in re.findall(r"```text\n(.*?)```", page, re.S) for line in block.splitlines()]
    assert len(messages) > 20
    patterns = [re.compile(pattern) for pattern in _message_patterns()]
    assert [(line, words) for line in messages if (words := _not_in_source(line, patterns))] == []


def test_a_changed_word_of_a_message_is_reported() -> None:
    patterns = [re.compile("(run ).*?( has no model: it failed)"), re.compile("(Resume it: train)")]
    line = "error: run 4aea has no model: it failed. Resume it: train"
    assert _not_in_source(line, patterns) == []
    changed = line.replace("it failed", "it broke")
    assert _not_in_source(changed, patterns) == ["error: run 4aea has no model: it broke."]


def _not_in_source(line: str, patterns: Sequence[re.Pattern[str]]) -> list[str]:
    """Parts of a quoted message that have words but are not literal text of any of the patterns."""
    literal = list(line)
    for pattern in patterns:
        for match in pattern.finditer(line):
            for group in range(1, pattern.groups + 1):
                start, end = match.span(group)
                literal[start:end] = VALUE * (end - start)
    return [part.strip() for part in "".join(literal).split(VALUE) if WORDS.search(part)]


def _message_patterns() -> Iterator[str]:
    """Regular expressions of the source's strings, with a group for each literal part; values match any text."""
    lines = set(FROM_LIBRARIES)
    for folder in ("spondylo_ml", "tuning"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                texts = [part.value if isinstance(part, ast.Constant) else VALUE for part in parts]
                lines.update("".join(text for text in texts if isinstance(text, str)).split("\n"))
    for line in lines:
        if any(" " in text.strip() for text in line.split(VALUE)):
            yield ".*?".join(f"({re.escape(text)})" for text in line.split(VALUE) if text)
