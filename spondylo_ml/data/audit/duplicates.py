"""Films that show the same exposure: equal pixel by pixel, or all but equal, cropped, zoomed or mirrored.

A perceptual hash (the signs of the lowest cosine frequencies) of the whole film, and of its labelled part, proposes
pairs; one is a near-duplicate where an affine map lays one thumbnail on the other with a high correlation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.image_facts import THUMBNAIL_PX, ImageFacts, Thumbnail
from spondylo_ml.data.components import connected_groups
from spondylo_ml.landmarks import Film, FloatArray

WHOLE_BITS, SPINE_BITS = 36, 40
"""Bits of 143 in which the hashes of a proposed pair differ at most; those of two patients differ in about 64."""

SAME_CORRELATION = 0.91
"""Correlation from which two aligned thumbnails are the same exposure; two films of one patient reach about 0.88."""

WORTH_ALIGNING = 0.15
"""Least correlation of the best of the first guesses from which a pair is aligned at all."""

LARGEST_ZOOM, LARGEST_SHEAR, LEAST_OVERLAP = 1.45, 0.1, 0.5
"""Maps beyond these lay noise on noise: zoom of either axis, shear, share of the film that the other one covers."""

STEPS: tuple[int, int, float] = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class SamePair:
    """Two films that show the same exposure."""

    first: int
    second: int
    exact: bool
    mirrored: bool


def find_same(facts: Sequence[ImageFacts | None]) -> list[SamePair]:
    """All pairs of films that show the same exposure."""
    seen = [(i, fact) for i, fact in enumerate(facts) if fact is not None and fact.exposure.range_grey > 1]
    known, kept = np.array([i for i, _ in seen], dtype=np.int64), [fact for _, fact in seen]
    exact = set(_exact_pairs(kept))
    pairs = [SamePair(int(known[i]), int(known[j]), True, False) for i, j in sorted(exact)]
    for mirrored in (False, True):
        for i, j in _proposed(kept, mirrored):
            if (i, j) not in exact and _is_same(kept[i], kept[j], mirrored):
                exact.add((i, j))
                pairs.append(SamePair(int(known[i]), int(known[j]), False, mirrored))
    return pairs


def same_groups(pairs: Sequence[SamePair], count: int) -> list[list[int]]:
    """Places of the films of each exposure that occurs more than once."""
    groups = connected_groups(((pair.first, pair.second) for pair in pairs), count)
    return [group for group in groups if len(group) > 1]


def check_duplicates(films: Sequence[Film], pairs: Sequence[SamePair]) -> list[AuditFinding]:
    """One finding a group: an error where it lies in two parts, else a warning."""
    findings = []
    for group in same_groups(pairs, len(films)):
        own = [pair for pair in pairs if pair.first in group]
        parts = sorted({str(films[i].split) for i in group})
        patients = {films[i].patient for i in group}
        said = "equal pixel by pixel" if all(p.exact for p in own) else "all but equal"
        mirrored = ", some mirrored" if any(p.mirrored for p in own) else ""
        message = f"{len(group)} films of the same exposure ({said}{mirrored})"
        if len(patients) > 1:
            message += f", under {len(patients)} patients' names"
        if len(parts) > 1:
            message += f", in {' and '.join(parts)}: a network would be evaluated on films that it was trained on"
        severity = Severity.ERROR if len(parts) > 1 else Severity.WARNING
        findings.append(AuditFinding(severity, "duplicate", tuple(films[i].film_id for i in group), message))
    return findings


def _exact_pairs(facts: Sequence[ImageFacts]) -> Iterator[tuple[int, int]]:
    seen: dict[str, int] = {}
    for place, fact in enumerate(facts):
        if fact.pixels_sha256 in seen:
            yield seen[fact.pixels_sha256], place
        else:
            seen[fact.pixels_sha256] = place


def _proposed(facts: Sequence[ImageFacts], mirrored: bool) -> list[tuple[int, int]]:
    """Pairs whose hashes are alike, either of the whole films or of their labelled parts."""
    whole = np.array([fact.whole_dct for fact in facts])
    labelled = [i for i, fact in enumerate(facts) if fact.spine_dct is not None]
    spine = np.array([facts[i].spine_dct for i in labelled])
    pairs = set(_alike(whole, WHOLE_BITS, mirrored))
    pairs |= {(labelled[i], labelled[j]) for i, j in _alike(spine, SPINE_BITS, mirrored)}
    return sorted(pairs)


def _alike(dct: FloatArray, most_bits: int, mirrored: bool) -> Iterator[tuple[int, int]]:
    """Pairs of (N, h, w) cosine frequencies whose signs differ in at most `most_bits` places."""
    if len(dct) < 2:
        return
    hashes = _packed(dct)
    # Mirroring a picture changes the sign of every odd horizontal frequency.
    others = _packed(dct * (-1.0) ** np.arange(dct.shape[2])) if mirrored else hashes
    for start in range(0, len(hashes), ROWS_AT_ONCE):
        rows = hashes[start : start + ROWS_AT_ONCE]
        bits = np.bitwise_count(rows[:, None] ^ others[None]).sum(axis=-1)
        for i, j in zip(*np.nonzero(bits <= most_bits), strict=True):
            if start + i < j:
                yield start + int(i), int(j)


def _packed(dct: FloatArray) -> NDArray[np.uint8]:
    """(N, bytes) one bit a frequency: above the median of the film's own or not; the mean grey is left out."""
    rows = dct.reshape(len(dct), -1)[:, 1:]
    return np.packbits(rows > np.median(rows, axis=1, keepdims=True), axis=1)


def _is_same(first: ImageFacts, second: ImageFacts, mirrored: bool) -> bool:
    """Whether a small affine map lays one thumbnail on the other, once the best of three guesses is refined."""
    one, other = first.thumbnail, second.thumbnail
    other = np.ascontiguousarray(other[:, ::-1]) if mirrored else other
    guesses = [np.array([1.0, 1.0, 0.0, 0.0]), *_by_shift(one, other), *_by_labels(first, second, mirrored)]
    fits = [_correlation(one, other, guess) for guess in guesses]
    best = guesses[int(np.argmax(fits))]
    return max(fits) >= WORTH_ALIGNING and _refined(one, other, best) >= SAME_CORRELATION


def _refined(first: Thumbnail, second: Thumbnail, zoom_and_shift: FloatArray) -> float:
    """Enhanced correlation coefficient of the nearest affine map; 0 where that is no small one."""
    start = _matrix(zoom_and_shift).astype(np.float32)
    everywhere = np.full(first.shape, 255, dtype=np.uint8)
    try:
        value, found = cv2.findTransformECC(first, second, start, cv2.MOTION_AFFINE, STEPS, everywhere, 3)
    except cv2.error:  # it did not converge
        return 0.0
    found = np.asarray(found, dtype=np.float64)
    zoom, shear = np.diag(found[:, :2]), np.abs([found[0, 1], found[1, 0]])
    if shear.max() > LARGEST_SHEAR or _correlation(first, second, np.concatenate([zoom, found[:, 2]])) < 0:
        return 0.0
    return float(value)


def _matrix(zoom_and_shift: FloatArray) -> FloatArray:
    (x, y), (dx, dy) = zoom_and_shift[:2], zoom_and_shift[2:]
    return np.array([[x, 0, dx], [0, y, dy]])


def _by_shift(first: Thumbnail, second: Thumbnail) -> list[FloatArray]:
    """The shift that phase correlation suggests."""
    window = cv2.createHanningWindow((THUMBNAIL_PX, THUMBNAIL_PX), cv2.CV_32F)
    # Copies: OpenCV multiplies the pictures that it is given by the window.
    (dx, dy), _ = cv2.phaseCorrelate(first.copy(), second.copy(), window)
    return [np.array([1.0, 1.0, dx, dy])]


def _by_labels(first: ImageFacts, second: ImageFacts, mirrored: bool) -> list[FloatArray]:
    """The zoom and shift that lay the labelled part of one film on that of the other."""
    if first.spine_box is None or second.spine_box is None:
        return []
    box = second.spine_box.copy()
    if mirrored:
        box[[0, 2]] = 1 - box[[2, 0]]
    zoom = (box[2:] - box[:2]) / (first.spine_box[2:] - first.spine_box[:2])
    return [np.concatenate([zoom, (box[:2] - zoom * first.spine_box[:2]) * THUMBNAIL_PX])]


def _correlation(first: Thumbnail, second: Thumbnail, zoom_and_shift: FloatArray) -> float:
    """Correlation where both films overlap once the second is moved; -1 for a map that is too large.

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
