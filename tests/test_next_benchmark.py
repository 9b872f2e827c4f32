"""The simulation of `next` against a random choice: its table by hand, and all of it at toy size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from benchmarks.next_films import (
    NEXT,
    RANDOM,
    RESULTS,
    START,
    Results,
    first_and_candidates,
    main,
    read_options,
    settings_of,
    split_films,
    synthetic_films,
    table_of,
)
from spondylo_ml.config import resolve_config
from spondylo_ml.data.synthetic import phantom_films


def test_the_table_compares_seed_by_seed() -> None:
    errors = {START: (9.0, 11.0), RANDOM: (6.0, 8.0), NEXT: (5.0, 8.5)}
    done = {
        f"{choice} {seed}": {"mre_px512": error, "n_train": 50 if choice == START else 100}
        for choice, both in errors.items()
        for seed, error in enumerate(both)
    }
    lines = table_of(done).splitlines()
    assert lines[2] == "| start | 50 | 10.00 (1.41) | 2 |"
    assert lines[3] == "| random | 100 | 7.00 (1.41) | 2 |"
    assert lines[4] == "| next | 100 | 6.75 (2.47) | 2 |"
    assert lines[-1] == "next minus random: -0.25 px512; lower in 1 of 2 seeds"
    assert "| start | 50 |" in table_of({key: done[key] for key in ("start 0",)})


def test_parts_do_not_overlap_and_follow_the_seed(tmp_path: Path) -> None:
    films = split_films(phantom_films(20, 1, 64), 3, 4)
    start, candidates = first_and_candidates(films.pool, 0, 5, 6)
    names = [film.film_id for part in (films.val, films.test, start, candidates) for film in part]
    assert len(set(names)) == len(names) == 18
    assert first_and_candidates(films.pool, 0, 5, 6)[0] == start
    assert first_and_candidates(films.pool, 1, 5, 6)[0] != start
    with pytest.raises(ValueError, match="5 films to start with and 9 to choose from: there are 13 in all"):
        first_and_candidates(films.pool, 0, 5, 9)
    Results(tmp_path).add("start 0", {"mre_px512": 1.5})
    assert Results(tmp_path).done == {"start 0": {"mre_px512": 1.5}}


def test_films_of_a_patient_stay_in_one_part() -> None:
    whole = phantom_films(20, 1, 64)
    of_two = replace(whole, films=tuple(replace(film, patient=str(i // 2)) for i, film in enumerate(whole.films)))
    films = split_films(of_two, 4, 4)
    patients = [{film.patient for film in part} for part in (films.pool, films.val, films.test)]
    assert [len(names) for names in patients] == [6, 2, 2]
    assert len(set.union(*patients)) == 10


def test_a_cheap_training_sets_passes_and_width() -> None:
    options = read_options(["--to", "x", "--film_passes", "700", "--unet_width", "12"])
    config = resolve_config(settings_of(options))
    assert (config.training.film_passes, config.model.unet.width) == (700, 12)
    assert (options.start, options.of, options.more, options.seeds) == (50, 374, 50, 5)


def test_a_training_that_goes_on_has_the_preset_for_few_films() -> None:
    options = read_options(["--to", "x", "--pretrained", "starter", "--film_passes", "700"])
    settings = settings_of(options)
    assert settings["model"] == {"pretrained": "starter"}
    assert settings["preset"] == "finetune"
    assert settings["training"]["film_passes"] == 700
    assert settings["training"]["minutes"] is None, "the number of film passes is the same for each choice"


def test_photographs_are_other_pixels_of_the_same_films() -> None:
    plain, photographs = (synthetic_films(2, 96, as_photographs) for as_photographs in (False, True))
    for film, photograph in zip(plain.films, photographs.films, strict=True):
        assert film.film_id == photograph.film_id
        assert not np.array_equal(film.image.read(), photograph.image.read())
        assert np.array_equal(photograph.image.read(), photograph.image.read())


@pytest.mark.slow
def test_the_whole_simulation_runs_and_goes_on(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--smoke", "--to", str(tmp_path / "simulation")])
    assert "| next | 8 |" in capsys.readouterr().out
    path = tmp_path / "simulation" / RESULTS
    done = json.loads(path.read_text())
    assert set(done) == {"start 0", "random 0", "next 0"}
    assert set(done["start 0"]["films"]) < set(done["next 0"]["films"])
    assert len(set(done["next 0"]["films"])) == 8
    before = path.stat().st_mtime_ns
    main(["--smoke", "--to", str(tmp_path / "simulation")])
    assert path.stat().st_mtime_ns == before, "nothing is trained again"
