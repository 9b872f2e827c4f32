"""YOLO-pose labels for one's own films: a line a vertebra, a file a film.

Layout: `images/{train,val,test}/<film>` with `labels/{train,val,test}/<film>.txt`, or flat, `images/` and `labels/`
without parts, or as Roboflow writes it, `{train,valid,test}/images/` and `labels/`; valid and validation mean val. A
line holds 17 fields, `class cx cy w h` and four times `x y visibility`, as shares of width and height; visibility 0 is
absent, 1 labelled but hidden, 2 visible.

What the classes are and in what order the corners come is said by `names` (a class for each level, such as S1, L5; else
one class, and the lowest vertebra is taken for S1), `kpt_names` (else superior left, superior right, inferior left,
inferior right) and `kpt_shape` ([4, 2]: no visibilities, all are visible); `yolo_classes` says in which files.
`films.csv` (see `films_csv`) carries patient, facing, spacing, and films that have no label on purpose. In runs the
films appear under pseudonyms.
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
from spondylo_ml.data.readers.films_csv import FilmRow, FilmsCsv, read_films_csv
from spondylo_ml.data.readers.pairing import images_in, pair_by_stem
from spondylo_ml.data.readers.parts import folders_by_part, folders_in, parse_part, unread_subfolders
from spondylo_ml.data.readers.pose_lines import read_pose_lines
from spondylo_ml.data.readers.remarks import Remark, as_findings
from spondylo_ml.data.readers.yolo_classes import Classes, read_classes, require_levels
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import LEVELS_LABELLED, Film, FloatArray, Vertebra, resolve_pixel_aspect

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
        """Whether both folders lie in `root`, or in a folder of it that is named as a part."""
        return bool(_pairs_of_folders(root))

    def read(self, root: Path) -> FilmSet:
        """All films of all parts.

        Raises:
            DataError: the classes' names, or films.csv, cannot be understood; or classes without names.
        """
        places, bad = _places(root)
        table, classes = read_films_csv(root), read_classes(root, [place.labels for place in places])
        jobs: list[_Job] = []
        for place in places:
            found, alone = _jobs(root, place, table, classes)
            jobs += found
            bad += alone
        require_levels(classes, _used([job.label for job in jobs if job.label]), root)
        read, errors = read_each(jobs, lambda job: _read_film(job, classes))
        notes = table.remarks([job.image for job in jobs], (Path(finding.file).stem for finding in bad))
        slots = slot_range_of(one.film for one in read)
        return make_film_set(self.kind, root, read, slots, [*bad, *map(as_finding, errors)], notes, private=True)


@dataclass(frozen=True)
class _Place:
    """Two folders whose files belong together."""

    images: Path
    labels: Path
    part: str | None


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path | None
    split: str | None
    said: FilmRow


def _pairs_of_folders(root: Path) -> list[_Place]:
    """images/ and labels/ in the folder itself, and in those of its folders that are named as parts."""
    found = [(root, None), *((folder, parse_part(folder.name)) for folder in folders_in(root))]
    pairs = [_Place(f / "images", f / "labels", part) for f, part in found if f == root or part is not None]
    return [pair for pair in pairs if pair.images.is_dir() and pair.labels.is_dir()]


def _places(root: Path) -> tuple[list[_Place], list[FileFinding]]:
    """Where films and labels lie, and the folders of which nobody would miss the films."""
    places, bad = [], list[FileFinding]()
    for pair in _pairs_of_folders(root):
        places.append(pair)
        if pair.part is None:
            within, strange = folders_by_part(pair.images, pair.labels)
            places += [_Place(images, labels, part) for images, labels, part in within]
            bad += strange
            for images, labels, _ in within:
                bad += [*unread_subfolders(images), *unread_subfolders(labels, LABELS)]
        else:
            bad += [*unread_subfolders(pair.images), *unread_subfolders(pair.labels, (".txt",))]
    return places, bad


def _jobs(root: Path, place: _Place, table: FilmsCsv, classes: Classes) -> tuple[list[_Job], list[FileFinding]]:
    pairs, alone = pair_by_stem(place.images, place.labels, LABELS, root)
    jobs = [_Job(image, label, place.part, table.of(image.name)) for image, label in pairs]
    unlabelled = {p.name: p for p in images_in(place.images) if not table.of(p.name).labelled}
    wanted = {finding.file for finding in alone if finding.reason == "no label"} & unlabelled.keys()
    jobs += [_Job(unlabelled[name], None, place.part, table.of(name)) for name in sorted(wanted)]
    said_not = {job.image.name for job in jobs if job.label and not job.said.labelled}
    lists = {path.name for path in classes.named_in if path.parent == place.labels}
    bad = [finding for finding in alone if finding.file not in wanted | lists]
    bad += [FileFinding(name, "has a label, but films.csv says that it has none") for name in sorted(said_not)]
    return [job for job in jobs if job.image.name not in said_not], bad


def _used(labels: Sequence[Path]) -> set[int]:
    """The classes in the label files; what is wrong with a file is reported when it is read."""
    used = set()
    for path in labels:
        try:
            used |= {int(float(fields[0])) for fields in read_text_lines(path)}
        except (FileError, ValueError, OverflowError):
            continue
    return used


def _read_film(job: _Job, classes: Classes) -> ReadFilm:
    name = pseudonym(stem_of(job.image))
    size_hw = checked_size_hw(job.image, name)
    vertebrae: tuple[Vertebra, ...] | None = None
    levels_from, remarks = LEVELS_LABELLED, list[Remark]()
    if job.label:
        corners, visibility, slots = _read_label(job.label, classes)
        corners = corners * np.array([size_hw[1], size_hw[0]])
        require_all_inside(corners, size_hw, job.label.name)
        seen = visibility == VISIBLE
        vertebrae, levels_from, remarks = vertebrae_of_label(
            corners, seen, slots, job.said.facing, job.label.name, classes.places, job.said.levels_from
        )
    aspect, given = resolve_pixel_aspect(job.said.pixel_aspect, job.said.spacing)
    film = Film(
        film_id=name,
        image=FileImage(job.image, name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=job.said.facing,
        patient=pseudonym(job.said.patient) if job.said.patient else name,
        source="own",
        split=job.split,
        levels_from=levels_from,
        spacing=job.said.spacing,
        sex=job.said.sex,
        age_years=job.said.age_years,
        pixel_aspect=aspect,
        aspect_given=given,
        path=job.image,
    )
    return ReadFilm(film, as_findings(job.image.name, remarks))


def _read_label(path: Path, classes: Classes) -> tuple[FloatArray, FloatArray, list[int | None]]:
    """(V, 4, 2) shares, NaN where absent; (V, 4) visibility; slots. Vertebrae as in the file."""
    lines = read_pose_lines(path, classes.values_a_point)
    for number, one in enumerate(lines.classes, start=1):
        if classes.names and one not in classes.names:
            files = ", ".join(dict.fromkeys(source.name for source in classes.named_in))
            raise FileError(path.name, f"line {number}: class {one} is not among the names of {files}")
    table = lines.points[:, list(classes.places)]
    corners, visibility = table[..., :2].copy(), table[..., 2]
    corners[visibility == 0] = np.nan
    return corners, visibility, [classes.slots.get(one) for one in lines.classes]
