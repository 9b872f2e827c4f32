"""Which films a configuration names, laid over that of a training run."""

from __future__ import annotations

from pathlib import Path

import pytest

from spondylo_ml.config import DataConfig
from spondylo_ml.data.loading import requested_data
from spondylo_ml.errors import ConfigError

BASE = DataConfig(path=Path("films"), kind="coco", first_slot=1, n_slots=5, max_films=40, folds=5, fold=2)


def test_values_that_were_not_set_are_those_of_the_training_run() -> None:
    assert requested_data(BASE, DataConfig()) == BASE
    assert requested_data(BASE, DataConfig(split_seed=3)) == BASE.model_copy(update={"split_seed": 3})


def test_a_value_set_to_its_default_counts_as_set() -> None:
    assert requested_data(BASE, DataConfig(max_films=None)).max_films is None


def test_another_folder_is_detected_again_with_its_own_levels() -> None:
    data = requested_data(BASE, DataConfig(path=Path("others")))
    assert (data.path, data.kind) == (Path("others"), "auto")
    assert {data.first_slot, data.n_slots, data.max_films, data.folds, data.fold} == {None}
    assert requested_data(BASE, DataConfig(path=Path("films"))) == BASE


def test_synthetic_films_need_no_folder() -> None:
    data = requested_data(BASE, DataConfig(kind="phantom", phantom_seed=7))
    assert (data.path, data.kind, data.phantom_seed, data.folds, data.max_films) == (None, "phantom", 7, None, 40)


def test_values_that_contradict_those_of_the_training_run_are_refused() -> None:
    with pytest.raises(ConfigError, match="fold is 2, folds None"):
        requested_data(BASE, DataConfig(folds=None))
