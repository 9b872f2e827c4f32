"""The files that install the project agree with each other and with the code."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.tracking.default_experiment.abstract_context import DefaultExperimentProvider
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import spondylo_ml
from spondylo_ml.cli.command import Command
from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.flags import SHORT_NAMES
from spondylo_ml.config import field_names
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.config.schema import PRESETS
from tuning.cli import TUNE

ROOT = Path(__file__).resolve().parents[1]
STARTER_FILES = ("bundle.json", "weights.safetensors", "manifest.json", "origin.json", "card.md")
LARGEST_WHEEL_MB = 22
"""20 for the starter model, 2 for all else."""

ALL_COMMANDS = COMMANDS | {TUNE.name: TUNE}
ENTRIES = {name: command for name, command in ALL_COMMANDS.items() if command.is_project_entry}


def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _locked() -> dict[str, Version]:
    """The version of each package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(r.name): Version(str(r.specifier).removeprefix("==")) for r in requirements}


def _dependencies(*extras: str) -> list[Requirement]:
    project: dict[str, Any] = _project()
    return [Requirement(r) for r in sum((project["optional-dependencies"][e] for e in extras), project["dependencies"])]


def test_each_dependency_is_locked_in_a_version_that_pyproject_allows() -> None:
    project: dict[str, Any] = _project()
    requirements = _dependencies(*project["optional-dependencies"])
    locked = _locked()
    versions = [(r, locked.get(canonicalize_name(r.name))) for r in requirements]
    unmet = [str(r) for r, version in versions if version is None or version not in r.specifier]
    assert unmet == [], "write constraints.txt anew: make lock"


def test_conda_yaml_has_the_locked_versions_of_the_direct_dependencies() -> None:
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    *from_conda, pip = environment["dependencies"]
    assert [re.split(r"[=<>]", name)[0] for name in from_conda] == ["python", "pip"]
    locked = _locked()
    packages = {r.name: locked[canonicalize_name(r.name)] for r in _dependencies("tuning")}  # `mlflow run . -e tune`
    assert sorted(pip["pip"]) == sorted(f"{name}=={version}" for name, version in packages.items())


def test_the_package_tells_mlflow_the_experiment_of_the_project() -> None:
    (reference,) = _project()["entry-points"]["mlflow.default_experiment_provider"].values()  # type: ignore[index]
    module, _, name = reference.partition(":")
    assert issubclass(getattr(importlib.import_module(module), name), DefaultExperimentProvider)


@pytest.mark.slow
def test_importing_mlflow_with_the_plugin_leaves_the_package_to_a_models_own_code() -> None:
    code = "import mlflow, spondylo_mlflow_plugin, sys; print('spondylo_ml' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert process.stdout.strip() == "False", process.stderr


def test_torch_and_torchvision_are_locked_in_compatible_versions() -> None:
    locked = _locked()
    assert (str(locked["torch"]), str(locked["torchvision"])) == ("2.14.1", "0.29.1")


def _entry_points() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))[
        "entry_points"
    ]
    return entries


def test_mlproject_has_an_entry_point_for_each_command_and_a_main() -> None:
    assert set(_entry_points()) == {"main", *ENTRIES}


@pytest.mark.parametrize("command", ENTRIES.values(), ids=lambda command: command.name)
def test_an_entry_point_passes_its_parameters_as_command_options(command: Command) -> None:
    entry = _entry_points()[command.name]
    options = {*field_names(command.flags), *SHORT_NAMES}
    assert set(entry["parameters"]) <= options
    flags = [f"--{name} {{{name}}}" for name in entry["parameters"]]
    assert entry["command"] == " ".join([command.call, *flags])
    required = {name for name, field in command.options.model_fields.items() if field.is_required()}
    assert required <= set(entry["parameters"]), "required options are parameters, so that MLflow asks for them"


def test_the_main_entry_point_is_a_smoke_run() -> None:
    main = _entry_points()["main"]
    assert main["command"] == "python -m spondylo_ml train --preset smoke --model {model} --data {data}"
    assert set(main["parameters"]) == {"model", "data"}


@pytest.mark.slow
def test_the_wheel_contains_the_recipes_but_neither_tuning_nor_tests(tmp_path: Path) -> None:
    source = tmp_path / "source"
    packaged = ("spondylo_ml", "projects", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
    for name in (*packaged, "tuning", "starter", "tests"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, (source / name) if (ROOT / name).is_dir() else source)
    _write_starter(source / "spondylo_ml" / "starter")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    process = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for model in MODEL_NAMES:
        for preset in ("config", *(preset for preset in PRESETS if preset not in ("full", "document", "finetune"))):
            assert f"spondylo_ml/projects/{model}/{preset}.yaml" in names
    assert {
        f"spondylo_ml/projects/benchmark/{n}.yaml" for n in ("five_models", "six_models", "maht_net_ablation")
    } <= names
    assert {f"spondylo_ml/film_report/{name}" for name in ("film_report.schema.json", "texts/en.toml")} <= names
    templates = {path.name for path in (ROOT / "spondylo_ml/pages/templates").glob("*.html")}
    assert "film_report.html" in templates
    assert {f"spondylo_ml/pages/templates/{name}" for name in templates} <= names
    assert "spondylo_ml/py.typed" in names
    assert "spondylo_ml/projects/finetune.yaml" in names
    assert {f"spondylo_ml/starter/{name}" for name in STARTER_FILES} <= names
    assert not [name for name in names if name.startswith(("tuning/", "tests/", "starter/"))]
    assert not [name for name in names if "/test" in name or "conftest" in name]
    assert wheel.stat().st_size / 1e6 <= LARGEST_WHEEL_MB
    _assert_the_wheel_works_without_the_clone(wheel, tmp_path)


def _write_starter(folder: Path) -> None:
    """Write a starter model, as far as packaging and finding it go, where the checkout has none."""
    folder.mkdir(exist_ok=True)
    for name in STARTER_FILES:
        if not (folder / name).exists():
            (folder / name).write_text('{"digest": "of this model"}')


def _assert_the_wheel_works_without_the_clone(wheel: Path, folder: Path) -> None:
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import spondylo_ml.config.resolve as r;"
        "print(r.__file__); print(r.projects_dir()); print(r.resolve_config().training.film_passes)"
    )
    process = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True)
    file, projects, passes = process.stdout.split()
    assert file.startswith(str(site)), process.stderr
    assert Path(projects) == site / "spondylo_ml" / "projects"
    assert int(passes) > 0
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from spondylo_ml.serving.local_model import local_model;"
        "found = local_model('starter'); print(found.folder); print(found.digest)"
    )
    process = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True)
    assert process.stdout.splitlines()[:1] == [str(site / "spondylo_ml" / "starter")], process.stderr
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from importlib.metadata import distribution as d;"
        "sys.exit(d('spondylo_ml').entry_points['spondylo-ml'].load()(['--version']))"
    )
    process = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, f"spondylo_ml {spondylo_ml.__version__}\n"), process.stderr


def test_the_readme_names_the_commands_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- test -->\n```\n(.*?)```\n<!-- /test -->", readme, re.S)
    assert block is not None
    assert len(block.group(1).splitlines()) == 2
    for command in (
        "pip install -c constraints.txt -e .",
        "python -m spondylo_ml predict --films film.dcm --model starter --to results",
        "mlflow run . -e train -P model=unet --env-manager local",
    ):
        assert f"\n{command}\n" in readme


@pytest.mark.parametrize("folder", ["spondylo_ml", "projects", "tests", "tuning", "starter", "docs", "benchmarks"])
def test_no_file_contains_a_local_path(folder: str) -> None:
    files = [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md", ".yaml", ".toml")]
    files_with_path = [p for p in files if re.search(r"/(work|root|home)/\w", p.read_text(encoding="utf-8"))]
    assert files_with_path == []
