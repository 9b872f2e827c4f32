"""Summaries of the commands that log a run, and of `predict`: a small table, and where to find the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.not_used import not_used
from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.config import PromoteConfig
from spondylo_ml.data.audit.findings import Severity, worst_first
from spondylo_ml.data.film_files import NAMES_FILE
from spondylo_ml.data.readers.recognition import Recognition
from spondylo_ml.data.readers.tools.mapping import MAPPING
from spondylo_ml.diagnosis.findings import dead_in
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.evaluation.catalogue import format_value, metric_definition
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.leaderboard import FINISHED, pooled_sd
from spondylo_ml.evaluation.out_of_fold import FOLDER
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.evaluation.run_verdict import METRICS as COMPARED_METRICS
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.leaderboard_page import QUALITY_TABLES, cost_rows, how_to_read, quality_rows, quality_tables
from spondylo_ml.promotion.history import Event
from spondylo_ml.serving.model_address import REGISTERED_MODEL
from spondylo_ml.workflows.audit import REPORT, AuditResult
from spondylo_ml.workflows.benchmark import BenchmarkResult
from spondylo_ml.workflows.diagnose import PAGE, Diagnosis
from spondylo_ml.workflows.evaluate import EvaluationResult
from spondylo_ml.workflows.predict.workflow import Failure, PredictionResult
from spondylo_ml.workflows.promote import Promotion
from spondylo_ml.workflows.train import TrainResult
from spondylo_ml.workflows.train.cross_validate import CrossValidation

TRAINED_METRICS = ("mre_px512", "median_px512", "sdr_6px", "sdr_24px")
LISTED_FILMS = 20
PROMOTED_BY = str(PromoteConfig.model_fields["metric"].default)


def trained(result: TrainResult | CrossValidation) -> str:
    """Summary of a training run or a cross-validation."""
    if isinstance(result, CrossValidation):
        return _cross_validated(result)
    values = {name: _value(name, result.fit.best[f"val/{name}"]) for name in TRAINED_METRICS}
    trivial = f"mean shape, the trivial predictor: {result.mean_shape_mre_px512:.2f} px512"
    rows = [
        ("best epoch" if result.fit.lost_best is None else "kept epoch", result.fit.epoch_text),
        ("val MRE", f"{values['mre_px512']}, median {values['median_px512']}; {trivial}"),
        ("val SDR@6, @24", f"{values['sdr_6px']}, {values['sdr_24px']}"),
        ("run", result.run_id),
    ]
    if result.unsent:
        rows.append(("not sent", f"{result.unsent} log calls; their copies are in {result.folder}"))
    return "\n".join([_table(rows), after_training(result), where_to_see(result.run_id)])


def after_training(result: TrainResult) -> str:
    """The next command, or why this run cannot become champion."""
    if result.fit.best["val/mre_px512"] >= result.mean_shape_mre_px512:
        return "It does not beat the mean shape, which ignores the film: train longer, or on more films."
    if not result.n_test:
        return (
            "The test part has no labelled film, so it cannot become champion: train with data.test_fraction above 0."
        )
    return next_steps.promote(result.run_id)


def _cross_validated(result: CrossValidation) -> str:
    """Metrics over all films out of fold, and the spread between folds."""
    rows = [("folds", f"{len(result.fold_runs)}, a child run each")]
    for metric in COMPARED_METRICS:
        pooled = [result.pooled.get(f"{FOLDER}/{metric}{part}", math.nan) for part in ("", "_low", "_high", "_n")]
        if not math.isnan(pooled[0]):
            value, low, high = (format_value(metric, number) for number in pooled[:3])
            text = f"{value} [{low}, {high}], n {pooled[3]:.0f}"
            if (between := result.between.get(metric)) is not None:
                mean, sd = (format_value(metric, between[part]) for part in ("mean", "sd"))
                text += f"; folds: mean {mean}, sd {sd}, n {between['n']:.0f}"
            rows.append((metric, text))
    rows += [("in brackets", "95% intervals over patients, all films out of fold"), ("run", result.run_id)]
    return _table(rows) + "\n" + where_to_see(result.run_id)


def evaluated(result: EvaluationResult) -> str:
    """Summary of an evaluation."""
    metrics = result.metrics
    films = f"{result.films}: {result.n_films}, {result.n_labelled} with labels"
    rows = [("model", result.model), ("films", films)]
    if result.chosen_on:
        rows.append(("remark", result.chosen_on))
    if result.n_labelled:
        rows += _evaluation_rows(result.report, metrics) if result.report else []
    else:
        rows.append(("no labels", "predictions and overlays only: nothing can be measured"))
    head = f"warning: {result.warning}\n" if result.warning else ""
    return head + _table([*rows, ("run", result.run_id)]) + "\n" + where_to_see(result.run_id)


def _evaluation_rows(report: EvaluationReport, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    numbers, anatomy = report.numbers, report.tables["anatomy"]
    causes = {kind: row["share_of_error_percent"].value for kind, row in anatomy.items()}
    precision, recall, f1 = (
        _value(name, metrics[name]) for name in ("presence_precision", "presence_recall", "detection_f1")
    )
    rows = [
        ("MRE", f"{_interval(numbers, 'mre_px512')}, {_value('mre_px', metrics['mre_px'])} of the film"),
        ("mean shape", f"{metrics['mean_shape_mre_px512']:.2f} px512 (the trivial predictor)"),
        ("SDR@6 / @24", f"{_interval(numbers, 'sdr_6px')} / {_interval(numbers, 'sdr_24px')}"),
        ("presence", f"precision {precision}, recall {recall}"),
        ("by instance", f"MRE {_interval(numbers, 'instance_mre_px512')}, F1 {f1}"),
        ("error is", _causes(causes)),
    ]
    if "slip_mae_percent" in numbers:
        withheld = report.counts["levels_true_slip_withheld"] + report.counts["levels_predicted_slip_withheld"]
        withheld_text = f"{withheld} of {report.counts['levels']} levels withheld"
        rows.append(("slip", f"MAE {_interval(numbers, 'slip_mae_percent')}; {withheld_text}"))
        of_measured = f"of those measured {_interval(numbers, 'grade_accuracy')}"
        rows.append(("grade right", f"{_interval(numbers, 'grade_accuracy_all')} of all levels, {of_measured}"))
    if "slip_set_coverage" in numbers:
        n_kept = numbers["grade_accuracy_not_referred"].n
        unknown_percent = _value("slip_not_known_percent", numbers["slip_not_known_percent"].value)
        text = (
            f"true slip inside {_interval(numbers, 'slip_set_coverage')}, unknown for {unknown_percent} of the levels"
        )
        text = f"{text}; {n_kept} levels not referred"
        right = f", their grade right {_interval(numbers, 'grade_accuracy_not_referred')}" if n_kept else ""
        rows.append(("intervals", text + right))
    rows += _ap_rows(numbers)
    brackets = f"{report.confidence:.0%} intervals over {report.n_patients} patients"
    return [*rows, ("in brackets", brackets)]


def _ap_rows(numbers: Mapping[str, Estimate]) -> list[tuple[str, str]]:
    """Metrics of AP films, if some were evaluated."""
    if "cobb_smape_percent" not in numbers:
        return []
    smape = numbers["cobb_smape_percent"]
    absent = f", films without angles: {smape.n_absent}" if smape.n_absent else ""
    corners = ", ".join(_labelled(numbers, name) for name in ("nmse", "or_20px704", "or_40px704"))
    angles = ", ".join(_labelled(numbers, name) for name in ("cobb_smape_percent", "cobb_cmae_deg"))
    return [("AP corners", corners), ("AP angles", f"{angles}, n {smape.n}{absent}")]


def _labelled(numbers: Mapping[str, Estimate], metric: str) -> str:
    return f"{metric_definition(metric).label} {_interval(numbers, metric)}"


def _value(metric: str, value: float) -> str:
    return f"{format_value(metric, value)} {metric_definition(metric).unit}".rstrip()


def _interval(numbers: Mapping[str, Estimate], metric: str) -> str:
    definition = metric_definition(metric)
    return f"{interval_text(numbers[metric], definition.digits)} {definition.unit}".rstrip()


def diagnosed(diagnosis: Diagnosis) -> str:
    """Summary of a diagnosis: the checks, then the findings."""
    report = diagnosis.report
    dead, channels = dead_in(diagnosis.layers)
    causes = {kind: row["share_of_error_percent"].value for kind, row in report.tables["anatomy"].items()}
    census = diagnosis.preflight.census
    rows = [(f"check {r.name}", f"{r.outcome.value}: {r.finding}") for r in diagnosis.preflight.results]
    rows += [
        ("val MRE", _interval(report.numbers, "mre_px512")),
        ("error is", _causes(causes)),
        ("dead channels", f"{dead} of {channels}"),
        ("no gradient", "not checked" if census is None else f"{len(census.unreached)} unused parameter tensors"),
        ("page", f"{PAGE}, under Artifacts"),
        ("run", diagnosis.run_id),
    ]
    findings = [f"{f.title}: {f.seen}\n  {f.meaning}\n  To do: {f.advice}" for f in diagnosis.findings]
    return "\n".join(
        [_table(rows), *(findings or ["No finding: nothing needs to be changed."]), where_to_see(diagnosis.run_id)]
    )


def _causes(shares: Mapping[str, float]) -> str:
    """The causes of the error in percent, the largest first; causes below half a percent are left out."""
    causes = [f"{kind} {share:.0f} %" for kind, share in sorted(shares.items(), key=lambda c: -c[1]) if share >= 0.5]
    return ", ".join(causes) or "none"


def benchmarked(result: BenchmarkResult) -> str:
    """Summary of a benchmark: quality and cost of each entry, the noise floor, and the runs that are not finished."""
    board = result.leaderboard
    sd, freedom = pooled_sd(board)
    lines = [f"{board.title}: {board.dataset}; {board.budget}"]
    for metrics in quality_tables(board):
        lines += [*aligned(quality_rows(board, metrics, with_spread=metrics is QUALITY_TABLES[0])), ""]
    lines += [*aligned(cost_rows(board)), ""]
    if freedom:
        lines.append(f"MRE between seeds: standard deviation {sd:.2f} px512, {freedom} degree(s) of freedom")
    if (floor := result.noise_floors.get(NOISE_FLOOR + PROMOTED_BY)) is not None:
        lines.append(f"noise floor of {PROMOTED_BY} {floor:.3g}; use it: promote --noise_floor_from {result.run_id}")
    lines += [
        f"{child.state}: {child.entry} seed {child.seed}{f': {child.reason}' if child.reason else ''}"
        for child in board.children
        if child.state != FINISHED
    ]
    lines += [*board.remarks(), how_to_read(board)]
    return "\n".join([*lines, f"run {result.run_id}", where_to_see(result.run_id)])


def audited(result: AuditResult) -> str:
    """Summary of an audit: what was recognised, all errors, and the number of other findings."""
    audit, recognition = result.audit, result.recognition
    rows = [
        *(recognition.facts if recognition else ()),
        ("films", str(result.n_films)),
        *((name, str(count)) for name, count in audit.counts().items()),
    ]
    errors = [f"  {audit.on_terminal(finding)}" for finding in worst_first(audit.of(Severity.ERROR))]
    lines = ["Errors, worst first:", *errors] if errors else ["No errors."]
    rows += [("digest", audit.digest[:16]), ("report", f"{REPORT}, under Artifacts"), ("run", result.run_id)]
    mapping = _proposed_mapping(recognition, result.mapping_file) if recognition and recognition.proposal.text else []
    return "\n".join([_table(rows), *lines, where_to_see(result.run_id), *mapping])


def _proposed_mapping(found: Recognition, written: Path | None) -> list[str]:
    """The proposed mapping, or the file that has it, what is uncertain, and the next command."""
    place = f"written to {written}" if written else "proposed (for names that are not understood)"
    lines = ["", f"{MAPPING}, {place}:", *([] if written else [found.proposal.text])]
    lines += ["Uncertain:", *(f"  {doubt}" for doubt in found.proposal.doubts)] if found.proposal.doubts else []
    return [*lines, next_steps.use_mapping(found.root, written, found.adds)]


def predicted(result: PredictionResult) -> str:
    """Summary of a prediction, with the file names of the films, which only the terminal shows."""
    n_unread = len(result.unread)
    before = f", {result.n_before} of them from before" if result.n_before else ""
    rows = [
        ("films", f"{len(result.films)}, {len(result.films) - n_unread} with results{before}"),
        ("model", result.model),
        ("page", str(result.folder / "index.html")),
        ("tables", f"{result.folder}: predictions.json, films.csv, levels.csv, corners.csv"),
    ]
    if result.dicom_folder is not None:
        n_written = len(result.films) - n_unread - len(result.without_dicom)
        rows.append(
            ("DICOM", f"{result.dicom_folder}: a report and an overlay of {n_written} film(s), with patients' names")
        )
    films = [f"  {film.film_id}  {film.path}" for film in result.films[:LISTED_FILMS]]
    if more := len(result.films) - len(films):
        names = result.folder / NAMES_FILE
        films.append(
            f"  and {more} more, in {names}"
            if names.exists()
            else f"  and {more} more: --private_names true writes them all to {NAMES_FILE}"
        )
    compared = [f"{len(result.compared)} pair(s) of films compared (changes.csv):"] if result.compared else []
    compared += [f"  {pair.title}: {pair.verdict}" for pair in result.compared[:LISTED_FILMS]]
    if (more_pairs := len(result.compared) - LISTED_FILMS) > 0:
        compared.append(f"  and {more_pairs} more")
    compared += [f"  {film.film_id} was compared with no film: {film.reason}" for film in result.not_compared]
    following = next_steps.choose_films(result.asked_for)
    if result.draft_format is not None:
        following = next_steps.correct_drafts(result.folder, result.draft_format)
    failed = _failures("film(s) that the server did not send:", result.not_sent)
    failed += _failures("film(s) without a result:", result.unread)
    failed += _failures("film(s) with a result, but without DICOM objects:", result.without_dicom)
    return "\n".join(
        [
            _table(rows),
            "Names of the films in the results:",
            *films,
            *not_used(result.skipped, result.notes),
            *compared,
            *failed,
            following,
            DISCLAIMER,
        ]
    )


def _failures(what: str, failures: Sequence[Failure]) -> list[str]:
    lines = [f"  {failure.path} ({failure.film_id}): {failure.reason}" for failure in failures]
    return [f"{len(failures)} {what}", *lines] if failures else []


def promoted_or_rolled_back(result: Promotion | Event) -> str:
    """Summary of a promotion, with the decision on each candidate and its reasons, or of a rollback."""
    if isinstance(result, Event):
        return f"version {result.version} ({result.model}) is champion again, instead of version {result.former}"
    blocks = []
    for outcome in result.outcomes:
        version = "" if outcome.version is None else f", version {outcome.version} of {result.registered_model}"
        reasons = [f"  - {reason}" for reason in outcome.decision.against]
        reasons += [f"  + {reason}" for reason in outcome.decision.in_favour]
        blocks.append("\n".join([f"{outcome.candidate}: {outcome.decision.verdict}{version}", *reasons]))
    champion = "none" if result.champion is None else f"version {result.champion}"
    lines = [*blocks, f"champion: {champion}", f"run {result.run_id}"]
    if result.champion is not None:
        lines.append(next_steps.read_films(result.registered_model, REGISTERED_MODEL))
    return "\n".join([*lines, where_to_see(result.run_id)])


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
