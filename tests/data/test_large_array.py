"""Arrays larger than the limit lie in a file that nobody sees; films prepared and measured there are the same."""

from __future__ import annotations

import mmap
import pickle
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spondylo_ml.data import large_array
from spondylo_ml.data.audit.duplicates import find_same
from spondylo_ml.data.audit.image_facts import measure_images
from spondylo_ml.data.large_array import empty_array
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.errors import DataError

FILMS = phantom_films(5, 0, long_side_px=64).films


def is_mapped(array: object) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Each array lies in a file, in the folder returned."""
    monkeypatch.setattr(large_array, "LARGEST_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("shape", "dtype"), [((3, 2, 5), np.uint8), ((4,), np.float32), ((0, 7), np.float64)])
def test_the_limit_decides_where_an_array_lies(
    shape: tuple[int, ...], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_bytes = np.empty(shape, dtype).nbytes
    monkeypatch.setattr(large_array, "LARGEST_IN_MEMORY_BYTES", n_bytes)
    assert not is_mapped(empty_array(shape, dtype))
    monkeypatch.setattr(large_array, "LARGEST_IN_MEMORY_BYTES", n_bytes - 1)
    if n_bytes:
        assert is_mapped(empty_array(shape, dtype))


def test_a_mapped_array_keeps_its_values_and_leaves_no_file(no_memory: Path) -> None:
    array = empty_array((3, 2), np.float32)
    array[:] = [[1, 2], [3, np.nan], [5, 6]]
    assert list(no_memory.iterdir()) == []
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, np.array([[1, 2], [3, np.nan], [5, 6]], np.float32))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array[1])), array[1])


def test_a_full_disk_is_an_error_before_anything_is_written(no_memory: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(no_memory)]).returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        with pytest.raises(
            DataError, match=r"has no room for 0\.1 GB of films \(No space left on device\): set TMPDIR"
        ):
            empty_array((100, 1000, 1000), np.uint8)
        assert empty_array((10, 1000), np.uint8).nbytes == 10_000
    finally:
        subprocess.run(["umount", str(no_memory)], check=True)


def test_prepared_films_are_the_same_in_a_file(no_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = prepare_films(FILMS, SLOTS, (48, 32))
    monkeypatch.undo()
    held = prepare_films(FILMS, SLOTS, (48, 32))
    assert all(is_mapped(film.image) for film in mapped)
    assert not any(is_mapped(film.image) for film in held)
    for one, other in zip(mapped, held, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.corners_xy, other.corners_xy)


def test_duplicates_are_the_same_in_a_file(no_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = [*FILMS, FILMS[1]]
    mapped = measure_images(films)
    monkeypatch.undo()
    assert all(fact is not None and is_mapped(fact.thumbnail) for fact in mapped)
    thumbnails: list[list[NDArray[np.float32]]] = [
        [fact.thumbnail for fact in facts if fact] for facts in (mapped, measure_images(films))
    ]
    np.testing.assert_array_equal(*thumbnails)
    assert [(pair.first, pair.second, pair.exact) for pair in find_same(mapped)] == [(1, 5, True)]
