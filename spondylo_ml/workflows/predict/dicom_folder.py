"""The folder of DICOM objects that `predict` writes on request, for the archive that the films came from.

    reports/<UID>.dcm    a Structured Report of each film
    overlays/<UID>.dcm   a Secondary Capture of the film with its corners

The objects name the patient, as the films do. Their files are named by their own UIDs, so that the folder does not say
which pseudonym the results have elsewhere.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

from pydicom import Dataset

from spondylo_ml.data.dicomweb import DicomwebServer
from spondylo_ml.errors import DataError
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.film_result import FilmResult

KINDS = ("reports", "overlays")


class DicomFolder:
    """Writes the objects of films one by one."""

    def __init__(self, root: Path, model: FilmModel, server: DicomwebServer | None = None) -> None:
        """`server` is to store the objects too."""
        from spondylo_ml.dicom_results.content import Algorithm  # imports highdicom, which is optional

        self.root, self._model, self._server = root, model, server
        self._algorithm = Algorithm(model.name, model.digest)
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for kind in KINDS:
            (root / kind).mkdir()

    def add(self, path: Path, result: FilmResult) -> None:
        """Write both objects of the film in the file `path`.

        Raises:
            DataError: the film has no result, its file is no DICOM file to which they can refer, or the server did not
                store them.
        """
        from spondylo_ml.dicom_results.film_objects import objects_of
        from spondylo_ml.dicom_results.source import read_source

        if result.film is None or result.prediction is None:
            raise DataError(f"no result: {result.error}")
        source = read_source(path, result.film.size_hw)
        report = self._model.report(result)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they quote names that are not written as the standard asks
                objects = objects_of(report, result.film, result.prediction, source, self._algorithm)
                encoded = [_encoded(instance) for instance in objects]
        except Exception as error:
            # The message may quote the header.
            raise DataError(
                f"its DICOM header does not allow an object of its study ({type(error).__name__})"
            ) from None
        for kind, instance, data in zip(KINDS, objects, encoded, strict=True):
            (self.root / kind / f"{instance.SOPInstanceUID}.dcm").write_bytes(data)
        if self._server is not None:
            self._server.store(objects)


def _encoded(instance: Dataset) -> bytes:
    """The bytes of the object's file: both are encoded before either is written."""
    stream = BytesIO()
    instance.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
