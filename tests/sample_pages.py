"""One page of each kind, which shows a given text wherever a page shows a name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
from builders import prediction_of
from reports import film_with, report_of

from spondylo_ml.active_learning.film_scores import GradeDoubt, MirrorShift
from spondylo_ml.active_learning.ranking import RankedFilm, ScoredFilm, State
from spondylo_ml.clinical.change import MeasuredFilm, film_change
from spondylo_ml.clinical.instability import instability
from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.statistics import audit_film_table, audit_slip_table
from spondylo_ml.data.corrected_drafts import PERSON
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.diagnosis.dead_channels import LayerChannels
from spondylo_ml.diagnosis.findings import DiagnosisFinding
from spondylo_ml.diagnosis.gradients import GradientCensus
from spondylo_ml.diagnosis.results import check_result
from spondylo_ml.evaluation.consensus import consensus_of
from spondylo_ml.evaluation.correction_rates import correction_rates, rates_by_level
from spondylo_ml.evaluation.corrections import corrections_of
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.leaderboard import FINISHED, BenchmarkRun, Leaderboard
from spondylo_ml.evaluation.model_as_reader import compare_with_readers
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.reader_agreement import agreement_of
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.pages.audit_page import audit_page
from spondylo_ml.pages.change_page import ChangePage, PairedFilm, change_page
from spondylo_ml.pages.comparison_page import ComparisonData, comparison_page
from spondylo_ml.pages.corrections_page import CorrectionsPage, FormerCorrections, corrections_page
from spondylo_ml.pages.diagnosis_page import Subject, diagnosis_page
from spondylo_ml.pages.figures.aligned_picture import ShownFilm, aligned_picture
from spondylo_ml.pages.film_report_page import film_report_page
from spondylo_ml.pages.gallery_page import GalleryFilm, gallery_page
from spondylo_ml.pages.leaderboard_page import leaderboard_page
from spondylo_ml.pages.next_page import NextPage, next_page
from spondylo_ml.pages.readers_page import ReaderStudyPage, readers_page
from spondylo_ml.pages.run_page import RunPageData, run_page
from tuning.options import StudyOptions
from tuning.pictures import study_page

ONE = Estimate(value=2.0, low=1.0, high=3.0, n=4, n_patients=2)


def audit(name: str) -> str:
    films = phantom_films(2, 0, 96)
    first = replace(films.films[0], film_id=name)
    film_set: FilmSet = replace(films, name=name, films=(first, *films.films[1:]))
    result = audit_films(film_set)
    result = replace(result, findings=(*result.findings, AuditFinding(Severity.ERROR, "gap", (name,), name)))
    return audit_page(film_set, result, audit_film_table(film_set.films), audit_slip_table(film_set.films), 5, 2)


def comparison(name: str) -> str:
    return comparison_page(
        ComparisonData(
            title=name,
            dataset=name,
            runs=(name, "other"),
            numbers={name: {"mre_px512": ONE}, "other": {"mre_px512": ONE}},
            differences={"other": [PairedDifference("mre_px512", ONE, math.nan, math.nan, 0, 0, 2)]},
            films=pd.DataFrame({name: [1.0, 0.5], "other": [2.0, 3.0]}, index=[name, "g"]),
            curves={name: [(1, 3.0)], "other": []},
            curve_label="error",
            remarks=(name,),
            settings={name: {name: name, "other": "b"}, "seed": {name: "0", "other": "0"}},
        ),
        [(name, np.zeros((8, 8, 3), np.uint8))],
    )


def leaderboard(name: str) -> str:
    child = BenchmarkRun(name, "unet", 0, FINISHED, "run0", name, {"mre_px512": ONE}, {"latency_ms": 3.0}, "cpu", "d")
    return leaderboard_page(Leaderboard(name, name, name, (child,), {"mre_px512": ONE}))


def diagnosis(name: str) -> str:
    kind = {"share_of_corners_percent": ONE, "share_of_error_percent": ONE, "mre_fixed_px512": ONE}
    return diagnosis_page(
        Subject(name, name, name, name, 4, 2, 6.1, synthetic=True),
        [DiagnosisFinding(name, name, name, name)],
        [check_result("oracle", False, name, 3.0, 1.0, "cells", name)],
        {"missed": kind},
        {name: kind},
        [LayerChannels(name, "Conv2d", 4, (0,), (1,))],
        GradientCensus({"heat": 1.0}, (), (name,), (), (name,)),
    )


def film_report(name: str) -> str:
    film = film_with(30.0)
    return film_report_page(replace(report_of(film), corners_from=name), film.image.read())


def run(name: str) -> str:
    film = film_with(30.0)
    predictions = PredictionSet([film], [prediction_of(film, SlotRange(0, 2), (3.0, 0.0))])
    report = evaluate_predictions(predictions, ClinicalConfig(), ReportHeader(name, "val", "0" * 64, resamples=0))
    pictures = [(name, np.zeros((8, 8, 3), np.uint8))]
    curves = {"validation MRE": [(1, 30.0), (2, 2.0)], "training loss": [(1, 3.0), (2, 1.0)]}
    levels = predictions.slips(ClinicalConfig()).assign(film_id=name)
    facts, files = [("model", name)], [(name, name)]
    return run_page(
        RunPageData(name, facts, report, True, name, 9.0, {name: name}, curves, pictures, levels, pictures[0][1], files)
    )


def gallery(name: str) -> str:
    return gallery_page([GalleryFilm(name, slip_text=name, refer=(name,)), GalleryFilm("b", error=name)], name)


def readers(name: str) -> str:
    film = film_with(30.0)
    films = {"A": [film], "B": [replace(film, vertebrae=(film.vertebrae or ())[:1])]}
    agreement = agreement_of(films, ClinicalConfig(), PatientBootstrap([film.patient], resamples=0))
    consensus = consensus_of([(film, films["B"][0])])
    predictions = [prediction_of(film, SlotRange(0, 2), (3.0, 0.0))]
    model = compare_with_readers(films, predictions, ClinicalConfig(), PatientBootstrap([film.patient], resamples=0))
    agreement = replace(agreement, disagreements=agreement.disagreements.assign(film_id=name))
    open_levels = consensus.open_levels.assign(film_id=name)
    others = [(name, ("labelled", name))]
    tables = (agreement, open_levels, consensus.spread)
    picture = np.zeros((8, 8, 3), np.uint8)
    return readers_page(
        ReaderStudyPage(
            name, ("A", "B"), [("model", name)], [name], *tables, others, others, model, [(name, picture)]
        )
    )  # fmt: skip


def corrections(name: str) -> str:
    film = replace(film_with(30.0), film_id=name)
    draft = replace(film, vertebrae=(film.vertebrae or ())[:1])
    found = corrections_of([draft], [film], [PERSON], 0.05)
    numbers = correction_rates(found, [draft], [film], 100, 0)
    picture = np.zeros((8, 8, 3), np.uint8)
    return corrections_page(
        CorrectionsPage(
            name, [("model", name)], [name], [(name, True)], found, numbers, rates_by_level(found, 100, 0),
            [(name, picture)], [FormerCorrections("2026-01-02 03:04", name, {"moved_percent": 2.0}, True)],
            [(name, name)],
        )
    )  # fmt: skip


def change(name: str) -> str:
    film = film_with(30.0, 0.0)
    vertebrae = film.vertebrae or ()
    measured = MeasuredFilm(measure_film(film), vertebrae)
    compared = film_change(measured, measured)
    bodies = {v.slot: v.corners_xy for v in vertebrae}
    shown = ShownFilm(film.image.read(), bodies, film.facing, 1.0)
    paired = PairedFilm(name, name, warnings=(name,))
    return change_page(
        ChangePage(
            title=name,
            model=name,
            films=(paired, paired),
            change=replace(compared, withheld=name, warnings=(name,)),
            rules=ClinicalConfig(),
            verdicts={level.upper_slot: instability(level, ClinicalConfig()) for level in compared.levels},
            pictures={1: aligned_picture(shown, shown, 1, 0)},
            coverage=0.9,
        )
    )


def films_to_label(name: str) -> str:
    film = ScoredFilm(name, "k", GradeDoubt(0.4, name, 5, 2), MirrorShift(3.0, 1))
    refused = ScoredFilm("r", set_aside=State.REFUSED, reason=name)
    ranked = [
        RankedFilm(film, State.CHOSEN, "", 1, 0.75, 1.5, math.nan),
        RankedFilm(refused, State.REFUSED, name),
    ]
    return next_page(NextPage(name, [("model", name)], [name], ranked, {name: np.zeros((8, 8, 3), np.uint8)}))


def study(name: str) -> str:
    optuna_study = optuna.create_study(study_name=name)
    optuna_study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return study_page(optuna_study, StudyOptions())


PAGES: dict[str, Callable[[str], str]] = {
    page.__name__: page
    for page in (
        audit,
        comparison,
        leaderboard,
        diagnosis,
        film_report,
        gallery,
        run,
        readers,
        corrections,
        change,
        films_to_label,
        study,
    )
}
