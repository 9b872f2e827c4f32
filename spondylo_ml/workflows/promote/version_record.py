"""Record of each model in a promotion: artefacts of the run, tags and description of the registered version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.evaluation.film_ranking import best_median_worst
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.paired import film_means, paired_differences
from spondylo_ml.models.zoo import parameter_count
from spondylo_ml.nan import finite_or_none
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.figures.sheet import with_legend
from spondylo_ml.promotion.card import CardFacts, model_card, results
from spondylo_ml.promotion.decision import Decision
from spondylo_ml.promotion.registry_pages import version_page
from spondylo_ml.serving.trained_run import TrainedRun
from spondylo_ml.tracking.addresses import run_path
from spondylo_ml.tracking.registry import FILMS_DIGEST, STATUS, Registry, now
from spondylo_ml.workflows.promote.frozen_films import EvaluatedModel, FrozenFilms, weights_digest
from spondylo_ml.workflows.shared.training_films import films_seen_in_training

OVERLAY_HEIGHT_PX = 640
CARD = "model_card.html"
ORIGIN_TAGS = ("training_run", "weights_digest", FILMS_DIGEST)
"""What of a model's origin a version has as tags; the rest is on its card."""


@dataclass(frozen=True)
class Artefacts:
    """The folder of a model's artefacts, and the facts of its card."""

    folder: str
    facts: CardFacts


def log_evaluated(
    one: EvaluatedModel,
    champion: EvaluatedModel | None,
    decision: Decision,
    frozen: FrozenFilms,
    bootstrap: PatientBootstrap,
    config: PromoteConfig,
) -> Artefacts:
    """Log report, differences from the champion (or the mean shape), decision, pictures and card to the active run."""
    folder = folder_of(one.trained_run)
    for name, text in one.report.files().items():
        mlflow.log_text(text, f"{folder}/report/{name}")
    other = champion.values if champion else one.mean_shape_values
    differences = paired_differences(dict(one.values), dict(other), frozen.patient_of, bootstrap)
    rows = [
        {"metric": d.metric, **d.difference.model_dump(), "wilcoxon_p": d.wilcoxon_p, "rank_biserial": d.rank_biserial}
        for d in differences
    ]
    mlflow.log_text(pd.DataFrame(rows).to_csv(index=False), f"{folder}/differences.csv")
    against = champion.trained_run.run.info.run_id if champion else "mean shape"
    guarded = {"guarded": one.guarded, "guarded_champion": champion.guarded if champion else {}}
    numbers = {name: {guard: finite_or_none(v) for guard, v in values.items()} for name, values in guarded.items()}
    _log_decision(folder, decision, {"compared_with": against, **numbers})
    facts = _facts(one, frozen, config.registered_model, _log_overlays(one, frozen, folder, config.overlays))
    mlflow.log_text(model_card(facts, one.report, decision), f"{folder}/{CARD}")
    return Artefacts(folder, facts)


def log_refused(candidate: TrainedRun, decision: Decision) -> None:
    """Log the decision on a candidate that was not evaluated."""
    _log_decision(folder_of(candidate), decision, {})


def register(
    registry: Registry, one: EvaluatedModel, decision: Decision, frozen: FrozenFilms, artefacts: Artefacts
) -> ModelVersion:
    """Register the model as a version with tags and a description; sets no alias."""
    when = now()
    run = mlflow.active_run()
    if run is None:
        raise ValueError("versions are registered within the run of a promotion; none is active")
    results_shown = results(one.report.numbers)
    tags = {
        **{name: artefacts.facts.origin[name] for name in ORIGIN_TAGS},
        "model": artefacts.facts.model,
        "synthetic_films": str(artefacts.facts.synthetic_films).lower(),
        STATUS: "evaluated",
        "decision": decision.verdict.value,
        "decided": when,
        "promotion_run": run.info.run_id,
        "model_card": f"{artefacts.folder}/{CARD}",
    }
    version = registry.add_version(one.trained_run.run, tags)
    link = f"[run]({run_path(run.info.experiment_id, run.info.run_id, f'artifacts/{artefacts.folder}/{CARD}')})"
    facts = [
        (
            "films",
            f"{frozen.films.name}, {frozen.split} part: {len(frozen.labelled)} films of "
            f"{one.report.n_patients} patients{' (synthetic)' if artefacts.facts.synthetic_films else ''}",
        ),
        *((label, text) for _, label, text in results_shown),
        ("trained on", artefacts.facts.training_films),
        ("model", f"{artefacts.facts.model}, {artefacts.facts.parameter_count:,} parameters"),
        ("code, data, rules, environment", "digests on the model card"),
    ]
    registry.describe_version(
        version, version_page(decision, when[:10], facts, f"{link}: model card, report, pictures")
    )
    return registry.version(int(version.version))


def folder_of(trained_run: TrainedRun) -> str:
    """Artefact folder of a candidate in the run of the promotion."""
    return f"candidates/{trained_run.bundle.config.model.name}-{trained_run.run.info.run_id[:8]}"


def origin_of(trained_run: TrainedRun, frozen: FrozenFilms) -> dict[str, str]:
    """Tags that trace the model and its numbers: training run, films, code, rules, environment."""
    tags, run_id = trained_run.run.data.tags, trained_run.run.info.run_id
    return {
        "training_run": run_id,
        "weights_digest": weights_digest(trained_run.bundle),
        "training_films.train": tags.get("data_digest.train", "unknown"),
        "training_films.val": tags.get("data_digest.val", "unknown"),
        FILMS_DIGEST: frozen.digest,
        "git_commit": tags.get("git_commit", "unknown"),
        "clinical_rules": rules_digest(trained_run.bundle.config.clinical),
        "environment_digest": _environment_digest(run_id),
    }


def _facts(
    one: EvaluatedModel, frozen: FrozenFilms, registered_model: str, pictures: list[tuple[str, Picture]]
) -> CardFacts:
    trained_run = one.trained_run
    config, tags = trained_run.bundle.config, trained_run.run.data.tags
    synthetic = config.data.kind == PHANTOM_KIND
    films = f"{tags.get('dataset', 'unknown')}{' (synthetic)' if synthetic else ''}, preset {config.preset}"
    return CardFacts(
        registered_model=registered_model,
        model=config.model.name,
        run_id=trained_run.run.info.run_id,
        parameter_count=parameter_count(trained_run.bundle.model),
        training_films=films,
        synthetic_training=synthetic,
        synthetic_films=frozen.films.kind == PHANTOM_KIND,
        origin=origin_of(trained_run, frozen),
        mean_shape=one.mean_shape,
        guarded=one.guarded,
        pictures=pictures,
        films_seen=films_seen_in_training(trained_run.run.info.run_id, frozen.labelled),
    )


def _log_overlays(one: EvaluatedModel, frozen: FrozenFilms, folder: str, count: int) -> list[tuple[str, Picture]]:
    """Draw the best, median and worst films; returns captions and pictures."""
    ids = [film.film_id for film in frozen.labelled]
    error = film_means(one.values["mre_px512"]).reindex(ids).to_numpy(dtype=np.float64)
    pictures = []
    for label, index in best_median_worst(error, count):
        picture = with_legend(draw_film(frozen.labelled[index], one.predictions.predictions[index], OVERLAY_HEIGHT_PX))
        mlflow.log_image(picture, artifact_file=f"{folder}/overlays/{label}-{ids[index]}.png")
        kind = "synthetic film" if frozen.films.kind == PHANTOM_KIND else "film"
        pictures.append((f"{label.split('-')[0]} {kind}, {error[index]:.1f} px512", picture))
    return pictures


def _log_decision(folder: str, decision: Decision, more: Mapping[str, object]) -> None:
    content = {"verdict": decision.verdict.value, "against": decision.against, "in_favour": decision.in_favour, **more}
    mlflow.log_text(json.dumps(content, indent=1), f"{folder}/decision.json")


def _environment_digest(run_id: str) -> str:
    try:
        return hashlib.sha256(mlflow.artifacts.load_text(f"runs:/{run_id}/environment.txt").encode()).hexdigest()
    except (MlflowException, OSError):
        return "unknown"
