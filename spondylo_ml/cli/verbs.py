"""What each verb does between its flags and its workflow: the quick checks first, the slow imports after them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spondylo_ml.cli.checks import (
    experiment_name,
    require_candidates,
    require_checkpoint_place,
    require_compared,
    require_cross_validation,
    require_films,
    require_given_films,
    require_model,
    require_opened_run,
    require_resume,
    require_resumed_config,
    require_runs,
    require_target,
)
from spondylo_ml.cli.flags import FLAGS, given_values
from spondylo_ml.config import (
    AuditConfig,
    BenchmarkConfig,
    CompareConfig,
    Config,
    ConvertModelConfig,
    DataConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    ExportOnnxConfig,
    PhantomConfig,
    PredictConfig,
    PromoteConfig,
    RegistryConfig,
    read_entries,
    resolve_config,
    validate,
)
from spondylo_ml.config.benchmark_plan import chosen_entries, make_plan, planned_trainings
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.schema import EXPERIMENT
from spondylo_ml.config.verbs import AUDITS
from spondylo_ml.errors import ConfigError
from spondylo_ml.folders import require_empty_folder, require_writable

if TYPE_CHECKING:
    from mlflow.entities import Run

EXIT_PART_FAILED, EXIT_SOME_FILMS_FAILED = 1, 3


def _train(arguments: Sequence[str]) -> None:
    values = given_values(FLAGS["train"], arguments)
    recipe, resumed = values.pop("recipe", None), values.pop("resume", None)
    # A resumed run brings its own configuration; the recipe is resolved all the same, so that bad names end here.
    config = resolve_config(values, expanded(Path(recipe)) if recipe else None)
    require_given_films(config.data) if resumed else require_films(config.data)
    if resumed and (found := require_cross_validation(resumed, values)) is not None:
        _cross_validate(found[1], found[0])
        return
    if not resumed and config.data.folds is not None and config.data.fold is None:
        _cross_validate(config, None)
        return
    resume = require_resume(resumed) if resumed else None
    if resume is not None:
        config = require_resumed_config(resume, values)
    require_target(config.tracking.experiment, EXPERIMENT, resume.run_id if resume else None)
    require_checkpoint_place()

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.train import train

    _start_logging()
    _write(report.trained(train(config, resume)))


def _cross_validate(config: Config, resumed: Run | None) -> None:
    require_target(config.tracking.experiment, EXPERIMENT, resumed.info.run_id if resumed else None)
    require_checkpoint_place()

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.train.cross_validate import cross_validate

    _start_logging()
    _write(report.cross_validated(cross_validate(config, resumed)))


def _evaluate(arguments: Sequence[str]) -> None:
    values = given_values(FLAGS["evaluate"], arguments)
    config = validate(EvaluateConfig, values)
    require_given_films(config.data)
    (run,) = require_runs([config.run_id], with_models=True)
    require_target(config.experiment, experiment_name(run))

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.evaluate import evaluate

    _start_logging()
    _write(report.judged(evaluate(config)))


def _diagnose(arguments: Sequence[str]) -> None:
    values = given_values(FLAGS["diagnose"], arguments)
    config = validate(DiagnoseConfig, values)
    require_given_films(config.data)
    (run,) = require_runs([config.run_id], with_models=True)
    require_target(config.experiment, experiment_name(run))

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.diagnose import diagnose

    _start_logging()
    _write(report.diagnosed(diagnose(config)))


def _export(arguments: Sequence[str]) -> None:
    config = validate(ExportConfig, given_values(FLAGS["export"], arguments))
    if config.data.path is None and config.data.kind in ("auto", "phantom"):
        raise ConfigError("export needs a folder of films: --data <folder>. Synthetic films are written by phantom")
    require_films(config.data)
    require_empty_folder(expanded(config.to))
    require_writable(expanded(config.to).absolute().parent)
    require_opened_run()

    from spondylo_ml.workflows.export import describe, export

    _start_logging()
    _write(describe(export(config)))


def _export_onnx(arguments: Sequence[str]) -> None:
    config = validate(ExportOnnxConfig, given_values(FLAGS["export-onnx"], arguments))
    require_empty_folder(expanded(config.to))
    require_model(config.model, config.digest)
    require_opened_run()

    from spondylo_ml.workflows.export_onnx import describe, export_onnx

    _start_logging()
    _write(describe(export_onnx(config)))


def _convert_model(arguments: Sequence[str]) -> None:
    config = validate(ConvertModelConfig, given_values(FLAGS["convert-model"], arguments))
    require_empty_folder(expanded(config.to))
    require_model(config.model, digest="")  # one of a former format has none

    from spondylo_ml.workflows.convert_model import convert_model, describe

    _start_logging()
    _write(describe(convert_model(config)))


def _phantom(arguments: Sequence[str]) -> None:
    config = validate(PhantomConfig, given_values(FLAGS["phantom"], arguments))
    require_empty_folder(expanded(config.to))
    require_writable(expanded(config.to).absolute().parent)
    require_opened_run()

    from spondylo_ml.workflows.export import describe, draw_phantoms

    _start_logging()
    _write(describe(draw_phantoms(config)))


def _audit(arguments: Sequence[str]) -> None:
    config = validate(AuditConfig, given_values(FLAGS["audit"], arguments))
    require_films(config.data)
    require_target(config.experiment, AUDITS)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.audit import audit

    _start_logging()
    _write(report.audited(audit(config)))


def _compare(arguments: Sequence[str]) -> None:
    values = given_values(FLAGS["compare"], arguments)
    config = validate(CompareConfig, values)
    require_given_films(config.data)
    require_target(config.experiment, experiment_name(require_compared(config)))

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.compare import compare

    _start_logging()
    _write(report.compared(compare(config)))


def _predict(arguments: Sequence[str]) -> int:
    from spondylo_ml.data.film_files import collect_films

    config = validate(PredictConfig, given_values(FLAGS["predict"], arguments))
    require_empty_folder(expanded(config.to))
    collect_films(config.films)  # what is not there is reported before the slow imports
    require_model(config.model, config.digest)
    require_opened_run()

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.predict import predict

    _start_logging()
    done = predict(config)
    _write(report.predicted(done))
    return EXIT_SOME_FILMS_FAILED if done.failed else 0


def _benchmark(arguments: Sequence[str]) -> int:
    given = given_values(FLAGS["benchmark"], arguments)
    asked = {name: given.pop(name) for name in BenchmarkConfig.model_fields if name in given}
    config = validate(BenchmarkConfig, asked)
    _check_plan(config, asked, given)

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.benchmark import benchmark

    _start_logging()
    result = benchmark(asked, given)
    _write(report.benchmarked(result))
    return EXIT_PART_FAILED if result.failed else 0


def _check_plan(config: BenchmarkConfig, asked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Of a benchmark that goes on, what it was begun with is known only to its run."""
    if config.resume is not None:
        if "entries" in asked:
            read_entries(config.entries)
        require_given_films(validate(DataConfig, given.get("data", {})))
        require_runs([config.resume])
        return
    plan = make_plan(config, given)
    chosen_entries(plan, config.only)
    first = planned_trainings(plan)[0].config
    require_films(first.data)
    require_target(first.tracking.experiment, EXPERIMENT)
    require_checkpoint_place()


def _promote(arguments: Sequence[str]) -> None:
    values = given_values(FLAGS["promote"], arguments)
    config = validate(PromoteConfig, values)
    require_given_films(config.data)
    if config.rollback:
        require_runs()
    else:
        require_target(config.experiment, experiment_name(require_candidates(config)))

    from spondylo_ml.workflows import report
    from spondylo_ml.workflows.promote import promote
    from spondylo_ml.workflows.promote.rollback import roll_back

    _start_logging()
    if config.rollback:
        _write(report.rolled_back(roll_back(config)))
    else:
        _write(report.promoted(promote(config)))


def _registry(arguments: Sequence[str]) -> None:
    config = validate(RegistryConfig, given_values(FLAGS["registry"], arguments))
    require_runs()

    from spondylo_ml.workflows.registry import show_history

    _start_logging()
    _write(show_history(config))


VERBS: dict[str, Callable[[Sequence[str]], int | None]] = {
    "train": _train, "benchmark": _benchmark, "evaluate": _evaluate, "diagnose": _diagnose, "compare": _compare,
    "audit": _audit, "export": _export, "phantom": _phantom, "predict": _predict, "promote": _promote,
    "registry": _registry, "export-onnx": _export_onnx, "convert-model": _convert_model,
}  # fmt: skip


def _write(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def _start_logging() -> None:
    """Our own lines on the terminal; called after the imports, because Lightning and MLflow set their own levels."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("spondylo_ml").setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric", "mlflow", "mlflow.system_metrics", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
