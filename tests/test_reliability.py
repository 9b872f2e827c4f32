"""The page on reliability promises only what a test checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_each_promise_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]
    named = [re.search(r"\| `([\w/]+\.py)::(\w+)` \|$", row) for row in rows]
    assert len(rows) > 30
    for row, match in zip(rows, named, strict=True):
        assert match is not None, row
        tree = ast.parse((ROOT / match[1]).read_text(encoding="utf-8"))
        tests = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert match[2] in tests, row
        marks = [ast.unparse(mark) for mark in tests[match[2]].decorator_list]
        assert ("pytest.mark.slow" in marks) == ("(*slow*)" in row), row
