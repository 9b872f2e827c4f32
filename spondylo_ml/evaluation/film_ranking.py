"""The films that represent an evaluation: the best, the median and the worst ones."""

from __future__ import annotations

import numpy as np

from spondylo_ml.landmarks import FloatArray


def best_median_worst(errors: FloatArray, count: int) -> list[tuple[str, int]]:
    """Choose up to `count` films of each kind, none twice, by their errors; the first films if none has an error.

    Args:
        errors: (N,) error of each film, NaN for a film without labels.

    Returns:
        Label, such as `best-1`, and index of each film.
    """
    order = [int(i) for i in np.argsort(errors, kind="stable") if not np.isnan(errors[i])]
    if not order:
        return [(f"film-{rank + 1}", rank) for rank in range(min(3 * count, len(errors)))]
    middle = max(0, (len(order) - count) // 2)
    groups = {"best": order[:count], "worst": order[::-1][:count], "median": order[middle : middle + count]}
    used: set[int] = set()
    films = []
    for label, indices in groups.items():
        for rank, index in enumerate(indices, start=1):
            if index not in used:
                used.add(index)
                films.append((f"{label}-{rank}", index))
    # A film that is the worst of a few is called that rather than the median; the median still comes second.
    return sorted(films)
