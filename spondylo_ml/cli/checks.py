"""What can be known to be wrong before anything slow is imported."""

from __future__ import annotations

from spondylo_ml.config import DataConfig
from spondylo_ml.config.paths import expanded


def require_films(data: DataConfig) -> None:
    """The folder is there and holds a dataset, where one is given; no other kind of films is asked for without one.

    Raises:
        SpondyloError: it is not so.
    """
    data.require_source()
    require_given_films(data)


def require_given_films(data: DataConfig) -> None:
    """As `require_films`, of values that are laid over those of a run: its folder may be meant by a kind alone.

    Raises:
        SpondyloError: it is not so.
    """
    if data.path is None:
        return
    data.require_source()

    from spondylo_ml.data.readers import find_reader

    find_reader(expanded(data.path), data.kind)
