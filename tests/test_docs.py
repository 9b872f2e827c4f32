"""The README, the pages of docs/ and the code agree."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
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
    "mean shape": "mean shape",
}
VALUE = "\0"
"""Stands for a value in a message."""

LEAST_LITERAL = 15
"""Least number of literal characters of a message in the source; the rest may be values."""


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
        synthetic, real = row.split("|")[2:4], row.split("|")[4:6]
        for cells, source in ((synthetic, rows_by_model[name][0]), (real, rows_by_model[name][1])):
            for cell in cells:
                assert re.search(rf"\| {re.escape(cell.strip())}( \[.*?\])? \|", source), (title, cell)


def test_each_message_of_the_troubleshooting_page_occurs_in_the_source() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = [line for block in re.findall(r"```text\n(.*?)```", page, re.S) for line in block.splitlines()]
    assert len(messages) > 20
    patterns = [re.compile(pattern) for pattern in _message_patterns()]
    missing = [line for line in messages if not any(pattern.search(line) for pattern in patterns)]
    assert not missing, "\n".join(missing)


def _message_patterns() -> Iterator[str]:
    """Regular expressions for the lines of all strings in the source; values of an f-string match any text."""
    for folder in ("spondylo_ml", "tuning"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                texts = [part.value if isinstance(part, ast.Constant) else VALUE for part in parts]
                for line in "".join(text for text in texts if isinstance(text, str)).split("\n"):
                    if len(line.replace(VALUE, "")) >= LEAST_LITERAL:
                        yield re.escape(line).replace(VALUE, ".*?")
