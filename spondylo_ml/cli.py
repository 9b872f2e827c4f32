"""The command line: `python -m spondylo_ml <verb> --name value ...`.

Flags are made from the configuration's types by pydantic-settings: it is of the same family as the schema, takes
each value as one argument (which is how MLflow passes them on), and returns just what was given, to be laid over
the recipe. Nothing slow is imported before the arguments are known to be right.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict

from spondylo_ml.config import (
    AuditConfig,
    BenchmarkConfig,
    CompareConfig,
    Config,
    DataConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    ExportOnnxConfig,
    PhantomConfig,
    PredictConfig,
    PromoteConfig,
    RegistryConfig,
    field_names,
    read_entries,
    resolve_config,
    validate,
)
from spondylo_ml.errors import ConfigError, SpondyloError, unknown_name

SHORT_NAMES = {"model": "model.name", "data": "data.path", "minutes": "training.minutes"}
EXIT_PART_FAILED, EXIT_BAD_INPUT, EXIT_SOME_FILMS_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

_SETTINGS = SettingsConfigDict(
    extra="forbid", cli_avoid_json=True, cli_hide_none_type=True, cli_use_class_docs_for_groups=True
)


class TrainFlags(Config, BaseSettings):
    """Train a model and log it to MLflow."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml train")

    recipe: Path | None = Field(None, description="YAML file laid over the model's own recipe")
    resume: str | None = Field(None, description="run id, or path of a last.ckpt, to go on with")


class EvaluateFlags(EvaluateConfig, BaseSettings):
    """Judge the best model of a run on the films of any dataset."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml evaluate")


class DiagnoseFlags(DiagnoseConfig, BaseSettings):
    """Look into a finished run: its checks, the causes of its error, dead channels."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml diagnose")


class BenchmarkFlags(BenchmarkConfig, Config, BaseSettings):
    """Train several entries under one budget of minutes on the same films, and rank them."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml benchmark")


class ExportFlags(ExportConfig, BaseSettings):
    """Write films in another layout, and list what that layout cannot carry."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml export")


class ExportOnnxFlags(ExportOnnxConfig, BaseSettings):
    """Write a model with its network in ONNX as well, if that computes the same."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml export-onnx")


class PhantomFlags(PhantomConfig, BaseSettings):
    """Draw synthetic films and write them in any layout."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml phantom")


class AuditFlags(AuditConfig, BaseSettings):
    """Check a dataset before anyone trusts it; logs a report with pictures."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml audit")


class CompareFlags(CompareConfig, BaseSettings):
    """Compare the models of two or more runs on the same films."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml compare")


class PredictFlags(PredictConfig, BaseSettings):
    """Read films with a trained model: corners, slips, grades, overlays and reports."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml predict")


class PromoteFlags(PromoteConfig, BaseSettings):
    """Judge models against the champion; the better one takes its place in the registry."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml promote")


class RegistryFlags(RegistryConfig, BaseSettings):
    """Show who was champion, when, and why replaced."""

    model_config = _SETTINGS | SettingsConfigDict(cli_prog_name="python -m spondylo_ml registry")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; its exit code.

    0; 1 where trainings of a benchmark failed; 2 for bad input; 3 where `predict` could not read some films; 130 for
    Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            _write(_usage())
            return 0 if arguments else EXIT_BAD_INPUT
        verb = VERBS.get(arguments[0])
        if verb is None:
            raise ConfigError(unknown_name("verb", arguments[0], VERBS))
        return verb(arguments[1:]) or 0
    except SpondyloError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED


def given_values(flags: type[BaseSettings], arguments: Sequence[str]) -> dict[str, Any]:
    """The nested values that were given; `--help` prints the help and exits.

    Raises:
        ConfigError: a flag that does not exist (names the nearest), or a value missing.
    """
    names = field_names(flags)
    full = [_full_name(argument, names) for argument in _without_empty(arguments)]
    source: CliSettingsSource[Any] = CliSettingsSource(flags, cli_parse_args=full, cli_exit_on_error=True)
    return dict(source())


def _full_name(argument: str, names: Sequence[str]) -> str:
    """A flag with its short name replaced; other arguments as they are."""
    if not argument.startswith("--") or argument == "--help":
        return argument
    flag, equals, value = argument[2:].partition("=")
    if flag not in names:
        flag = SHORT_NAMES.get(flag, flag)
    if flag not in names:
        raise ConfigError(unknown_name("option", f"--{flag}", [f"--{name}" for name in (*names, *SHORT_NAMES)]))
    return f"--{flag}{equals}{value}"


def _without_empty(arguments: Sequence[str]) -> list[str]:
    """The arguments less the flags whose value is empty: MLproject passes a parameter that was not given so."""
    kept: list[str] = []
    for argument in arguments:
        if argument == "" and kept and kept[-1].startswith("--"):
            kept.pop()
        elif not (argument.startswith("--") and argument.find("=") == len(argument) - 1):
            kept.append(argument)
    return kept


def _train(arguments: Sequence[str]) -> None:
    values = given_values(TrainFlags, arguments)
    recipe, resumed = values.pop("recipe", None), values.pop("resume", None)
    # A resumed run brings its own configuration; the recipe is resolved all the same, so that bad names end here.
    config = resolve_config(values, Path(recipe) if recipe else None)
    _require_folder(config.data)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.train import find_resume, resumed_config, train

    _start_logging()
    if resumed:
        resume = find_resume(resumed)
        result = train(resumed_config(resume, values), resume)
    else:
        result = train(config)
    _write(report.trained(result))


def _evaluate(arguments: Sequence[str]) -> None:
    values = given_values(EvaluateFlags, arguments)
    config = validate(EvaluateConfig, values)
    _require_folder(config.data)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.evaluate import evaluate

    _start_logging()
    _write(report.judged(evaluate(config, values.get("data", {}))))


def _diagnose(arguments: Sequence[str]) -> None:
    values = given_values(DiagnoseFlags, arguments)
    config = validate(DiagnoseConfig, values)
    _require_folder(config.data)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.diagnose import diagnose

    _start_logging()
    _write(report.diagnosed(diagnose(config, values.get("data", {}))))


def _export(arguments: Sequence[str]) -> None:
    config = validate(ExportConfig, given_values(ExportFlags, arguments))
    if config.data.path is None:
        raise ConfigError("export needs a folder of films: --data <folder>. Synthetic films are written by phantom")
    _require_folder(config.data)
    _require_free(config.to)

    from spondylo_ml.workflows.export import describe, export

    _start_logging()
    _write(describe(export(config)))


def _export_onnx(arguments: Sequence[str]) -> None:
    config = validate(ExportOnnxConfig, given_values(ExportOnnxFlags, arguments))
    _require_free(config.to)

    from spondylo_ml.workflows.export_onnx import describe, export_onnx

    _start_logging()
    _write(describe(export_onnx(config)))


def _phantom(arguments: Sequence[str]) -> None:
    config = validate(PhantomConfig, given_values(PhantomFlags, arguments))
    _require_free(config.to)

    from spondylo_ml.workflows.export import describe, draw_phantoms

    _start_logging()
    _write(describe(draw_phantoms(config)))


def _require_free(to: Path) -> None:
    """A target that holds something already is told before any film is read."""
    from spondylo_ml.data.writers.dataset import require_free

    require_free(to.expanduser())


def _audit(arguments: Sequence[str]) -> None:
    config = validate(AuditConfig, given_values(AuditFlags, arguments))
    _require_folder(config.data)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.audit import audit

    _start_logging()
    _write(report.audited(audit(config)))


def _compare(arguments: Sequence[str]) -> None:
    values = given_values(CompareFlags, arguments)
    config = validate(CompareConfig, values)
    _require_folder(config.data)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.compare import compare

    _start_logging()
    _write(report.compared(compare(config, values.get("data", {}))))


def _predict(arguments: Sequence[str]) -> int:
    from spondylo_ml.data.film_files import find_films

    config = validate(PredictConfig, given_values(PredictFlags, arguments))
    _require_free(config.to)
    find_films(config.films)  # what is not there is told before the slow imports

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.predict import predict

    _start_logging()
    done = predict(config)
    _write(report.predicted(done))
    return EXIT_SOME_FILMS_FAILED if done.failed else 0


def _benchmark(arguments: Sequence[str]) -> int:
    given = given_values(BenchmarkFlags, arguments)
    asked = {name: given.pop(name) for name in BenchmarkConfig.model_fields if name in given}
    config = validate(BenchmarkConfig, asked)
    if config.resume is None or "entries" in asked:
        read_entries(config.entries)
    if "path" in given.get("data", {}):
        _require_folder(validate(DataConfig, given["data"]))

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.benchmark import benchmark

    _start_logging()
    result = benchmark(asked, given)
    _write(report.benchmarked(result))
    return EXIT_PART_FAILED if result.failed else 0


def _promote(arguments: Sequence[str]) -> None:
    values = given_values(PromoteFlags, arguments)
    config = validate(PromoteConfig, values)
    _require_folder(config.data)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.history import roll_back
    from spondylo_ml.workflows.promote import promote

    _start_logging()
    if config.rollback:
        _write(report.rolled_back(roll_back(config)))
    else:
        _write(report.promoted(promote(config, values.get("data", {}))))


def _registry(arguments: Sequence[str]) -> None:
    config = validate(RegistryConfig, given_values(RegistryFlags, arguments))

    from spondylo_ml.workflows.history import show_history

    _start_logging()
    _write(show_history(config))


def _require_folder(data: DataConfig) -> None:
    """A folder that is not there, or holds something else, is told before the slow imports."""
    from spondylo_ml.data.readers import READERS, find_reader

    if data.path is not None and data.kind in ("auto", *READERS):
        find_reader(data.path.expanduser(), data.kind)


VERBS: dict[str, Callable[[Sequence[str]], int | None]] = {
    "train": _train, "benchmark": _benchmark, "evaluate": _evaluate, "diagnose": _diagnose, "compare": _compare,
    "audit": _audit, "export": _export, "phantom": _phantom, "predict": _predict, "promote": _promote,
    "registry": _registry, "export-onnx": _export_onnx,
}  # fmt: skip
FLAGS: dict[str, type[BaseSettings]] = {
    "train": TrainFlags, "benchmark": BenchmarkFlags, "evaluate": EvaluateFlags, "diagnose": DiagnoseFlags,
    "compare": CompareFlags, "audit": AuditFlags, "export": ExportFlags, "phantom": PhantomFlags,
    "predict": PredictFlags, "promote": PromoteFlags, "registry": RegistryFlags, "export-onnx": ExportOnnxFlags,
}  # fmt: skip


def _usage() -> str:
    lines = [f"  {name:11} {flags.__doc__}" for name, flags in FLAGS.items()]
    return "\n".join(
        ["usage: python -m spondylo_ml <verb> [--name value ...]", "", *lines, "", "<verb> --help lists its options."]
    )


def _write(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def _start_logging() -> None:
    """Our own lines on the terminal; called after the imports, because Lightning and MLflow set their own levels."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("spondylo_ml").setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric", "mlflow", "mlflow.system_metrics", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
