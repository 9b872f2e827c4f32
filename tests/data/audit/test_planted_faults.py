"""The audit finds no error in synthetic films, and finds each fault that is planted in a copy of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from builders import ArrayImage

from spondylo_ml.data.audit import duplicates
from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.duplicates import find_same, same_groups
from spondylo_ml.data.audit.findings import Audit, AuditFinding, Severity
from spondylo_ml.data.audit.image_facts import ImageFacts, measure_images
from spondylo_ml.data.audit.order import check_vertebra_order
from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.data.phantom import STYLE_NAMES, phantom_film
from spondylo_ml.data.split import split_by_patient
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, FloatArray, GreyImage, SlotRange, Vertebra
from spondylo_ml.spacing import Spacing

COUNT, LONG_SIDE_PX = 60, 192
FilmChange = Callable[[Film], Film]


@pytest.fixture(scope="module")
def clean() -> FilmSet:
    """Sixty synthetic films of similar styles in three splits, rendered once, in which planted faults stand out."""
    films = phantom_films(COUNT, 5, LONG_SIDE_PX, ("aged", "transitional", "steep", "flat", "local", "print", "export"))
    rendered = tuple(replace(film, image=ArrayImage(film.image.read())) for film in films.films)
    return replace(films, films=split_by_patient(rendered, 0.2, 0.1, 0))


Facts = list[ImageFacts | None]


@pytest.fixture(scope="module")
def facts(clean: FilmSet) -> Facts:
    return measure_images(clean.films)


@pytest.fixture(scope="module")
def findings_before(clean: FilmSet, facts: Facts) -> tuple[AuditFinding, ...]:
    """What is found in the clean films."""
    return audit_films(clean, facts).findings


@pytest.fixture(scope="module")
def plain(clean: FilmSet, facts: Facts) -> int:
    """Index of a film of six to eight vertebrae that faces left and has the highest bone contrast."""
    contrast = [measure.bone_contrast if measure else 0.0 for measure in facts]
    candidates = [i for i, f in enumerate(clean.films) if f.facing == "left" and 6 <= len(f.vertebrae or ()) <= 8]
    return max(candidates, key=lambda i: contrast[i])


def audit(films: FilmSet, measured: Facts | None = None) -> Audit:
    """The audit of the films, which are measured if they are not yet."""
    measured = measure_images(films.films) if measured is None else measured
    return audit_films(films, measured, find_same(measured))


def findings_of(films: FilmSet, check: str, measured: Facts | None = None) -> list[AuditFinding]:
    return [finding for finding in audit(films, measured).findings if finding.check == check]


def changed(clean: FilmSet, index: int, change: FilmChange) -> FilmSet:
    """A copy in which one film is changed."""
    films = list(clean.films)
    films[index] = change(films[index])
    return replace(clean, films=tuple(films))


def with_corners(film: Film, change: Callable[[FloatArray], FloatArray], slots: tuple[int, ...] = ()) -> Film:
    """The film with the (4, 2) corners of some vertebrae changed, or of all if `slots` is empty."""
    vertebrae = tuple(
        Vertebra(v.slot, change(v.corners_xy)) if not slots or v.slot in slots else v for v in film.vertebrae or ()
    )
    return replace(film, vertebrae=vertebrae)


def with_pixels(film: Film, change: Callable[[GreyImage], GreyImage]) -> Film:
    return replace(film, image=ArrayImage(change(film.image.read())))


def reversed_slots(film: Film) -> Film:
    vertebrae = film.vertebrae or ()
    pairs = zip(vertebrae, reversed(vertebrae), strict=True)
    return replace(film, vertebrae=tuple(Vertebra(v.slot, other.corners_xy) for v, other in pairs))


def exchanged(film: Film, first: int, second: int) -> Film:
    """Exchange the levels of two vertebrae."""
    corners = {v.slot: v.corners_xy for v in film.vertebrae or ()}
    corners[first], corners[second] = corners[second], corners[first]
    return replace(film, vertebrae=tuple(Vertebra(slot, quad) for slot, quad in corners.items()))


def missed(film: Film, slot: int) -> Film:
    """Skip a vertebra, so that those above it are one level too low."""
    remaining = [v for v in film.vertebrae or () if v.slot != slot]
    return replace(film, vertebrae=tuple(Vertebra(i, v.corners_xy) for i, v in enumerate(remaining)))


def doubled(film: Film, slot: int) -> Film:
    """Label a body twice, so that those above it are one level too high."""
    quads = [v.corners_xy for v in film.vertebrae or ()]
    quads.insert(slot, quads[slot] + 1.0)
    return replace(film, vertebrae=tuple(Vertebra(i, quad) for i, quad in enumerate(quads)))


def left_out(film: Film, slot: int) -> Film:
    return replace(film, vertebrae=tuple(v for v in film.vertebrae or () if v.slot != slot))


def mirrored_keeping_facing(film: Film) -> Film:
    mirrored = film.mirrored_labels()
    return with_pixels(replace(mirrored, facing=film.facing), lambda pixels: np.ascontiguousarray(pixels[:, ::-1]))


def stretched(film: Film) -> Film:
    height, width = film.size_hw
    wider = with_pixels(film, lambda pixels: np.asarray(cv2.resize(pixels, (2 * width, height)), dtype=np.uint8))
    return with_corners(replace(wider, size_hw=(height, 2 * width)), lambda quad: quad * [2.0, 1.0])


def enlarged(film: Film) -> Film:
    """A film of eight times as many pixels."""
    height, width = (8 * side for side in film.size_hw)
    larger = with_pixels(film, lambda pixels: np.asarray(cv2.resize(pixels, (width, height)), dtype=np.uint8))
    return with_corners(replace(larger, size_hw=(height, width), spacing=None), lambda quad: quad * 8.0)


def bodies_shrunk(film: Film) -> Film:
    """All labels shrunk to a third of their size."""
    return with_corners(film, lambda quad: quad / 3.0 + 20.0)


def corner_pulled(quad: FloatArray) -> FloatArray:
    """One corner far below where it was."""
    out = quad.copy()
    out[0] += 0.7 * (quad[2] - quad[0])
    return out


def moved_aside(quad: FloatArray) -> FloatArray:
    return quad + 0.8 * (quad[1] - quad[0])


def reordered(*order: int) -> FilmChange:
    return lambda film: with_corners(film, lambda quad: quad[list(order)])


def spaced(x_mm: float, y_mm: float) -> FilmChange:
    return lambda film: replace(film, spacing=Spacing(x_mm, y_mm, "test"))


PLANTED: dict[str, tuple[FilmChange, str, Severity, str]] = {
    "left and right exchanged": (reordered(1, 0, 3, 2), "corner_order", Severity.ERROR, "left and right"),
    "top and bottom exchanged": (reordered(2, 3, 0, 1), "corner_order", Severity.ERROR, "superior edge is not"),
    "TL, TR, BR, BL": (reordered(0, 1, 3, 2), "corner_order", Severity.ERROR, "crosses itself"),
    "TL, BL, TR, BR": (reordered(0, 2, 1, 3), "corner_order", Severity.ERROR, "whole label"),
    "a quarter turn": (reordered(2, 0, 3, 1), "corner_order", Severity.ERROR, "whole label"),
    "one crossing outline": (
        lambda f: with_corners(f, lambda q: q[[0, 1, 3, 2]], (3,)), "corner_order", Severity.ERROR,
        "^L3: its outline crosses itself",
    ),
    "slots from the head down": (reversed_slots, "vertebra_order", Severity.ERROR, "run from the head down"),
    "two levels exchanged": (lambda f: exchanged(f, 2, 3), "vertebra_order", Severity.ERROR, "L3 lies below L4"),
    "a level left out": (lambda f: left_out(f, 2), "vertebra_order", Severity.WARNING, "no level between L5 and L3"),
    "a vertebra missed": (lambda f: missed(f, 3), "gap", Severity.WARNING, "a vertebra missed"),
    "a body labelled twice": (lambda f: doubled(f, 2), "overlap", Severity.ERROR, "one body listed twice"),
    "a corner out of place": (
        lambda f: with_corners(f, corner_pulled, (3,)), "body_shape", Severity.WARNING, r"unusual shape of L3 \(left",
    ),
    "a body beside the spine": (
        lambda f: with_corners(f, moved_aside, (3,)), "body_step", Severity.WARNING, "L3 on L4",
    ),
    "mirrored, facing not": (mirrored_keeping_facing, "mirrored_film", Severity.WARNING, "the wrong sign"),
    "stretched": (stretched, "stretched_film", Severity.WARNING, "as wide for their height"),
    "far larger film": (enlarged, "film_size", Severity.WARNING, "longer side 1536, 192 is usual"),
    "tiny bodies": (bodies_shrunk, "body_size", Severity.WARNING, "of the film's longer side wide"),
    "impossible spacing": (spaced(9.0, 9.0), "spacing", Severity.WARNING, "20 to 75 are possible"),
    "oblong pixels": (
        lambda f: spaced(f.spacing.x_mm, 1.3 * f.spacing.y_mm)(f) if f.spacing else f, "spacing", Severity.WARNING,
        "square",
    ),
    "blank": (
        lambda f: with_pixels(f, lambda p: np.full_like(p, 77)), "blank_film", Severity.ERROR, "nothing can be seen",
    ),
    "almost black": (
        lambda f: with_pixels(f, lambda p: np.where(p > np.percentile(p, 92), p, 0).astype(np.uint8)), "exposure",
        Severity.WARNING, "of the film is black",
    ),
    "almost white": (
        lambda f: with_pixels(f, lambda p: np.vstack([p[: len(p) // 12], np.full_like(p[len(p) // 12 :], 255)])),
        "exposure", Severity.WARNING, "of the film is white",
    ),
    "hardly any contrast": (
        lambda f: with_pixels(f, lambda p: (p // 10 + 100).astype(np.uint8)), "exposure", Severity.WARNING,
        "its grey levels span",
    ),
    "negative": (lambda f: with_pixels(f, lambda p: 255 - p), "inverted_film", Severity.WARNING, "a negative"),
}  # fmt: skip


def test_sixty_films_of_all_styles_have_no_error() -> None:
    films = phantom_films(COUNT, 5, LONG_SIDE_PX)
    films = replace(films, films=split_by_patient(films.films, 0.2, 0.1, 0))
    assert {name for index in range(COUNT) for name in phantom_film(5, index).style.names} == set(STYLE_NAMES)
    assert [str(finding) for finding in audit(films).of(Severity.ERROR)] == []


@pytest.mark.parametrize(
    ("offset", "severity", "message"),
    [
        (0.0, Severity.ERROR, "L5 lies below S1"),
        (1.0, Severity.WARNING, "L5 lies below S1 and beside it: spondyloptosis, or a wrong order"),
    ],
)
def test_a_vertebra_below_and_beside_the_lower_one_may_be_a_spondyloptosis(
    clean: FilmSet, plain: int, offset: float, severity: Severity, message: str
) -> None:
    first, second, *others = clean.films[plain].vertebrae or ()
    step = second.corners_xy.mean(axis=0) - first.corners_xy.mean(axis=0)
    across = np.array([step[1], -step[0]])
    fallen = Vertebra(second.slot, second.corners_xy - 1.6 * step + offset * across)
    film = replace(clean.films[plain], vertebrae=(first, fallen, *others))
    (finding,) = check_vertebra_order([film])
    assert (finding.severity, finding.message) == (severity, message)


def test_synthetic_films_of_all_grades_pass_the_order_check() -> None:
    films = phantom_films(2000, 0, 256)
    assert [str(finding) for finding in check_vertebra_order(films.films) if finding.severity is Severity.ERROR] == []


def test_the_clean_set_has_no_error(clean: FilmSet, facts: Facts) -> None:
    result = audit(clean, facts)
    assert [str(finding) for finding in result.of(Severity.ERROR)] == []
    assert result.images_checked


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_on_its_film_alone(
    clean: FilmSet, facts: Facts, findings_before: tuple[AuditFinding, ...], plain: int, fault: str
) -> None:
    change, check, severity, pattern = PLANTED[fault]
    damaged = changed(clean, plain, change)
    name = clean.films[plain].film_id
    before = {f.films for f in findings_before if f.check == check and f.severity is severity}
    assert (name,) not in before, "the fault is not there before it is planted"
    measured = [*facts[:plain], *measure_images([damaged.films[plain]]), *facts[plain + 1 :]]
    new = [f for f in audit_films(damaged, measured).findings if f.check == check and f.severity is severity]
    assert {f.films for f in new} - before == {(name,)}
    (message,) = (f.message for f in new if f.films == (name,))
    assert re.search(pattern, message)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("parts", "severity"), [(("train", "val"), "error"), (("train", "train"), "warning")])
def test_a_film_that_occurs_twice_is_found(
    clean: FilmSet, facts: Facts, plain: int, mirrored: bool, exact: bool, parts: tuple[str, str], severity: str
) -> None:
    first = replace(clean.films[plain], split=parts[0])
    copy = replace(first, film_id="copy", patient="another", split=parts[1])
    if mirrored:
        copy = replace(copy.mirrored_labels(), image=ArrayImage(np.ascontiguousarray(copy.image.read()[:, ::-1])))
    if not exact:
        copy = as_exported_again(copy)
    films = replace(clean, films=(*clean.films[:plain], first, *clean.films[plain + 1 :], copy))
    (finding,) = findings_of(films, "duplicate", [*facts, *measure_images([copy])])
    assert finding.severity == severity
    assert finding.films == (first.film_id, "copy")
    assert ("identical pixels" in finding.message) == (exact and not mirrored)
    assert ("mirrored" in finding.message) == mirrored
    assert "with 2 different patients" in finding.message
    assert ("a network would be evaluated on films that it was trained on" in finding.message) == (severity == "error")


def test_of_many_films_that_resemble_each_other_the_closest_are_aligned(
    clean: FilmSet, plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are found to be one exposure, since each has its closest ones among them."""
    monkeypatch.setattr(duplicates, "ALIGNED_AT_ONCE", 7)  # so that they are aligned in several parts
    film, source = clean.films[plain], np.random.default_rng(0)
    pixels = film.image.read().astype(np.int16)
    noisy = (np.clip(pixels + source.integers(-8, 9, pixels.shape), 0, 255).astype(np.uint8) for _ in range(24))
    copies = [replace(film, film_id=str(n), image=ArrayImage(grey)) for n, grey in enumerate(noisy)]
    pairs = find_same(measure_images(copies))
    assert same_groups(pairs, 24) == [list(range(24))]
    assert len(pairs) < 24 * 23 / 2


def test_areas_of_one_grey_level_resemble_nothing() -> None:
    with np.errstate(all="raise"):
        assert list(duplicates._similar(np.zeros((3, 12, 12)), duplicates.SPINE_BITS, mirrored=False)) == []


def as_exported_again(film: Film) -> Film:
    """Cropped by a sixteenth on two sides, brighter, resized and compressed."""
    pixels = film.image.read()
    height, width = film.size_hw
    dx, dy = width // 16, height // 16
    crop = cv2.convertScaleAbs(pixels[dy:, dx:], alpha=0.8, beta=25)
    again = cv2.resize(crop, (2 * (width - dx), 2 * (height - dy)))
    jpeg = cv2.imencode(".jpg", again, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    size_hw = (int(decoded.shape[0]), int(decoded.shape[1]))
    mirrored = replace(film, image=ArrayImage(decoded), size_hw=size_hw, spacing=None)
    return with_corners(mirrored, lambda quad: (quad - [dx, dy]) * 2)


def test_a_patient_in_two_parts_is_an_error(clean: FilmSet, facts: Facts) -> None:
    films = [replace(film, split="train") for film in clean.films]
    films[3] = replace(films[3], patient="one")
    films[4] = replace(films[4], patient="one", split="val")
    (finding,) = findings_of(replace(clean, films=tuple(films)), "patient_in_two_parts", facts)
    assert finding.severity is Severity.ERROR
    assert finding.films == tuple(sorted((films[3].film_id, films[4].film_id)))
    assert "train and val" in finding.message


def test_vertebrae_beyond_the_slots_are_named(clean: FilmSet) -> None:
    index = next(i for i, film in enumerate(clean.films) if len(film.vertebrae or ()) > 5)
    few = replace(clean, films=(clean.films[index],), slots=SlotRange(0, 5))
    (finding,) = findings_of(few, "slot_overflow")
    assert finding.severity is Severity.WARNING
    assert finding.message.startswith("L1")
    assert 5 in finding.slots


def test_findings_of_the_reader_are_in_the_audit(clean: FilmSet, facts: Facts) -> None:
    with_notes = replace(
        clean, bad_files=(FileFinding("a.jpg", "broken"),), notes=(FileFinding("b.json", "reordered"),)
    )
    result = audit(with_notes, facts)
    expected = AuditFinding(Severity.ERROR, "bad_file", ("a.jpg",), "broken")
    assert result.of(Severity.ERROR) == (expected,)
    assert AuditFinding(Severity.REMARK, "reader_remark", ("b.json",), "reordered") in result.findings


def test_pixels_that_cannot_be_read_later_are_a_bad_file(clean: FilmSet) -> None:
    class Gone(ArrayImage):
        def read(self) -> GreyImage:
            raise DataError("gone.jpg: not an image")

    films = changed(clean, 2, lambda film: replace(film, image=Gone(np.zeros((1, 1), np.uint8))))
    (finding,) = findings_of(films, "bad_file")
    assert finding.films == (clean.films[2].film_id,)


def test_too_few_films_for_statistics_are_reported(clean: FilmSet) -> None:
    (finding,) = findings_of(replace(clean, films=clean.films[:4]), "not_checked")
    assert finding.severity is Severity.REMARK
    assert "too few" in finding.message


def test_an_empty_dataset_can_be_audited(clean: FilmSet) -> None:
    assert audit(replace(clean, films=())).findings == ()
