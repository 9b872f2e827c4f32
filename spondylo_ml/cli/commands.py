"""The table of commands: one row each. Nothing slow is imported here.

docs/extending.md lists the steps of adding one.
"""

from __future__ import annotations

from spondylo_ml.cli import checks
from spondylo_ml.cli.command import Command
from spondylo_ml.cli.overview import SUMMARIES
from spondylo_ml.config import (
    AuditConfig,
    BenchmarkConfig,
    CleanConfig,
    CompareConfig,
    ConvertModelConfig,
    CorrectionsConfig,
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
    SpacingConfig,
    TrainOptions,
    UiConfig,
)

WORKFLOWS, RUNS, READERS, CORRECTIONS, NEXT, FOLDERS, STORE = (
    "spondylo_ml.workflows",
    "spondylo_ml.cli.summaries.runs",
    "spondylo_ml.cli.summaries.readers",
    "spondylo_ml.cli.summaries.corrections",
    "spondylo_ml.cli.summaries.next_films",
    "spondylo_ml.cli.summaries.folders",
    "spondylo_ml.cli.summaries.store",
)
TEN_COMMON = ("model", "data", "preset", "epochs", "lr", "batch", "minutes", "name", "seed", "resume")
EXIT_PART_FAILED, EXIT_SOME_FILMS_FAILED = 1, 3

_ROWS = (
    Command(
        "train", TrainOptions, f"{WORKFLOWS}.train.start:train_as_requested",
        SUMMARIES["train"],
        checks.check_train, f"{RUNS}:trained", takes_config=True, common=TEN_COMMON,
    ),
    Command(
        "benchmark", BenchmarkConfig, f"{WORKFLOWS}.benchmark:benchmark",
        SUMMARIES["benchmark"],
        checks.check_benchmark, f"{RUNS}:benchmarked", takes_config=True, exit_code_if_failed=EXIT_PART_FAILED,
        common=("entries", "seeds", "minutes", "data", "preset", "only", "resume", "epochs", "batch"),
    ),
    Command(
        "evaluate", EvaluateConfig, f"{WORKFLOWS}.evaluate:evaluate",
        SUMMARIES["evaluate"],
        checks.check_evaluate, f"{RUNS}:evaluated",
    ),
    Command(
        "diagnose", DiagnoseConfig, f"{WORKFLOWS}.diagnose:diagnose",
        SUMMARIES["diagnose"],
        checks.check_evaluate, f"{RUNS}:diagnosed",
    ),
    Command(
        "compare", CompareConfig, f"{WORKFLOWS}.compare:compare",
        SUMMARIES["compare"],
        checks.check_compare, "spondylo_ml.cli.summaries.comparison:compared",
    ),
    Command(
        "ui", UiConfig, f"{WORKFLOWS}.ui:ui",
        SUMMARIES["ui"],
        checks.check_ui, is_project_entry=False,
    ),
    Command(
        "audit", AuditConfig, f"{WORKFLOWS}.audit:audit",
        SUMMARIES["audit"],
        checks.check_audit, f"{RUNS}:audited",
    ),
    Command(
        "readers", ReadersConfig, f"{WORKFLOWS}.readers:compare_readers",
        SUMMARIES["readers"],
        checks.check_readers, f"{READERS}:readers_compared",
    ),
    Command(
        "corrections", CorrectionsConfig, f"{WORKFLOWS}.corrections:read_corrections",
        SUMMARIES["corrections"],
        checks.check_corrections, f"{CORRECTIONS}:corrections_read",
    ),
    Command(
        "next", NextConfig, f"{WORKFLOWS}.next_films:next_films",
        SUMMARIES["next"],
        checks.check_next, f"{NEXT}:films_chosen", exit_code_if_failed=EXIT_SOME_FILMS_FAILED,
    ),
    Command(
        "export", ExportConfig, f"{WORKFLOWS}.export:export",
        SUMMARIES["export"],
        checks.check_export, f"{FOLDERS}:exported",
    ),
    Command(
        "deidentify", DeidentifyConfig, f"{WORKFLOWS}.deidentify:deidentify",
        SUMMARIES["deidentify"],
        checks.check_deidentify, "spondylo_ml.cli.summaries.deidentify:deidentified",
        exit_code_if_failed=EXIT_SOME_FILMS_FAILED, is_project_entry=False,
    ),
    Command(
        "phantom", PhantomConfig, f"{WORKFLOWS}.phantom:draw_phantoms",
        SUMMARIES["phantom"],
        checks.check_phantom, f"{FOLDERS}:exported",
    ),
    Command(
        "predict", PredictConfig, f"{WORKFLOWS}.predict:predict",
        SUMMARIES["predict"],
        checks.check_predict, f"{RUNS}:predicted", exit_code_if_failed=EXIT_SOME_FILMS_FAILED,
    ),
    Command(
        "promote", PromoteConfig, f"{WORKFLOWS}.promote.rollback:promote_or_roll_back",
        SUMMARIES["promote"],
        checks.check_promote, f"{RUNS}:promoted_or_rolled_back",
    ),
    Command(
        "registry", RegistryConfig, f"{WORKFLOWS}.registry:show_history",
        SUMMARIES["registry"],
        checks.check_registry,
    ),
    Command(
        "show", ShowConfig, f"{WORKFLOWS}.show:show",
        SUMMARIES["show"],
        checks.check_show, f"{STORE}:shown", is_project_entry=False,
    ),
    Command(
        "preview", PreviewOptions, f"{WORKFLOWS}.preview:preview",
        SUMMARIES["preview"],
        checks.check_preview, f"{STORE}:shown", takes_config=True, is_project_entry=False,
        common=("to", "films", "epochs_shown", "model", "data", "preset", "recipe", "seed"),
    ),
    Command(
        "spacing", SpacingConfig, f"{WORKFLOWS}.spacing:measure_spacing",
        SUMMARIES["spacing"],
        is_project_entry=False,
    ),
    Command(
        "list", ListConfig, f"{WORKFLOWS}.list_store:list_store",
        SUMMARIES["list"],
        checks.check_list, f"{STORE}:listed", is_project_entry=False,
    ),
    Command(
        "clean", CleanConfig, f"{WORKFLOWS}.clean:clean",
        SUMMARIES["clean"],
        checks.check_clean, f"{STORE}:cleaned", is_project_entry=False,
    ),
    Command(
        "export-onnx", ExportOnnxConfig, f"{WORKFLOWS}.export_onnx:export_onnx",
        SUMMARIES["export-onnx"],
        checks.check_export_onnx, f"{FOLDERS}:exported_onnx",
    ),
    Command(
        "convert-model", ConvertModelConfig, f"{WORKFLOWS}.convert_model:convert_model",
        SUMMARIES["convert-model"],
        checks.check_convert_model, f"{FOLDERS}:converted",
    ),
)  # fmt: skip

COMMANDS = {command.name: command for command in _ROWS}
