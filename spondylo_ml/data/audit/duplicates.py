"""Find films of the same exposure: identical pixels, or nearly identical, cropped, zoomed or mirrored films.

Perceptual hashes (signs of the lowest cosine frequencies) of the whole film and of its labelled region propose pairs:
of each film, those with the few others whose frequencies resemble its own most. A pair is a near-duplicate if an affine
map aligns the two thumbnails with a high correlation. Comparing hashes is fast and grows with the square of the number
of films; aligning is slow and grows with their number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.image_facts import THUMBNAIL_PX, ImageFacts, Thumbnail
from spondylo_ml.data.components import connected_groups
from spondylo_ml.landmarks import Film, FloatArray

WHOLE_BITS, SPINE_BITS = 36, 40
"""Largest number of differing bits, of 143, for a proposed pair; hashes of two patients differ in about 64."""

LEAST_COSINE = 0.88
"""Smallest cosine between the frequencies of a proposed pair. Of the 23 pairs of real films of one exposure in
SpineWeb-16, the labelled regions have 0.93 or more, the whole films 0.84 or more."""

CLOSEST = 4
"""Most films that are proposed for one film by one hash, those of the greatest cosine. Of the 23 pairs, 22 are the
closest films of one of the two, one (of three films of one exposure) the second closest."""

SAME_CORRELATION = 0.91
"""Smallest correlation of two aligned thumbnails of the same exposure; two films of one patient reach about 0.88."""

WORTH_ALIGNING = 0.45
"""A pair is aligned only if the best initial guess reaches this correlation; the 23 pairs reach 0.51 or more."""

LARGEST_ZOOM, LARGEST_SHEAR, LEAST_OVERLAP = 1.45, 0.1, 0.5
"""Limits of a plausible map: zoom of either axis, shear, and share of the film covered by the other one."""

STEPS: tuple[int, int, float] = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
PAIRS_AT_ONCE = 1 << 20  # compared by their hashes
ALIGNED_AT_ONCE = 1 << 10


@dataclass(frozen=True)
class SamePair:
    """Two films of the same exposure.

    Attributes:
        first: index of the first film.
        second: index of the second film.
        exact: whether their pixels are identical.
        mirrored: whether one is mirrored.
    """

    first: int
    second: int
    exact: bool
    mirrored: bool


def find_same(facts: Sequence[ImageFacts | None]) -> list[SamePair]:
    """Find all pairs of films of the same exposure. Blank films and those without facts are ignored."""
    usable = [(i, fact) for i, fact in enumerate(facts) if fact is not None and fact.exposure.range_grey > 1]
    index, kept = [i for i, _ in usable], [fact for _, fact in usable]
    paired = set(_exact_pairs(kept))
    pairs = [SamePair(index[i], index[j], True, False) for i, j in sorted(paired)]
    with ThreadPoolExecutor() as pool:  # OpenCV, in which the time goes, needs no lock
        for mirrored in (False, True):
            proposed = [pair for pair in _proposed(kept, mirrored) if pair not in paired]
            found = []
            # In parts: the pool keeps a task for each pair, and after Ctrl-C works until all are done.
            for start in range(0, len(proposed), ALIGNED_AT_ONCE):
                some = proposed[start : start + ALIGNED_AT_ONCE]
                first, second = ([kept[pair[end]] for pair in some] for end in (0, 1))
                same = pool.map(_is_same, first, second, repeat(mirrored))
                found += [pair for pair, is_same in zip(some, same, strict=True) if is_same]
            paired.update(found)
            pairs += [SamePair(index[i], index[j], False, mirrored) for i, j in found]
    return pairs


def same_groups(pairs: Sequence[SamePair], count: int) -> list[list[int]]:
    """Indices of the films of each exposure that occurs more than once."""
    groups = connected_groups(((pair.first, pair.second) for pair in pairs), count)
    return [group for group in groups if len(group) > 1]


def check_duplicates(films: Sequence[Film], pairs: Sequence[SamePair]) -> list[AuditFinding]:
    """One finding per group of duplicates: an error if the group spans two splits, else a warning."""
    findings = []
    pairs_of: dict[int, list[SamePair]] = defaultdict(list)
    for pair in pairs:
        pairs_of[pair.first].append(pair)
    for group in same_groups(pairs, len(films)):
        group_pairs = [pair for i in group for pair in pairs_of[i]]
        parts = sorted({str(films[i].split) for i in group})
        patients = {films[i].patient for i in group}
        similarity = "identical pixels" if all(pair.exact for pair in group_pairs) else "nearly identical"
        mirrored = ", some mirrored" if any(pair.mirrored for pair in group_pairs) else ""
        message = f"{len(group)} films of the same exposure ({similarity}{mirrored})"
        if len(patients) > 1:
            message += f", with {len(patients)} different patients"
        if len(parts) > 1:
            message += f", in {' and '.join(parts)}: a network would be evaluated on films that it was trained on"
        severity = Severity.ERROR if len(parts) > 1 else Severity.WARNING
        names = tuple(films[i].film_id for i in group)
        findings.append(AuditFinding(severity, "duplicate", names, message, excess=float(len(group))))
    return findings


def _exact_pairs(facts: Sequence[ImageFacts]) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    for index, fact in enumerate(facts):
        if fact.pixels_sha256 in first:
            yield first[fact.pixels_sha256], index
        else:
            first[fact.pixels_sha256] = index


def _proposed(facts: Sequence[ImageFacts], mirrored: bool) -> list[tuple[int, int]]:
    """Pairs with similar hashes of the whole films or of their labelled regions."""
    whole = np.array([fact.whole_dct for fact in facts])
    labelled = [i for i, fact in enumerate(facts) if fact.spine_dct is not None]
    spine = np.array([facts[i].spine_dct for i in labelled])
    pairs = set(_similar(whole, WHOLE_BITS, mirrored))
    pairs |= {(labelled[i], labelled[j]) for i, j in _similar(spine, SPINE_BITS, mirrored)}
    return sorted(pairs)


def _similar(dct: FloatArray, most_bits: int, mirrored: bool) -> Iterator[tuple[int, int]]:
    """Pairs i < j of (N, h, w) cosine frequencies whose hashes differ in at most `most_bits` bits.

    Of each film, only the pairs with the `CLOSEST` others are given, and none whose cosine is below `LEAST_COSINE`.
    """
    if len(dct) < 2:
        return
    # Mirroring an image changes the sign of every odd horizontal frequency.
    mirror_image = dct * (-1.0) ** np.arange(dct.shape[2]) if mirrored else dct
    hashes, directions = _packed(dct), _directions(dct)
    others, other_directions = (_packed(mirror_image), _directions(mirror_image)) if mirrored else (hashes, directions)
    step = max(1, PAIRS_AT_ONCE // len(hashes))
    for start in range(0, len(hashes), step):
        rows = hashes[start : start + step]
        bits = np.zeros((len(rows), len(others)), dtype=np.uint8)
        for word in range(hashes.shape[1]):
            bits += np.bitwise_count(rows[:, word, None] ^ others[None, :, word])
        for row in np.nonzero((bits <= most_bits).any(axis=1))[0]:
            i = start + int(row)
            (within,) = np.nonzero(bits[row] <= most_bits)
            cosines = other_directions[within] @ directions[i]
            likely = (cosines >= LEAST_COSINE) & (within != i)
            for j in within[likely][np.argsort(-cosines[likely], kind="stable")[:CLOSEST]].tolist():
                yield (i, j) if i < j else (j, i)


def _packed(dct: FloatArray) -> NDArray[np.uint64]:
    """(N, words) one bit per frequency: whether it is above the film's median. The mean grey level is left out."""
    rows = dct.reshape(len(dct), -1)[:, 1:]
    bits = np.packbits(rows > np.median(rows, axis=1, keepdims=True), axis=1)
    return np.ascontiguousarray(np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))).view(np.uint64)


def _directions(dct: FloatArray) -> NDArray[np.float32]:
    """(N, h w - 1) frequencies scaled to length 1, without the mean grey level; 0 for an area of one grey level."""
    rows = dct.reshape(len(dct), -1)[:, 1:]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9), dtype=np.float32)


def _is_same(first: ImageFacts, second: ImageFacts, mirrored: bool) -> bool:
    """Whether a small affine map aligns the two thumbnails, refined from the best of several initial guesses."""
    one, other = first.thumbnail, second.thumbnail
    other = np.ascontiguousarray(other[:, ::-1]) if mirrored else other
    guesses = [np.array([1.0, 1.0, 0.0, 0.0]), *_by_shift(one, other), *_by_labels(first, second, mirrored)]
    fits = [_correlation(one, other, guess) for guess in guesses]
    best = guesses[int(np.argmax(fits))]
    return max(fits) >= WORTH_ALIGNING and _refined(one, other, best) >= SAME_CORRELATION


def _refined(first: Thumbnail, second: Thumbnail, zoom_and_shift: FloatArray) -> float:
    """Enhanced correlation coefficient of the refined affine map; 0 if that fails or the map is too large."""
    start = _matrix(zoom_and_shift).astype(np.float32)
    everywhere = np.full(first.shape, 255, dtype=np.uint8)
    try:
        value, matrix = cv2.findTransformECC(first, second, start, cv2.MOTION_AFFINE, STEPS, everywhere, 3)
    except cv2.error:  # it did not converge
        return 0.0
    matrix = np.asarray(matrix, dtype=np.float64)
    zoom, shear = np.diag(matrix[:, :2]), np.abs([matrix[0, 1], matrix[1, 0]])
    if shear.max() > LARGEST_SHEAR or _correlation(first, second, np.concatenate([zoom, matrix[:, 2]])) < 0:
        return 0.0
    return float(value)


def _matrix(zoom_and_shift: FloatArray) -> FloatArray:
    (x, y), (dx, dy) = zoom_and_shift[:2], zoom_and_shift[2:]
    return np.array([[x, 0, dx], [0, y, dy]])


def _by_shift(first: Thumbnail, second: Thumbnail) -> list[FloatArray]:
    """Initial guess: the shift from phase correlation."""
    window = cv2.createHanningWindow((THUMBNAIL_PX, THUMBNAIL_PX), cv2.CV_32F)
    # OpenCV multiplies its input by the window, hence the copies.
    (dx, dy), _ = cv2.phaseCorrelate(first.copy(), second.copy(), window)
    return [np.array([1.0, 1.0, dx, dy])]


def _by_labels(first: ImageFacts, second: ImageFacts, mirrored: bool) -> list[FloatArray]:
    """Initial guess: the zoom and shift that align the labelled regions."""
    if first.spine_box is None or second.spine_box is None:
        return []
    box = second.spine_box.copy()
    if mirrored:
        box[[0, 2]] = 1 - box[[2, 0]]
    zoom = (box[2:] - box[:2]) / (first.spine_box[2:] - first.spine_box[:2])
    return [np.concatenate([zoom, (box[:2] - zoom * first.spine_box[:2]) * THUMBNAIL_PX])]


def _correlation(first: Thumbnail, second: Thumbnail, zoom_and_shift: FloatArray) -> float:
    """Correlation in the overlap of the first and the transformed second thumbnail; -1 if the map is too large.

    Args:
        zoom_and_shift: zoom in x and y, then shift in px, from the first thumbnail to the second.
    """
    zoom, shift = zoom_and_shift[:2], zoom_and_shift[2:]
    if zoom.min() < 1 / LARGEST_ZOOM or zoom.max() > LARGEST_ZOOM:
        return -1.0
    low = np.clip(np.ceil(-shift / zoom), 0, THUMBNAIL_PX).astype(int)
    high = np.clip(np.floor((THUMBNAIL_PX - 1 - shift) / zoom) + 1, 0, THUMBNAIL_PX).astype(int)
    if (high <= low).any() or np.prod(high - low) < LEAST_OVERLAP * THUMBNAIL_PX**2:
        return -1.0
    moved = cv2.warpAffine(
        second, _matrix(zoom_and_shift), first.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    a, b = first[window] - first[window].mean(), moved[window] - moved[window].mean()
    return float((a * b).sum() / max(1e-9, np.sqrt((a * a).sum() * (b * b).sum())))
