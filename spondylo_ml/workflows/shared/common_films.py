"""The films on which several training runs can be compared."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from spondylo_ml.config import DataConfig
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import load_films, requested_data
from spondylo_ml.errors import DataError
from spondylo_ml.serving.trained_run import TrainedRun

log = logging.getLogger(__name__)


def common_films(trained_runs: Sequence[TrainedRun], split: str, requested: DataConfig) -> FilmSet:
    """Load the requested films or, if no value of `requested` is set, the films of all the runs.

    Raises:
        DataError: no films were requested, and the runs were not trained on the same films.
    """
    first = trained_runs[0]
    if requested.model_fields_set:
        return load_films(requested_data(first.bundle.config.data, requested), for_training=False)
    tags = {c.name: c.run.data.tags.get(f"data_digest.{split}") for c in trained_runs}
    logged_digests = {name: value for name, value in tags.items() if value}
    if len(set(logged_digests.values())) > 1:
        raise _different_films(split, logged_digests)
    loaded: dict[str, FilmSet] = {}
    digests: dict[str, str] = {}
    for trained_run in trained_runs:
        data = trained_run.bundle.config.data
        key = _films_key(data)
        if key not in loaded:
            loaded[key] = load_films(data, for_training=False)
        digests[trained_run.name] = digest(loaded[key].part(split), first.bundle.slots)
    if len(set(digests.values())) > 1:
        raise _different_films(split, digests)
    films = loaded[_films_key(first.bundle.config.data)]
    if logged_digests and digest(films.part(split), films.slots) not in logged_digests.values():
        log.warning("the %s films are not what they were when these runs were trained: pixels or labels differ", split)
    return films


def _films_key(data: DataConfig) -> str:
    """Key of the films that a configuration loads; the input size of the network is not part of it."""
    return data.model_dump_json(exclude={"input_side_px", "input_hw"})


def _different_films(split: str, digests: Mapping[str, str]) -> DataError:
    runs = "; ".join(f"{name}: {value[:12]}" for name, value in digests.items())
    return DataError(
        f"the runs have different {split} films, so their numbers cannot be compared (digests {runs}). "
        "Name the films on which to evaluate all of them: --data <folder>, or --data.kind phantom"
    )
