"""Names of files and patients: one Unicode form for comparison, suffixes of films, hidden files."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePath

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
DICOM_SUFFIXES = (".dcm", ".dicom")
FILM_SUFFIXES = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)


def same_form(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS stores 'é' as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def stem_of(path: PurePath) -> str:
    """The file name without its suffix, in `same_form`; a number at the end, as in `1.2.840`, is not a suffix."""
    return same_form(path.name if path.suffix[1:].isdecimal() else path.stem)


def is_hidden(path: Path, root: Path | None = None) -> bool:
    """Whether the file, or a folder between `root` and it, has a name that begins with a dot, as in `._film.png`."""
    parts = path.relative_to(root).parts if root is not None else (path.name,)
    return any(part.startswith(".") for part in parts)


def is_dead_link(path: Path) -> bool:
    """Whether the path is a broken link."""
    return path.is_symlink() and not path.exists()


def is_listed(path: Path) -> bool:
    """Whether a reader must account for the path: a file, or a broken link, that is not hidden."""
    return not is_hidden(path) and (path.is_file() or is_dead_link(path))
