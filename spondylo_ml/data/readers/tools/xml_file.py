"""Parse XML without entities.

The standard library's parsers expand entities that a document declares, so that a small file can fill the memory or
name other files. Annotations have no use for a document type, which alone can declare entities: expat tells when one
begins, and the file is refused there. That is what `defusedxml` does too, in so few lines that a package is not needed.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from spondylo_ml.errors import FileError


class _DoctypeError(Exception):
    """The file has a document type."""


def read_xml(path: Path) -> Element:
    """The root element of a file.

    Raises:
        FileError: the file cannot be opened, is not XML, has an encoding that is not supported, or has a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise FileError(path.name, f"cannot be opened ({type(error).__name__})") from None
    except expat.ExpatError:
        raise FileError(path.name, "not valid XML (truncated, or another format)") from None
    except (ValueError, LookupError):
        raise FileError(path.name, "its encoding is not supported: save it as UTF-8") from None
    except _DoctypeError:
        raise FileError(
            path.name, "has a document type (<!DOCTYPE ...>), which annotations do not need: remove it"
        ) from None
    return builder.close()


def _refuse(*_: object) -> None:
    raise _DoctypeError
