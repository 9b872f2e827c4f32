"""The films that a study may look at: training and validation, never test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spondylo_ml.data.audit.duplicates import same_groups
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.folds import fold_of_each
from spondylo_ml.data.loading import look_at
from spondylo_ml.landmarks import Film, SlotRange


@dataclass(frozen=True)
class DevelopmentFilms:
    """Labelled films for training and validation. It has no test part, nor a way to one.

    Attributes:
        same: places, in train and val one after the other, of films that show the same exposure, group by group.
    """

    kind: str
    name: str
    slots: SlotRange
    train: tuple[Film, ...]
    val: tuple[Film, ...]
    same: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, films: FilmSet) -> DevelopmentFilms:
        """The films of a dataset less its test part."""
        train, val = (tuple(film for film in films.part(part) if film.labelled) for part in ("train", "val"))
        return cls(films.kind, films.name, films.slots, train, val)

    def as_film_set(self) -> FilmSet:
        """The same as a dataset."""
        return FilmSet(self.kind, self.name, (*self.train, *self.val), self.slots)

    def with_same_exposures(self) -> DevelopmentFilms:
        """The same, its pixels looked at for films that show one exposure, which folds must not part."""
        films = (*self.train, *self.val)
        groups = same_groups(look_at(films).same, len(films))
        return replace(self, same=tuple(tuple(group) for group in groups))

    def folds(self, count: int, seed: int) -> list[DevelopmentFilms]:
        """The films dealt anew: each is for validation once.

        Raises:
            DataError: fewer patients than folds.
        """
        films = (*self.train, *self.val)
        fold = fold_of_each(films, count, seed, self.same)
        return [
            replace(
                self,
                train=_put(films, [f != index for f in fold], "train"),
                val=_put(films, [f == index for f in fold], "val"),
                same=(),
            )
            for index in range(count)
        ]


def _put(films: Sequence[Film], chosen: Sequence[bool], part: str) -> tuple[Film, ...]:
    return tuple(replace(film, split=part) for film, yes in zip(films, chosen, strict=True) if yes)
