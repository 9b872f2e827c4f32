"""The films that a study may use: those for training and validation, never the test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spondylo_ml.data.audit.duplicates import same_groups
from spondylo_ml.data.audit.findings import Audit
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.folds import fold_of_each
from spondylo_ml.data.left_out import leave_out
from spondylo_ml.data.loading import measure_pixels
from spondylo_ml.data.split import patients_by_person
from spondylo_ml.landmarks import Film, SlotRange


@dataclass(frozen=True)
class DevelopmentFilms:
    """Labelled films for training and validation; the test part is left out, so that no trial can use it.

    Attributes:
        same: groups of films of one person under several names, as indices into train followed by val.
        unlabelled: other films for training and validation, which may show that two names are one person.
        audit: of films that have all their labels, from which each fold leaves out what training must not learn from;
            None if that is left out already.
        on_audit_error: see `leave_out`.
    """

    kind: str
    name: str
    slots: SlotRange
    train: tuple[Film, ...]
    val: tuple[Film, ...]
    same: tuple[tuple[int, ...], ...] = ()
    unlabelled: tuple[Film, ...] = ()
    audit: Audit | None = None
    on_audit_error: str = "error"

    @classmethod
    def of(cls, films: FilmSet, audit: Audit | None = None, on_audit_error: str = "error") -> DevelopmentFilms:
        """The labelled training and validation films of a dataset."""
        train, val = (tuple(film for film in films.part(part) if film.labelled) for part in ("train", "val"))
        unlabelled = tuple(film for part in ("train", "val") for film in films.part(part) if not film.labelled)
        return cls(
            films.kind, films.name, films.slots, train, val, unlabelled=unlabelled, audit=audit,
            on_audit_error=on_audit_error,
        )  # fmt: skip

    def as_film_set(self) -> FilmSet:
        """These films as a dataset."""
        return FilmSet(self.kind, self.name, (*self.train, *self.val), self.slots)

    def with_same_exposures(self) -> DevelopmentFilms:
        """A copy with `same` computed from the pixels, so that folds keep such films together.

        Names are of one person if an exposure is among the films of both.
        """
        labelled = (*self.train, *self.val)
        films = (*labelled, *self.unlabelled)
        persons = patients_by_person(films, same_groups(measure_pixels(films).same, len(films)))
        groups = (tuple(i for i, film in enumerate(labelled) if film.patient in names) for names in persons)
        return replace(self, same=tuple(group for group in groups if len(group) > 1))

    def folds(self, count: int, seed: int) -> list[DevelopmentFilms]:
        """Split the films again, so that each is in the validation part of one fold, with all its labels.

        Raises:
            DataError: fewer patients than folds.
        """
        films = (*self.train, *self.val)
        fold = fold_of_each(films, count, seed, self.same)
        return [self._fold(films, [f == index for f in fold]) for index in range(count)]

    def _fold(self, films: Sequence[Film], for_val: Sequence[bool]) -> DevelopmentFilms:
        parts = [replace(film, split="val" if val else "train") for film, val in zip(films, for_val, strict=True)]
        film_set = FilmSet(self.kind, self.name, tuple(parts), self.slots)
        if self.audit is not None:
            film_set = leave_out(film_set, self.audit, self.on_audit_error).films
        return DevelopmentFilms.of(film_set)
