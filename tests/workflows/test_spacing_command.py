"""`spacing` on the command line: by points, by a DICOM file, and both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicoms import dicom

from spondylo_ml.cli import main
from spondylo_ml.config import SpacingConfig
from spondylo_ml.workflows.spacing import measure_spacing


def write_dicom(path: Path, **fields: object) -> Path:
    path.write_bytes(dicom(np.arange(40 * 30, dtype=np.uint16).reshape(40, 30), **fields))
    return path


def test_a_length_is_measured_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["spacing", "--points", "0,0,300,400", "--length_mm", "50"]) == 0
    text = capsys.readouterr().out
    assert "spacing       0.1 mm, 95 % interval [0.09796, 0.102], by a length of 50 mm" in text
    assert "uncertainty   2 %: points 0.55 %, length 2 %, magnification 0 %" in text
    assert "a body of 35 mm is measured to within 0.71 mm" in text
    assert "predict --spacing_mm 0.1" in text
    assert main(["spacing", "--points=+0,-.5,010,.5e1", "--length_mm", "50"]) == 0


def test_the_spacing_of_a_file_is_read_and_compared(tmp_path: Path) -> None:
    plain = write_dicom(tmp_path / "a.dcm", ImagerPixelSpacing=["0.143", "0.143"])
    calibrated = write_dicom(tmp_path / "b.dcm", PixelSpacing=["0.1", "0.1"], PixelSpacingCalibrationType="FIDUCIAL")
    nothing = write_dicom(tmp_path / "c.dcm")
    text = measure_spacing(SpacingConfig(film=plain))
    assert "0.143 x 0.143 mm (width x height), DICOM ImagerPixelSpacing" in text
    assert "not calibrated: it holds at the detector; at the spine, which is magnified, a pixel is smaller" in text
    both = {"points": (0, 0, 300, 400), "length_mm": 50}
    assert "+43.0 % from the measured one; the two disagree" in measure_spacing(SpacingConfig(film=plain, **both))
    text = measure_spacing(SpacingConfig(film=calibrated, **both))
    assert "calibrated, by how much it may be wrong it does not state" in text
    assert "+0.0 % from the measured one; the two agree" in text
    assert measure_spacing(SpacingConfig(film=nothing)) == "file          states no pixel spacing"


def test_pixels_that_are_not_square_are_noticed(tmp_path: Path) -> None:
    film = write_dicom(tmp_path / "a.dcm", PixelSpacing=["0.3", "0.6"])
    along_y = {"points": (0, 0, 0, 100), "length_mm": 30}
    text = measure_spacing(SpacingConfig(film=film, **along_y))
    assert (
        "a pixel is 2 times as wide as it is high, here it was taken for 1: measure again with --pixel_aspect 2" in text
    )
    text = measure_spacing(SpacingConfig(film=film, pixel_aspect=2, **along_y))
    assert "the two agree" in text
    assert "to use it     spacing_x_mm 0.6 and spacing_y_mm 0.3 in films.csv" in text, (
        "--spacing_mm is for square pixels"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give film, for the spacing of a DICOM file; or points with length_mm"),
        (["--points", "0,0,1,1"], "give film, for the spacing of a DICOM file; or points with length_mm"),
        (["--points", "0,0,1", "--mark_mm", "10"], "points: 3 numbers given; mark_mm needs pairs x1,y1,x2,y2,x3,y3"),
        (["--points", "0,0,9,9,1,1", "--length_mm", "1"], "points: 6 numbers given; length_mm needs two points"),
        (["--points", "0,0,9,9", "--mark_mm", "1"], "2 mark(s) given: a ruler needs three or more"),
        (["--points", "0,0,9,9", "--length_mm", "0"], "greater than 0"),
        (["--points", "0,0,9,9", "--length_mm", "5", "--magnification", "1.2,1"], "the lowest comes first"),
        (["--points", "nan,0,100,0", "--length_mm", "5"], "points.0: given 'nan'. Input should be a finite number"),
        (["--points", "-5,0,100,0", "--length_mm", "5"], "--points=-5,0,100,0"),
        (["--film", "no.dcm"], "no.dcm: cannot be opened"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_request_is_an_error(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["spacing", *arguments]) == 2
    assert message in capsys.readouterr().err
