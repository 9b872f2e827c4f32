"""Rendering of HTML pages from Jinja templates: each page is one file that needs no network and no other file."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.errors import DataError
from spondylo_ml.pages.colours import PAGE
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.plotly_library import chart_html, plotly_library

__all__ = ["Chart", "chart_html", "jpeg_uri", "render_page"]

TEMPLATES = Path(__file__).parent / "templates"
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Chart:
    """A chart of a page.

    Attributes:
        html: the chart; empty if there is nothing to show, which `note` explains.
    """

    title: str
    html: Markup
    note: str = ""


def render_page(template: str, **values: object) -> str:
    """HTML of a page; values are escaped unless they are `Markup`.

    Args:
        template: name of a file in `templates/`.
        values: what the template uses; a page with `charts` carries the Plotly library.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["nan"] = math.isnan
    environment.globals.update(disclaimer=DISCLAIMER, colours=PAGE, plotly_library=plotly_library)
    return environment.get_template(template).render(values)


def jpeg_uri(picture: Picture) -> str:
    """A picture as a JPEG in a data URI.

    Raises:
        DataError: the picture cannot be encoded.
    """
    success, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not success:
        raise DataError(f"a picture of shape {picture.shape} cannot be encoded as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(np.asarray(data).tobytes()).decode()
