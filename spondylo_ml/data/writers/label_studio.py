"""Write Label Studio's JSON with annotations, and the labelling configuration of its project.

Each vertebra is a box labelled with its level, and keypoints labelled with their corners, joined in the region tree. A
hidden corner has the per-region choice `hidden`. The films are addressed as local files: Label Studio finds them if
its document root (LOCAL_FILES_DOCUMENT_ROOT) is the folder of the dataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from spondylo_ml.data.writers.base import PlacedFilm, box_xyxy, images_folder
from spondylo_ml.data.writers.films_table import known_cells
from spondylo_ml.landmarks import CORNERS, LEVELS, Film, Vertebra

TASKS, CONFIG = "label_studio.json", "label_studio_config.xml"
POINT_PERCENT = 0.5
"""Size of a keypoint on the screen, percent of the film's width."""


class LabelStudioWriter:
    """Writes films in `images/` and the two files beside it."""

    kind = "label-studio"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """The folder of the film's split, if it has one."""
        return images_folder(film)

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write all tasks, and the configuration."""
        tasks = [_task(number, placed) for number, placed in enumerate(films, start=1)]
        (to / TASKS).write_text(json.dumps(tasks, indent=1), encoding="utf-8")
        write_config(to)


def write_config(to: Path) -> None:
    """Write the labelling configuration that fits the tasks: it is pasted into the project's settings.

    Label Studio's own export to COCO takes the order of the keypoints from `model_index`, and fails without it.
    """
    levels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in LEVELS)
    corners = "".join(
        f'    <Label value={quoteattr(name)} model_index="{index}"/>\n' for index, name in enumerate(CORNERS)
    )
    (to / CONFIG).write_text(
        f"""<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="level" toName="image">
{levels}  </RectangleLabels>
  <KeyPointLabels name="corner" toName="image">
{corners}  </KeyPointLabels>
  <Choices name="visibility" toName="image" perRegion="true" whenTagName="corner">
    <Choice value="hidden"/>
  </Choices>
</View>
""",
        encoding="utf-8",
    )


def task_data(placed: PlacedFilm) -> dict[str, str]:
    """The data of a film's task: its address, and what is known about it."""
    return {"image": f"/data/local-files/?d={quote(placed.image.as_posix())}", **known_cells(placed.film)}


def results_of(
    vertebrae: Sequence[Vertebra], size_hw: tuple[int, int], scores: dict[int, Sequence[float]] | None = None
) -> list[dict[str, Any]]:
    """The results of vertebrae.

    Args:
        scores: by slot, confidence of each corner, 0 to 1.
    """
    height, width = size_hw
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    return [{**common, **result} for vertebra in vertebrae for result in _vertebra(vertebra, size_hw, (scores or {}))]


def _task(number: int, placed: PlacedFilm) -> dict[str, Any]:
    film = placed.film
    task: dict[str, Any] = {"id": number, "data": task_data(placed), "annotations": [], "predictions": []}
    if film.labelled:
        results = results_of(film.vertebrae or (), film.size_hw)
        task["annotations"] = [{"id": number, "result": results, "was_cancelled": False, "ground_truth": False}]
    return task


def _vertebra(
    vertebra: Vertebra, size_hw: tuple[int, int], scores: dict[int, Sequence[float]]
) -> Iterator[dict[str, Any]]:
    height, width = size_hw
    left, top, right, bottom = box_xyxy(vertebra.corners_xy)
    box = vertebra.level
    shape = {
        "x": left / width * 100,
        "y": top / height * 100,
        "width": (right - left) / width * 100,
        "height": (bottom - top) / height * 100,
        "rotation": 0,
    }
    yield {
        "id": box,
        "type": "rectanglelabels",
        "from_name": "level",
        "value": {**shape, "rectanglelabels": [vertebra.level]},
    }
    for index in map(int, vertebra.present.nonzero()[0]):
        x, y = vertebra.corners_xy[index]
        point = {"x": float(x) / width * 100, "y": float(y) / height * 100, "width": POINT_PERCENT}
        key = f"{box}-{CORNERS[index]}"
        score = {"score": float(scores[vertebra.slot][index])} if vertebra.slot in scores else {}
        yield {
            "id": key,
            "parentID": box,
            "type": "keypointlabels",
            "from_name": "corner",
            **score,
            "value": {**point, "keypointlabels": [CORNERS[index]]},
        }
        if not vertebra.visible[index]:
            yield {"id": key, "type": "choices", "from_name": "visibility", "value": {**point, "choices": ["hidden"]}}
