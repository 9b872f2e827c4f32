"""The options of `predict`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from spondylo_ml.config.commands import DIGEST_HELP, MODEL_HELP, Backend, Digest, DraftFormat
from spondylo_ml.config.paths import PathList, is_server
from spondylo_ml.config.section import CommaList, Section


class PredictConfig(Section):
    """Which films to predict, with which model, and where to write the results."""

    films: PathList = Field(
        min_length=1,
        description="image or DICOM files, folders, or patterns such as 'films/*.dcm', separated by commas; or a "
        "DICOMweb server, dicomweb:<url>",
    )
    study: CommaList[str] = Field((), description="study instance UIDs of the films, if they come from a server")
    model: str = Field("champion", min_length=1, description=MODEL_HELP)
    digest: Digest | None = Field(None, description=DIGEST_HELP)
    to: Path = Field(description="new or empty folder for the results")
    resume: bool = Field(
        False, description="go on in the folder of a predict that was stopped: films with results are not read again"
    )
    format: DraftFormat | None = Field(
        None, description="also write the predictions to drafts/, to be corrected in a labelling tool"
    )
    dicom_to: Path | None = Field(
        None,
        description="new or empty folder for a DICOM Structured Report and an overlay of each DICOM film, which name "
        "the patient as the film does; unset: none",
    )
    dicom_store: str | None = Field(
        None, description="DICOMweb server, dicomweb:<url>, that is to store the objects of dicom_to; unset: none"
    )
    overlays: bool = Field(True, description="draw each film with its corners")
    reports: bool = Field(True, description="write the report of each film, as HTML and JSON")
    pdf: bool = Field(False, description="also write each report as a PDF of one A4 page, for printing")
    report_texts: Path | None = Field(
        None, description="TOML file with the texts of the reports in another language; unset: English"
    )
    batch_size: int = Field(8, ge=1, le=256, description="films per batch")
    backend: Backend = Field(
        "torch", description="library that computes the network; onnx needs a model from export-onnx"
    )
    private_names: bool = Field(False, description="also write names_private.csv, the table of files and pseudonyms")
    pixel_aspect: float | Literal["unknown"] | None = Field(
        None,
        description="width of a pixel over its height on films for which films.csv does not give it; unknown: "
        "stretched by an unknown amount",
    )
    spacing_mm: float | None = Field(
        None,
        description="pixel size in mm on films for which films.csv does not give it; overrides a DICOM file's",
    )

    @field_validator("pixel_aspect")
    @classmethod
    def _aspect_above_0(cls, value: float | str | None) -> float | str | None:
        if isinstance(value, float) and not 0 < value < float("inf"):
            raise ValueError("a number above 0 (width of a pixel over its height), or unknown")
        return value

    @field_validator("spacing_mm")
    @classmethod
    def _spacing_above_0(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value < float("inf"):
            raise ValueError("a number above 0, in mm")
        return value

    @model_validator(mode="after")
    def _servers(self) -> PredictConfig:
        from_server = any(map(is_server, self.films))
        if from_server != bool(self.study) or (from_server and len(self.films) > 1):
            raise ValueError("films of one server, dicomweb:<url>, need study, and study needs films=dicomweb:<url>")
        if self.dicom_store is not None and not (is_server(self.dicom_store) and self.dicom_to):
            raise ValueError(
                "dicom_store is a server, dicomweb:<url>, and needs dicom_to, a folder for the same objects"
            )
        return self

    @model_validator(mode="after")
    def _reports_to_print(self) -> PredictConfig:
        if not self.reports and (self.pdf or self.report_texts is not None):
            raise ValueError("pdf and report_texts are of the reports: leave reports at true")
        return self

    @model_validator(mode="after")
    def _resumable(self) -> PredictConfig:
        if self.resume and (self.format is not None or self.dicom_to is not None):
            raise ValueError("resume goes on with results alone: leave out format and dicom_to, or give a new folder")
        return self

    @model_validator(mode="after")
    def _results_apart(self) -> PredictConfig:
        """The results under pseudonyms may be passed on, the DICOM objects may not."""
        if self.dicom_to is not None:
            results, dicom = (Path(os.path.realpath(path.expanduser())) for path in (self.to, self.dicom_to))
            if results.is_relative_to(dicom) or dicom.is_relative_to(results):
                raise ValueError("dicom_to must lie apart from to: its files name the patients, those of to do not")
        return self
