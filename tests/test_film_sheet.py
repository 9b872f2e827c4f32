"""Contact sheet of synthetic films: lateral with and without additions, frontal with their truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.film_sheet import FRONTAL_HEIGHT_PX, GAP_PX, HEIGHT_PX, draw_sheet, main
from spondylo_ml.data.frontal import frontal_film


def test_a_pair_has_the_first_generator_above_and_the_later_one_below() -> None:
    sheet = draw_sheet([4], 0, ("sacrum",))
    assert sheet.shape[0] == 2 * HEIGHT_PX + 2 * GAP_PX
    upper, lower = sheet[:HEIGHT_PX], sheet[HEIGHT_PX + GAP_PX : 2 * HEIGHT_PX + GAP_PX]
    assert (upper != lower).mean() > 0.3
    same = draw_sheet([4], 0, ())
    np.testing.assert_array_equal(same[:HEIGHT_PX], upper)
    np.testing.assert_array_equal(same[HEIGHT_PX + GAP_PX : 2 * HEIGHT_PX + GAP_PX], upper)


def test_the_sheet_is_written_with_two_rows_of_pairs(tmp_path: Path) -> None:
    main(["--to", str(tmp_path / "sheet.jpg"), "--films", "0,1,2", "--additions", "sacrum"])
    written = cv2.imread(str(tmp_path / "sheet.jpg"), cv2.IMREAD_GRAYSCALE)
    assert written is not None
    assert written.shape[0] == 2 * (2 * HEIGHT_PX + 2 * GAP_PX)


def test_every_second_frontal_film_has_its_true_corners_in_colour(tmp_path: Path) -> None:
    main(["--to", str(tmp_path / "sheet.jpg"), "--films", "0,1", "--view", "frontal"])
    written = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert written is not None
    assert written.shape[0] == FRONTAL_HEIGHT_PX
    first = round(frontal_film(0, 0).size_hw[1] * FRONTAL_HEIGHT_PX / 704)
    coloured = (np.ptp(written.astype(int), axis=2) > 60).mean(axis=0)
    assert coloured[:first].max() == 0
    assert coloured[first + GAP_PX :].max() > 0.02
