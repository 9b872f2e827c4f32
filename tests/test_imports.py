"""Imports run in one direction: a module imports only from lower layers, or from its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import spondylo_ml

PACKAGE = Path(spondylo_ml.__file__).parent
LAYERS = {
    "errors": 0,
    "folders": 0,
    "landmarks": 0,
    "nan": 0,
    "disclaimer": 0,
    "config": 0,
    "clinical": 0,
    "data": 1,
    "models": 2,
    "training": 3,
    "evaluation": 4,
    "diagnosis": 4,
    "pages": 4,
    "film_report": 4,
    "promotion": 4,
    "tracking": 5,
    "serving": 6,
    "workflows": 7,
    "cli": 8,
    "__main__": 9,
}
WITHOUT_MLFLOW = (
    "errors", "folders", "landmarks", "nan", "disclaimer", "config", "clinical", "data", "models", "training",
    "evaluation", "diagnosis", "pages", "film_report", "promotion",
)  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    """The room of a module: its folder in the package, or its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("spondylo_ml.")}


def test_every_room_of_the_package_has_its_layer() -> None:
    found = {part_of(path) for path in modules()}
    assert found <= set(LAYERS)
    assert len(found) > 8


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_room_and_lower_layers(path: Path) -> None:
    own = part_of(path)
    upward = {room for room in rooms_imported(path) if room != own and LAYERS[room] > LAYERS[own]}
    assert upward == set()


def test_no_two_rooms_import_each_other() -> None:
    uses: dict[str, set[str]] = {}
    for path in modules():
        uses.setdefault(part_of(path), set()).update(rooms_imported(path) - {part_of(path)})
    assert uses["workflows"]
    assert [(a, b) for a in uses for b in uses[a] if a in uses.get(b, set())] == []


def test_only_tracking_and_above_know_mlflow() -> None:
    knowing = {part_of(path) for path in modules() if any(n.split(".")[0] == "mlflow" for n in imported(path))}
    assert knowing & set(WITHOUT_MLFLOW) == set()
    assert "tracking" in knowing


def test_the_package_never_imports_the_studies_or_the_tests() -> None:
    for path in modules():
        assert not {name.split(".")[0] for name in imported(path)} & {"tuning", "tests", "projects"}


def test_the_command_line_starts_without_anything_slow() -> None:
    slow = ("torch", "mlflow", "lightning", "albumentations", "cv2", "pandas", "matplotlib", "plotly")
    code = f"import sys, spondylo_ml.cli; print([m for m in {slow!r} if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert made.stdout.strip() == "[]"
