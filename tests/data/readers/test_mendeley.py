"""The Mendeley layout: real films, if available, and invalid films and labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from builders import (
    IMAGES,
    LABELS,
    SyntheticFilm,
    json_label,
    mendeley_folder,
    synthetic_film,
    txt_label,
    write_image,
    write_label,
)
from reading import corners_of

from spondylo_ml.clinical.outlines import edge_turns, signed_area_px2, toward_head
from spondylo_ml.data.films import FilmSet, require_usable
from spondylo_ml.data.readers import read_folder
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing

STEM = "90001-F-050Y1_jpg.rf.aa"


def one_film(root: Path, label: object, suffix: str = "json", film: SyntheticFilm | None = None) -> FilmSet:
    """A folder of one film with the given label, read."""
    write_image(root, "train", STEM, (film or synthetic_film()).pixels)
    write_label(root, "train", f"{STEM}.{suffix}", label)
    return read_folder(root)


def reason(root: Path, label: object, suffix: str = "json") -> str:
    """Why the label is a bad file."""
    films = one_film(root, label, suffix)
    assert films.films == ()
    (finding,) = films.bad_files
    assert finding.file == f"{STEM}.{suffix}"
    return finding.reason + finding.detail


# ---------------------------------------------------------------------------------------------- real lateral films


@pytest.fixture(scope="module")
def lateral(real_data: Path) -> FilmSet:
    return read_folder(real_data / "lumbar_films")


def test_the_four_real_lateral_films_are_read_without_a_remark(lateral: FilmSet) -> None:
    assert lateral.kind == "mendeley"
    assert lateral.bad_files == lateral.notes == ()
    assert sorted(f.split or "" for f in lateral.films) == ["train", "train", "val", "val"]
    assert sum(len(f.vertebrae or ()) for f in lateral.films) == 29
    assert {f.size_hw for f in lateral.films} == {(640, 640)}
    assert {f.source for f in lateral.films} == {"buu"}
    assert len({f.patient for f in lateral.films}) == 4
    assert {f.levels_from for f in lateral.films} == {"assumed: the lowest labelled vertebra is S1"}
    assert {f.facing for f in lateral.films} == {Facing.UNKNOWN}


def test_both_label_formats_are_among_the_real_films(real_data: Path) -> None:
    suffixes = sorted(p.suffix for p in (real_data / "lumbar_films" / LABELS).rglob("*.*") if p.is_file())
    assert suffixes == [".json", ".json", ".json", ".txt"]


def test_real_lateral_bodies_are_convex_and_have_their_corners_in_order(
    lateral: FilmSet,
) -> None:
    for film in lateral.films:
        corners = corners_of(film)
        for quad, up in zip(corners, toward_head(corners.mean(axis=1)), strict=True):
            assert (edge_turns(quad) > 0).all()
            assert signed_area_px2(quad) > 100
            assert (quad[:2].mean(axis=0) - quad[2:].mean(axis=0)) @ up > 0


def test_real_lateral_vertebrae_rise_from_the_sacrum(lateral: FilmSet) -> None:
    for film in lateral.films:
        assert (np.diff(corners_of(film).mean(axis=1)[:, 1]) < -20).all()
        assert [v.slot for v in film.vertebrae or ()] == list(range(len(film.vertebrae or ())))


def test_the_real_s1_endplate_slopes_down_and_forward_whatever_the_label_format(lateral: FilmSet) -> None:
    for film in lateral.films:
        s1 = corners_of(film)[0]
        # These films face left: the endplate's left end is the lower one, and the sacrum runs back to the right.
        assert s1[0, 1] > s1[1, 1] + 10
        assert s1[2:, 0].mean() > s1[:2, 0].mean() + 10


def test_real_discs_are_thin_beside_the_bodies_whatever_the_label_format(lateral: FilmSet) -> None:
    for film in lateral.films:
        corners = corners_of(film)
        disc = np.linalg.norm(corners[1:, 2:].mean(axis=1) - corners[:-1, :2].mean(axis=1), axis=1)
        body = np.linalg.norm(corners[:, 2:].mean(axis=1) - corners[:, :2].mean(axis=1), axis=1)
        assert np.median(disc) < 0.6 * np.median(body)


# ------------------------------------------------------------------------------------------------ Mendeley, by hand


@pytest.mark.parametrize("index", range(4))
def test_json_and_txt_of_the_same_film_read_as_the_same_corners(tmp_path: Path, index: int) -> None:
    film = synthetic_film(index)
    as_json = one_film(tmp_path / "json", json_label(film.corners_xy), "json", film)
    as_txt = one_film(tmp_path / "txt", txt_label(film.corners_xy, film.size_hw), "txt", film)
    for films in (as_json, as_txt):
        assert films.bad_files == films.notes == ()
        np.testing.assert_allclose(corners_of(films.films[0]), film.corners_xy, atol=1e-9)


def test_the_json_order_is_bl_br_tl_tr_and_the_txt_order_tl_bl_br_tr(tmp_path: Path) -> None:
    # A body from (10, 20) to (30, 40) on the 96 px film, one higher up; written by hand, not by the builders.
    boxes = ((10, 2, 30, 12), (10, 20, 30, 40))
    label = {"keypoints": [[[a, d, 1], [c, d, 1], [a, b, 1], [c, b, 1]] for a, b, c, d in boxes]}
    lower = [[10.0, 20.0], [30.0, 20.0], [10.0, 40.0], [30.0, 40.0]]
    film = one_film(tmp_path / "json", label).films[0]
    np.testing.assert_allclose(corners_of(film)[0], lower)
    height, width = film.size_hw
    lines = "".join(
        f"0 .5 .5 .1 .1 {a / width} {b / height} 2 {a / width} {d / height} 2 "
        f"{c / width} {d / height} 2 {c / width} {b / height} 2\n"
        for a, b, c, d in boxes
    )
    np.testing.assert_allclose(corners_of(one_film(tmp_path / "txt", lines, "txt").films[0])[0], lower, atol=1e-9)


def test_a_reversed_list_of_vertebrae_is_read_from_the_other_end_and_listed(tmp_path: Path) -> None:
    film = synthetic_film()
    label = json_label(film.corners_xy)
    label["keypoints"] = list(reversed(label["keypoints"]))  # type: ignore[call-overload]
    films = one_film(tmp_path, label, film=film)
    np.testing.assert_allclose(corners_of(films.films[0]), film.corners_xy)
    assert [n.reason for n in films.notes] == ["vertebrae listed from the sacrum up: read from the other end"]


def test_left_and_right_are_exchanged_on_labels_of_a_mirrored_film_with_a_note(tmp_path: Path) -> None:
    film = synthetic_film()
    width = film.size_hw[1]
    mirrored = film.corners_xy.copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]  # the exporter mirrors the points and keeps their names
    films = one_film(tmp_path, json_label(mirrored), film=film)
    np.testing.assert_allclose(corners_of(films.films[0]), mirrored[:, [1, 0, 3, 2]])
    assert [n.reason for n in films.notes] == [
        "left and right corners exchanged: the labels are those of a mirrored film"
    ]


@pytest.mark.parametrize("suffix", ["json", "txt"])
def test_a_corner_of_visibility_0_is_absent(tmp_path: Path, suffix: str) -> None:
    film = synthetic_film()
    visible = np.ones(film.corners_xy.shape[:2], dtype=bool)
    visible[0, 2:] = False  # S1 without its lower corners
    visible[2, 1] = False
    label = (
        json_label(film.corners_xy, visible) if suffix == "json" else txt_label(film.corners_xy, film.size_hw, visible)
    )
    films = one_film(tmp_path, label, suffix, film)
    vertebrae = films.films[0].vertebrae or ()
    np.testing.assert_array_equal([v.present for v in vertebrae], visible)
    np.testing.assert_array_equal([v.visible for v in vertebrae], visible)
    np.testing.assert_allclose(corners_of(films.films[0])[visible], film.corners_xy[visible])
    assert films.bad_files == films.notes == ()


def test_a_vertebra_without_any_corner_makes_its_label_bad(tmp_path: Path) -> None:
    film = synthetic_film()
    visible = np.ones(film.corners_xy.shape[:2], dtype=bool)
    visible[2] = False
    films = one_film(tmp_path, json_label(film.corners_xy, visible), film=film)
    assert films.films == ()
    (finding,) = films.bad_files
    assert "no visible corner" in finding.reason


def test_a_crossed_outline_is_kept_with_a_note(tmp_path: Path) -> None:
    film = synthetic_film()
    crossed = film.corners_xy.copy()
    crossed[1, [2, 3]] = crossed[1, [3, 2]]
    films = one_film(tmp_path, json_label(crossed), film=film)
    np.testing.assert_allclose(corners_of(films.films[0]), crossed)
    assert [str(n) for n in films.notes] == [f"{STEM}.json: L5: its outline crosses itself; corners kept as given"]
    assert films.bad_files == ()


def test_films_carry_their_split_patient_source_sex_and_age(tmp_path: Path) -> None:
    film = synthetic_film()
    stems = {
        "90001-F-050Y1_jpg.rf.aa": ("buu-90001", "buu", "F", 50),
        "90001-F-050Y1_jpg.rf.bb": ("buu-90001", "buu", "F", 50),
        "90002-M-999Y1_jpg.rf.aa": ("buu-90002", "buu", "M", None),
        "clip-7_jpg.rf.aa": ("clip-7", "honduras", "", None),
        "clip-7_jpg.rf.bb": ("clip-7", "honduras", "", None),
    }
    for stem in stems:
        write_image(tmp_path, "train", stem, film.pixels)
        write_label(tmp_path, "train", f"{stem}.json", json_label(film.corners_xy))
    films = read_folder(tmp_path).films
    assert {f.film_id: (f.patient, f.source, f.sex, f.age_years) for f in films} == stems


@pytest.mark.parametrize(("size_hw", "aspect"), [((640, 640), None), ((640, 480), 1.0)])
def test_a_film_of_the_size_of_the_exports_has_an_unknown_stretch(
    tmp_path: Path, size_hw: tuple[int, int], aspect: float | None
) -> None:
    write_image(tmp_path, "train", STEM, np.arange(size_hw[0] * size_hw[1]).reshape(size_hw).astype(np.uint8))
    write_label(tmp_path, "train", f"{STEM}.json", json_label(synthetic_film().corners_xy))
    (film,) = read_folder(tmp_path).films
    assert film.pixel_aspect == aspect


def test_the_synthetic_folder_is_read_without_remarks_and_its_test_films_have_no_labels(mendeley: Path) -> None:
    films = read_folder(mendeley)
    assert films.bad_files == films.notes == ()
    assert [f.split for f in films.films] == ["train"] * 3 + ["val"] * 2 + ["test"]
    assert [f.labelled for f in films.films] == [True] * 5 + [False]
    np.testing.assert_array_equal(films.films[0].image.read(), synthetic_film(0).pixels)


# ------------------------------------------------------------------------------------------------------- bad labels


def broken_keypoints(value: object) -> dict[str, object]:
    """A label that is valid except for one number."""
    label = json.loads(json.dumps(json_label(synthetic_film().corners_xy)))
    label["keypoints"][1][2][0] = value
    return dict(label)


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "nan"), (float("inf"), "inf"), (True, "True"), ("12", "'12'"), (None, "None"), ([1], r"\[1\]")],
)
def test_a_value_that_is_no_finite_number_makes_a_json_label_bad(tmp_path: Path, value: object, text: str) -> None:
    assert reason(tmp_path, broken_keypoints(value)) == (
        f"vertebra 1 must be finite numbers, found {text.replace(chr(92), '')}"
    )


def test_a_number_too_large_for_a_float_makes_a_json_label_bad(tmp_path: Path) -> None:
    assert "must be finite numbers" in reason(tmp_path, broken_keypoints(10**400))


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ('{"boxes": [[1, 2, 3, 4]], "keypoints": [[[1, 2,', "not valid JSON (truncated, or another format)"),
        ("", "not valid JSON (truncated, or another format)"),
        ([1, 2], "'keypoints' must list at least one vertebra"),
        ({"boxes": []}, "'keypoints' must list at least one vertebra"),
        ({"keypoints": []}, "'keypoints' must list at least one vertebra"),
        ({"keypoints": [[[1, 2, 1]] * 3]}, "vertebra 0 must hold 4 corners of x, y, visibility"),
        ({"keypoints": [[[1, 2]] * 4]}, "vertebra 0 must hold 4 corners of x, y, visibility"),
        ({"keypoints": [7]}, "vertebra 0 must hold 4 corners of x, y, visibility"),
    ],
)
def test_a_json_label_of_the_wrong_form_is_bad(tmp_path: Path, label: object, why: str) -> None:
    assert reason(tmp_path, label) == why


def test_a_different_number_of_boxes_is_a_doubt_and_not_a_bad_file(tmp_path: Path) -> None:
    label = json_label(synthetic_film().corners_xy) | {"boxes": [[1, 2, 3, 4]]}
    films = one_film(tmp_path, label)
    count = len(films.films[0].vertebrae or ())
    doubts = [(note.reason, note.doubt) for note in films.notes if "boxes" in note.reason]
    assert doubts == [(f"{count} vertebrae, but 1 boxes: a vertebra too many, or one missed", True)]


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("", "empty label file"),
        (" \n\n", "empty label file"),
        ("0 .5 .5 .1 .1\n", "line 1 has 5 fields, 17 are needed: it is a box without points"),
        ("0" + " .5" * 17 + "\n", "line 1 has 18 fields, 17 are needed"),
        ("0" + " .5" * 15 + " nan\n", "line 1 must be finite numbers, found nan"),
        ("0" + " .5" * 15 + " x\n", "line 1 must be finite numbers, found 'x'"),
    ],
)
def test_a_txt_label_of_the_wrong_form_is_bad(tmp_path: Path, label: str, why: str) -> None:
    assert reason(tmp_path, label, "txt") == why


def test_a_corner_far_outside_the_film_makes_its_label_bad(tmp_path: Path) -> None:
    label = broken_keypoints(900.0)
    assert "px lies far outside the film of" in reason(tmp_path, label)
    assert "(900," in reason(tmp_path, label)


def test_a_corner_a_little_outside_the_film_is_kept(tmp_path: Path) -> None:
    film = synthetic_film()
    corners = film.corners_xy.copy()
    corners[-1, :2, 1] = -5.0
    films = one_film(tmp_path, json_label(corners), film=film)
    assert films.bad_files == ()
    np.testing.assert_allclose(corners_of(films.films[0])[-1, :2, 1], -5.0)


# ---------------------------------------------------------------------------------------------- bad films and pairs


def test_unpaired_and_ambiguous_films_and_labels_are_listed(tmp_path: Path) -> None:
    film = synthetic_film()
    for stem in ("alone", "double", "good"):
        write_image(tmp_path, "val", stem, film.pixels)
    for name in ("double.json", "double.txt", "good.json", "orphan.json"):
        write_label(tmp_path, "val", name, json_label(film.corners_xy))
    films = read_folder(tmp_path)
    assert [f.film_id for f in films.films] == ["good"]
    assert sorted(map(str, films.bad_files)) == [
        "alone.png: no label alone.json or .txt in labels/val",
        "double.png: two labels: double.json, double.txt; keep one",
        "orphan.json: label without its film in images/val "
        "(looked for .jpg, .jpeg, .png, .tif, .tiff, .bmp, .dcm, .dicom)",
    ]


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_an_empty_or_broken_film_is_listed(tmp_path: Path, content: bytes) -> None:
    path = write_image(tmp_path, "train", STEM, synthetic_film().pixels)
    write_label(tmp_path, "train", f"{STEM}.json", json_label(synthetic_film().corners_xy))
    path.write_bytes(content)
    films = read_folder(tmp_path)
    assert films.films == ()
    assert [str(f) for f in films.bad_files] == [
        f"{STEM}.png: not an image that can be read (broken, empty, or another format)"
    ]


def many_bad(root: Path) -> Path:
    """Three valid films, and one bad file of each kind."""
    mendeley_folder(root, train=2, val=1, test=0)
    film = synthetic_film()
    for stem in ("alone", "cut", "far", "count"):
        write_image(root, "train", stem, film.pixels)
    write_label(root, "train", "cut.json", '{"keypoints": [')
    far = film.corners_xy.copy()
    far[0, 0] = 5000
    write_label(root, "train", "far.json", json_label(far))
    write_label(root, "train", "count.txt", "0 1 2\n")
    write_label(root, "val", "orphan.txt", "0 1 2\n")
    return root


def test_all_bad_files_are_collected_at_once_and_stop_under_error(tmp_path: Path) -> None:
    films = read_folder(many_bad(tmp_path))
    assert len(films.films) == 3
    assert {f.file for f in films.bad_files} == {"alone.png", "cut.json", "far.json", "count.txt", "orphan.txt"}
    with pytest.raises(DataError, match=r"5 bad file\(s\) in the folder:") as caught:
        require_usable(films, "error", "the folder")
    for finding in films.bad_files:
        assert f"  {finding}" in str(caught.value).splitlines()
    assert str(caught.value).endswith("--data.on_bad_file skip")


def test_bad_files_are_skipped_under_skip_unless_nothing_remains(tmp_path: Path) -> None:
    require_usable(read_folder(many_bad(tmp_path / "some")), "skip", "here")
    films = one_film(tmp_path / "none", "{")
    with pytest.raises(DataError, match=r"no usable film in here \(1 bad files\)"):
        require_usable(films, "skip", "here")


def test_a_sound_folder_is_usable_under_error(mendeley: Path) -> None:
    assert require_usable(read_folder(mendeley), "error", mendeley) is None  # type: ignore[func-returns-value]


def test_labels_without_a_folder_of_images_are_bad_files(tmp_path: Path) -> None:
    write_label(tmp_path, "train", "a.json", json_label(synthetic_film().corners_xy))
    films = read_folder(tmp_path)
    assert not (tmp_path / IMAGES).exists()
    assert [f.file for f in films.bad_files] == ["a.json"]
