"""BUU-LSPINE (Burapha University): lateral and AP films of the lumbar spine, corners on the endplates.

Layout: `{AP,LA}/<id>-<F|M>-<age>Y{0=AP,1=LA}.jpg` with a `.csv` of the same stem and no header; each row is an
endplate, `x1,y1,x2,y2,label` in px: L1 superior, L1 inferior, ... L5 inferior, and on lateral films S1 superior, so
that S1 has two corners. Point 1 is the left one on the image. `label` is a visual grading (0 none, 1 and 2
laterolisthesis, 3 antero-, 4 retrolisthesis), which is validated but not used. The spacing comes from
`pixel_spacing.csv` (`filename,pixel_spacing_mm`) beside the folders, if there is one, or from `films.csv` (see
`films_csv`), which may also hold pixel aspect, patient and facing.

The published lateral films face left; the facing of films with other names is unknown. One of the two folders may be
read alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.bodies import label_remarks, make_vertebrae, require_all_inside
from spondylo_ml.data.readers.buu_name import BuuName, buu_name
from spondylo_ml.data.readers.fields import parse_floats
from spondylo_ml.data.readers.film_row import FILMS_CSV, FilmRow, parse_spacing, with_row
from spondylo_ml.data.readers.films_csv import film_stem, read_films_csv, require_any_match
from spondylo_ml.data.readers.pairing import files_in, images_in, pair_by_stem
from spondylo_ml.data.readers.parts import unread_subfolders
from spondylo_ml.data.readers.remarks import Remark, as_findings
from spondylo_ml.data.readers.text import read_csv_rows
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film, FloatArray, SlotRange
from spondylo_ml.spacing import Spacing

SPACING_FILE = "pixel_spacing.csv"
ROW_FIELDS, LABELS = 5, range(5)
N_LUMBAR = 5
N_ROWS = {"AP": 2 * N_LUMBAR, "LA": 2 * N_LUMBAR + 1}
ALL_EXCHANGED = "every row has x1 > x2: points exchanged; the film may be mirrored, facing unknown"
LATERAL_SLOTS, FRONTAL_SLOTS = SlotRange(0, N_LUMBAR + 1), SlotRange(1, N_LUMBAR)


class BuuReader:
    """Reads the layout described above."""

    kind = "buu"
    layout = "AP/ and LA/, or one of them, with <film>.jpg and <film>.csv side by side, and pixel_spacing.csv"
    marks: tuple[str, ...] = ("AP", "LA")

    def recognises(self, root: Path) -> bool:
        """Whether `root` is, or holds, a folder of one view with labels."""
        return any(files_in(folder, (".csv",)) and images_in(folder) for folder in _views(root))

    def read(self, root: Path) -> FilmSet:
        """All films of both views."""
        spacings, bad = _spacings(root)
        table = read_films_csv(root)
        jobs: list[_Job] = []
        for folder, view in _views(root).items():
            pairs, unpaired = pair_by_stem(folder, folder, (".csv",), root)
            jobs += [_Job(image, label, view, spacings.get(stem_of(image))) for image, label in pairs]
            bad += [finding for finding in unpaired if finding.file not in (SPACING_FILE, FILMS_CSV)]
            bad += [] if folder == root else unread_subfolders(folder)
        read, errors = read_each(jobs, lambda job: _read_film(job, table.of(job.image.name)))
        images = [image for folder in _views(root) for image in images_in(folder)]
        stems = {stem_of(image) for image in images}
        # A spacing file in the parent folder may belong to other films and need not match.
        if any((folder / SPACING_FILE).is_file() for folder in (root, *_views(root))):
            require_any_match(spacings, stems, SPACING_FILE)
        notes = [
            FileFinding(stem, f"in {SPACING_FILE}, but there is no such film") for stem in spacings if stem not in stems
        ]
        notes += table.remarks(images)
        lateral = any(job.view == "LA" for job in jobs)
        slots = LATERAL_SLOTS if lateral or not jobs else FRONTAL_SLOTS
        return make_film_set(self.kind, root, read, slots, [*bad, *map(as_finding, errors)], notes)


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path
    view: str
    spacing: Spacing | None


def _views(root: Path) -> dict[Path, str]:
    """Each folder of films with its view, AP or LA."""
    below = {root / view: view for view in N_ROWS if (root / view).is_dir()}
    if below:
        return below
    views = [name.view for path in images_in(root) if (name := _published(path.stem))]
    folder_name = root.resolve().name
    view = folder_name if folder_name in N_ROWS else max(views, key=views.count) if views else None
    return {root: view} if view else {}


def _published(stem: str) -> BuuName | None:
    """The parsed name of a film of the published dataset; None for any other name, or one with a suffix."""
    name = buu_name(stem)
    return name if name and not name.rest else None


def _read_film(job: _Job, row: FilmRow) -> ReadFilm:
    published = _published(job.image.stem)
    if published and published.view != job.view:
        digit = int(published.view == "LA")
        raise FileError(job.image.name, f"named as a film of view {published.view} (Y{digit}), but is in {job.view}/")
    size_hw = checked_size_hw(job.image)
    endplates, remarks, mirrored = _endplates(job.label, job.view)
    corners = _bodies(endplates)
    require_all_inside(corners, size_hw, job.label.name)
    lowest = 0 if job.view == "LA" else 1
    slots = range(lowest, lowest + len(corners))
    vertebrae = make_vertebrae(corners, ~np.isnan(corners[..., 0]), slots)
    lateral_facing = Facing.LEFT if published and not mirrored else Facing.UNKNOWN
    film = Film(
        film_id=stem_of(job.image),
        image=FileImage(job.image, job.image.name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=lateral_facing if job.view == "LA" else Facing.NONE,
        patient=published.patient if published else stem_of(job.image),
        source="buu",
        spacing=job.spacing,
        pixel_aspect=job.spacing.pixel_aspect if job.spacing else 1.0,
        path=job.image,
        sex=published.sex if published else "",
        age_years=published.age_years if published else None,
    )
    notes = as_findings(job.label.name, (*remarks, *label_remarks(vertebrae)))
    return ReadFilm(with_row(film, row), notes)


def _endplates(path: Path, view: str) -> tuple[FloatArray, list[Remark], bool]:
    """Read (E, 2, 2) endplates from L1 down, left point first.

    Returns:
        The endplates, remarks on rows whose points were exchanged, and whether all rows were.
    """
    rows = read_csv_rows(path)
    if len(rows) != N_ROWS[view]:
        last = "then S1 superior" if view == "LA" else "no S1 on AP films"
        raise FileError(path.name, f"{len(rows)} rows, {N_ROWS[view]} are needed for {view}: L1 to L5, {last}")
    points = []
    for number, fields in enumerate(rows, start=1):
        if len(fields) != ROW_FIELDS:
            raise FileError(
                path.name, f"row {number} has {len(fields)} fields, {ROW_FIELDS} are needed (x1,y1,x2,y2,label)"
            )
        *numbers, label = parse_floats(fields, path.name, f"row {number}")
        if label not in LABELS:
            raise FileError(path.name, f"row {number}: label must be a whole number from 0 to 4", f", found {label:g}")
        points.append(numbers)
    endplates = np.array(points).reshape(-1, 2, 2)
    swapped = endplates[:, 0, 0] > endplates[:, 1, 0]
    endplates[swapped] = endplates[swapped][:, ::-1]
    if swapped.all():
        return endplates, [Remark(ALL_EXCHANGED)], True
    row_numbers = ", ".join(str(row + 1) for row in np.flatnonzero(swapped))
    remarks = [Remark(f"x1 > x2 in row {row_numbers}: points exchanged")] if row_numbers else []
    return endplates, remarks, False


def _bodies(endplates: FloatArray) -> FloatArray:
    """(V, 4, 2) corners from the lowest vertebra up, with the inferior corners of S1 absent."""
    lumbar = endplates[: 2 * N_LUMBAR].reshape(N_LUMBAR, 4, 2)[::-1]
    if len(endplates) == 2 * N_LUMBAR:
        return lumbar
    sacrum = np.concatenate([endplates[-1], np.full((2, 2), np.nan)])
    return np.concatenate([sacrum[None], lumbar])


def _spacings(root: Path) -> tuple[dict[str, Spacing], list[FileFinding]]:
    """Spacing by film stem, and findings on rows that cannot be used."""
    candidates = [root / SPACING_FILE, *(folder / SPACING_FILE for folder in _views(root))]
    if root.resolve().name in N_ROWS:
        candidates.append(root.resolve().parent / SPACING_FILE)
    table: dict[str, Spacing] = {}
    bad: list[FileFinding] = []
    for path in dict.fromkeys(path for path in candidates if path.is_file()):
        try:
            rows = read_csv_rows(path)
        except FileError as error:
            bad.append(as_finding(error))
            continue
        if rows and rows[0][0].strip().lower() == "filename":
            rows = rows[1:]
        for row in rows:
            try:
                _add_spacing(table, row)
            except FileError as error:
                bad.append(as_finding(error))
    return table, bad


def _add_spacing(table: dict[str, Spacing], row: list[str]) -> None:
    name = row[0].strip()
    where = f"the row of {name}"
    if len(row) != 2:
        raise FileError(SPACING_FILE, f"{where} has {len(row)} fields, 2 are needed (filename,pixel_spacing_mm)")
    if film_stem(name) in table:
        raise FileError(SPACING_FILE, f"{where} is not the first row of this film")
    mm = parse_floats(row[1:], SPACING_FILE, where)[0]
    table[film_stem(name)] = parse_spacing(mm, mm, SPACING_FILE, SPACING_FILE, where)
