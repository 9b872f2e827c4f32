"""Say what a folder was recognised as, and how sure that is: the first lines of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import READERS
from spondylo_ml.data.readers.film_row import FILMS_CSV, UNREAD
from spondylo_ml.data.readers.tools.arrange import ARRANGED
from spondylo_ml.data.readers.tools.dataset import read_drawings
from spondylo_ml.data.readers.tools.drawing import Drawing
from spondylo_ml.data.readers.tools.mapping import MAPPING, Mapping, read_mapping
from spondylo_ml.data.readers.tools.proposal import Proposal, count_names, proposed_mapping
from spondylo_ml.landmarks import LEVELS_LABELLED


@runtime_checkable
class ToolReader(Protocol):
    """Reader of the files of a labelling tool."""

    def files(self, root: Path) -> list[Path]:
        """The files with annotations."""

    def parse(self, path: Path, mapping: Mapping) -> list[Drawing]:
        """The drawings of a file."""


@dataclass(frozen=True)
class Recognition:
    """What was recognised.

    Attributes:
        facts: names and values, for the terminal.
        root: the folder.
        proposal: a `mapping.yaml` for names that are not understood; empty if there are none. It quotes labels, so that
            it belongs on the terminal and into a file that the user asked for, never into a run.
        adds: whether the folder has a `mapping.yaml` already, to which the proposal is to be added.
    """

    facts: tuple[tuple[str, str], ...]
    root: Path
    proposal: Proposal
    adds: bool


def recognition_of(root: Path, requested: str, films: FilmSet) -> Recognition:
    """What the folder was recognised as, and how sure that is.

    Args:
        requested: the kind that was asked for, or auto.
        films: the dataset as it was read.

    Raises:
        FileError: `mapping.yaml` is invalid.
    """
    reader = READERS[films.kind]
    how = "the only layout that fits" if requested == "auto" else "as asked for"
    doubts = _doubts(films)
    facts = [("layout", f"{films.kind} ({how}): {reader.layout}")]
    proposal = Proposal()
    if isinstance(reader, ToolReader):
        mapping = read_mapping(root)
        drawings, _ = read_drawings(root, reader.files(root), reader.parse, mapping)
        total, unknown = count_names(drawings, mapping.names)
        facts.append(("names", f"{total - unknown} of {total} understood"))
        doubts = [f"{unknown} name(s) not understood", *doubts] if unknown else doubts
        proposal = proposed_mapping(drawings, mapping.names)
    facts.append(("how sure", f"not sure: {'; '.join(doubts)}" if doubts else "certain: everything was understood"))
    return Recognition(tuple(facts), root, proposal, (root / MAPPING).is_file())


def _doubts(films: FilmSet) -> list[str]:
    """What the reader could not read or had to assume, with the number of films."""
    assumed = sum(film.labelled and film.levels_from != LEVELS_LABELLED for film in films)
    unread = sum(note.file == FILMS_CSV and note.reason.startswith(UNREAD) for note in films.notes)
    counts: Sequence[tuple[int, str]] = (
        (len(films.bad_files), "file(s) that cannot be used"),
        (assumed, "film(s) without names of levels: assumed"),
        (unread, f"{FILMS_CSV} that is not read"),
        (sum(note.doubt for note in films.notes) - unread, "doubtful order(s) of vertebrae"),
        (sum(ARRANGED in note.reason for note in films.notes), f"film(s) with {ARRANGED}"),
    )
    return [f"{count} {what}" for count, what in counts if count]
