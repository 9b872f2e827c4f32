"""A plain folder of films without labels: PNG, JPEG, TIFF, BMP or DICOM, side by side.

`image_file` says how files of more than 8 bits, of colour and with an orientation are read. A `films.csv` (see
`films_csv`) may name patient, facing, spacing and pixel aspect. In runs the films appear under pseudonyms.
"""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.data.film_pixels import checked_size_hw, looks_like_a_film
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.names import FILM_SUFFIXES, is_hidden, stem_of
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.films_csv import FILMS_CSV, FilmRow, read_films_csv
from spondylo_ml.data.readers.pairing import duplicate_stems, group_by_stem, images_in
from spondylo_ml.landmarks import Film, SlotRange, resolve_pixel_aspect

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
        """All films directly in the folder; what else lies there is listed."""
        table = read_films_csv(root)
        images = images_in(root)
        groups = group_by_stem(images)
        alone = [paths[0] for paths in groups.values() if len(paths) == 1]
        doubled = [finding for paths in groups.values() if len(paths) > 1 for finding in duplicate_stems(paths)]
        read, errors = read_each(alone, lambda path: _read_film(path, table.of(path.name)))
        notes = [*_not_read(root), *table.remarks(images)]
        bad = [*doubled, *map(as_finding, errors)]
        return make_film_set(self.kind, root, read, SLOTS, bad, notes, private=True)


def _read_film(path: Path, said: FilmRow) -> ReadFilm:
    name = pseudonym(stem_of(path))
    aspect, given = resolve_pixel_aspect(said.pixel_aspect, said.spacing)
    return ReadFilm(
        Film(
            film_id=name,
            image=FileImage(path, name),
            size_hw=checked_size_hw(path, name),
            vertebrae=None,
            facing=said.facing,
            patient=pseudonym(said.patient) if said.patient else name,
            source="own",
            spacing=said.spacing,
            sex=said.sex,
            age_years=said.age_years,
            pixel_aspect=aspect,
            aspect_given=given,
            path=path,
        )
    )


def _not_read(root: Path) -> list[FileFinding]:
    """Whatever in the folder is no film and not hidden: a folder within, a note."""
    listed = sorted(p for p in root.iterdir() if not is_hidden(p) and p.name != FILMS_CSV)
    others = [p for p in listed if p.is_dir() or not looks_like_a_film(p)]
    return [
        FileFinding(
            p.name, "a folder within the folder: not read" if p.is_dir() else "no film that is read here: left out"
        )
        for p in others
    ]
