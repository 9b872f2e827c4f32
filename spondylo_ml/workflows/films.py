"""Configured films: read, checked, limited, split."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from spondylo_ml.config import DataConfig
from spondylo_ml.data.films import FilmSet, require_usable
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.split import split_by_patient
from spondylo_ml.data.synthetic import KIND as PHANTOM
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange

log = logging.getLogger(__name__)

LISTED = 10


def load_films(config: DataConfig, for_training: bool = True) -> FilmSet:
    """The films that `config` names, each with its part, slots as configured or as the dataset has them.

    Args:
        for_training: labelled films are needed in train and in val; films to judge may be few and without labels.

    Raises:
        ConfigError: path and kind contradict each other.
        DataError: no such folder or layout, bad files under `on_bad_file=error`, or too few films.
    """
    films = read_films(config)
    slots = SlotRange(
        films.slots.first if config.first_slot is None else config.first_slot,
        films.slots.count if config.n_slots is None else config.n_slots,
    )
    films = replace(films, slots=slots)
    parts = split_by_patient(films.films, config.val_fraction, config.test_fraction, config.split_seed, for_training)
    films = replace(films, films=parts)
    if overflow := films.overflow():
        log.warning("%d vertebra(e) without a slot: %s", len(overflow), _first(overflow))
    return films


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
        log.warning("%d bad file(s) skipped: %s", len(films.bad_files), _first(films.bad_files))
    if films.notes:
        log.warning("%d remark(s) by the reader: %s", len(films.notes), _first(films.notes))
    return films.limited(config.max_films)


def _read(config: DataConfig) -> FilmSet:
    if config.path is None:
        if config.kind not in ("auto", PHANTOM):
            raise ConfigError(f"data.kind {config.kind} needs a folder: --data <path>")
        return phantom_films(
            config.phantom_films, config.phantom_seed, config.phantom_long_side_px, config.phantom_without
        )
    if config.kind == PHANTOM:
        raise ConfigError(f"data.kind phantom makes its own films: leave out --data {config.path}")
    return read_folder(Path(config.path).expanduser(), config.kind)


def _first(findings: tuple[object, ...]) -> str:
    more = f"; and {len(findings) - LISTED} more" if len(findings) > LISTED else ""
    return "; ".join(str(finding) for finding in findings[:LISTED]) + more
