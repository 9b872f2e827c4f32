"""A folder of films without labels: PNG, JPEG, TIFF, BMP or DICOM files side by side.

See `image_file` for how files with more than 8 bits, colour or an orientation are read. A `films.csv` (see `films_csv`)
may state patient, facing, spacing and pixel aspect. Films appear under pseudonyms in runs.
"""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.data.film_pixels import checked_size_hw, looks_like_a_film
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.names import FILM_SUFFIXES, is_hidden, stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.film_row import FILMS_CSV, FilmRow
from spondylo_ml.data.readers.films_csv import read_films_csv
from spondylo_ml.data.readers.pairing import duplicate_stems, group_by_stem, images_in
from spondylo_ml.landmarks import Film, SlotRange
from spondylo_ml.spacing import resolve_pixel_aspect

SLOTS = SlotRange(first=0, count=10)


class FolderReader:
    """Reads the layout described above."""

    kind = "folder"
    layout = "films without labels, side by side (" + ", ".join(FILM_SUFFIXES) + ")"
    marks: tuple[str, ...] = ()

    def recognises(self, root: Path) -> bool:
        """Whether any film lies directly in `root`."""
        return bool(images_in(root))

    def read(self, root: Path) -> FilmSet:
        """All films directly in the folder, with notes on its other contents."""
        table = read_films_csv(root)
        images = images_in(root)
        groups = group_by_stem(images)
        unique = [paths[0] for paths in groups.values() if len(paths) == 1]
        duplicates = [finding for paths in groups.values() if len(paths) > 1 for finding in duplicate_stems(paths)]
        read, errors = read_each(unique, lambda path: _read_film(path, table.of(path.name)))
        notes = [*_unread(root), *table.remarks(images)]
        bad = [*duplicates, *map(as_finding, errors)]
        return make_film_set(self.kind, root, read, SLOTS, bad, notes, private=True)


def _read_film(path: Path, row: FilmRow) -> ReadFilm:
    name = pseudonym(stem_of(path))
    aspect, aspect_given = resolve_pixel_aspect(row.pixel_aspect, row.spacing)
    return ReadFilm(
        Film(
            film_id=name,
            image=FileImage(path, name),
            size_hw=checked_size_hw(path, name),
            vertebrae=None,
            facing=row.facing,
            patient=pseudonym(row.patient) if row.patient else name,
            source="own",
            spacing=row.spacing,
            sex=row.sex,
            age_years=row.age_years,
            pixel_aspect=aspect,
            aspect_given=aspect_given,
            path=path,
            reader=row.reader,
        )
    )


def _unread(root: Path) -> list[FileFinding]:
    """Notes on subfolders and files that are not films; hidden ones are ignored."""
    entries = sorted(p for p in root.iterdir() if not is_hidden(p) and p.name != FILMS_CSV)
    others = [p for p in entries if p.is_dir() or not looks_like_a_film(p)]
    return [
        FileFinding(
            p.name, "a folder within the folder: not read" if p.is_dir() else "no film that is read here: left out"
        )
        for p in others
    ]
