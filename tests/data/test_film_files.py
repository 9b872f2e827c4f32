"""Films from files, folders and patterns, each once and under a pseudonym."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import write_rows
from dicoms import dicom, gradient

from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.cli.flags import given_values
from spondylo_ml.config import PredictConfig, validate
from spondylo_ml.config.paths import split_paths
from spondylo_ml.data.film_files import collect_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders that both have an `IM1`, a DICOM file without a suffix, and files that are not films."""
    for name in ("a/IM1.png", "a/IM2.JPG", "b/IM1.dcm", "b/notes.txt", "b/DICOMDIR"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 200)
    (tmp_path / "b" / "1.2.840.3").write_bytes(dicom(gradient()))
    return tmp_path


def names(patterns: list[str], root: Path) -> list[str]:
    return [film.path.relative_to(root).as_posix() for film in collect_films(patterns).films]


def test_a_folder_is_searched_to_any_depth_and_other_files_are_listed(folder: Path) -> None:
    result = collect_films([str(folder)])
    assert names([str(folder)], folder) == ["a/IM1.png", "a/IM2.JPG", "b/1.2.840.3", "b/IM1.dcm"]
    assert [path.name for path in result.skipped] == ["DICOMDIR", "notes.txt"]


def test_a_film_that_is_named_twice_is_found_once_and_patterns_and_files_mix(folder: Path) -> None:
    patterns = [str(folder / "*" / "IM1*"), str(folder / "a"), str(folder / "b" / "notes.txt")]
    assert names(patterns, folder) == ["a/IM1.png", "b/IM1.dcm", "a/IM2.JPG", "b/notes.txt"], "a named file is a film"


def test_the_pseudonym_is_that_of_the_stem_or_of_the_path_if_stems_are_equal(folder: Path) -> None:
    ids = {film.path.name: film.film_id for film in collect_films([str(folder)]).films}
    assert ids["IM2.JPG"] == pseudonym("IM2")
    assert ids["1.2.840.3"] == pseudonym("1.2.840.3")
    assert ids["IM1.png"] == pseudonym((folder / "a" / "IM1.png").resolve().as_posix())
    assert len(set(ids.values())) == 4


def test_a_table_beside_the_films_tells_facing_and_spacing(folder: Path) -> None:
    rows = [
        ["filename", "facing", "spacing_x_mm", "spacing_y_mm"],
        ["IM1.dcm", "left", 0.1, 0.2],
        ["1.2.840.3", "right", "", ""],
    ]
    write_rows(folder / "b" / "films.csv", rows)
    details = {film.path.name: film.details for film in collect_films([str(folder)]).films}
    assert details["IM1.dcm"].facing is Facing.LEFT
    assert details["IM1.dcm"].spacing is not None
    assert (details["IM1.dcm"].spacing.x_mm, details["IM1.dcm"].spacing.y_mm) == (0.1, 0.2)
    assert (details["1.2.840.3"].facing, details["1.2.840.3"].spacing) == (Facing.RIGHT, None)
    assert details["IM1.png"].facing is Facing.UNKNOWN


def test_missing_paths_and_folders_without_films_are_reported(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no file or folder matches .*/\*\.tif: give files, folders, or a pattern"):
        collect_films([str(folder / "*.tif")])
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"no film in the given files and folders: films end in \.jpg, .*\.dcm"):
        collect_films([str(folder / "empty")])


# ------------------------------------------------------------------------- names that look like lists or like patterns


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("patterns", "result"),
    [
        ("[2024] films", ["[2024] films/a[1].png", "[2024] films/b.png"]),
        ("[2024] films/*.png", ["[2024] films/a[1].png", "[2024] films/b.png"]),
        ("[2024] films/a[1].png", ["[2024] films/a[1].png"]),
        ("[2024] films/a[1]*", ["[2024] films/a[1].png"]),
        ("[2024]*/b.png", ["[2024] films/b.png"]),
        ("plain/[ab].png", ["plain/a.png", "plain/b.png"]),
        ("plain/*", ["plain/a.png", "plain/b.png"]),
        ("**/b.png", ["[2024] films/b.png", "plain/b.png"]),
        ("plain/a?b.png", []),
    ],
)
def test_brackets_of_a_path_that_exists_are_no_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: str, result: list[str]
) -> None:
    write(tmp_path, "[2024] films/a[1].png", "[2024] films/b.png", "plain/a.png", "plain/b.png")
    for at, root in ((tmp_path, ""), (Path("/"), f"{tmp_path}/")):  # relative paths and whole ones
        monkeypatch.chdir(at)
        if result:
            assert [str(film.path) for film in collect_films([root + patterns]).films] == [
                root + name for name in result
            ]
        else:
            with pytest.raises(DataError, match="no file or folder matches"):
                collect_films([root + patterns])


@pytest.mark.parametrize(
    ("patterns", "listed"),
    [
        ("Lumbar, lateral", ["Lumbar, lateral"]),
        ("Lumbar, lateral/ROE, JANE.png", ["Lumbar, lateral/ROE, JANE.png"]),
        ("a.png, Lumbar, lateral,b.png", ["a.png", "Lumbar, lateral", "b.png"]),
        ("Lumbar, lateral/*.png,a.png", ["Lumbar, lateral/*.png", "a.png"]),
        ("a.png,,b.png,", ["a.png", "b.png"]),
        ("*.png,gone.png", ["*.png", "gone.png"]),
        ("gone, too.png", ["gone", "too.png"]),
    ],
)
def test_commas_of_a_path_that_exists_are_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: str, listed: list[str]
) -> None:
    write(tmp_path, "Lumbar, lateral/ROE, JANE.png", "a.png", "b.png")
    monkeypatch.chdir(tmp_path)
    assert list(split_paths(patterns)) == listed
    for arguments in (["--films", patterns], [f"--films={patterns}"]):
        values = given_values(COMMANDS["predict"].flags, ["--to", "out", *arguments])
        assert validate(PredictConfig, values).films == tuple(listed)


def test_a_list_longer_than_a_file_name_is_split(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{n:04}.png") for n in range(500)]
    assert split_paths(",".join(names)) == tuple(names)


def test_a_broken_link_is_a_film_that_cannot_be_opened_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "._a.png", ".ipynb_checkpoints/a-checkpoint.png", ".trash/deep/b.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    for patterns in (str(tmp_path), str(tmp_path / "*.png")):
        result = collect_films([patterns])
        assert [film.path.name for film in result.films] == ["a.png", "gone.png", "round.png"]
        assert result.skipped == ()
    assert names([str(tmp_path / "gone.png")], tmp_path) == ["gone.png"]
    assert names([str(tmp_path / "._a.png")], tmp_path) == ["._a.png"], "named itself"


def test_a_table_that_matches_no_film_is_an_error_and_extra_rows_are_not(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png")
    write_rows(tmp_path / "films.csv", [["filename", "facing"], ["b.png", "left"]])
    (film,) = collect_films([str(tmp_path / "a.png")]).films
    assert film.details.facing is Facing.UNKNOWN
    write_rows(tmp_path / "films.csv", [["filename", "facing"], ["c.png", "left"]])
    with pytest.raises(DataError, match="none of its 1 rows matches a film here"):
        collect_films([str(tmp_path / "a.png")])


def test_a_file_that_is_named_by_the_pseudonym_of_another_gets_one_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "films/a.png", f"overlays/{pseudonym('a')}.png", f"overlays/{pseudonym('b')}.png")
    ids = {film.path.name: film.film_id for film in collect_films([str(tmp_path)]).films}
    assert ids["a.png"] == pseudonym((tmp_path / "films" / "a.png").resolve().as_posix())
    assert ids[f"{pseudonym('b')}.png"] == pseudonym("b"), "no other file has it"
    assert len(set(ids.values())) == 3


@pytest.mark.parametrize("files", [("unfinished.jsonl",), ("predictions.json", "levels.csv", "corners.csv")])
def test_results_of_predict_among_the_films_are_left_out_unless_they_are_named(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    write(tmp_path, "a.png", "results/overlays/b.png", *(f"results/{name}" for name in files))
    found = collect_films([str(tmp_path)])
    assert [film.path.name for film in found.films] == ["a.png"]
    assert found.skipped == ()
    assert found.notes == (f"{tmp_path / 'results'} is left out: it has results of predict",)
    assert names([str(tmp_path / "results")], tmp_path) == ["results/overlays/b.png"]
    assert names([str(tmp_path / "results" / "overlays" / "b.png")], tmp_path) == ["results/overlays/b.png"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"no film in the given .*; .*results is left out: it has results of predict"):
        collect_films([str(tmp_path)])


def test_a_table_and_rows_without_a_film_are_noted(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png")
    write_rows(tmp_path / "films.csv", [["filename", "pixel_aspect"], ["a.png", 0.7]])
    assert collect_films([str(tmp_path)]).notes == (f"{tmp_path / 'films.csv'} is not used: no film lies beside it",)
    table = tmp_path / "images" / "films.csv"
    write_rows(table, [["filename", "pixel_aspect", "visit"], ["a.png", 0.7, 1], ["bb.png", 0.7, 2]])
    (tmp_path / "films.csv").unlink()
    found = collect_films([str(tmp_path)])
    assert found.notes == (f"{table} has a row for bb, but there is no such film",)
    assert found.films[0].details.pixel_aspect == 0.7
