"""A dataset in memory: its films, files that could not be read, notes of the reader, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from spondylo_ml.data.film_pixels import read_film
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.errors import DataError, NamedFilmsError
from spondylo_ml.landmarks import Film, GreyImage, SlotRange


@dataclass(frozen=True)
class FileFinding:
    """A file, and what is wrong with it or was done to it; `str` is for the terminal, `in_run` for runs.

    Attributes:
        file: name of the file.
        reason: names no film and quotes no label.
        detail: shown on the terminal only, such as the offending value.
        alias: name of the file in runs; None if its own name may appear there.
        doubt: whether the reader's decision may be wrong; the audit then warns.
    """

    file: str
    reason: str
    detail: str = ""
    alias: str | None = None
    doubt: bool = False

    def __str__(self) -> str:
        name = f"{self.file} ({self.alias})" if self.alias else self.file
        return f"{name}: {self.reason}{self.detail}"

    def in_run(self) -> str:
        """The finding as it may be logged to a run."""
        return f"{self.alias}: {self.reason}" if self.alias else str(self)


@dataclass(frozen=True)
class FilmSet:
    """Films of one dataset.

    Attributes:
        bad_files: files that cannot be used; training stops on them unless it is configured to skip them.
        notes: what the reader assumed, ignored or repaired, by file.
        slots: the levels on these films, from which a model's channels follow.
    """

    kind: str
    name: str
    films: tuple[Film, ...]
    slots: SlotRange
    bad_files: tuple[FileFinding, ...] = ()
    notes: tuple[FileFinding, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, place: int) -> Film:
        return self.films[place]

    def __iter__(self) -> Iterator[Film]:
        return iter(self.films)

    def part(self, split: str) -> tuple[Film, ...]:
        """The films of one part: train, val, test, or all."""
        return self.films if split == "all" else tuple(f for f in self.films if f.split == split)

    def required_part(self, split: str, labelled: bool = False) -> tuple[Film, ...]:
        """Like `part`.

        Args:
            labelled: only films with labels.

        Raises:
            DataError: the part has no such film.
        """
        films = tuple(film for film in self.part(split) if film.labelled or not labelled)
        if not films:
            which = f"labelled film in its {split}" if labelled else split
            raise DataError(f"{self.name} has no {which} part: choose another --split")
        return films

    def limited(self, count: int | None) -> FilmSet:
        """At most `count` films, evenly spaced, so that every part of the dataset keeps its share."""
        if count is None or count >= len(self.films):
            return self
        ordered = sorted(self.films, key=lambda film: film.split or "")
        return replace(self, films=tuple(evenly_spaced(ordered, count)))

    def terminal_names(self) -> dict[str, str]:
        """Names of films and bad files for the terminal, by their names in runs; only where the two differ."""
        names = {film.film_id: terminal_name(film) for film in self.films if goes_by_pseudonym(film)}
        return names | {f.alias: f"{f.file} ({f.alias})" for f in (*self.notes, *self.bad_files) if f.alias}

    def overflow(self) -> tuple[FileFinding, ...]:
        """Vertebrae outside the slots: the model has no channel for them, so they count as missed."""
        return tuple(
            finding_on(film, f"{v.level} has no slot ({self.slots.names[0]} to {self.slots.names[-1]}): missed")
            for film in self.films
            for v in self.slots.overflow(film.vertebrae or ())
        )


def goes_by_pseudonym(film: Film) -> bool:
    """Whether the film has another name in runs than its file."""
    return film.path is not None and stem_of(film.path) != film.film_id


def terminal_name(film: Film) -> str:
    """The film's id, preceded by the name of its file if that differs."""
    return f"{film.path.name} ({film.film_id})" if film.path and goes_by_pseudonym(film) else film.film_id


def finding_on(film: Film, reason: str) -> FileFinding:
    """A finding on a film; in runs it uses the film's pseudonym, if it has one."""
    if film.path and goes_by_pseudonym(film):
        return FileFinding(film.path.name, reason, alias=film.film_id)
    return FileFinding(film.film_id, reason)


@dataclass(frozen=True)
class FileImage:
    """Pixels in a file, read by `film_pixels`.

    Attributes:
        alias: name of the film in runs, for errors.
    """

    path: Path
    alias: str = "a film"

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        return read_film(self.path, self.alias).pixels

    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class HeldImage:
    """Pixels in memory."""

    pixels: GreyImage

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        return self.pixels

    def fingerprint(self) -> str:
        """SHA-256 of size and pixels."""
        return pixels_sha256(self.pixels)


def pixels_sha256(pixels: GreyImage) -> str:
    """SHA-256 of size and grey levels, as hex digits."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


LISTED_FILES = 10
"""Bad files that are named where no film is left."""


def require_usable(films: FilmSet, on_bad_file: str, where: object) -> None:
    """Raise if there are bad files, unless they are to be skipped, or no films.

    Raises:
        DataError: bad files with `on_bad_file="error"`, listing all of them; or no film left.
    """
    if films.bad_files and on_bad_file == "error":
        raise NamedFilmsError(
            *(
                f"{len(films.bad_files)} bad file(s) in {where}:\n{lines}\n"
                "Correct them, or continue without them: --data.on_bad_file skip"
                for lines in (
                    "\n".join(f"  {finding}" for finding in films.bad_files),
                    "\n".join(f"  {finding.in_run()}" for finding in films.bad_files),
                )
            )
        )
    if not films.films:
        raise NamedFilmsError(
            *(
                "\n".join([f"no usable film in {where} ({len(films.bad_files)} bad files)", *lines])
                for lines in (
                    [f"  {finding}" for finding in films.bad_files[:LISTED_FILES]],
                    [f"  {finding.in_run()}" for finding in films.bad_files[:LISTED_FILES]],
                )
            )
        )


def digest(films: Iterable[Film], slots: SlotRange) -> str:
    """SHA-256 of the pixels, labels and split of the films, independent of their order."""
    rows = sorted(json.dumps(_digest_row(film)) for film in films)
    return hashlib.sha256("\n".join([f"{slots.first}+{slots.count}", *rows]).encode()).hexdigest()


def _digest_row(film: Film) -> list[object]:
    corners: list[object] = [[v.slot, *v.corners_xy.round(4).ravel().tolist()] for v in film.vertebrae or ()]
    return [film.film_id, film.image.fingerprint(), film.split, film.labelled, corners]
