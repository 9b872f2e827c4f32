"""Look-up tables of DICOM files (PS3.3 C.11.1 and C.11.2): from stored or rescaled levels to other ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from spondylo_ml.data.dicom.header import Header, OddElementError
from spondylo_ml.landmarks import FloatArray

WHOLE = 1 << 16
BITS = range(8, 17)


@dataclass(frozen=True)
class Lut:
    """A table.

    Attributes:
        first: the level that has the first entry; lower ones have it too, and those beyond the last have the last.
        entries: what the table gives.
        top: the highest value that it could give, by the bits that it names or, where it gives none so high or gives
            higher ones, by its own highest.
    """

    first: int
    entries: FloatArray
    top: float

    def __call__(self, levels: FloatArray) -> FloatArray:
        """The entries of levels, of any shape."""
        at = np.clip(levels.round() - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[at])


def read_lut(item: Dataset, signed: bool) -> Lut:
    """The table in an item of a sequence.

    Args:
        signed: whether the levels that are looked up are: then so is the first of them.

    Raises:
        OddElementError: descriptor or data are not as in the standard.
    """
    header = Header(item)
    descriptor = header.numbers("LUTDescriptor")
    if len(descriptor) != 3 or any(number != int(number) for number in descriptor):
        raise OddElementError("LUTDescriptor")
    count, first, bits = (int(number) for number in descriptor)
    count = count % WHOLE or WHOLE
    if bits not in BITS:
        raise OddElementError("LUTDescriptor")
    if signed and first >= WHOLE // 2:
        first -= WHOLE
    entries = _entries(header.values("LUTData"), count)
    named, highest = 2.0**bits - 1, float(entries.max())
    top = named if named / 2 < highest <= named else highest
    return Lut(first, entries, max(top, 1.0))


def _entries(values: tuple[Any, ...], count: int) -> FloatArray:
    """The entries: listed numbers, or words of two bytes; or, where these are half as many, bytes."""
    if len(values) == 1 and isinstance(values[0], bytes):
        kind = "<u2" if len(values[0]) >= 2 * count else "u1"
        table: NDArray[Any] = np.frombuffer(values[0][: len(values[0]) // 2 * 2], dtype=kind)
    else:
        try:
            table = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise OddElementError("LUTData") from None
        table = np.where(table < 0, table + WHOLE, table)
    if len(table) not in (count, count + 1) or count < 2:
        raise OddElementError("LUTData")
    return table[:count].astype(np.float64)
