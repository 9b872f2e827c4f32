"""Drafts and the labels that people made of them: which films came back, and whom their labels name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spondylo_ml.data.draft_record import DraftSet
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.reader_study import LABELLED, bad_files_by_name, match_readers
from spondylo_ml.data.readers.remarks import DRAFT_OF
from spondylo_ml.landmarks import Film, SlotRange

NAMES = ("drafts", "corrected labels")
SUBMITTING_TOOLS = ("label-studio",)
"""Layouts in which a label exists only once a person has submitted it: there, a label without a name is reviewed."""

PERSON, MODEL, NOBODY = "a person", "the model", "nobody"
"""Whom the labels of a film name as their reader."""


@dataclass(frozen=True)
class CorrectedDrafts:
    """Films with their drafts, and with the labels that came back.

    Attributes:
        drafts, corrected: the same films in the same order.
        signatures: for each film `PERSON`, `MODEL` or `NOBODY`.
        not_back: name of each drafted film without a label, and why.
        not_drafted: names of the films that have labels, but were not drafted.
        remarks: what limits the comparison.
    """

    drafts: tuple[Film, ...]
    corrected: tuple[Film, ...]
    signatures: tuple[str, ...]
    not_back: tuple[tuple[str, str], ...]
    not_drafted: tuple[str, ...]
    remarks: tuple[str, ...]


def match_drafts(drafts: DraftSet, datasets: Sequence[FilmSet]) -> CorrectedDrafts:
    """The drafted films with the labels of the datasets, matched by their pixels.

    Raises:
        DataError: no drafted film has a label, or one has two.
    """
    no_slots = SlotRange(0, 1)
    labels = FilmSet("labels", NAMES[1], tuple(film for films in datasets for film in _signed(films)), no_slots)
    study = match_readers([FilmSet("drafts", NAMES[0], drafts.films, no_slots), labels], NAMES)
    reasons = bad_files_by_name(datasets)
    not_back = [(name, reasons.get(name, state)) for name, (draft, state) in study.incomplete if draft == LABELLED]
    not_drafted = [name for name, (draft, state) in study.incomplete if draft != LABELLED and state == LABELLED]
    corrected = study.of("B")
    return CorrectedDrafts(
        study.of("A"),
        corrected,
        tuple(map(signature_of, corrected)),
        tuple(not_back),
        tuple(not_drafted),
        study.remarks,
    )


def signature_of(film: Film) -> str:
    """Whom the labels of a film name as their reader."""
    if film.reader.startswith(DRAFT_OF):
        return MODEL
    return PERSON if film.reader else NOBODY


def _signed(films: FilmSet) -> list[Film]:
    """The films, with a reader on those that a person has submitted without a name."""
    if films.kind not in SUBMITTING_TOOLS:
        return list(films)
    return [film if film.reader or not film.labelled else replace(film, reader="who submitted it") for film in films]
