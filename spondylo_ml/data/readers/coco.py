"""COCO keypoints for custom films.

Layout: `images/` (with subfolders, if `file_name` has them) and one or more JSON files, `annotations/*.json` or
`annotations*.json`; or as Roboflow exports it, `{train,valid,test}/_annotations.coco.json` with the films beside it.
Each annotation is a vertebra with four keypoints, or with the two of its superior endplate; visibility 0 means absent,
1 hidden, 2 visible. Its category's `keypoints` name the corners. The level is the annotation's `attributes.level`, else
its category's name (S1, L5, ...). If no annotation of a film has a level, the lowest vertebra is assumed to be S1.
Crowds, boxes of other categories and annotations without keypoints are skipped and counted.

Optional fields of an image extend the standard: `patient`, `facing` (left, right, none, unknown), `pixel_spacing_mm`
([x, y] or one number) and `pixel_spacing_from` (its source), `pixel_aspect` (null: stretched by an unknown amount;
absent: from the spacing, or 1), `split` (train, val, test; else from the name of the JSON file), `labelled` (false: a
film without labels on purpose), `sex` (F or M), `age_years`, `reader` (who placed the corners) and `levels_from`
(assumed S1, assumed L5: the named levels rest on that assumption about the lowest vertebra; label: they do not).
Films appear under pseudonyms in runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.levels_from import levels_from_of
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.bodies import require_all_inside, slot_range_of, vertebrae_of_label
from spondylo_ml.data.readers.coco_entries import (
    OTHER,
    AnnotatedBody,
    Entry,
    attributes_of,
    is_id,
    names_some_levels,
    read_body,
    skip_reason,
)
from spondylo_ml.data.readers.coco_files import ROBOFLOW, Job, has_annotations, inner_name, read_jobs
from spondylo_ml.data.readers.fields import finite_numbers
from spondylo_ml.data.readers.film_row import parse_age, parse_facing, parse_sex, parse_spacing
from spondylo_ml.data.readers.parts import parse_part
from spondylo_ml.data.readers.remarks import Remark, as_findings, draft_remarks, misnamed_remarks
from spondylo_ml.data.split import PARTS
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.spacing import Spacing

HIDDEN, VISIBLE = 1, 2
IMAGE_FIELDS = (
    "patient", "facing", "pixel_spacing_mm", "pixel_spacing_from", "pixel_aspect", "split", "labelled", "levels_from",
    "sex", "age_years", "reader",
)  # fmt: skip
"""Fields of an image that are read besides those of the standard."""

SPACING_FROM = "pixel_spacing_mm of the annotations"


class CocoReader:
    """Reads the layout described above."""

    kind = "coco"
    layout = (
        "images/ and COCO keypoints in annotations/*.json or annotations*.json, or {train,valid,test}/ with films and "
        f"{ROBOFLOW} in each"
    )
    marks: tuple[str, ...] = ("images", "annotations", "annotations.json")

    def recognises(self, root: Path) -> bool:
        """Whether there are images and annotations."""
        return has_annotations(root)

    def read(self, root: Path) -> FilmSet:
        """All films of all annotation files."""
        jobs, bad, notes = read_jobs(root)
        counts = Counter(job.key for job in jobs)
        bad += [
            FileFinding(Path(name).name, f"listed {count} times in the annotations: two labels for one film; keep one")
            for name, count in counts.items()
            if count > 1
        ]
        partly_named = {job.file for job in jobs if names_some_levels(job.annotations, job.categories)}
        unique = [job for job in jobs if counts[job.key] == 1]
        read, errors = read_each(unique, lambda job: _read_film(job, job.file in partly_named))
        slots = slot_range_of(item.film for item in read)
        return make_film_set(self.kind, root, read, slots, [*bad, *map(as_finding, errors)], notes, private=True)


def _read_film(job: Job, partly_named: bool) -> ReadFilm:
    path = job.path
    if path is None:
        name = PurePosixPath(inner_name(job.image["file_name"])).name
        raise FileError(name, "label without its film: listed in the annotations, but missing in images/")
    name = pseudonym(stem_of(path))
    size_hw = checked_size_hw(path, name)
    fields = {name: value for name, value in job.image.items() if value is not None or name == "pixel_aspect"}
    facing, spacing, split = _film_fields(job, fields, path.name, size_hw)
    bodies, notes = _bodies(job, path.name)
    vertebrae, levels_from, remarks = _vertebrae(job, fields, bodies, path.name, size_hw, facing, partly_named)
    aspect = _pixel_aspect(fields, path.name, spacing)
    film = Film(
        film_id=name,
        image=FileImage(path, name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=facing,
        patient=_patient(fields.get("patient"), path.name) or name,
        source="own",
        split=split,
        levels_from=levels_from,
        spacing=spacing,
        pixel_aspect=aspect,
        aspect_given="pixel_aspect" in fields and aspect is not None,
        path=path,
        sex=parse_sex(fields.get("sex", ""), path.name, "image"),
        age_years=parse_age(fields["age_years"], path.name, "image") if "age_years" in fields else None,
        reader=_reader(fields.get("reader"), path.name),
    )
    misnamed = [
        *misnamed_remarks(job.image, IMAGE_FIELDS),
        *misnamed_remarks({name for entry in job.annotations for name in attributes_of(entry)}, ["level"]),
    ]
    return ReadFilm(film, as_findings(path.name, (*notes, *remarks, *misnamed, *draft_remarks(film.reader))))


def _reader(reader: object, file: str) -> str:
    """Name of the reader; empty if the field is absent."""
    if reader is not None and not is_id(reader):
        raise FileError(file, "reader must be a word or a number", f", found {str(reader)[:20]!r}")
    return "" if reader is None else str(reader).strip()


def _patient(patient: object, file: str) -> str | None:
    """Pseudonym of the patient; None if the field is absent or empty."""
    if patient is None or patient == "":
        return None
    if not is_id(patient):
        raise FileError(file, "patient must be a word or a number", f", found {str(patient)[:20]!r}")
    return pseudonym(str(patient).strip())


def _bodies(job: Job, file: str) -> tuple[list[AnnotatedBody], list[Remark]]:
    """The vertebrae among a film's annotations, and remarks on annotations that were skipped.

    Without level names, skipping a vertebra would shift all names above it, so that such a remark is a doubt.
    """
    bodies, skipped = [], Counter[str]()
    for index, entry in enumerate(job.annotations):
        where = f"vertebra {index}"
        reason = skip_reason(entry, job.categories, file, where)
        if reason:
            skipped[reason] += 1
        else:
            bodies.append(read_body(entry, job.categories, file, where))
    no_levels = not any(body.slot is not None for body in bodies)
    return bodies, [
        Remark(f"{count} annotation(s) {reason} skipped", doubt=no_levels and reason != OTHER)
        for reason, count in skipped.items()
    ]


def _pixel_aspect(fields: Entry, file: str, spacing: Spacing | None) -> float | None:
    """Width over height of a pixel: the stated value (None for null), else that of the spacing, else 1."""
    if "pixel_aspect" not in fields:
        return spacing.pixel_aspect if spacing else 1.0
    if fields["pixel_aspect"] is None:
        return None
    (aspect,) = finite_numbers([fields["pixel_aspect"]], file, "pixel_aspect")
    if aspect <= 0:
        raise FileError(file, "pixel_aspect must be above 0, or null for a film stretched by an unknown amount")
    return aspect


def _film_fields(
    job: Job, fields: Entry, file: str, size_hw: tuple[int, int]
) -> tuple[Facing, Spacing | None, str | None]:
    """Facing, spacing and split from the fields of an image."""
    stated_hw = tuple(
        _pixels(fields.get(name, actual), file) for name, actual in zip(("height", "width"), size_hw, strict=True)
    )
    if stated_hw != size_hw:
        raise FileError(
            file, f"the annotations are for {stated_hw[1]} x {stated_hw[0]} px, the film is {size_hw[1]} x {size_hw[0]}"
        )
    facing = parse_facing(fields["facing"], file, "image") if "facing" in fields else Facing.UNKNOWN
    split = job.part
    if "split" in fields:
        split = parse_part(fields["split"]) if isinstance(fields["split"], str) else None
        if split is None:
            raise FileError(file, f"split must be one of {', '.join(PARTS)}", f", found {str(fields['split'])[:20]!r}")
    if job.part is not None and split != job.part:
        raise FileError(file, f"its entry has split {split}, but is in the annotations for {job.part}")
    spacing = None
    if (mm := fields.get("pixel_spacing_mm")) is not None:
        values = finite_numbers(mm if isinstance(mm, list) else [mm, mm], file, "pixel_spacing_mm")
        if len(values) != 2:
            raise FileError(file, "pixel_spacing_mm must be [x, y], or one number for both")
        provenance = fields.get("pixel_spacing_from", SPACING_FROM)
        if not isinstance(provenance, str):
            raise FileError(file, "pixel_spacing_from must be text", f", found {str(provenance)[:20]!r}")
        spacing = parse_spacing(values[0], values[1], provenance, file, "image")
    return facing, spacing, split


def _pixels(value: object, file: str) -> int:
    """Width or height of the film in px; some exporters write it as text."""
    number = float(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number != number // 1:
        raise FileError(file, "width and height must be whole numbers", f", found {str(value)[:20]!r}")
    return int(number)


def _vertebrae(
    job: Job,
    fields: Entry,
    bodies: Sequence[AnnotatedBody],
    file: str,
    size_hw: tuple[int, int],
    facing: Facing,
    partly_named: bool,
) -> tuple[tuple[Vertebra, ...] | None, str, list[Remark]]:
    """Vertebrae (None for a film without labels on purpose), the source of their levels, and remarks."""
    labelled = fields.get("labelled", not job.unlabelled_file)
    if not isinstance(labelled, bool):
        raise FileError(file, "labelled must be true or false")
    if not bodies:
        if not labelled:
            return None, "label", []
        if "labelled" in fields:
            return (), "label", []
        raise FileError(file, 'no label: no annotation of it; if this is intended, give its image "labelled": false')
    if not labelled:
        raise FileError(file, 'has annotations, but its image says "labelled": false')
    corners, visibility = np.stack([b.corners_xy for b in bodies]), np.stack([b.visibility for b in bodies])
    require_all_inside(corners, size_hw, file)
    slots = [body.slot for body in bodies]
    if partly_named and all(slot is None for slot in slots):
        raise FileError(file, "names no level, but other films of its file name some: name the level of each vertebra")
    stated_source = levels_from_of(fields.get("levels_from"), file, "image")
    return vertebrae_of_label(corners, visibility == VISIBLE, slots, facing, file, stated_source=stated_source)
