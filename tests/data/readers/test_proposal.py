"""What a folder was recognised as, and the mapping that is proposed for unknown names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from reading import KINDS, boxes, corners_of, labelme_shape, sound_folder, write_film, write_labelme_file

from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.readers.recognition import Recognition, recognition_of
from spondylo_ml.landmarks import LEVELS

GERMAN = ("Sakrum", "LWK 5", "LWK 4", "LWK 3", "LWK 2", "LWK 1")


def recognised(root: Path, kind: str = "auto") -> Recognition:
    return recognition_of(root, kind, read_folder(root, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_says_how_sure_it_is(kind: str, tmp_path: Path) -> None:
    found = recognised(sound_folder(kind, tmp_path / "set"))
    facts = dict(found.facts)
    assert facts["layout"].startswith(f"{kind} (the only layout that fits): ")
    assumed = {"mendeley": "not sure: 5 film(s) without names of levels: assumed"}
    assert facts["how sure"] == assumed.get(kind, "certain: everything was understood")
    assert found.proposal.text == ""


def unknown_names(root: Path, levels: tuple[str, ...], corners: tuple[str, ...], **more: object) -> Path:
    """A folder of LabelMe with points named by these words for levels and corners."""
    write_film(root / "images" / "one.png")
    points = [
        labelme_shape(f"{level} {corner}", [xy])
        for level, quad in zip(levels, boxes(), strict=False)
        for corner, xy in zip(corners, quad, strict=True)
    ]
    write_labelme_file(root, points, **more)
    return root


def test_a_word_that_occurs_with_levels_is_proposed_as_the_corner_that_it_is(tmp_path: Path) -> None:
    root = unknown_names(tmp_path, LEVELS[:6], ("4", "3", "1", "2"))
    found = recognised(root)
    facts = dict(found.facts)
    assert facts["names"] == "0 of 24 understood"
    assert facts["how sure"] == "not sure: 24 name(s) not understood; 1 file(s) that cannot be used"
    corners = {"1": "inferior_left", "2": "inferior_right", "3": "superior_right", "4": "superior_left"}
    assert yaml.safe_load(found.proposal.text) == {"corners": corners}
    assert "'1': inferior_left  # inferior_left on 6 of 6 vertebrae" in found.proposal.text
    (root / "mapping.yaml").write_text(found.proposal.text, encoding="utf-8")
    np.testing.assert_array_equal(corners_of(read_folder(root).films[0]), np.array(boxes(), dtype=float))
    assert dict(recognised(root).facts)["how sure"] == "certain: everything was understood"


def test_levels_are_guessed_from_words_of_anatomy(tmp_path: Path) -> None:
    root = unknown_names(tmp_path, GERMAN, ("ov", "oh", "uv", "uh"))
    tree = yaml.safe_load(recognised(root).proposal.text)
    assert tree["levels"] == {"sakrum": "S1", **{f"lwk {n}": f"L{n}" for n in range(1, 6)}}
    assert tree["corners"]["ov"] == "superior_left"
    (root / "mapping.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert [v.level for v in read_folder(root).films[0].vertebrae or ()] == list(LEVELS[:6])


def test_what_is_uncertain_is_listed_and_what_all_vertebrae_agree_on_is_not(tmp_path: Path) -> None:
    """Five vertebrae name their corners alike, the sixth exchanges the upper two; the level of one is guessed."""
    root = unknown_names(tmp_path, ("Sakrum", *LEVELS[1:6]), ("1", "2", "3", "4"))
    points = [
        labelme_shape(f"{level}-{word}", [xy])
        for level, quad, words in zip(("Sakrum", *LEVELS[1:6]), boxes(), ["1234"] * 5 + ["2134"], strict=True)
        for word, xy in zip(words, quad, strict=True)
    ]
    write_labelme_file(root, [*points, labelme_shape("stent", [[1, 1]])])
    proposal = recognised(root).proposal
    assert proposal.doubts == (
        "sakrum is taken for S1: guessed from the word",
        "'1' is taken for superior_left: it is superior_left on 5 of 6 vertebrae",
        "'2' is taken for superior_right: it is superior_right on 5 of 6 vertebrae",
        "stent is not recognised: add it to corners, levels, names or ignore",
    )
    assert yaml.safe_load(proposal.text)["levels"] == {"sakrum": "S1"}


def test_words_that_are_different_corners_tell_none_and_others_are_listed(tmp_path: Path) -> None:
    root = unknown_names(tmp_path, LEVELS[:3], ("1", "2", "3", "4"))
    turned = [labelme_shape(f"{LEVELS[i]}-{k + 1}", [boxes()[i][(k + 2) % 4]]) for i in range(3, 6) for k in range(4)]
    first = [labelme_shape(f"{LEVELS[i]}-{k + 1}", [boxes()[i][k]]) for i in range(3) for k in range(4)]
    write_labelme_file(root, [*first, *turned, labelme_shape("stent", [[1, 1]])])
    found = recognised(root)
    assert set(yaml.safe_load(found.proposal.text)["corners"].values()) == {"any"}
    assert "# not recognised: a corner, a level, or to be left out by ignore: stent" in found.proposal.text
    (root / "mapping.yaml").write_text(found.proposal.text + "ignore: [stent]\n", encoding="utf-8")
    np.testing.assert_array_equal(corners_of(read_folder(root).films[0]), np.array(boxes(), dtype=float))
