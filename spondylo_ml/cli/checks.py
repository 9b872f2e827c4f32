"""The checks of each command before slow imports; they take about a second, or three if MLflow is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spondylo_ml.cli.requirements import (
    config_of_model,
    experiment_name,
    require_candidates,
    require_checkpoint_place,
    require_compared_runs,
    require_films,
    require_given_films,
    require_model,
    require_opened_run,
    require_runs,
    require_store,
    require_target,
)
from spondylo_ml.config import (
    AuditConfig,
    BenchmarkConfig,
    CleanConfig,
    CompareConfig,
    ConvertModelConfig,
    CorrectionsConfig,
    DataConfig,
    DeidentifyConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    ExportOnnxConfig,
    ListConfig,
    NextConfig,
    PhantomConfig,
    PredictConfig,
    PreviewOptions,
    PromoteConfig,
    ReadersConfig,
    RegistryConfig,
    ShowConfig,
    TrainOptions,
    UiConfig,
    read_entries,
    resolve_config,
    validate,
)
from spondylo_ml.config.benchmark_plan import chosen_entries, make_plan, planned_runs
from spondylo_ml.config.experiments import EXPERIMENT, TOOLS_EXPERIMENT
from spondylo_ml.config.paths import expanded
from spondylo_ml.errors import ConfigError
from spondylo_ml.folders import require_empty_folder, require_new_file, require_result_folder, require_writable


def check_train(options: TrainOptions, overrides: Mapping[str, Any]) -> None:
    """Check the configuration, the films, the run to resume and the target of the new run."""
    # A resumed run has its configuration already; resolving the recipe still catches bad names.
    config = resolve_config(overrides, options.recipe_path, config_of_model)
    if options.resume is None:
        require_films(config.data)
    else:
        require_given_films(config.data)
        require_store()

    from spondylo_ml.tracking.resume import requested_training

    training = requested_training(options, overrides, config_of_model)
    require_target(training.config.tracking.experiment, EXPERIMENT, training.run_id)
    require_checkpoint_place()


def check_benchmark(options: BenchmarkConfig, overrides: Mapping[str, Any]) -> None:
    """Check the entries, the films and the target of the runs; if resumed, only what does not depend on its plan."""
    if options.resume is not None:
        if "entries" in options.model_fields_set:
            read_entries(options.entries)
        require_given_films(validate(DataConfig, overrides.get("data", {})))
        require_runs([options.resume])
        return
    plan = make_plan(options, overrides)
    chosen_entries(plan, options.only)
    first = planned_runs(plan)[0].config
    require_films(first.data)
    require_target(first.tracking.experiment, EXPERIMENT)
    require_checkpoint_place()


def check_evaluate(config: EvaluateConfig | DiagnoseConfig) -> None:
    """Check the films, the run with its model, and the target of the new run."""
    require_given_films(config.data)
    (run,) = require_runs([config.run_id], with_models=True)
    require_target(config.experiment, experiment_name(run))


def check_compare(config: CompareConfig) -> None:
    """Check the films, the runs with their models, and the target of the new run."""
    require_given_films(config.data)
    require_target(config.experiment, experiment_name(require_compared_runs(config)))


def check_audit(config: AuditConfig) -> None:
    """Check the films, the file for a mapping and the target of the new run."""
    if config.mapping_to is not None:
        if config.data.path is None:
            raise ConfigError("mapping_to needs a folder with labels (data): synthetic films have no names to map")
        require_new_file(expanded(config.mapping_to))
    require_films(config.data)
    require_target(config.experiment, TOOLS_EXPERIMENT)


def check_readers(config: ReadersConfig) -> None:
    """Check the datasets, the model, the output folder and the target of the new run."""
    for data in config.datasets:
        require_films(data)
    if config.to is not None:
        require_empty_folder(expanded(config.to))
        require_writable(expanded(config.to).absolute().parent)
    if config.model is not None:
        require_model(config.model, config.digest)
    require_target(config.experiment, TOOLS_EXPERIMENT)


def check_corrections(config: CorrectionsConfig) -> None:
    """Check the record of the drafts, the labels and the target of the new run."""
    from spondylo_ml.data.draft_record import record_file

    for folder in config.draft_folders:
        record_file(folder)
    for data in config.datasets:
        require_films(data)
    require_target(config.experiment, TOOLS_EXPERIMENT)


def check_next(config: NextConfig) -> None:
    """Check the films, the labelled films, the model, the output folder and the target of the new run."""
    from spondylo_ml.data.film_files import collect_films

    if config.to is not None:
        require_empty_folder(expanded(config.to))
    collect_films(config.films)
    if config.labelled_data is not None:
        require_films(config.labelled_data)
    require_model(config.model, config.digest)
    require_target(config.experiment, TOOLS_EXPERIMENT)


def check_export(config: ExportConfig) -> None:
    """Check the films and the output folder."""
    if config.data.path is None and config.data.kind in ("auto", "phantom"):
        raise ConfigError("export needs a folder of films: --data <folder>. Synthetic films are written by phantom")
    require_films(config.data)
    _require_dataset_folder(config.to)


def check_deidentify(config: DeidentifyConfig) -> None:
    """Check the output folder, and that there are films."""
    from spondylo_ml.data.film_files import collect_films
    from spondylo_ml.data.pseudonyms import require_salt_outside

    require_empty_folder(expanded(config.to))
    require_salt_outside(expanded(config.to))
    collect_films(config.films)


def check_phantom(config: PhantomConfig) -> None:
    """Check the output folder."""
    _require_dataset_folder(config.to)


def check_predict(config: PredictConfig) -> None:
    """Check the films, the model and the output folders."""
    from spondylo_ml.data.dicomweb import DicomwebServer
    from spondylo_ml.data.film_files import collect_films
    from spondylo_ml.dicom_results.installed import require_installed

    require_result_folder(expanded(config.to), config.resume)
    if config.dicom_to is not None:
        require_installed()
        require_empty_folder(expanded(config.dicom_to))
    for server in (*(config.films if config.study else ()), *filter(None, [config.dicom_store])):
        DicomwebServer(server)
    if not config.study:
        collect_films(config.films)
    require_model(config.model, config.digest)
    require_opened_run()


def check_promote(config: PromoteConfig) -> None:
    """Check the films, the candidates with their models, and the target of the new run."""
    require_given_films(config.data)
    if config.rollback:
        require_runs()
    else:
        require_candidates(config)
        require_target(config.experiment, TOOLS_EXPERIMENT)


def check_registry(config: RegistryConfig) -> None:
    """Check the store."""
    require_runs()


def check_show(config: ShowConfig) -> None:
    """Check the output folder, the films and the model."""
    require_empty_folder(expanded(config.to))
    if config.model is None:
        require_films(config.data)
    else:
        require_given_films(config.data)
        require_model(config.model, config.digest)


def check_preview(options: PreviewOptions, overrides: Mapping[str, Any]) -> None:
    """Check the output folder, the configuration and the films."""
    require_empty_folder(expanded(options.to))
    require_films(resolve_config(overrides, options.recipe_path, config_of_model).data)


def check_list(config: ListConfig) -> None:
    """Check the metric and the store."""
    if config.by is not None:
        from spondylo_ml.evaluation.catalogue import require_rankable

        require_rankable(config.by)
    require_runs()


def check_clean(config: CleanConfig) -> None:
    """Check the metric and the store."""
    from spondylo_ml.evaluation.catalogue import require_rankable

    require_rankable(config.metric)
    require_runs()


def check_ui(config: UiConfig) -> None:
    """Check the store."""
    require_runs()


def check_export_onnx(config: ExportOnnxConfig) -> None:
    """Check the model and the output folder."""
    require_empty_folder(expanded(config.to))
    require_model(config.model, config.digest)
    require_opened_run()


def check_convert_model(config: ConvertModelConfig) -> None:
    """Check the model and the output folder."""
    require_empty_folder(expanded(config.to))
    require_model(config.model, digest="")  # a model of an older format has no digest


def _require_dataset_folder(to: Path) -> None:
    """Check the folder of a new dataset and its parent, where the dataset is first written under a temporary name."""
    require_empty_folder(expanded(to))
    require_writable(expanded(to).absolute().parent)
    require_opened_run()
