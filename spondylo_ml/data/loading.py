"""Load the configured films: read, check, limit, split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spondylo_ml.clinical.outlines import impossible_slots
from spondylo_ml.config import DataConfig, validate
from spondylo_ml.config.commands import DrawConfig
from spondylo_ml.config.films import LATERAL_ONLY
from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.duplicates import SamePair, find_same, same_groups
from spondylo_ml.data.audit.findings import Audit
from spondylo_ml.data.audit.image_facts import ImageFacts, measure_images
from spondylo_ml.data.audit.order import check_overlaps
from spondylo_ml.data.audit.outlines import check_corner_order
from spondylo_ml.data.conditions import condition_films, training_films_under
from spondylo_ml.data.films import FileFinding, FilmSet, finding_on, require_usable
from spondylo_ml.data.folds import splits_by_fold
from spondylo_ml.data.frontal import frontal_films
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.split import assign_parts, parts_in_words, require_parts
from spondylo_ml.data.synthetic import PHANTOM_KIND, phantom_films
from spondylo_ml.errors import ConfigError, NoUsableCornerError
from spondylo_ml.film_bar import MANY_FILMS, film_bar
from spondylo_ml.landmarks import Film, SlotRange

log = logging.getLogger(__name__)

MOST_LISTED = 10


@dataclass(frozen=True)
class Pixels:
    """What an audit needs from the films' pixels: facts of each film, and pairs that show the same exposure."""

    facts: Sequence[ImageFacts | None]
    same: Sequence[SamePair]


def requested_data(base: DataConfig, requested: DataConfig) -> DataConfig:
    """Lay the values that were set in `requested` over those of `base`, which usually are a run's training films.

    Kind, levels and folds of `base` are not kept for another folder; folder, levels and folds are not kept for
    synthetic films, nor levels, folds and what only lateral films have for another view of them.

    Raises:
        ConfigError: the values contradict each other.
    """
    values = requested.model_dump(exclude_unset=True)
    tree = base.model_dump()
    if "path" in values and values["path"] != base.path:
        tree |= {"kind": "auto", "first_slot": None, "n_slots": None, "max_films": None, "folds": None, "fold": None}
    elif values.get("kind") == "phantom":
        tree |= {"path": None, "first_slot": None, "n_slots": None, "folds": None, "fold": None}
    if values.get("phantom_view", base.phantom_view) != base.phantom_view:
        tree |= {"first_slot": None, "n_slots": None, "folds": None, "fold": None}
        tree |= {name: DataConfig.model_fields[name].default for name in (f"phantom_{part}" for part in LATERAL_ONLY)}
    return validate(DataConfig, tree | values)


def load_films(config: DataConfig, for_training: bool = True) -> FilmSet:
    """The configured films, each with its part. Slots are those of the configuration, else of the dataset.

    Films of the same exposure go to the same part, even under several patients' names.

    Args:
        for_training: require labelled films in train and val.

    Raises:
        ConfigError: path and kind contradict each other.
        DataError: no such folder or layout, bad files under `on_bad_file=error`, or too few films.
    """
    return _load(config, for_training)[0]


def load_audited_films(config: DataConfig) -> tuple[FilmSet, Audit]:
    """Like `load_films`, with an audit of the films.

    Only the labels of synthetic films are checked: tests of the generator check their pixels.
    """
    films, pixels = _load(config)
    return films, audit_of(films, pixels)


def load_films_to_audit(config: DataConfig) -> tuple[FilmSet, Pixels]:
    """Like `load_films`, but without raising for bad files, patients in two parts, or too few films."""
    films = _with_slots(_limited(_read(config), config), config)
    pixels = measure_pixels(films.films)
    return _with_parts(films, config, pixels), pixels


def audit_of(films: FilmSet, pixels: Pixels | None) -> Audit:
    """The audit of films that have their parts; only of the labels if `pixels` is None.

    Synthetic films vary more than real ones, on purpose, and their labels are exact: what is unusual is a remark there.
    """
    audit = audit_films(films, pixels.facts, pixels.same) if pixels else audit_films(films)
    return audit.with_warnings_as_remarks() if films.kind == PHANTOM_KIND else audit


def measure_pixels(films: Sequence[Film]) -> Pixels:
    """Measure the pixels of all films, reading each film once, in parallel."""
    with film_bar("measuring films", len(films)) as bar:
        facts = measure_images(films, bar.update)
    if len(films) > MANY_FILMS:
        log.info("searching %d films for duplicates", len(films))
    return Pixels(facts, find_same(facts))


def read_films(config: DataConfig) -> FilmSet:
    """The configured films, checked and limited, with the parts and slots of the dataset.

    Raises:
        ConfigError: path and kind contradict each other.
        DataError: no such folder or layout, or bad files under `on_bad_file=error`.
    """
    films = _read(config)
    require_usable(films, config.on_bad_file, config.path or films.name)
    for finding in (*films.bad_files, *films.notes):
        log.debug("%s", finding)
    if films.bad_files:
        log.warning("%d bad file(s) skipped: %s", len(films.bad_files), first_of(films.bad_files))
    if films.notes:
        log.warning("%d remark(s) by the reader: %s", len(films.notes), first_of(films.notes))
    return _limited(films, config)


def _load(config: DataConfig, for_training: bool = True) -> tuple[FilmSet, Pixels | None]:
    films = _with_slots(read_films(config), config)
    pixels = None if films.kind == PHANTOM_KIND else measure_pixels(films.films)
    unassigned = [film for film in films.films if film.split is None]
    films = _with_parts(films, config, pixels)
    if unassigned and films.kind != PHANTOM_KIND:
        log.info("films split by patient, seed %d: %s", config.split_seed, parts_in_words(films.films))
        if for_training and config.test_fraction and not films.part("test"):
            log.warning("too few patients for a test part: there is none")
    if config.folds is not None:
        films = _with_fold(films, config, pixels)
    require_parts(films.films, for_training)
    if (overflow := films.overflow()) and films.kind != PHANTOM_KIND:
        log.warning("%d vertebra(e) without a slot: %s", len(overflow), first_of(overflow))
    return films, pixels


def _limited(films: FilmSet, config: DataConfig) -> FilmSet:
    """At most `max_films`. Synthetic films are split first, and their test part stays complete.

    All presets then have the same test part, and none trains on a test film of another. This is cheap, since films are
    drawn only when they are read.
    """
    if films.kind != PHANTOM_KIND or config.max_films is None:
        return films.limited(config.max_films)
    split = _with_parts(films, config, None)
    development = replace(split, films=tuple(film for film in split.films if film.split != "test"))
    kept = {film.film_id for film in (*development.limited(config.max_films).films, *split.part("test"))}
    return replace(split, films=tuple(film for film in split.films if film.film_id in kept))


def _with_slots(films: FilmSet, config: DataConfig) -> FilmSet:
    """The films with the configured slots, else those of the dataset."""
    slots = SlotRange(
        films.slots.first if config.first_slot is None else config.first_slot,
        films.slots.count if config.n_slots is None else config.n_slots,
    )
    return replace(films, slots=slots)


def _with_parts(films: FilmSet, config: DataConfig, pixels: Pixels | None) -> FilmSet:
    same = same_groups(pixels.same, len(films.films)) if pixels else []
    parts = assign_parts(films.films, config.val_fraction, config.test_fraction, config.split_seed, same)
    return replace(films, films=parts)


def _with_fold(films: FilmSet, config: DataConfig, pixels: Pixels | None) -> FilmSet:
    """The films with one fold for validation and the others for training."""
    if config.folds is None or config.fold is None:
        raise ConfigError(
            "data.folds alone is for train, which trains fold after fold; otherwise name one too: --data.fold 1"
        )
    same = same_groups(pixels.same, len(films.films)) if pixels else []
    film_sets = splits_by_fold(films.films, config.folds, config.split_seed, same)
    return replace(films, films=film_sets[config.fold - 1])


def _read(config: DataConfig) -> FilmSet:
    config.require_source()
    if config.path is None:
        return _synthetic(config)
    return read_folder(Path(config.path).expanduser(), config.kind)


def _synthetic(config: DataConfig) -> FilmSet:
    count, seed, side_px = config.phantom_films, config.phantom_seed, config.phantom_long_side_px
    without, slips, additions = config.phantom_without, config.phantom_slips, config.phantom_additions
    if config.phantom_view == "frontal":
        return frontal_films(count, seed, side_px, without)
    if config.phantom_condition is not None:
        return condition_films(config.phantom_condition, count, seed, side_px, without, slips, additions)
    films = phantom_films(count, seed, side_px, without, slips, additions)
    if not config.phantom_training_conditions:
        return films
    per_condition = config.phantom_films_per_condition
    further = training_films_under(config.phantom_training_conditions, per_condition, seed, side_px, without, slips)
    names = "+".join(sorted(set(config.phantom_training_conditions)))
    return replace(films, name=f"{films.name}-and-{per_condition}-each-{names}", films=(*films.films, *further))


def draw_films(config: DrawConfig) -> FilmSet:
    """The synthetic films that `config` names.

    Raises:
        DataError: no style is left.
    """
    if config.view == "frontal":
        return frontal_films(config.count, config.seed, config.long_side_px, config.without)
    return phantom_films(config.count, config.seed, config.long_side_px, config.without, config.slips, config.additions)


def require_usable_corner(films: Sequence[Film], part: str, slots: SlotRange) -> None:
    """Raise `NoUsableCornerError` if the films have no plausible labelled corner of a vertebra with a slot."""
    labelled = [film for film in films if film.labelled]
    for film in labelled:
        vertebrae = [v for v in film.vertebrae or () if v.slot in slots and v.present.any()]
        if len(impossible_slots(vertebrae)) < len(vertebrae):
            return
    raise NoUsableCornerError(part, len(labelled))


def impossible_labels(films: Sequence[Film]) -> tuple[FileFinding, ...]:
    """Impossible labels of films for evaluation. They still count as labelled.

    A correct model is counted wrong there, but leaving these corners out would favour easy films.
    """
    errors = [*check_corner_order(films), *check_overlaps(films)]
    by_id = {film.film_id: film for film in films}
    return tuple(finding_on(by_id[error.films[0]], f"{error.message}; counted as labelled") for error in errors)


def first_of(findings: tuple[object, ...]) -> str:
    """The first findings as text, and the number of the others."""
    more = f"; and {len(findings) - MOST_LISTED} more" if len(findings) > MOST_LISTED else ""
    return "; ".join(str(finding) for finding in findings[:MOST_LISTED]) + more
