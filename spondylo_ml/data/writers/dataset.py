"""Write films to a folder: into a temporary folder first, which is read back and compared before it is renamed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2

from spondylo_ml.data.film_pixels import is_dicom_file
from spondylo_ml.data.films import FileImage, FilmSet
from spondylo_ml.data.names import IMAGE_SUFFIXES, stem_of
from spondylo_ml.data.readers import READERS
from spondylo_ml.data.writers import WRITERS
from spondylo_ml.data.writers.base import PlacedFilm, make_parent
from spondylo_ml.data.writers.losses import Loss, losses
from spondylo_ml.errors import DataError
from spondylo_ml.film_bar import with_film_bar
from spondylo_ml.folders import require_empty_folder, require_writable
from spondylo_ml.landmarks import Film, ImageSource

FEW_FILMS = 16  # for so few films, starting other processes takes longer than rendering


@dataclass(frozen=True)
class WrittenDataset:
    """A dataset on disk.

    Attributes:
        folder: the folder of the dataset.
        films: the dataset as read back.
        losses: information that the layout cannot hold.
    """

    folder: Path
    films: FilmSet
    losses: tuple[Loss, ...]


def write_dataset(films: FilmSet, kind: str, to: Path) -> WrittenDataset:
    """Write all films in the layout `kind`. Image files are copied unchanged, other films are written as PNG.

    The dataset is written to `.<name>.partial-<process>` beside `to` and renamed after it was read back, so that an
    interrupted dataset cannot be mistaken for a complete one.

    Raises:
        DataError: `to` is not empty, a film cannot be read, or none can be written in this layout.
    """
    require_empty_folder(to)
    to = to.resolve()
    require_writable(to.parent)
    partial = to.parent / f".{to.name}.partial-{os.getpid()}"
    partial.mkdir(parents=True)
    try:
        placed = _placed(films.films, kind)
        if not placed:
            raise DataError(
                f"none of the {len(films.films)} films can be written as {kind}: the layout cannot hold them"
            )
        _write_images(placed, partial)
        WRITERS[kind].write_labels(placed, partial)
        dataset = _read_back(films, placed, kind, partial)
        if to.exists():
            to.rmdir()
        partial.rename(to)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    moved = tuple(_moved(film, partial, to) for film in dataset.films.films)
    return replace(dataset, folder=to, films=replace(dataset.films, name=to.name, films=moved))


def _moved(film: Film, source: Path, target: Path) -> Film:
    """The film after its folder was renamed."""
    if film.path is None or not isinstance(film.image, FileImage):
        return film
    path = target / film.path.relative_to(source)
    return replace(film, path=path, image=replace(film.image, path=path))


def _placed(films: Sequence[Film], kind: str) -> list[PlacedFilm]:
    writer = WRITERS[kind]
    return [
        PlacedFilm(film, PurePosixPath(folder) / _file_name(film))
        for film in films
        if (folder := writer.place(film)) is not None
    ]


def _file_name(film: Film) -> str:
    """The name of the film's file, so that it keeps its pseudonym; its id if it has no file."""
    source = _source(film.image)
    stem = stem_of(film.path) if film.path else film.film_id
    return stem + (source.suffix if source else ".png")


def _source(image: ImageSource) -> Path | None:
    """The image file if it can be copied unchanged; None for DICOM, whose header names the patient."""
    if not isinstance(image, FileImage) or image.path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    return None if is_dicom_file(image.path) else image.path


def _write_images(placed: Sequence[PlacedFilm], folder: Path) -> None:
    jobs = [(item.film.image, make_parent(folder / item.image)) for item in placed]
    n_rendered = sum(_source(image) is None for image, _ in jobs)
    pool: Executor
    if n_rendered > FEW_FILMS:  # rendering holds the GIL, copying does not
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        pool = ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn"))
    else:
        pool = ThreadPoolExecutor()
    try:
        results = pool.map(_write_image, jobs)
        for _ in with_film_bar(results, "writing films", len(jobs)):
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


def _read_back(films: FilmSet, placed: Sequence[PlacedFilm], kind: str, folder: Path) -> WrittenDataset:
    read = READERS[kind].read(folder)
    by_stem = {stem_of(film.path): film for film in read.films if film.path}
    after = {item.film.film_id: by_stem[stem_of(item.image)] for item in placed if stem_of(item.image) in by_stem}
    return WrittenDataset(folder, read, losses(films.films, after))
