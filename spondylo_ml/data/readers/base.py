"""The reader protocol, and the helpers with which every reader collects errors instead of stopping at the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.dicom_films import with_dicom_header
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.film_bar import with_film_bar
from spondylo_ml.landmarks import Film, SlotRange

Item = TypeVar("Item")
Result = TypeVar("Result")

PUBLIC_TABLES = ("films.csv", "data.yaml", "filenames.csv", "landmarks.csv", "pixel_spacing.csv")
"""File names prescribed by the layouts, which cannot contain a patient's name."""


class Reader(Protocol):
    """Reader of one dataset layout.

    Attributes:
        kind: name of the layout, for `--data.kind`.
        layout: what the folder must hold, for error messages.
        marks: paths inside the folder that identify the layout, for hints about wrong case.
    """

    kind: str
    layout: str
    marks: tuple[str, ...]

    def recognises(self, root: Path) -> bool:
        """Whether `root` has this layout."""

    def read(self, root: Path) -> FilmSet:
        """All films below `root`; files that cannot be used are listed in the result."""


@dataclass(frozen=True)
class ReadFilm:
    """A film, with notes on what its reader had to assume, ignore or repair."""

    film: Film
    notes: tuple[FileFinding, ...] = ()


def read_each(items: Sequence[Item], read_one: Callable[[Item], Result]) -> tuple[list[Result], list[DataError]]:
    """Apply `read_one` to all items in parallel.

    Returns:
        The results in the order of `items`, without those that failed; and the errors of those that did.
    """

    def attempt(item: Item) -> Result | DataError:
        try:
            return _with_header(read_one(item))
        except DataError as error:
            return error
        except Exception as error:
            # A library's message may quote the file, so only its type is kept.
            return FileError(_file_of(item), f"cannot be read ({type(error).__name__})")

    # Reading files releases the GIL, so threads are sufficient.
    with ThreadPoolExecutor() as pool:
        outcomes = list(with_film_bar(pool.map(attempt, items), "reading films", len(items)))
    bad = [outcome for outcome in outcomes if isinstance(outcome, DataError)]
    return [outcome for outcome in outcomes if not isinstance(outcome, DataError)], bad


def _with_header(result: Result) -> Result:
    """A film completed from its DICOM header; any other result unchanged."""
    if not isinstance(result, ReadFilm):
        return result
    film, notes = with_dicom_header(result.film)
    return replace(result, film=film, notes=(*result.notes, *notes))


def _file_of(item: object) -> str:
    """File name of an item, for an error message."""
    path = item if isinstance(item, Path) else getattr(item, "image", None) or getattr(item, "path", None)
    return path.name if isinstance(path, Path) else "a film"


def make_film_set(
    kind: str,
    root: Path,
    read: Sequence[ReadFilm],
    slots: SlotRange,
    bad: Iterable[FileFinding] = (),
    notes: Iterable[FileFinding] = (),
    private: bool = False,
) -> FilmSet:
    """Build the dataset. Films that share a name are rejected, since their results could not be told apart.

    Args:
        kind: name of the layout.
        root: folder of the dataset.
        read: films in the order of the dataset.
        slots: levels on these films.
        bad: files that cannot be used.
        notes: notes on the dataset as a whole.
        private: whether file names may contain patients' names; findings then use pseudonyms in runs.
    """
    counts = Counter(item.film.film_id for item in read)
    unique = [item for item in read if counts[item.film.film_id] == 1]
    repeated = [item for item in read if counts[item.film.film_id] > 1]
    duplicates = [_duplicate(item.film, counts[item.film.film_id], root) for item in repeated]
    findings = [*bad, *duplicates]
    remarks = [*notes, *(note for item in unique for note in item.notes)]
    return FilmSet(
        kind=kind,
        name=root.resolve().name,
        films=tuple(item.film for item in unique),
        slots=slots,
        bad_files=tuple(map(_under_pseudonym, findings) if private else findings),
        notes=tuple(map(_under_pseudonym, remarks) if private else remarks),
    )


def as_finding(error: DataError) -> FileFinding:
    """An error as a finding."""
    if isinstance(error, FileError):
        return FileFinding(error.file, error.reason, error.detail)
    return FileFinding("a film", str(error))


def _duplicate(film: Film, count: int, root: Path) -> FileFinding:
    path = film.path or root
    where = path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else path.parent.name
    return FileFinding(path.name, f"{count} films have this name: rename all but one", f" (this one lies in {where}/)")


def _under_pseudonym(finding: FileFinding) -> FileFinding:
    if finding.alias or finding.file in PUBLIC_TABLES:
        return finding
    return replace(finding, alias=pseudonym(stem_of(Path(finding.file))))
