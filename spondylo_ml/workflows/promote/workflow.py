"""`promote`: compare candidates with the champion on the same films, and record the decision in the registry."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mlflow
import yaml
from mlflow.entities.model_registry import ModelVersion

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import flatten
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.errors import DataError, unknown_name
from spondylo_ml.evaluation.catalogue import lower_is_better
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.paired import PairedValues, paired_differences
from spondylo_ml.promotion.decision import Contender, Gain, Verdict, decide, gain_of
from spondylo_ml.promotion.history import Event, EventKind
from spondylo_ml.promotion.registry_pages import model_page, with_later_event
from spondylo_ml.serving.trained_run import TrainedRun, fetch_trained_run
from spondylo_ml.tracking.digests import digest_of_run, require_same_digest
from spondylo_ml.tracking.lock import Lock, promotion_lock
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.provenance import log_dataset, log_environment
from spondylo_ml.tracking.registry import FILMS, FILMS_DIGEST, SPLIT, Registry, now
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, get_run, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.promote.candidates import NoiseFloor, candidate_runs, noise_floor
from spondylo_ml.workflows.promote.frozen_films import (
    EvaluatedModel,
    FrozenFilms,
    evaluate_models,
    load_frozen_films,
    weights_digest,
)
from spondylo_ml.workflows.promote.result import (
    Promotion,
    PromotionOutcome,
    plan_text,
    promotion_description,
    version_name,
)
from spondylo_ml.workflows.promote.version_record import log_evaluated, log_refused, register
from spondylo_ml.workflows.shared.training_films import films_seen_in_training

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """The current champion of the registry."""

    version: ModelVersion
    trained_run: TrainedRun
    contender: Contender


def promote(config: PromoteConfig) -> Promotion:
    """Evaluate the candidates and move the aliases of the registry, under its lock; log the results to a new run.

    If no value of `config.data` is set, the films are the champion's.

    Raises:
        TrackingError: no such run or model, or another promotion is under way.
        DataError: no films to evaluate on, or they do not have the metric.
    """
    require_store()
    floor = noise_floor(config)
    with promotion_lock(config.registered_model, config.break_lock) as lock:
        registry = Registry(config.registered_model)
        candidates = [fetch_trained_run(run) for run in candidate_runs(config)]
        frozen = load_frozen_films(config, registry.tags(), candidates)
        experiment = chosen_experiment(config.experiment, TOOLS_EXPERIMENT)
        log.info("%s", plan_text(registry.champion(), candidates, frozen, floor.value))
        name = f"promote {len(candidates)} on {frozen.films.name} {frozen.split}"
        with open_run(experiment, name, command="promote") as run_id:
            _log_origin(config, floor, candidates, frozen)
            outcomes = _decide_all(_PromotionContext(config, floor, lock, registry, frozen, run_id), candidates)
            mlflow.set_tag(DESCRIPTION_TAG, promotion_description(outcomes))
        champion = registry.champion()
    return Promotion(
        run_id, config.registered_model, tuple(outcomes), int(champion.version) if champion is not None else None
    )


@dataclass(frozen=True)
class _PromotionContext:
    """Shared by all decisions of a promotion."""

    config: PromoteConfig
    noise_floor: NoiseFloor
    lock: Lock
    registry: Registry
    frozen: FrozenFilms
    run_id: str

    @property
    def bootstrap(self) -> PatientBootstrap:
        return PatientBootstrap(list(self.frozen.patient_of.values()), self.config.resamples, self.config.seed)


def _log_origin(
    config: PromoteConfig, floor: NoiseFloor, candidates: Sequence[TrainedRun], frozen: FrozenFilms
) -> None:
    log_params(flatten(config.model_dump(mode="json", exclude={"data"})))
    log_params({"noise_floor_used": "not known" if floor.value is None else floor.value})
    mlflow.set_tags(
        {
            "candidates": ",".join(c.run.info.run_id for c in candidates),
            "models": ",".join(c.bundle.config.model.name for c in candidates),
            "registered_model": config.registered_model,
            "dataset": frozen.films.name,
        }
    )
    log_environment()
    log_dataset(frozen.films, ("train", "val", "test") if frozen.split == "all" else (frozen.split,))


def _decide_all(context: _PromotionContext, candidates: Sequence[TrainedRun]) -> list[PromotionOutcome]:
    """Compare each candidate with the champion of the moment, starting with the best candidate on the metric."""
    champion, former_digest = _current_champion(context), ""
    if champion is not None and champion.contender.films_digest != context.frozen.digest:
        if not context.config.new_films:
            return [_refused_by_films(context, candidate, champion) for candidate in candidates]
        former_digest = champion.contender.films_digest
        champion = replace(champion, contender=replace(champion.contender, films_digest=context.frozen.digest))
    trained_runs = {c.run.info.run_id: c for c in candidates}
    if champion is not None:
        trained_runs.setdefault(champion.trained_run.run.info.run_id, champion.trained_run)
    rules = (champion.trained_run if champion else candidates[0]).bundle.config.clinical
    evaluated = evaluate_models(list(trained_runs.values()), context.frozen, rules, context.config)
    _require_metrics(context.config, next(iter(evaluated.values())).values)
    if champion is not None and former_digest:
        _record_new_films(context, champion, former_digest)
    if champion is not None:
        guarded = evaluated[champion.trained_run.run.info.run_id].guarded
        champion = replace(champion, contender=replace(champion.contender, guarded=guarded))
    outcomes = []
    for one in _best_first([evaluated[c.run.info.run_id] for c in candidates], context):
        outcome, champion = _decide_one(context, one, champion, evaluated)
        outcomes.append(outcome)
    challengers = [o.version for o in outcomes if o.decision.verdict is Verdict.CHALLENGER and o.version]
    if challengers:  # the best one comes first
        context.lock.require_held()
        context.registry.set_challenger(context.registry.version(challengers[0]))
    return outcomes


def _decide_one(
    context: _PromotionContext, one: EvaluatedModel, champion: Champion | None, evaluated: Mapping[str, EvaluatedModel]
) -> tuple[PromotionOutcome, Champion | None]:
    """Decide on one candidate; returns the outcome and the champion after it."""
    against = evaluated[champion.trained_run.run.info.run_id] if champion else None
    contender = _contender(context, one.trained_run, one)
    gain = _gain(context, one, against)
    former = champion.contender if champion else None
    decision = decide(
        contender, former, gain, context.noise_floor.value, context.config.margins, context.noise_floor.source,
        over_mean_shape=_gain(context, one, None),
    )  # fmt: skip
    artefacts = log_evaluated(one, against, decision, context.frozen, context.bootstrap, context.config)
    if decision.verdict is Verdict.REFUSED:
        return PromotionOutcome(one.trained_run.name, decision, None), champion
    context.lock.require_held()
    version = register(context.registry, one, decision, context.frozen, artefacts)
    outcome = PromotionOutcome(one.trained_run.name, decision, int(version.version))
    if decision.verdict is Verdict.CHALLENGER:
        return outcome, champion
    event = Event(
        kind=EventKind.PROMOTED,
        time=now(),
        version=int(version.version),
        model=one.trained_run.bundle.config.model.name,
        run_id=one.trained_run.run.info.run_id,
        former=int(champion.version.version) if champion else None,
        reasons=decision.reasons,
        promotion_run=context.run_id,
    )
    context.registry.set_champion(version, event)
    if champion is None:
        context.registry.set_tags(_film_tags(context.frozen))
    else:
        event_text = f"Replaced on {event.time[:10]} by version {version.version}: {decision.reasons[0]}."
        page = with_later_event(champion.version.description or "", event_text)
        context.registry.describe_version(champion.version, page)
    context.registry.describe(model_page(context.registry.name, context.registry.events()))
    as_version = replace(contender, name=version_name(version))
    return outcome, Champion(context.registry.version(int(version.version)), one.trained_run, as_version)


def _refused_by_films(context: _PromotionContext, candidate: TrainedRun, champion: Champion) -> PromotionOutcome:
    """Refuse a candidate, without evaluating it, because the films are not the champion's."""
    decision = decide(
        _contender(context, candidate, None),
        champion.contender,
        None,
        context.noise_floor.value,
        context.config.margins,
    )
    hint = "give the champion's films, or evaluate it again on these: --new_films true"
    decision = replace(decision, against=(*decision.against, hint))
    log_refused(candidate, decision)
    return PromotionOutcome(candidate.name, decision, None)


def _current_champion(context: _PromotionContext) -> Champion | None:
    version = context.registry.champion()
    if version is None:
        return None
    trained_run = fetch_trained_run(get_run(version.run_id or ""))
    require_same_digest(version, digest_of_run(version.run_id or ""))
    films_digest = context.registry.tags().get(FILMS_DIGEST, "unknown")
    contender = Contender(
        version_name(version),
        weights_digest(trained_run.bundle),
        films_digest,
        {},
        None,
        rules_digest(trained_run.bundle.config.clinical),
    )
    return Champion(version, trained_run, contender)


def _record_new_films(context: _PromotionContext, champion: Champion, before: str) -> None:
    """Record in the registry that the champion is evaluated on new films from now on; `before` is the old digest."""
    frozen = context.frozen
    reason = (
        f"evaluated on {frozen.films.name} {frozen.split} ({frozen.digest[:12]}) from now on, before on {before[:12]}"
    )
    context.lock.require_held()
    context.registry.record(
        Event(
            kind=EventKind.NEW_FILMS,
            time=now(),
            version=int(champion.version.version),
            model=champion.trained_run.bundle.config.model.name,
            run_id=champion.trained_run.run.info.run_id,
            former=int(champion.version.version),
            reasons=(reason,),
            promotion_run=context.run_id,
        )
    )
    context.registry.set_tags(_film_tags(frozen))
    context.registry.describe(model_page(context.registry.name, context.registry.events()))


def _contender(context: _PromotionContext, trained_run: TrainedRun, evaluated: EvaluatedModel | None) -> Contender:
    run_id = trained_run.run.info.run_id
    return Contender(
        name=trained_run.name,
        weights_digest=weights_digest(trained_run.bundle),
        films_digest=context.frozen.digest,
        guarded=evaluated.guarded if evaluated else {},
        films_seen=films_seen_in_training(run_id, context.frozen.labelled),
        rules_digest=rules_digest(trained_run.bundle.config.clinical),
        rolled_back="" if context.config.run_ids else context.registry.rolled_back(run_id),
    )


def _gain(context: _PromotionContext, one: EvaluatedModel, champion: EvaluatedModel | None) -> Gain | None:
    """Gain over the champion, or over the mean shape if that is None."""
    metric = context.config.metric if champion else context.config.first_metric
    other = (champion.values if champion else one.mean_shape_values)[metric]
    differences = paired_differences(
        {metric: one.values[metric]}, {metric: other}, context.frozen.patient_of, context.bootstrap
    )
    return gain_of(differences[0], context.frozen.name) if differences else None


def _best_first(evaluated: Sequence[EvaluatedModel], context: _PromotionContext) -> list[EvaluatedModel]:
    metric = context.config.metric
    sign = 1 if lower_is_better(metric) else -1

    def key(one: EvaluatedModel) -> float:
        value = _mean(context, one.values[metric])
        return sign * value if not math.isnan(value) else float("inf")

    return sorted(evaluated, key=key)


def _mean(context: _PromotionContext, values: PairedValues) -> float:
    patients = [context.frozen.patient_of[film_id] for film_id in values.film_ids]
    return context.bootstrap.mean(values.values, patients).value


def _require_metrics(config: PromoteConfig, values: Mapping[str, PairedValues]) -> None:
    for option, metric in (("metric", config.metric), ("first_metric", config.first_metric)):
        if metric not in values:
            raise DataError(f"{option}: these films have no such metric. {unknown_name('metric', metric, values)}")


def _film_tags(frozen: FrozenFilms) -> dict[str, str]:
    return {
        FILMS_DIGEST: frozen.digest,
        SPLIT: frozen.split,
        FILMS: yaml.safe_dump(frozen.data.model_dump(mode="json"), sort_keys=False),
    }
