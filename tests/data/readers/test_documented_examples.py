"""The labels shown in docs/data.md are read as that page says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from reading import corners_of, write_film

from spondylo_ml.data.readers import read_folder
from spondylo_ml.landmarks import Facing

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
BODY = [[[80, 270], [120, 270], [80, 310], [120, 310]]]


def test_the_coco_example(tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    write_film(tmp_path / "images" / "a.png")
    (tmp_path / "annotations.json").write_text(example)
    (film,) = read_folder(tmp_path).films
    np.testing.assert_array_equal(corners_of(film), BODY)
    assert [v.level for v in film.vertebrae or ()] == ["L5"]
    assert (film.facing, film.split) == (Facing.LEFT, "train")
    assert film.spacing is not None


def test_the_yolo_example(tmp_path: Path) -> None:
    (example,) = re.findall(r"```\n(0 0\.5 .*?)```", PAGE, re.S)
    write_film(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(example)
    films = read_folder(tmp_path)
    assert films.bad_files == films.notes == ()
    np.testing.assert_allclose(corners_of(films.films[0]), BODY)
