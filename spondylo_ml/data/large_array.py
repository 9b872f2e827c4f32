"""Arrays of many films, which may be larger than memory."""

from __future__ import annotations

import math
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spondylo_ml.errors import DataError

LARGEST_IN_MEMORY_BYTES = 1 << 30


def empty_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array to be filled, in memory if it is small.

    A larger one lies in a temporary file without a name, of which the operating system keeps in memory what fits. The
    file is gone with the last reference to the array, also if the process is killed.

    Raises:
        DataError: the folder of temporary files has no room for it.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes <= LARGEST_IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        try:
            file.truncate(n_bytes)
            # A mapped file without room ends the process at the first write, without a message.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
        except OSError as error:
            raise DataError(
                f"the folder of temporary files, {tempfile.gettempdir()}, has no room for {n_bytes / 1e9:.1f} GB of "
                f"films ({error.strerror}): set TMPDIR to a folder with more room, use fewer films, or a smaller input"
            ) from None
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))
