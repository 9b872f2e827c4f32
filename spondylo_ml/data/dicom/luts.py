"""Look-up tables of DICOM files (PS3.3 C.11.1 and C.11.2), applied to stored or rescaled levels."""

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
    """A look-up table.

    Attributes:
        first: level of the first entry; lower levels map to the first entry, levels beyond the last to the last.
        entries: output values.
        top: output value of full brightness: the maximum of the stated bits, or the largest entry if that is at most
            half of this maximum or above it.
    """

    first: int
    entries: FloatArray
    top: float

    def __call__(self, levels: FloatArray) -> FloatArray:
        """Look up levels of any shape."""
        index = np.clip(levels.round() - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[index])


def read_lut(item: Dataset, signed: bool) -> Lut:
    """Read the table in an item of a LUT sequence.

    Args:
        signed: whether the input levels are signed; the first level in the descriptor then is, too.

    Raises:
        OddElementError: descriptor or data violate the standard.
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
    stated, highest = 2.0**bits - 1, float(entries.max())
    top = stated if stated / 2 < highest <= stated else highest
    return Lut(first, entries, max(top, 1.0))


def _entries(values: tuple[Any, ...], count: int) -> FloatArray:
    """The entries, given as numbers, as two-byte words, or as single bytes if there are too few for words."""
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
