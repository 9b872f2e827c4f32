"""The table of commands: one row each. Nothing slow is imported here.

docs/extending.md lists the steps of adding one.
"""

from __future__ import annotations

from spondylo_ml.cli import checks
from spondylo_ml.cli.command import Command
from spondylo_ml.config import (
    AuditConfig,
    BenchmarkConfig,
    CleanConfig,
    CompareConfig,
    ConvertModelConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    ExportOnnxConfig,
    ListConfig,
    PhantomConfig,
    PredictConfig,
    PreviewOptions,
    PromoteConfig,
    RegistryConfig,
    ShowConfig,
    SpacingConfig,
    TrainOptions,
    UiConfig,
)

WORKFLOWS, RUNS, FOLDERS, STORE = (
    "spondylo_ml.workflows",
    "spondylo_ml.cli.summaries.runs",
    "spondylo_ml.cli.summaries.folders",
    "spondylo_ml.cli.summaries.store",
)
TEN_COMMON = ("model", "data", "preset", "epochs", "lr", "batch", "minutes", "name", "seed", "resume")
EXIT_PART_FAILED, EXIT_SOME_FILMS_FAILED = 1, 3

_ROWS = (
    Command(
        "train", TrainOptions, f"{WORKFLOWS}.train.start:train_as_requested",
        "Train a model and log it to MLflow.",
        checks.check_train, f"{RUNS}:trained", takes_config=True, common=TEN_COMMON,
    ),
    Command(
        "benchmark", BenchmarkConfig, f"{WORKFLOWS}.benchmark:benchmark",
        "Train several entries under one budget of minutes on the same films, and rank them.",
        checks.check_benchmark, f"{RUNS}:benchmarked", takes_config=True, exit_code_if_failed=EXIT_PART_FAILED,
        common=("entries", "seeds", "minutes", "data", "preset", "only", "resume", "epochs", "batch"),
    ),
    Command(
        "evaluate", EvaluateConfig, f"{WORKFLOWS}.evaluate:evaluate",
        "Evaluate the best model of a run on the films of any dataset.",
        checks.check_evaluate, f"{RUNS}:evaluated",
    ),
    Command(
        "diagnose", DiagnoseConfig, f"{WORKFLOWS}.diagnose:diagnose",
        "Diagnose a finished run: its checks, the causes of its error, dead channels.",
        checks.check_evaluate, f"{RUNS}:diagnosed",
    ),
    Command(
        "compare", CompareConfig, f"{WORKFLOWS}.compare:compare",
        "Compare the models of two or more runs on the same films.",
        checks.check_compare, f"{RUNS}:compared",
    ),
    Command(
        "ui", UiConfig, f"{WORKFLOWS}.ui:ui",
        "Start the MLflow UI on the project's store, and open the leaderboard.",
        checks.check_ui, is_project_entry=False,
    ),
    Command(
        "audit", AuditConfig, f"{WORKFLOWS}.audit:audit",
        "Check a dataset before anyone trusts it; logs a report with pictures.",
        checks.check_audit, f"{RUNS}:audited",
    ),
    Command(
        "export", ExportConfig, f"{WORKFLOWS}.export:export",
        "Write films in another layout, and list what that layout cannot carry.",
        checks.check_export, f"{FOLDERS}:exported",
    ),
    Command(
        "phantom", PhantomConfig, f"{WORKFLOWS}.phantom:draw_phantoms",
        "Draw synthetic films and write them in any layout.",
        checks.check_phantom, f"{FOLDERS}:exported",
    ),
    Command(
        "predict", PredictConfig, f"{WORKFLOWS}.predict:predict",
        "Read films with a trained model: corners, slips, grades, overlays and reports.",
        checks.check_predict, f"{RUNS}:predicted", exit_code_if_failed=EXIT_SOME_FILMS_FAILED,
    ),
    Command(
        "promote", PromoteConfig, f"{WORKFLOWS}.promote.rollback:promote_or_roll_back",
        "Compare models with the champion; the better one takes its place in the registry.",
        checks.check_promote, f"{RUNS}:promoted_or_rolled_back",
    ),
    Command(
        "registry", RegistryConfig, f"{WORKFLOWS}.registry:show_history",
        "Show who was champion, when, and why replaced.",
        checks.check_registry,
    ),
    Command(
        "show", ShowConfig, f"{WORKFLOWS}.show:show",
        "Draw films with their labels and a model's predictions and heatmaps, as pictures and on one page.",
        checks.check_show, f"{STORE}:shown", is_project_entry=False,
    ),
    Command(
        "preview", PreviewOptions, f"{WORKFLOWS}.preview:preview",
        "Draw training films as the network will see them, prepared and augmented; trains nothing.",
        checks.check_preview, f"{STORE}:shown", takes_config=True, is_project_entry=False,
        common=("to", "films", "epochs_shown", "model", "data", "preset", "recipe", "seed"),
    ),
    Command(
        "spacing", SpacingConfig, f"{WORKFLOWS}.spacing:measure_spacing",
        "Measure the pixel spacing by a known length or a ruler, or read it from a DICOM file, with its uncertainty.",
        is_project_entry=False,
    ),
    Command(
        "list", ListConfig, f"{WORKFLOWS}.list_store:list_store",
        "List runs, registered models or studies, newest or best first.",
        checks.check_list, f"{STORE}:listed", is_project_entry=False,
    ),
    Command(
        "clean", CleanConfig, f"{WORKFLOWS}.clean:clean",
        "List old runs and checkpoints that nothing keeps, and delete them with --delete true.",
        checks.check_clean, f"{STORE}:cleaned", is_project_entry=False,
    ),
    Command(
        "export-onnx", ExportOnnxConfig, f"{WORKFLOWS}.export_onnx:export_onnx",
        "Write a model with its network in ONNX as well, if that computes the same.",
        checks.check_export_onnx, f"{FOLDERS}:exported_onnx",
    ),
    Command(
        "convert-model", ConvertModelConfig, f"{WORKFLOWS}.convert_model:convert_model",
        "Write a model of an older format in the current one, with digests of its files.",
        checks.check_convert_model, f"{FOLDERS}:converted",
    ),
)  # fmt: skip

COMMANDS = {command.name: command for command in _ROWS}
