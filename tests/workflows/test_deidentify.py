"""`deidentify` from the command line: what is written, refused and listed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from dicoms import gradient, study_film, write

from spondylo_ml.cli import main
from spondylo_ml.config import DataConfig
from spondylo_ml.data.film_files import NAMES_FILE
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.pseudonyms import SALT_VARIABLE, pseudonym


def test_films_are_written_and_each_refused_one_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, to = tmp_path / "ZEBULON", tmp_path / "research"
    source.mkdir()
    good = [write(study_film(gradient((64, 96)), planted=True), source) for _ in range(2)]
    burnt = write(study_film(gradient((64, 96)), BurnedInAnnotation="YES"), source)
    twice = source / "copy.dcm"
    twice.write_bytes(good[0].read_bytes())
    (source / "broken.dcm").write_bytes(b"nothing")
    (source / "notes.txt").write_text("ZEBULON")
    assert main(["deidentify", "--films", str(source), "--to", str(to), "--private_names", "true"]) == 3
    printed = capsys.readouterr().out
    assert "2 film(s) of 1 patient(s) written" in printed
    assert "3 film(s) refused:" in printed
    assert f"{burnt} (" in printed
    assert "1 file(s) that are not films were skipped" in printed
    table = pd.read_csv(to / "report.csv").fillna("")
    assert table["state"].tolist() == ["written", "written", "refused", "refused", "refused"]
    assert set(table["patient"]) == {pseudonym("PID-1"), ""}
    assert sorted(path.stem for path in (to / "pictures").glob("*.png")) == sorted(table["film"][:2])
    assert "2 of 2 films, as they were written" in (to / "pictures" / "index.html").read_text()
    assert sorted(path.stem for path in (to / "films").iterdir()) == sorted(table["film"][:2])
    assert "ZEBULON" not in (to / "report.csv").read_text()
    assert (to / NAMES_FILE).read_text().count("ZEBULON") == 5
    films = read_films(DataConfig(path=to / "films", kind="folder"))
    assert {film.patient for film in films.films} == {pseudonym("PID-1")}  # as in runs on the films themselves


def test_the_salt_must_not_be_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    film = write(study_film(gradient()), tmp_path)
    monkeypatch.setenv(SALT_VARIABLE, str(tmp_path / "research" / "salt"))
    assert main(["deidentify", "--films", str(film), "--to", str(tmp_path / "research")]) == 2
    assert "the salt of all pseudonyms" in capsys.readouterr().err
    assert not (tmp_path / "research").exists()


def test_another_salt_gives_other_names_even_to_files_that_are_named_by_pseudonyms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films").mkdir()
    write(study_film(gradient((64, 96))), tmp_path / "films")
    names = []
    for source, to in (("films", "first"), ("first/films", "second"), ("first/films", "third")):
        salt = "one" if to == "first" else "other"
        monkeypatch.setenv(SALT_VARIABLE, str(tmp_path / f"{salt}.salt"))
        assert main(["deidentify", "--films", str(tmp_path / source), "--to", str(tmp_path / to)]) == 0
        (film,) = (tmp_path / to / "films").iterdir()
        (listed,) = pd.read_csv(tmp_path / to / "report.csv")["film"]
        assert listed == film.stem
        names.append(film.stem)
    assert names[1] == names[2] != names[0]
