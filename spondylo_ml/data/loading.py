"""Configured films: read, checked, limited, split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from spondylo_ml.clinical.outlines import impossible_slots
from spondylo_ml.config import DataConfig, validate
from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.duplicates import SamePair, find_same, same_groups
from spondylo_ml.data.audit.findings import Audit
from spondylo_ml.data.audit.image_facts import ImageFacts, measure_images
from spondylo_ml.data.audit.order import check_overlaps
from spondylo_ml.data.audit.outlines import check_corner_order
from spondylo_ml.data.films import FileFinding, FilmSet, finding_on, require_usable
from spondylo_ml.data.folds import splits_by_fold
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.split import assign_parts, parts_in_words, require_parts
from spondylo_ml.data.synthetic import PHANTOM_KIND, phantom_films
from spondylo_ml.errors import ConfigError, NoUsableCornerError
from spondylo_ml.landmarks import Film, SlotRange

log = logging.getLogger(__name__)

LISTED = 10


@dataclass(frozen=True)
class Pixels:
    """What an audit needs of the films' pixels: facts of each, and which show the same exposure."""

    facts: Sequence[ImageFacts | None]
    same: Sequence[SamePair]


def requested_data(base: DataConfig, requested: DataConfig) -> DataConfig:
    """Lay the values that were set in `requested` over those of `base`, which usually are a run's training films.

    A folder other than that of `base` is recognised anew and has its own levels; neither it nor a request for
    synthetic films keeps the folds of `base`.

    Raises:
        ConfigError: the values contradict each other.
    """
    values = requested.model_dump(exclude_unset=True)
    tree = base.model_dump()
    if "path" in values and values["path"] != base.path:
        tree |= {"kind": "auto", "first_slot": None, "n_slots": None, "max_films": None, "folds": None, "fold": None}
    elif values.get("kind") == "phantom":
        tree |= {"path": None, "first_slot": None, "n_slots": None, "folds": None, "fold": None}
    return validate(DataConfig, tree | values)


def load_films(config: DataConfig, for_training: bool = True) -> FilmSet:
    """The films that `config` names, each with its part, slots as configured or as the dataset has them.

    Films of the same exposure go to the same part, whatever their patients' names say.

    Args:
        for_training: labelled films are needed in train and in val; films to evaluate may be few and without labels.

    Raises:
        ConfigError: path and kind contradict each other.
        DataError: no such folder or layout, bad files under `on_bad_file=error`, or too few films.
    """
    return _load(config, for_training)[0]


def load_audited_films(config: DataConfig) -> tuple[FilmSet, Audit]:
    """As `load_films`, with an audit of the films.

    Films that are drawn here are checked by their labels alone: the generator's own tests look at their pixels.
    """
    films, pixels = _load(config)
    return films, audit_of(films, pixels)


def load_films_to_audit(config: DataConfig) -> tuple[FilmSet, Pixels]:
    """As `load_films`, whatever is wrong with the files, the parts or their number."""
    films = _with_slots(_limited(_read(config), config), config)
    pixels = look_at(films.films)
    return _with_parts(films, config, pixels), pixels


def audit_of(films: FilmSet, pixels: Pixels | None) -> Audit:
    """The audit of films whose parts are filled in; of labels alone without their pixels."""
    return audit_films(films, pixels.facts, pixels.same) if pixels else audit_films(films)


def look_at(films: Sequence[Film]) -> Pixels:
    """Each film's pixels, read once, in parallel."""
    with tqdm(total=len(films), desc="checking films", unit="film", disable=None) as bar:
        facts = measure_images(films, bar.update)
    return Pixels(facts, find_same(facts))


def read_films(config: DataConfig) -> FilmSet:
    """The films that `config` names, checked and limited, with the dataset's own parts and slots.

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
    pixels = None if films.kind == PHANTOM_KIND else look_at(films.films)
    dealt = [film for film in films.films if film.split is None]
    films = _with_parts(films, config, pixels)
    if dealt and films.kind != PHANTOM_KIND:
        log.info("parts made by patient, seed %d: %s", config.split_seed, parts_in_words(films.films))
        if for_training and config.test_fraction and not films.part("test"):
            log.warning("too few patients for a test part: there is none")
    if config.folds is not None:
        films = _with_fold(films, config, pixels)
    require_parts(films.films, for_training)
    if overflow := films.overflow():
        log.warning("%d vertebra(e) without a slot: %s", len(overflow), first_of(overflow))
    return films, pixels


def _limited(films: FilmSet, config: DataConfig) -> FilmSet:
    """At most `max_films`. Of synthetic films the parts are dealt first, and the test part stays whole.

    So all presets have one test part, and none trains on a film by which another is tested. It costs little: films are
    drawn only when they are read.
    """
    if films.kind != PHANTOM_KIND or config.max_films is None:
        return films.limited(config.max_films)
    dealt = _with_parts(films, config, None)
    developed = replace(dealt, films=tuple(film for film in dealt.films if film.split != "test"))
    kept = {film.film_id for film in (*developed.limited(config.max_films).films, *dealt.part("test"))}
    return replace(dealt, films=tuple(film for film in dealt.films if film.film_id in kept))


def _with_slots(films: FilmSet, config: DataConfig) -> FilmSet:
    """Slots as configured, or as the dataset has them."""
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
    dealt = splits_by_fold(films.films, config.folds, config.split_seed, same)
    return replace(films, films=dealt[config.fold - 1])


def _read(config: DataConfig) -> FilmSet:
    config.require_source()
    if config.path is None:
        return phantom_films(
            config.phantom_films,
            config.phantom_seed,
            config.phantom_long_side_px,
            config.phantom_without,
            config.phantom_slips,
        )
    return read_folder(Path(config.path).expanduser(), config.kind)


def require_usable_corner(films: Sequence[Film], part: str, slots: SlotRange) -> None:
    """Raise `NoUsableCornerError` where no labelled corner of the films can be one of a vertebra with a slot."""
    labelled = [film for film in films if film.labelled]
    for film in labelled:
        vertebrae = [v for v in film.vertebrae or () if v.slot in slots and v.present.any()]
        if len(impossible_slots(vertebrae)) < len(vertebrae):
            return
    raise NoUsableCornerError(part, len(labelled))


def impossible_labels(films: Sequence[Film]) -> tuple[FileFinding, ...]:
    """What is wrong with the labels of films to evaluate a model on; it counts all the same.

    A model that is right is counted wrong there; leaving these corners out would count labels by what is easy.
    """
    errors = [*check_corner_order(films), *check_overlaps(films)]
    by_id = {film.film_id: film for film in films}
    return tuple(finding_on(by_id[error.films[0]], f"{error.message}; counted as labelled") for error in errors)


def first_of(findings: tuple[object, ...]) -> str:
    """The first of them as text, and how many more there are."""
    more = f"; and {len(findings) - LISTED} more" if len(findings) > LISTED else ""
    return "; ".join(str(finding) for finding in findings[:LISTED]) + more
