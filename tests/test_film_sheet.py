"""Contact sheet of synthetic films with and without additions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.film_sheet import GAP_PX, HEIGHT_PX, draw_sheet, main


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
