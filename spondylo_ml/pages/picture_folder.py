"""A folder of pictures with a page that shows them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.render import jpeg_uri, render_page

INDEX = "index.html"


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture, and what is said about it.

    Attributes:
        name: name of its file, without suffix.
    """

    name: str
    caption: str
    picture: Picture


def write_pictures(folder: Path, title: str, lead: Sequence[str], pictures: Sequence[CaptionedPicture]) -> Path:
    """Write each picture as PNG and all of them on one page; returns the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in pictures:
        _, data = cv2.imencode(".png", cv2.cvtColor(item.picture, cv2.COLOR_RGB2BGR))
        (folder / f"{item.name}.png").write_bytes(data.tobytes())
    shown = [(item.name, item.caption, jpeg_uri(item.picture)) for item in pictures]
    page = folder / INDEX
    page.write_text(render_page("pictures.html", title=title, lead=lead, pictures=shown), encoding="utf-8")
    return page
