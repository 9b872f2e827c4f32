"""The films that a study may use: those for training and validation, never the test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spondylo_ml.data.audit.duplicates import same_groups
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.folds import fold_of_each
from spondylo_ml.data.loading import measure_pixels
from spondylo_ml.landmarks import Film, SlotRange


@dataclass(frozen=True)
class DevelopmentFilms:
    """Labelled films for training and validation; the test part is left out, so that no trial can use it.

    Attributes:
        same: groups of films that show the same exposure, as indices into train followed by val.
    """

    kind: str
    name: str
    slots: SlotRange
    train: tuple[Film, ...]
    val: tuple[Film, ...]
    same: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, films: FilmSet) -> DevelopmentFilms:
        """The labelled training and validation films of a dataset."""
        train, val = (tuple(film for film in films.part(part) if film.labelled) for part in ("train", "val"))
        return cls(films.kind, films.name, films.slots, train, val)

    def as_film_set(self) -> FilmSet:
        """These films as a dataset."""
        return FilmSet(self.kind, self.name, (*self.train, *self.val), self.slots)

    def with_same_exposures(self) -> DevelopmentFilms:
        """A copy with `same` computed from the pixels, so that folds keep such films together."""
        films = (*self.train, *self.val)
        groups = same_groups(measure_pixels(films).same, len(films))
        return replace(self, same=tuple(tuple(group) for group in groups))

    def folds(self, count: int, seed: int) -> list[DevelopmentFilms]:
        """Split the films again, so that each is in the validation part of one fold.

        Raises:
            DataError: fewer patients than folds.
        """
        films = (*self.train, *self.val)
        fold = fold_of_each(films, count, seed, self.same)
        return [
            replace(
                self,
                train=_in_part(films, [f != index for f in fold], "train"),
                val=_in_part(films, [f == index for f in fold], "val"),
                same=(),
            )
            for index in range(count)
        ]


def _in_part(films: Sequence[Film], selected: Sequence[bool], part: str) -> tuple[Film, ...]:
    return tuple(replace(film, split=part) for film, keep in zip(films, selected, strict=True) if keep)
