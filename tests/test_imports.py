"""Imports are one-way: a module imports only from its subpackage and lower layers, and there are no cycles."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import spondylo_ml

PACKAGE = Path(spondylo_ml.__file__).parent
LAYERS = {
    "version": 0,
    "errors": 0,
    "folders": 0,
    "landmarks": 0,
    "spacing": 0,
    "nan": 0,
    "disclaimer": 0,
    "termination": 0,
    "processes": 0,
    "film_bar": 0,
    "config": 0,
    "clinical": 0,
    "data": 1,
    "models": 2,
    "training": 3,
    "evaluation": 4,
    "diagnosis": 4,
    "active_learning": 4,
    "pages": 4,
    "film_report": 4,
    "promotion": 4,
    "tracking": 5,
    "dicom_results": 5,
    "serving": 6,
    "workflows": 7,
    "api": 8,
    "cli": 8,
    "__main__": 9,
}
WITHOUT_MLFLOW = {name for name, layer in LAYERS.items() if layer < LAYERS["tracking"]}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def subpackage_of(path: Path) -> str:
    """The subpackage of a module, or the module itself if it is directly in the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Full names of all imports of a module, including those in functions."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def dotted_name(path: Path) -> str:
    """Name by which a module is imported; for an `__init__` that of its package."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def module_of(target: str, modules: Set[str]) -> str:
    """The module that holds an imported name; empty if it is in another library."""
    owner = target.rpartition(".")[0]
    return next((name for name in (target, owner) if name in modules), "")


def imported_subpackages(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("spondylo_ml.")}


def test_every_subpackage_has_a_layer() -> None:
    subpackages = {subpackage_of(path) for path in modules()}
    assert subpackages == set(LAYERS)


def test_the_guide_for_contributors_lists_each_subpackage_with_its_layer() -> None:
    guide = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", guide, re.M)
    listed = {name: int(layer) for layer, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == LAYERS


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_subpackage_and_lower_layers(path: Path) -> None:
    subpackage = subpackage_of(path)
    upward = {
        other for other in imported_subpackages(path) if other != subpackage and LAYERS[other] > LAYERS[subpackage]
    }
    assert upward == set()


def test_no_two_subpackages_import_each_other() -> None:
    uses: dict[str, set[str]] = {}
    for path in modules():
        uses.setdefault(subpackage_of(path), set()).update(imported_subpackages(path) - {subpackage_of(path)})
    assert uses["workflows"]
    assert [(a, b) for a in uses for b in uses[a] if a in uses.get(b, set())] == []


def test_there_are_no_import_cycles() -> None:
    """Imports within functions and for type checkers count too."""
    paths = [path for package in (PACKAGE, PACKAGE.parent / "tuning") for path in package.rglob("*.py")]
    modules_by_name = {dotted_name(path): path for path in paths}
    graph = {
        name: {module for target in imported(path) if (module := module_of(target, modules_by_name.keys()))}
        for name, path in modules_by_name.items()
    }
    assert "spondylo_ml.serving.backends" in graph["spondylo_ml.api"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules that import each other: {' <- '.join(error.args[1])}")


def test_only_tracking_and_higher_layers_import_mlflow() -> None:
    importers = {subpackage_of(path) for path in modules() if any(n.split(".")[0] == "mlflow" for n in imported(path))}
    assert importers & WITHOUT_MLFLOW == set()
    assert "tracking" in importers


def test_the_package_never_imports_tuning_tests_or_projects() -> None:
    for path in modules():
        assert not {name.split(".")[0] for name in imported(path)} & {"tuning", "tests", "projects"}


def test_the_command_line_starts_without_slow_imports() -> None:
    slow = ("torch", "mlflow", "lightning", "albumentations", "cv2", "pandas", "matplotlib", "plotly", "psutil")
    code = f"import sys, spondylo_ml.cli; print([m for m in {slow!r} if m in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert process.stdout.strip() == "[]"
