"""The part that is common to the readers of labelling tools: find films and files, and make films of drawings.

Layout: films in `images/`, or in `images/{train,val,test}/`, and the tool's files beside them or in the folder itself,
in `annotations/` or in `labels/`. `mapping.yaml` (see `mapping`) says what names mean, `films.csv` (see `films_csv`)
states what the tool's file leaves out; both are optional. Films go by their stem, and under pseudonyms in runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.names import FILM_SUFFIXES, same_form, stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.bodies import require_all_inside, slot_range_of, vertebrae_of_label
from spondylo_ml.data.readers.film_row import FilmRow, merged_rows, parse_row
from spondylo_ml.data.readers.films_csv import film_stem, read_films_csv
from spondylo_ml.data.readers.pairing import duplicate_stems, files_in, group_by_stem, images_in
from spondylo_ml.data.readers.parts import parse_part, part_folders_in, unread_subfolders
from spondylo_ml.data.readers.remarks import Remark, as_findings, draft_remarks
from spondylo_ml.data.readers.tools.assemble import Label, bodies_of, label_of
from spondylo_ml.data.readers.tools.drawing import Drawing
from spondylo_ml.data.readers.tools.mapping import Mapping, read_mapping
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, Film, FloatArray, Vertebra
from spondylo_ml.spacing import resolve_pixel_aspect

FOLDERS = ("", "images", "annotations", "labels")
HEAD_BYTES = 1 << 16
MOST_SNIFFED = 20
DRAFT_BESIDE = "a task with predictions alone is not read: another file has the film's label"
NO_FILM = "label without its film: looked for a film of this name in the folder and in images/"

Parse = Callable[[Path, Mapping], list[Drawing]]
Scale = Callable[[Path, Drawing, Mapping], FloatArray]


def searched_folders(root: Path) -> list[Path]:
    """The folders of a dataset in which films and annotation files are looked for."""
    usual = [root / name for name in FOLDERS if (root / name).is_dir()]
    return [*usual, *(folder for above in usual for folder in part_folders_in(above))]


def tool_files(root: Path, suffixes: Sequence[str], is_one: Callable[[Path], bool]) -> list[Path]:
    """The files of a tool: those with a suffix whose beginning is that of the format."""
    return [path for folder in searched_folders(root) for path in files_in(folder, suffixes) if is_one(path)]


def has_tool_file(root: Path, suffixes: Sequence[str], is_one: Callable[[Path], bool]) -> bool:
    """Whether there is a film and a file of the tool, among the first files of each folder."""
    folders = searched_folders(root)
    found = any(is_one(path) for folder in folders for path in files_in(folder, suffixes)[:MOST_SNIFFED])
    return found and any(images_in(folder) for folder in folders)


def head(path: Path) -> str:
    """The first characters of a file, to recognise its format; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class _Job:
    image: Path
    drawing: Drawing
    row: FilmRow
    part: str | None


def read_drawings(
    root: Path, files: Iterable[Path], parse: Parse, mapping: Mapping
) -> tuple[list[Drawing], list[FileFinding]]:
    """The drawings of all files; and findings on files that cannot be read, and on drawings whose film is not known."""
    drawings, bad = list[Drawing](), list[FileFinding]()
    for path in files:
        try:
            found = parse(path, mapping)
        except FileError as error:
            bad.append(as_finding(error))
            continue
        except Exception as error:
            # As in `read_each`: a message may quote the file.
            bad.append(FileFinding(path.name, f"cannot be read ({type(error).__name__})"))
            continue
        bad += [as_finding(drawing.error) for drawing in found if drawing.error and not drawing.film]
        drawings += [drawing for drawing in found if drawing.film or not drawing.error]
    return drawings, bad


def read_dataset(kind: str, root: Path, files: Sequence[Path], parse: Parse, scale: Scale) -> FilmSet:
    """All films of a dataset.

    Args:
        parse: the drawings of a file.
        scale: x and y by which the coordinates of a drawing are multiplied to be px of its film.

    Raises:
        FileError: `mapping.yaml` or `films.csv` is invalid.
    """
    mapping, table = read_mapping(root), read_films_csv(root)
    drawings, bad = read_drawings(root, files, parse, mapping)
    films, duplicates = _films(root)
    by_film: dict[str, list[Drawing]] = {}
    for drawing in drawings:
        by_film.setdefault(film_stem(PurePosixPath(drawing.film).name), []).append(drawing)
    jobs: list[_Job] = []
    for stem, all_found in by_film.items():
        found = _without_drafts(all_found)
        if len(found) > 1:
            reason = f"listed {len(found)} times in the annotations: two labels for one film; keep one"
            bad.append(FileFinding(stem, reason, f" (in {', '.join(drawing.file.name for drawing in found)})"))
        elif stem in films:
            image = films[stem]
            jobs.append(_Job(image, found[0], table.of(image.name), parse_part(image.parent.name)))
        elif stem not in {stem_of(Path(finding.file)) for finding in duplicates}:
            bad.append(FileFinding(PurePosixPath(found[0].film).name, NO_FILM))
    unlabelled = [path for stem, path in films.items() if stem not in by_film]
    for image in unlabelled:
        row = table.of(image.name)
        if row.labelled:
            bad.append(FileFinding(image.name, "no label: in no annotation file"))
        else:
            jobs.append(_Job(image, Drawing(image, image.name), row, parse_part(image.parent.name)))
    read, errors = read_each(jobs, lambda job: _read_film(job, mapping, scale))
    notes = table.remarks(list(films.values()), [Path(finding.file).stem for finding in duplicates])
    slots = slot_range_of(item.film for item in read)
    return make_film_set(kind, root, read, slots, [*bad, *duplicates, *map(as_finding, errors)], notes, private=True)


def _without_drafts(found: Sequence[Drawing]) -> list[Drawing]:
    """The drawings of a film without those that are only drafts, if there are others: an export beside its drafts."""
    labels = [drawing for drawing in found if not drawing.only_draft]
    if not labels or len(labels) == len(found):
        return list(found)
    return [replace(drawing, remarks=(*drawing.remarks, Remark(DRAFT_BESIDE))) for drawing in labels]


def _films(root: Path) -> tuple[dict[str, Path], list[FileFinding]]:
    """Films by stem; and findings on films that share a name or lie in a folder that is not read."""
    folders = searched_folders(root)
    groups = group_by_stem([path for folder in folders for path in images_in(folder)])
    bad = []
    for paths in groups.values():
        if len({path.parent for path in paths}) > 1:
            reason = f"{len(paths)} films have this name: rename all but one"
            bad += [FileFinding(p.name, reason, f" (this one lies in {p.parent.name}/)") for p in paths]
        elif len(paths) > 1:
            bad += duplicate_stems(paths)
    if (root / "images").is_dir():
        known = set(folders)
        bad += [
            finding
            for finding in unread_subfolders(root / "images", FILM_SUFFIXES)
            if root / "images" / finding.file not in known
        ]
    return {stem: paths[0] for stem, paths in groups.items() if len(paths) == 1}, bad


def _read_film(job: _Job, mapping: Mapping, scale: Scale) -> ReadFilm:
    drawing, file = job.drawing, job.image.name
    if drawing.error:
        raise drawing.error
    name = pseudonym(stem_of(job.image))
    size_hw = checked_size_hw(job.image, name)
    if drawing.size_hw not in (None, size_hw):
        stated = drawing.size_hw or (0, 0)
        raise FileError(
            file, f"the annotations are for {stated[1]} x {stated[0]} px, the film is {size_hw[1]} x {size_hw[0]}"
        )
    if drawing.part and job.part and drawing.part != job.part:
        raise FileError(file, f"its annotations are of {drawing.part}, but it lies in the folder of {job.part}")
    row = merged_rows(parse_row(drawing.fields, drawing.file.name, "film"), job.row, file)
    bodies = bodies_of(drawing, mapping.names)
    label, vertebrae, levels_from, remarks = None, None, LEVELS_LABELLED, list[Remark](drawing.remarks)
    if bodies and not row.labelled:
        raise FileError(file, "has a label, but is said to have none (labelled: no)")
    if bodies:
        label = label_of(bodies, row.facing, file, _px_per_unit(job, size_hw, mapping, scale))
        vertebrae, levels_from, order = _vertebrae(label, row, size_hw, file)
        remarks += [*label.remarks, *order]
    elif row.labelled:
        if not drawing.fields.get("labelled"):
            raise FileError(file, "no label: nothing is drawn; if this is intended, say labelled: no in films.csv")
        vertebrae = ()
    remarks += draft_remarks(row.reader)
    film = _film(job, row, label.facing if label else row.facing, size_hw, vertebrae, levels_from)
    return ReadFilm(film, as_findings(file, remarks))


def _px_per_unit(job: _Job, size_hw: tuple[int, int], mapping: Mapping, scale: Scale) -> FloatArray:
    if job.drawing.unit == "percent":
        return np.array([size_hw[1], size_hw[0]]) / 100
    return np.ones(2) if job.drawing.unit == "px" else scale(job.image, job.drawing, mapping)


def _vertebrae(
    label: Label, row: FilmRow, size_hw: tuple[int, int], file: str
) -> tuple[tuple[Vertebra, ...], str, list[Remark]]:
    require_all_inside(label.corners_xy, size_hw, file)
    return vertebrae_of_label(
        label.corners_xy, label.visible, label.slots, label.facing, file, stated_source=row.levels_from
    )


def _film(
    job: _Job,
    row: FilmRow,
    facing: Facing,
    size_hw: tuple[int, int],
    vertebrae: tuple[Vertebra, ...] | None,
    levels_from: str,
) -> Film:
    name = pseudonym(stem_of(job.image))
    aspect, aspect_given = resolve_pixel_aspect(row.pixel_aspect, row.spacing)
    return Film(
        film_id=name,
        image=FileImage(job.image, name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=facing,
        patient=pseudonym(same_form(row.patient)) if row.patient else name,
        source="own",
        split=job.drawing.part or job.part,
        levels_from=levels_from,
        spacing=row.spacing,
        sex=row.sex,
        age_years=row.age_years,
        pixel_aspect=aspect,
        aspect_given=aspect_given,
        path=job.image,
        reader=row.reader,
    )


def no_scale(image: Path, drawing: Drawing, mapping: Mapping) -> FloatArray:
    """The scale of a format whose coordinates are px."""
    return np.ones(2)
