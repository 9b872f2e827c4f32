"""Synthetic films to real ones by augmentation: the table, the variants, and all of it at toy size."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks.synthetic_to_real import main, names_of, read_options, read_space, settings_of, table_of


def test_the_table_has_means_and_ranges_over_seeds() -> None:
    def row(variant: str, mre: float) -> dict[str, object]:
        return {"variant": variant, "mre_px512": mre, "sdr_6px": 20.0, "sdr_24px": 70.0, "instance_mre_px512": 6.0}

    done = {"standard 0": row("standard", 18.0), "strong 0": row("strong", 15.0), "standard 1": row("standard", 20.0)}
    lines = [line.split(" | ")[:3] for line in table_of(done).splitlines()[2:]]
    assert lines == [["| standard", "2", "19.00 (18.00 to 20.00)"], ["| strong", "1", "15.00"]]


def test_a_variant_sets_its_values_and_no_others(tmp_path: Path) -> None:
    space = read_space("maht_net")
    options = read_options(["--to", str(tmp_path), "--data", str(tmp_path)])
    assert options.variants == names_of(space)
    standard, without_blur = (settings_of(space, name, 2, options) for name in ("standard", "without_blur"))
    assert "augmentation" not in standard
    assert without_blur["augmentation"]["blur_probability"] == 0
    assert without_blur["augmentation"]["inversion_probability"] == 0.25
    assert {key: without_blur[key] for key in standard} == standard
    assert standard["seed"] == 2
    assert standard["data"]["phantom_view"] == "frontal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "--data: name the folder"), (["--variants", "stong"], "there is no stong; there are standard, strong")],
)
def test_wrong_options_are_errors(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--to", str(tmp_path), *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_comparison_runs_and_goes_on(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(*variants: str) -> list[list[str]]:
        main(["--smoke", "--to", str(tmp_path / "results"), "--seeds", "0", "--variants", *variants])
        return [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| s")]

    first = rows("standard")
    assert [row[:2] for row in first] == [["| standard", "1"]]
    both = rows("standard", "strong")
    assert [row[0] for row in both] == ["| standard", "| strong"]
    assert both[0] == first[0]
