"""YOLO-pose labels for custom films: one file per film, one line per vertebra.

Layout: `images/{train,val,test}/<film>` with `labels/{train,val,test}/<film>.txt`; or flat, `images/` and `labels/`
without splits; or as Roboflow exports it, `{train,valid,test}/images/` and `labels/`. valid and validation mean val. A
line has 17 fields, `class cx cy w h` and four times `x y visibility`, as fractions of width and height; visibility 0
means absent, 1 labelled but hidden, 2 visible.

Optional settings, read from the files listed in `yolo_classes`: `names` (a class for each level, such as S1, L5;
without it there is one class, and the lowest vertebra is assumed to be S1), `kpt_names` (the order of corners; default
superior left, superior right, inferior left, inferior right) and `kpt_shape` ([4, 2]: no visibility, all corners are
visible).
`films.csv` (see `films_csv`) states patient, facing, spacing, and films without a label on purpose. Films appear under
pseudonyms in runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.bodies import require_all_inside, slot_range_of, vertebrae_of_label
from spondylo_ml.data.readers.fields import read_text_lines
from spondylo_ml.data.readers.film_row import FilmRow
from spondylo_ml.data.readers.films_csv import FilmsCsv, read_films_csv
from spondylo_ml.data.readers.pairing import images_in, pair_by_stem
from spondylo_ml.data.readers.parts import folders_by_part, parse_part, part_folders_in, unread_subfolders
from spondylo_ml.data.readers.pose_lines import read_pose_lines
from spondylo_ml.data.readers.remarks import Remark, as_findings
from spondylo_ml.data.readers.yolo_classes import Classes, read_classes, require_levels
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import LEVELS_LABELLED, Film, FloatArray, Vertebra
from spondylo_ml.spacing import resolve_pixel_aspect

HIDDEN, VISIBLE = 1, 2
LABELS = (".txt",)


class YoloReader:
    """Reads the layout described above."""

    kind = "yolo"
    layout = (
        "images/{train,val,test}/ and labels/{train,val,test}/ with YOLO-pose .txt, or images/ and labels/ alone, or "
        "{train,valid,test}/ with images/ and labels/ in each"
    )
    marks: tuple[str, ...] = ("images", "labels")

    def recognises(self, root: Path) -> bool:
        """Whether images/ and labels/ are in `root`, or in a subfolder named as a split."""
        return bool(_folder_pairs(root))

    def read(self, root: Path) -> FilmSet:
        """All films of all splits.

        Raises:
            DataError: the names of the classes, or films.csv, are invalid; or several classes have no names.
        """
        folders, bad = _film_folders(root)
        table, classes = read_films_csv(root), read_classes(root, [pair.labels for pair in folders])
        jobs: list[_Job] = []
        for pair in folders:
            pair_jobs, unpaired = _jobs(root, pair, table, classes)
            jobs += pair_jobs
            bad += unpaired
        require_levels(classes, _used([job.label for job in jobs if job.label]), root)
        read, errors = read_each(jobs, lambda job: _read_film(job, classes))
        notes = table.remarks([job.image for job in jobs], (Path(finding.file).stem for finding in bad))
        slots = slot_range_of(item.film for item in read)
        return make_film_set(self.kind, root, read, slots, [*bad, *map(as_finding, errors)], notes, private=True)


@dataclass(frozen=True)
class _FolderPair:
    """A folder of films and the folder of their labels."""

    images: Path
    labels: Path
    part: str | None


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path | None
    split: str | None
    row: FilmRow


def _folder_pairs(root: Path) -> list[_FolderPair]:
    """images/ and labels/ in the folder itself, and in its subfolders that are named as splits."""
    candidates = [(root, None), *((folder, parse_part(folder.name)) for folder in part_folders_in(root))]
    pairs = [_FolderPair(folder / "images", folder / "labels", part) for folder, part in candidates]
    return [pair for pair in pairs if pair.images.is_dir() and pair.labels.is_dir()]


def _film_folders(root: Path) -> tuple[list[_FolderPair], list[FileFinding]]:
    """All pairs of folders to read, and findings on folders that are not read."""
    folders, bad = [], list[FileFinding]()
    for pair in _folder_pairs(root):
        folders.append(pair)
        if pair.part is None:
            by_part, unknown = folders_by_part(pair.images, pair.labels)
            folders += [_FolderPair(images, labels, part) for images, labels, part in by_part]
            bad += unknown
            for images, labels, _ in by_part:
                bad += [*unread_subfolders(images), *unread_subfolders(labels, LABELS)]
        else:
            bad += [*unread_subfolders(pair.images), *unread_subfolders(pair.labels, (".txt",))]
    return folders, bad


def _jobs(root: Path, folders: _FolderPair, table: FilmsCsv, classes: Classes) -> tuple[list[_Job], list[FileFinding]]:
    pairs, unpaired = pair_by_stem(folders.images, folders.labels, LABELS, root)
    jobs = [_Job(image, label, folders.part, table.of(image.name)) for image, label in pairs]
    unlabelled = {p.name: p for p in images_in(folders.images) if not table.of(p.name).labelled}
    accepted = {finding.file for finding in unpaired if finding.reason == "no label"} & unlabelled.keys()
    jobs += [_Job(unlabelled[name], None, folders.part, table.of(name)) for name in sorted(accepted)]
    contradictory = {job.image.name for job in jobs if job.label and not job.row.labelled}
    class_files = {path.name for path in classes.named_in if path.parent == folders.labels}
    bad = [finding for finding in unpaired if finding.file not in accepted | class_files]
    bad += [FileFinding(name, "has a label, but films.csv says that it has none") for name in sorted(contradictory)]
    return [job for job in jobs if job.image.name not in contradictory], bad


def _used(labels: Sequence[Path]) -> set[int]:
    """The classes used in the label files. Errors are ignored until the film is read."""
    used = set()
    for path in labels:
        try:
            used |= {int(float(fields[0])) for fields in read_text_lines(path)}
        except (FileError, ValueError, OverflowError):
            continue
    return used


def _read_film(job: _Job, classes: Classes) -> ReadFilm:
    row, name = job.row, pseudonym(stem_of(job.image))
    size_hw = checked_size_hw(job.image, name)
    vertebrae: tuple[Vertebra, ...] | None = None
    levels_from, remarks = LEVELS_LABELLED, list[Remark]()
    if job.label:
        corners, visibility, slots = _read_label(job.label, classes)
        corners = corners * np.array([size_hw[1], size_hw[0]])
        require_all_inside(corners, size_hw, job.label.name)
        visible = visibility == VISIBLE
        vertebrae, levels_from, remarks = vertebrae_of_label(
            corners, visible, slots, row.facing, job.label.name, classes.places, row.levels_from
        )
    aspect, aspect_given = resolve_pixel_aspect(row.pixel_aspect, row.spacing)
    film = Film(
        film_id=name,
        image=FileImage(job.image, name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=row.facing,
        patient=pseudonym(row.patient) if row.patient else name,
        source="own",
        split=job.split,
        levels_from=levels_from,
        spacing=row.spacing,
        sex=row.sex,
        age_years=row.age_years,
        pixel_aspect=aspect,
        aspect_given=aspect_given,
        path=job.image,
        reader=row.reader,
    )
    return ReadFilm(film, as_findings(job.image.name, remarks))


def _read_label(path: Path, classes: Classes) -> tuple[FloatArray, FloatArray, list[int | None]]:
    """(V, 4, 2) fractions, NaN where absent; (V, 4) visibility; and the slots. Vertebrae in the order of the file."""
    lines = read_pose_lines(path, classes.values_a_point)
    for number, class_id in enumerate(lines.classes, start=1):
        if classes.names and class_id not in classes.names:
            files = ", ".join(dict.fromkeys(source.name for source in classes.named_in))
            raise FileError(path.name, f"line {number}: class {class_id} is not among the names of {files}")
    table = lines.points[:, list(classes.places)]
    corners, visibility = table[..., :2].copy(), table[..., 2]
    corners[visibility == 0] = np.nan
    return corners, visibility, [classes.slots.get(class_id) for class_id in lines.classes]
