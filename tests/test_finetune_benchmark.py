"""The comparison of fine-tuning with training from scratch: its table, its films, and all of it at toy size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from benchmarks.finetune_films import films_of_the_style, main, table_of
from benchmarks.photographed import homography


def test_the_table_has_a_row_per_model_in_the_order_of_films() -> None:
    errors = {"mre_px512": 4.04, "sdr_6px": 80.0, "sdr_24px": 90.0, "instance_mre_px512": 2.0}
    films = {"scratch 10": 10, "finetuned 5": 5, "starter": 0}
    done = {key: {"n_train": n, **errors} for key, n in films.items()}
    assert [line.split(" | ")[:3] for line in table_of(done).splitlines()[2:]] == [
        ["| starter", "0", "4.0"], ["| finetuned", "5", "4.0"], ["| scratch", "10", "4.0"],
    ]  # fmt: skip


def test_corners_move_with_the_pixels_of_the_photograph() -> None:
    whole, test, pool = films_of_the_style(2, 1, 96)
    assert (len(test), len(pool)) == (2, 1)
    for index, film in enumerate([*test, *pool]):
        matrix = homography(film.size_hw, 61 + index)
        plain = whole.films[index].vertebrae or ()
        for vertebra, moved in zip(plain, film.vertebrae or (), strict=True):
            x, y = vertebra.corners_xy[0]
            u, v, w = matrix @ (x, y, 1)
            height, width = film.size_hw
            np.testing.assert_allclose(moved.corners_xy[0], np.clip((u / w, v / w), 0, (width - 1, height - 1)))
        assert film.image.read().shape == film.size_hw
        assert film.spacing is None


@pytest.mark.slow
def test_the_comparison_runs(client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--smoke", "--to", str(tmp_path / "curve"), "--sizes", "5", "--test", "2", "--long_side_px", "96"]
    main([*command, "--choices", "scratch"])
    assert "| scratch | 5 |" in capsys.readouterr().out
