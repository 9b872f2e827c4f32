"""All presets of all models have one synthetic dataset: their models can be compared, and promoted, together."""

from __future__ import annotations

from typing import Any

import pytest
from small_models import RECIPES

from spondylo_ml.config import DataConfig, resolve_config
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import load_films
from spondylo_ml.data.synthetic import phantom_films

PARTS = ("train", "val", "test")
HOW_MANY, HOW_LARGE = ("max_films",), ("input_side_px", "input_hw")


def films_of(part: str, films: FilmSet) -> set[str]:
    return {film.film_id for film in films.part(part)}


@pytest.fixture(scope="module")
def shared() -> FilmSet:
    return load_films(DataConfig())


@pytest.mark.parametrize(("model", "preset"), RECIPES)
def test_presets_differ_in_how_many_films_they_train_on_and_how_large_they_see_them(model: str, preset: str) -> None:
    data = resolve_config({"preset": preset, "model": {"name": model}}).data
    assert data.model_dump(exclude={*HOW_MANY, *HOW_LARGE}) == DataConfig().model_dump(exclude={*HOW_MANY, *HOW_LARGE})
    assert data.max_films == (10 if preset == "smoke" else None)


def test_ten_films_of_the_smoke_preset_have_the_test_part_of_all_others(shared: FilmSet) -> None:
    smoke = load_films(resolve_config({"preset": "smoke"}).data)
    assert shared.name == smoke.name == "phantom-0"
    assert [len(shared.part(part)) for part in PARTS] == [1350, 270, 180]
    assert [len(smoke.part(part)) for part in PARTS] == [8, 2, 180]
    assert digest(smoke.part("test"), smoke.slots) == digest(shared.part("test"), shared.slots)
    for part in PARTS:
        assert films_of(part, smoke) <= films_of(part, shared)


def test_a_limit_that_no_film_exceeds_changes_nothing() -> None:
    few = load_films(DataConfig(phantom_films=20))
    assert digest(load_films(DataConfig(phantom_films=20, max_films=20)).films, few.slots) == digest(
        few.films, few.slots
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ((1800, 3, 256), "phantom-3"),
        ((5, 3, 256), "phantom-3-5x256px"),
        ((1800, 3, 96), "phantom-3-1800x96px"),
        ((1800, 3, 256, ("print", "aged")), "phantom-3-without-aged+print"),
        ((5, 3, 64, (), "even"), "phantom-3-5x64px-even"),
    ],
)
def test_other_synthetic_films_bear_another_name(value: tuple[Any, ...], name: str) -> None:
    assert phantom_films(*value).name == name
