"""Pseudonyms for films whose file names may contain a patient's name.

A pseudonym is a keyed hash (HMAC-SHA-256) of the name with a salt that each user keeps: a film has the same pseudonym
in all runs of one user, and nobody without the salt can find the name by trying names. The salt is in the file named by
`SPONDYLO_SALT_FILE`, by default `.spondylo_salt` in the user's home. It is created on first use, readable only by that
user. Losing it loses the link between old and new runs, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import uuid
from functools import cache
from pathlib import Path

from spondylo_ml.data.names import same_form
from spondylo_ml.errors import DataError

SALT_VARIABLE = "SPONDYLO_SALT_FILE"
SALT_FILE = ".spondylo_salt"
SALT_BYTES = 32

_PSEUDONYM = re.compile(r"anon-[0-9a-f]{16}")


def pseudonym(name: str) -> str:
    """`anon-` and 16 hex digits for a name in any Unicode form; a pseudonym is returned unchanged.

    Raises:
        DataError: the salt cannot be read or created.
    """
    return name if is_pseudonym(name) else keyed_pseudonym(name)


def is_pseudonym(name: str) -> bool:
    """Whether a name looks like a pseudonym, by whatever salt."""
    return _PSEUDONYM.fullmatch(name) is not None


def keyed_pseudonym(name: str) -> str:
    """Like `pseudonym`, but also a pseudonym gets a new one: nobody can tell whose salt made the old one."""
    return "anon-" + _keyed(same_form(name)).hex()[:16]


def keyed_uid(uid: str) -> str:
    """A UID (2.25 and the number of a UUID) for a DICOM UID, the same one whenever the salt is the same."""
    return f"2.25.{uuid.UUID(bytes=_keyed(f'uid {uid}')[:16], version=4).int}"


def _keyed(text: str) -> bytes:
    return hmac.new(_salt(salt_file()), text.encode(), hashlib.sha256).digest()


def salt_file() -> Path:
    """Path of this user's salt."""
    path = os.environ.get(SALT_VARIABLE)
    return Path(path).expanduser() if path else Path.home() / SALT_FILE


def require_salt_outside(folder: Path) -> None:
    """Raise `DataError` if the salt lies in a folder that is to be passed on."""
    if salt_file().resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"the salt of all pseudonyms, {salt_file()}, must not lie in {folder}: with it, names can be tried out; "
            f"name another file with {SALT_VARIABLE}"
        )


@cache
def _salt(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_salt(path)
        salt = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise DataError(
            f"the salt of film names in {path} cannot be read or created ({type(error).__name__}): repair or delete "
            f"it, or name another file with {SALT_VARIABLE}"
        ) from None
    if len(salt) < SALT_BYTES:
        raise DataError(f"the salt of film names in {path} is cut off: restore it, or delete it for a new one")
    return salt


def _make_salt(path: Path) -> None:
    """Create the salt atomically, never replacing an existing one: two runs may start at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(SALT_BYTES) + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
