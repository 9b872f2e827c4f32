"""Corrupted films: each is read as a film of grey levels, or refused in words."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pytest
from dicoms import dataset, file_bytes
from fuzzing import corrupted, seed_ranges
from PIL import Image

from spondylo_ml.data.film_pixels import FilmLimits, film_in
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import GreyImage

LIMITS = FilmLimits(max_bytes=1 << 20, max_pixels=1 << 20)
PIXELS = np.random.default_rng(0).integers(0, 255, (32, 24), dtype=np.uint8)


def image(form: str, turned: bool = False, **options: str) -> bytes:
    stream, exif = BytesIO(), Image.Exif()
    if turned:
        exif[0x0112] = 6
    Image.fromarray(PIXELS).save(stream, form, **({"exif": exif} if turned else {}), **options)
    return stream.getvalue()


FILMS = {
    "PNG": image("PNG"),
    "PNG, turned": image("PNG", turned=True),
    "JPEG": image("JPEG"),
    "JPEG, turned": image("JPEG", turned=True),
    "TIFF": image("TIFF"),
    "TIFF, deflated": image("TIFF", compression="tiff_adobe_deflate"),
    "BMP": image("BMP"),
    "DICOM": file_bytes(dataset(PIXELS.astype(np.uint16) * 16)),
}


@seed_ranges()
@pytest.mark.parametrize("form", FILMS)
def test_a_corrupted_film_is_read_or_refused(form: str, seeds: range) -> None:
    n_refused = 0
    for seed in seeds:
        pixels = _read(corrupted(FILMS[form], f"{form} {seed}"))
        if pixels is None:
            n_refused += 1
            continue
        assert (pixels.dtype, pixels.ndim) == (np.uint8, 2), (form, seed)
        assert pixels.size <= LIMITS.max_pixels, (form, seed)
    assert 0 < n_refused < len(seeds), "some inputs are harmless, others are not"


def _read(data: bytes) -> GreyImage | None:
    """The pixels of a film; None if it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries comment on each input
        try:
            return film_in(data, "film", limits=LIMITS).pixels
        except FileError:
            return None
