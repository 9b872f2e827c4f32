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

WORKFLOWS, SUMMARY_OF = "spondylo_ml.workflows", "spondylo_ml.cli.summaries"
TEN_COMMON = ("model", "data", "preset", "epochs", "lr", "batch", "minutes", "name", "seed", "resume")
EXIT_PART_FAILED, EXIT_SOME_FILMS_FAILED = 1, 3

_ROWS = (
    Command(
        "train", TrainOptions, f"{WORKFLOWS}.train.start:train_as_requested",
        SUMMARIES["train"],
        checks.check_train, f"{SUMMARY_OF}.training:train_summary", takes_config=True, common=TEN_COMMON,
    ),
    Command(
        "benchmark", BenchmarkConfig, f"{WORKFLOWS}.benchmark:benchmark",
        SUMMARIES["benchmark"],
        checks.check_benchmark, f"{SUMMARY_OF}.benchmark:benchmark_summary", takes_config=True,
        exit_code_if_failed=EXIT_PART_FAILED,
        common=("entries", "seeds", "minutes", "data", "preset", "only", "resume", "epochs", "batch"),
    ),
    Command(
        "evaluate", EvaluateConfig, f"{WORKFLOWS}.evaluate:evaluate",
        SUMMARIES["evaluate"],
        checks.check_evaluate, f"{SUMMARY_OF}.evaluation:evaluation_summary",
    ),
    Command(
        "diagnose", DiagnoseConfig, f"{WORKFLOWS}.diagnose:diagnose",
        SUMMARIES["diagnose"],
        checks.check_evaluate, f"{SUMMARY_OF}.evaluation:diagnosis_summary",
    ),
    Command(
        "compare", CompareConfig, f"{WORKFLOWS}.compare:compare",
        SUMMARIES["compare"],
        checks.check_compare, f"{SUMMARY_OF}.comparison:comparison_summary",
    ),
    Command(
        "ui", UiConfig, f"{WORKFLOWS}.ui:ui",
        SUMMARIES["ui"],
        checks.check_ui, is_project_entry=False,
    ),
    Command(
        "audit", AuditConfig, f"{WORKFLOWS}.audit:audit",
        SUMMARIES["audit"],
        checks.check_audit, f"{SUMMARY_OF}.audit:audit_summary",
    ),
    Command(
        "readers", ReadersConfig, f"{WORKFLOWS}.readers:compare_readers",
        SUMMARIES["readers"],
        checks.check_readers, f"{SUMMARY_OF}.readers:readers_summary",
    ),
    Command(
        "corrections", CorrectionsConfig, f"{WORKFLOWS}.corrections:read_corrections",
        SUMMARIES["corrections"],
        checks.check_corrections, f"{SUMMARY_OF}.corrections:corrections_summary",
    ),
    Command(
        "next", NextConfig, f"{WORKFLOWS}.next_films:next_films",
        SUMMARIES["next"],
        checks.check_next, f"{SUMMARY_OF}.next_films:next_films_summary", exit_code_if_failed=EXIT_SOME_FILMS_FAILED,
    ),
    Command(
        "export", ExportConfig, f"{WORKFLOWS}.export:export",
        SUMMARIES["export"],
        checks.check_export, f"{SUMMARY_OF}.folders:export_summary",
    ),
    Command(
        "deidentify", DeidentifyConfig, f"{WORKFLOWS}.deidentify:deidentify",
        SUMMARIES["deidentify"],
        checks.check_deidentify, f"{SUMMARY_OF}.deidentify:deidentification_summary",
        exit_code_if_failed=EXIT_SOME_FILMS_FAILED, is_project_entry=False,
    ),
    Command(
        "phantom", PhantomConfig, f"{WORKFLOWS}.phantom:draw_phantoms",
        SUMMARIES["phantom"],
        checks.check_phantom, f"{SUMMARY_OF}.folders:export_summary",
    ),
    Command(
        "predict", PredictConfig, f"{WORKFLOWS}.predict:predict",
        SUMMARIES["predict"],
        checks.check_predict, f"{SUMMARY_OF}.prediction:prediction_summary", exit_code_if_failed=EXIT_SOME_FILMS_FAILED,
    ),
    Command(
        "promote", PromoteConfig, f"{WORKFLOWS}.promote.rollback:promote_or_roll_back",
        SUMMARIES["promote"],
        checks.check_promote, f"{SUMMARY_OF}.promotion:promotion_summary",
    ),
    Command(
        "registry", RegistryConfig, f"{WORKFLOWS}.registry:show_history",
        SUMMARIES["registry"],
        checks.check_registry,
    ),
    Command(
        "show", ShowConfig, f"{WORKFLOWS}.show:show",
        SUMMARIES["show"],
        checks.check_show, f"{SUMMARY_OF}.store:show_summary", is_project_entry=False,
    ),
    Command(
        "preview", PreviewOptions, f"{WORKFLOWS}.preview:preview",
        SUMMARIES["preview"],
        checks.check_preview, f"{SUMMARY_OF}.store:show_summary", takes_config=True, is_project_entry=False,
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
        checks.check_list, f"{SUMMARY_OF}.store:list_summary", is_project_entry=False,
    ),
    Command(
        "clean", CleanConfig, f"{WORKFLOWS}.clean:clean",
        SUMMARIES["clean"],
        checks.check_clean, f"{SUMMARY_OF}.store:clean_summary", is_project_entry=False,
    ),
    Command(
        "export-onnx", ExportOnnxConfig, f"{WORKFLOWS}.export_onnx:export_onnx",
        SUMMARIES["export-onnx"],
        checks.check_export_onnx, f"{SUMMARY_OF}.folders:onnx_export_summary",
    ),
    Command(
        "convert-model", ConvertModelConfig, f"{WORKFLOWS}.convert_model:convert_model",
        SUMMARIES["convert-model"],
        checks.check_convert_model, f"{SUMMARY_OF}.folders:conversion_summary",
    ),
)  # fmt: skip

COMMANDS = {command.name: command for command in _ROWS}
