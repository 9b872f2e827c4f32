"""What the films decide of a configuration: the number of epochs and the size of the input."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spondylo_ml.config import resolve_config
from spondylo_ml.config.optimisation import MOST_EPOCHS
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError
from spondylo_ml.workflows.train.films import resolve_from_films

N_TRAIN = 4


def films() -> FilmSet:
    drawn = phantom_films(N_TRAIN + 1, 0, 64)
    parts = ["train"] * N_TRAIN + ["val"]
    return replace(drawn, films=tuple(replace(film, split=part) for film, part in zip(drawn.films, parts, strict=True)))


def epochs_of(passes: int, least_epoch_films: int = 0) -> int | None:
    training = {"epochs": None, "film_passes": passes, "least_epoch_films": least_epoch_films}
    return resolve_from_films(resolve_config({"training": training}), films()).training.epochs


@pytest.mark.parametrize(("passes", "epochs"), [(1, 1), (N_TRAIN, 1), (N_TRAIN + 1, 2), (10 * N_TRAIN, 10)])
def test_the_last_epoch_is_a_whole_one(passes: int, epochs: int) -> None:
    assert epochs_of(passes) == epochs


def test_more_epochs_than_a_configuration_may_have_are_refused_before_training() -> None:
    most = MOST_EPOCHS * N_TRAIN
    assert epochs_of(most) == MOST_EPOCHS
    message = rf"film_passes: given {most + 1}, which are {MOST_EPOCHS + 1} epochs of {N_TRAIN} films; at most"
    with pytest.raises(ConfigError, match=message):
        epochs_of(most + 1)
    assert epochs_of(most + 1, least_epoch_films=10 * N_TRAIN) == 1001


def test_an_input_that_is_too_large_is_refused_before_training() -> None:
    tall = replace(films(), films=tuple(replace(film, size_hw=(1600, 1000)) for film in films().films))
    config = resolve_config({"data": {"input_side_px": 2048}})
    with pytest.raises(ConfigError, match=r"data\.input_hw: given \[2592, 1632\].* smaller data\.input_side_px"):
        resolve_from_films(config, tall)
    assert resolve_from_films(resolve_config({"data": {"input_side_px": 512}}), tall).data.input_hw == (640, 416)
