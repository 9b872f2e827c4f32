"""The same films labelled by several readers: which films are equal, and what is known of each besides its labels.

Films are equal if all grey levels are, as in the search for duplicates (`data/audit/duplicates.py`); their file names
need not be.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase

from spondylo_ml.data.components import connected_groups
from spondylo_ml.data.films import FilmSet, pixels_sha256, terminal_name
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.readers.remarks import DRAFT_OF
from spondylo_ml.errors import DataError, NamedFilmsError
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, Film

READER_NAMES = tuple(ascii_uppercase)
"""Names of the readers in runs, in the order of their datasets: a folder's name may be a person's."""

SAME_SPACING = 1e-3
"""Largest relative difference of two spacings, or aspects, that differ by rounding alone."""

LABELLED, NOT_LABELLED, NO_FILM, OTHER_PIXELS = "labelled", "no labels", "no such film", "same name, other pixels"


@dataclass(frozen=True)
class ReaderStudy:
    """Films with the labels of every reader.

    Attributes:
        readers: A, B, ..., in the order of the datasets.
        films: for each film, one entry per reader; they differ in their labels alone.
        incomplete: for each film that not all readers labelled, its name and, per reader, `LABELLED` or why not.
        remarks: what limits the study.
        facings: for each film whose facing the readers state differently, its name and what each states.
    """

    readers: tuple[str, ...]
    films: tuple[tuple[Film, ...], ...]
    incomplete: tuple[tuple[str, tuple[str, ...]], ...] = ()
    remarks: tuple[str, ...] = ()
    facings: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def of(self, reader: str) -> tuple[Film, ...]:
        """All films with the labels of one reader."""
        index = self.readers.index(reader)
        return tuple(row[index] for row in self.films)


def match_readers(datasets: Sequence[FilmSet], names: Sequence[str] | None = None) -> ReaderStudy:
    """The films that all readers labelled, matched by their pixels, and the others.

    Args:
        names: what messages call the readers; None: reader A, reader B, ...

    Raises:
        DataError: fewer than two datasets or too many, one labels a film twice, or no film was labelled by all.
    """
    if not 2 <= len(datasets) <= len(READER_NAMES):
        raise DataError(f"{len(datasets)} dataset(s) given: give those of 2 to {len(READER_NAMES)} readers")
    readers = READER_NAMES[: len(datasets)]
    names = names or [f"reader {reader}" for reader in readers]
    by_pixels = [_by_pixels(name, films) for name, films in zip(names, datasets, strict=True)]
    keys = list(dict.fromkeys(key for films in by_pixels for key in films))
    rows = [tuple(films.get(key) for films in by_pixels) for key in keys]
    complete = [read for row in rows if len(read := _labelled(row)) == len(readers)]
    incomplete = tuple(_states(row, by_pixels, datasets) for row in rows if len(_labelled(row)) < len(readers))
    if not complete:
        raise DataError(_nothing_in_common(names, by_pixels, incomplete))
    patients = _common_patients(complete)
    films = [_with_common_facts(row, patient) for row, patient in zip(complete, patients, strict=True)]
    remarks = [*_remarks(names, complete), *_unusable(datasets, rows)]
    return ReaderStudy(readers, tuple(films), incomplete, tuple(remarks), tuple(_facing_conflicts(films, complete)))


def bad_files_by_name(datasets: Sequence[FilmSet]) -> dict[str, str]:
    """By name of the film, why its files cannot be used."""
    findings = (finding for films in datasets for finding in films.bad_files)
    return {finding.alias or stem_of(Path(finding.file)): finding.reason for finding in findings}


def _by_pixels(name: str, films: FilmSet) -> dict[str, Film]:
    """The films of one reader by the digest of their pixels; of equal ones, that with labels."""
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda film: pixels_sha256(film.image.read()), films.films))
    found: dict[str, Film] = {}
    for key, film in zip(digests, films.films, strict=True):
        other = found.get(key)
        if other is not None and other.labelled and film.labelled:
            message = "{}: {} and {} show the same film, and both have labels: keep one of them"
            raise NamedFilmsError(
                message.format(name, terminal_name(other), terminal_name(film)),
                message.format(name, other.film_id, film.film_id),
            )
        if other is None or film.labelled:
            found[key] = film
    return found


def _labelled(row: Sequence[Film | None]) -> tuple[Film, ...]:
    return tuple(film for film in row if film is not None and film.labelled)


def _states(
    row: Sequence[Film | None], by_pixels: Sequence[dict[str, Film]], datasets: Sequence[FilmSet]
) -> tuple[str, tuple[str, ...]]:
    """Name of a film that not all readers labelled, and what each of them has: of a bad file, why it cannot be used."""
    name = next(film.film_id for film in row if film is not None)
    states = []
    for film, others, dataset in zip(row, by_pixels, datasets, strict=True):
        if film is not None:
            states.append(LABELLED if film.labelled else NOT_LABELLED)
        elif bad := bad_files_by_name([dataset]).get(name):
            states.append(bad)
        else:
            states.append(OTHER_PIXELS if any(other.film_id == name for other in others.values()) else NO_FILM)
    return name, tuple(states)


def _nothing_in_common(
    names: Sequence[str],
    by_pixels: Sequence[dict[str, Film]],
    incomplete: Sequence[tuple[str, tuple[str, ...]]],
) -> str:
    counts = ", ".join(
        f"{name}: {len(films)} film(s), {len(_labelled(list(films.values())))} with labels"
        for name, films in zip(names, by_pixels, strict=True)
    )
    renamed = sum(OTHER_PIXELS in states for _, states in incomplete)
    hint = f" {renamed} film(s) have the same name in two datasets, but other pixels." if renamed else ""
    return (
        f"no film was labelled by all readers: {counts}.{hint} Films are the same if all their pixels are: give all "
        "readers the same image files, not copies that were compressed, cropped or scaled"
    )


def _with_common_facts(row: tuple[Film, ...], patient: str) -> tuple[Film, ...]:
    """The film with the labels of each reader, and one spacing, aspect and facing, unknown where they contradict."""
    first = row[0]
    spaced = [film for film in row if film.spacing is not None]
    stated = _with_stated_aspect(row)
    facings = _stated_facings(row)
    common = replace(
        first,
        patient=patient,
        spacing=spaced[0].spacing if spaced and _same_spacing(row) else None,
        pixel_aspect=stated[0].pixel_aspect if _same_aspect(stated) else None,
        aspect_given=stated[0].aspect_given,
        facing=facings.pop() if len(facings) == 1 else Facing.UNKNOWN,
    )
    return tuple(
        replace(common, vertebrae=film.vertebrae, levels_from=film.levels_from, reader=film.reader) for film in row
    )


def _with_stated_aspect(row: Sequence[Film]) -> list[Film]:
    """The films whose pixel aspect counts: where it is stated, else where the spacing is, else all."""
    return (
        [film for film in row if film.aspect_given] or [film for film in row if film.spacing is not None] or list(row)
    )


def _stated_facings(row: Sequence[Film]) -> set[Facing]:
    return {film.facing for film in row} - {Facing.UNKNOWN}


def _same_spacing(row: Sequence[Film]) -> bool:
    known = [film.spacing for film in row if film.spacing is not None]
    return all(
        math.isclose(a.x_mm, b.x_mm, rel_tol=SAME_SPACING) and math.isclose(a.y_mm, b.y_mm, rel_tol=SAME_SPACING)
        for a, b in pairwise(known)
    )


def _same_aspect(films: Sequence[Film]) -> bool:
    known = [film.pixel_aspect for film in films]
    return len(set(known)) == 1 or (
        None not in known and all(math.isclose(a or 0.0, b or 0.0, rel_tol=SAME_SPACING) for a, b in pairwise(known))
    )


def _common_patients(rows: Sequence[tuple[Film, ...]]) -> list[str]:
    """The patient of each film: films belong together if they do in any dataset, as some layouts hold no patients."""
    members: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        for reader, film in enumerate(row):
            members[reader, film.patient].append(place)
    groups = connected_groups((pair for places in members.values() for pair in pairwise(places)), len(rows))
    name_of = {place: rows[group[0]][0].patient for group in groups for place in group}
    return [name_of[place] for place in range(len(rows))]


def _remarks(names: Sequence[str], rows: Sequence[tuple[Film, ...]]) -> Iterator[str]:
    if count := sum(not _same_spacing(row) for row in rows):
        yield f"{count} film(s) have different pixel spacings in the readers' datasets: nothing is in mm on them"
    if count := sum(not _same_aspect(_with_stated_aspect(row)) for row in rows):
        yield (f"{count} film(s) have pixels of different shapes in the datasets: no slips, grades or angles on them")
    for index, name in enumerate(names):
        if count := sum(row[index].reader.startswith(DRAFT_OF) for row in rows):
            yield f"{name}: {count} film(s) are drafts of a model that nobody corrected: their corners are the model's"
        if count := sum(row[index].levels_from != LEVELS_LABELLED for row in rows):
            yield (
                f"{name}: {count} film(s) have labels without names of levels, so that the lowest vertebra has its "
                "level by assumption: a difference in names may be one of the assumption"
            )


def _unusable(datasets: Sequence[FilmSet], rows: Sequence[Sequence[Film | None]]) -> Iterator[str]:
    """A remark on films that no dataset has in a usable file, so that they are in no list."""
    listed = {film.film_id for row in rows for film in row if film is not None}
    if count := len(bad_files_by_name(datasets).keys() - listed):
        yield f"{count} bad file(s) are of no film that another reader has: they are in no number and no list here"


def _facing_conflicts(
    films: Sequence[tuple[Film, ...]], rows: Sequence[tuple[Film, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for common, row in zip(films, rows, strict=True):
        if len(_stated_facings(row)) > 1:
            yield common[0].film_id, tuple(film.facing.value for film in row)
