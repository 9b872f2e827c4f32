"""Films to a folder: written aside, read back, compared, and only then given their name."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
from tqdm import tqdm

from spondylo_ml.data.film_pixels import is_dicom_file
from spondylo_ml.data.films import FileImage, FilmSet
from spondylo_ml.data.names import IMAGE_SUFFIXES, stem_of
from spondylo_ml.data.readers import READERS
from spondylo_ml.data.writers import WRITERS
from spondylo_ml.data.writers.base import PlacedFilm, make_parent
from spondylo_ml.data.writers.losses import Loss, losses
from spondylo_ml.errors import DataError
from spondylo_ml.folders import require_empty_folder, require_writable
from spondylo_ml.landmarks import Film, ImageSource

FEW_FILMS = 16  # so few are drawn sooner than other processes start


@dataclass(frozen=True)
class Written:
    """A dataset on disk.

    Attributes:
        films: the dataset as it is read back.
        lost: what the layout did not carry.
    """

    folder: Path
    films: FilmSet
    lost: tuple[Loss, ...]


def write_dataset(films: FilmSet, kind: str, to: Path) -> Written:
    """Write all films in the layout `kind`; image files are copied as they are, other films written as PNG.

    Until all is written and was read back, the dataset lies in `.<name>.partial-<process>` beside `to`, so that an
    interrupted one cannot be mistaken for a whole one.

    Raises:
        DataError: `to` is not free, a film cannot be read, or none can be written in this layout.
    """
    require_empty_folder(to)
    to = to.resolve()
    require_writable(to.parent)
    partial = to.parent / f".{to.name}.partial-{os.getpid()}"
    partial.mkdir(parents=True)
    try:
        placed = _placed(films.films, kind)
        if not placed:
            raise DataError(f"none of the {len(films.films)} films can be written as {kind}: it lacks a place for them")
        _write_images(placed, partial)
        WRITERS[kind].write_labels(placed, partial)
        written = _read_back(films, placed, kind, partial)
        if to.exists():
            to.rmdir()
        partial.rename(to)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    moved = tuple(_moved(film, partial, to) for film in written.films.films)
    return replace(written, folder=to, films=replace(written.films, name=to.name, films=moved))


def _moved(film: Film, was: Path, now: Path) -> Film:
    """The film after its folder was given another name."""
    if film.path is None or not isinstance(film.image, FileImage):
        return film
    path = now / film.path.relative_to(was)
    return replace(film, path=path, image=replace(film.image, path=path))


def _placed(films: Sequence[Film], kind: str) -> list[PlacedFilm]:
    writer = WRITERS[kind]
    return [
        PlacedFilm(film, PurePosixPath(folder) / _file_name(film))
        for film in films
        if (folder := writer.place(film)) is not None
    ]


def _file_name(film: Film) -> str:
    """The film's own file name, so that it keeps its pseudonym; its id where it comes from no file."""
    source = _source(film.image)
    stem = stem_of(film.path) if film.path else film.film_id
    return stem + (source.suffix if source else ".png")


def _source(image: ImageSource) -> Path | None:
    """The file that can be copied as it is: not a DICOM file, whose header names its patient."""
    if not isinstance(image, FileImage) or image.path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    return None if is_dicom_file(image.path) else image.path


def _write_images(placed: Sequence[PlacedFilm], folder: Path) -> None:
    jobs = [(one.film.image, make_parent(folder / one.image)) for one in placed]
    drawn = sum(_source(image) is None for image, _ in jobs)
    pool: Executor
    if drawn > FEW_FILMS:  # drawing keeps the interpreter busy, copying does not
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        pool = ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn"))
    else:
        pool = ThreadPoolExecutor()
    try:
        done = pool.map(_write_image, jobs)
        for _ in tqdm(done, total=len(jobs), desc="writing films", unit="film", disable=None):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _write_image(job: tuple[ImageSource, Path]) -> None:
    image, path = job
    if (source := _source(image)) is not None:
        shutil.copyfile(source, path)
        return
    _, png = cv2.imencode(".png", image.read())
    path.write_bytes(png.tobytes())


def _read_back(films: FilmSet, placed: Sequence[PlacedFilm], kind: str, folder: Path) -> Written:
    read = READERS[kind].read(folder)
    by_stem = {stem_of(film.path): film for film in read.films if film.path}
    after = {one.film.film_id: by_stem[stem_of(one.image)] for one in placed if stem_of(one.image) in by_stem}
    return Written(folder, read, losses(films.films, after))
