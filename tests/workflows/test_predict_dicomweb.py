"""`predict` with films of a study on a real DICOMweb server, which also stores the results; no password anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import synthetic_film
from commands import start
from dicoms import file_bytes, study_film
from pydicom import dcmread
from servers import orthanc
from small_models import unet_bundle

from spondylo_ml.data.dicomweb import PASSWORD, USER, DicomwebServer
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.serving.bundle import save_bundle

pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed: pip install 'spondylo_ml[dicom]'")
pytest.importorskip("highdicom", reason="highdicom is not installed: pip install 'spondylo_ml[dicom]'")

SECRET = "s3cret-word"


@pytest.mark.slow  # a process of its own, with PyTorch and MLflow
def test_the_films_of_a_study_are_read_and_their_objects_stored_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(unet_bundle(), tmp_path / "model")
    film = study_film(synthetic_film(2).pixels.astype(np.uint16) * 16, PixelSpacing=[0.8, 0.8])
    file_bytes(film)  # gives it the information of a file
    monkeypatch.setenv(USER, "reader")
    monkeypatch.setenv(PASSWORD, SECRET)
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc", "reader", SECRET) as url:
        server = DicomwebServer(f"dicomweb:{url}")
        server.store([film])
        process = start(
            tmp_path, "predict", "--films", f"dicomweb:{url}", "--study", str(film.StudyInstanceUID),
            "--model", "model", "--to", "out", "--dicom_to", "dicom", "--dicom_store", f"dicomweb:{url}",
        )  # fmt: skip
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        (tmp_path / "after").mkdir()
        after = server.retrieve([film.StudyInstanceUID], tmp_path / "after")
    written = {path.stem: dcmread(path) for path in (tmp_path / "dicom").rglob("*.dcm")}
    assert len(written) == 2
    assert {*(path.stem for path in after.files), *after.skipped} == {str(film.SOPInstanceUID), *written}
    assert {one.StudyInstanceUID for one in written.values()} == {film.StudyInstanceUID}
    assert (tmp_path / "out" / "reports" / f"{pseudonym(str(film.SOPInstanceUID))}.json").exists()
    assert SECRET not in output
    for path in (path for folder in ("out", "dicom") for path in (tmp_path / folder).rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes()
