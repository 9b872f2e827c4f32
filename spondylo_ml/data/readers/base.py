"""What every reader does: recognise its layout, read the films, and collect what is wrong instead of stopping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from tqdm import tqdm

from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.dicom_films import with_dicom_header
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import Film, SlotRange

Item = TypeVar("Item")
Result = TypeVar("Result")

PUBLIC_TABLES = ("films.csv", "data.yaml", "filenames.csv", "landmarks.csv", "pixel_spacing.csv")
"""Files whose names the layouts prescribe: they say nothing of a patient."""


class Reader(Protocol):
    """One dataset layout.

    Attributes:
        layout: what the folder must hold, for error messages.
        marks: paths by which the layout is known, below the folder; looked for in the wrong case too.
    """

    kind: str
    layout: str
    marks: tuple[str, ...]

    def recognises(self, root: Path) -> bool:
        """Whether `root` has this layout."""

    def read(self, root: Path) -> FilmSet:
        """All films below `root`, bad files listed."""


@dataclass(frozen=True)
class ReadFilm:
    """A film as its reader made it, and what had to be assumed, set aside or repaired for it."""

    film: Film
    notes: tuple[FileFinding, ...] = ()


def read_each(items: Sequence[Item], read_one: Callable[[Item], Result]) -> tuple[list[Result], list[DataError]]:
    """`read_one` over all items, in parallel and in their order; an error is that item's, never lost nor the end."""

    def attempt(item: Item) -> Result | DataError:
        try:
            return _with_its_file(read_one(item))
        except DataError as error:
            return error
        except Exception as error:
            # Whatever a file made a library raise: its words may quote the file.
            return FileError(_file_of(item), f"cannot be read ({type(error).__name__})")

    # Reading files releases the interpreter lock, so that threads are enough.
    with ThreadPoolExecutor() as pool:
        bar = tqdm(pool.map(attempt, items), total=len(items), desc="checking films", unit="film", disable=None)
        outcomes = list(bar)
    bad = [outcome for outcome in outcomes if isinstance(outcome, DataError)]
    return [outcome for outcome in outcomes if not isinstance(outcome, DataError)], bad


def _with_its_file(read: Result) -> Result:
    """A film that was read, with what its DICOM file says of it; anything else as it is."""
    if not isinstance(read, ReadFilm):
        return read
    film, notes = with_dicom_header(read.film)
    return replace(read, film=film, notes=(*read.notes, *notes))


def _file_of(item: object) -> str:
    """The name of the film that was to be read."""
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
    """The dataset; films that share a name are bad files, for their results could not be kept apart.

    Args:
        private: the files' names may hold patients' names: findings say pseudonyms in runs.
    """
    counts = Counter(one.film.film_id for one in read)
    unique = [one for one in read if counts[one.film.film_id] == 1]
    doubled = [_doubled(one.film, counts[one.film.film_id], root) for one in read if counts[one.film.film_id] > 1]
    findings = [*bad, *doubled]
    remarks = [*notes, *(note for one in unique for note in one.notes)]
    return FilmSet(
        kind=kind,
        name=root.resolve().name,
        films=tuple(one.film for one in unique),
        slots=slots,
        bad_files=tuple(map(_under_pseudonym, findings) if private else findings),
        notes=tuple(map(_under_pseudonym, remarks) if private else remarks),
    )


def as_finding(error: DataError) -> FileFinding:
    """A collected error as a finding."""
    if isinstance(error, FileError):
        return FileFinding(error.file, error.reason, error.detail)
    return FileFinding("a film", str(error))


def _doubled(film: Film, count: int, root: Path) -> FileFinding:
    path = film.path or root
    where = path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else path.parent.name
    return FileFinding(path.name, f"{count} films have this name: rename all but one", f" (this one lies in {where}/)")


def _under_pseudonym(finding: FileFinding) -> FileFinding:
    known = finding.alias or finding.file in PUBLIC_TABLES
    return finding if known else replace(finding, alias=pseudonym(stem_of(Path(finding.file))))
