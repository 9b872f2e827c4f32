"""Pair films with labels in two folders by the stem of their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from spondylo_ml.data.film_pixels import looks_like_a_film
from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.names import FILM_SUFFIXES, stem_of


def files_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files directly in `folder` with one of the suffixes, in any case, sorted by name, without hidden ones.

    Broken links are included, so that they are reported as files that cannot be read.
    """
    return sorted(path for path in _listed_in(folder) if path.suffix.lower() in suffixes)


def images_in(folder: Path) -> list[Path]:
    """Films directly in `folder` (images and DICOM), sorted by name."""
    return sorted(path for path in _listed_in(folder) if looks_like_a_film(path))


def _listed_in(folder: Path) -> list[Path]:
    """The files and broken links directly in `folder` that `is_listed`, in any order.

    A scan already says which entries are files, which counts where a folder above a dataset holds thousands.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if not entry.name.startswith(".") and _is_file(entry)]


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file or a broken link."""
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry))


def group_by_stem(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Paths by stem, in a single Unicode normal form."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(stem_of(path), []).append(path)
    return groups


def pair_by_stem(
    images: Path, labels: Path, suffixes: Sequence[str], root: Path
) -> tuple[list[tuple[Path, Path]], list[FileFinding]]:
    """Pairs of film and label; and a finding for each film or label that is unpaired or ambiguous."""
    labels_by_stem = group_by_stem(files_in(labels, suffixes))
    pairs, bad = [], []
    for stem, films in group_by_stem(images_in(images)).items():
        matches = labels_by_stem.pop(stem, [])
        if len(films) > 1:
            bad += duplicate_stems(films)
        elif len(matches) == 1:
            pairs.append((films[0], matches[0]))
        elif matches:
            bad.append(FileFinding(films[0].name, "two labels", f": {', '.join(p.name for p in matches)}; keep one"))
        else:
            expected = f" {stem}{' or '.join(suffixes)} in {_below(labels, root)}"
            bad.append(FileFinding(films[0].name, "no label", expected))
    looked_for = f"label without its film in {_below(images, root)} (looked for {', '.join(FILM_SUFFIXES)})"
    bad += [FileFinding(path.name, looked_for) for paths in labels_by_stem.values() for path in paths]
    return pairs, bad


def duplicate_stems(films: Sequence[Path]) -> list[FileFinding]:
    """A finding for each of several films whose names differ only in suffix or Unicode form."""
    suffixes = " and ".join(path.suffix for path in films)
    return [FileFinding(path.name, f"two films of one name, as {suffixes}: keep one") for path in films]


def _below(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix()
