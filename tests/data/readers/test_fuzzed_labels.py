"""Corrupted labels and tables: each is read, or refused in words; what is read are corners on the film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fuzzing import corrupted, seed_ranges
from reading import LABELLED, SIZE_HW, corners_of, few_above, one_film

from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError

TABLE = (
    "filename,patient,facing,spacing_x_mm,spacing_y_mm,pixel_aspect,labelled,sex,age_years\n"
    "one.png,a,left,0.1,0.1,1,yes,F,45\n"
)


@seed_ranges(quick=75)
@pytest.mark.parametrize("kind", LABELLED)
def test_a_corrupted_label_is_read_or_refused(kind: str, seeds: range, tmp_path: Path) -> None:
    root = one_film(kind, few_above(tmp_path))
    if not (root / "films.csv").exists():
        (root / "films.csv").write_text(TABLE, encoding="utf-8")
    texts = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".png"}
    n_refused = 0
    for seed in seeds:
        path = list(texts)[seed % len(texts)]
        path.write_bytes(corrupted(texts[path], f"{kind} {seed}"))
        n_refused += _is_refused(root, (kind, seed))
        path.write_bytes(texts[path])
    assert 0 < n_refused < len(seeds), "some inputs are harmless, others are not"


def _is_refused(root: Path, which: object) -> bool:
    try:
        films = read_folder(root)
    except DataError:
        return True
    unforeseen = [finding.reason for finding in films.bad_files if finding.reason.startswith("cannot be read (")]
    assert unforeseen == [], which
    for film in films.films:
        if film.vertebrae:
            shares = corners_of(film) / np.array(SIZE_HW[::-1])
            assert np.isnan(shares).any() or np.abs(shares - 0.5).max() < 1, which
            assert not np.isinf(shares).any(), which
    return bool(films.bad_files)
