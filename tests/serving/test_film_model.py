"""Films in, results out: correct values, bad films reported, order kept, reading ahead bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builders import ArrayImage, plain_film
from dicoms import dicom, gradient
from numpy.typing import NDArray
from small_models import SAME_CORNER_PX, bundle_with_known_corners, unet_bundle

from spondylo_ml.clinical.measure import WEAK_EVIDENCE, measure_film
from spondylo_ml.clinical.scale import STRETCHED
from spondylo_ml.data.decode import NO_DETAILS, FilmDetails, FilmLimits
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.heatmap_evidence import Evidence
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slips import measure_prediction
from spondylo_ml.evaluation.uncertainty import level_table
from spondylo_ml.landmarks import Facing, Film, Vertebra, patient_corners
from spondylo_ml.pages.film_report_page import film_report_page
from spondylo_ml.serving import film_model
from spondylo_ml.serving.bundle import load_bundle, save_bundle
from spondylo_ml.serving.film_model import FilmModel, FilmSource, read_ahead
from spondylo_ml.serving.film_result import COLUMNS, SLIP_FIELDS
from spondylo_ml.spacing import Spacing
from spondylo_ml.workflows.predict.result_folder import tables

FILMS = phantom_films(5, 4, 256).films


@pytest.fixture(scope="module")
def unet() -> FilmModel:
    return FilmModel(unet_bundle(), "unet, untrained", batch_size=2)


def model_knowing(films: Sequence[Film], batch_size: int = 2) -> FilmModel:
    return FilmModel(bundle_with_known_corners(films), "knowing", batch_size=batch_size)


def test_known_corners_are_returned_in_px_of_the_film_with_their_slips() -> None:
    for film, result in zip(FILMS, model_knowing(FILMS).predict(list(FILMS)), strict=True):
        assert (result.film_id, result.error, result.model) == (film.film_id, "", "knowing")
        assert result.prediction is not None
        assert result.measurement is not None
        within = tuple(vertebra for vertebra in film.vertebrae or () if vertebra.slot in SLOTS)
        for vertebra in within:
            np.testing.assert_allclose(result.prediction.corners_xy[vertebra.slot], vertebra.corners_xy, atol=1e-6)
        true = {level.upper_slot: level for level in measure_film(film, vertebrae=within).levels}
        assert true
        for level in result.measurement.levels:
            assert level.slip.value == pytest.approx(true[level.upper_slot].slip.value, abs=1e-6, nan_ok=True)
            assert level.grade == true[level.upper_slot].grade
        for level in result.uncertainty:
            assert level.low_percent < true[level.upper_slot].slip.value < level.high_percent
            assert sum(level.grade_probabilities.values()) == pytest.approx(1)
        assert {u.upper_slot for u in result.uncertainty} == {s for s, level in true.items() if not level.slip.reason}


def test_level_names_are_accepted_only_if_the_sacrum_looks_like_one() -> None:
    (result,) = model_knowing(FILMS[:1]).predict(FILMS[0])
    assert any(text.startswith("level names said by the model") for text in result.warnings)
    without_sacrum = replace(FILMS[0], vertebrae=(FILMS[0].vertebrae or ())[1:])
    (result,) = model_knowing([without_sacrum]).predict(without_sacrum)
    assert result.measurement is not None
    assert not result.measurement.levels_known
    assert result.measurement.levels[0].name == "lowest visible + 1/lowest visible"


def test_a_row_has_all_columns_in_order_and_only_plain_values() -> None:
    (result,) = model_knowing(FILMS[:1]).predict(FILMS[0])
    row = result.to_row()
    assert tuple(row) == COLUMNS
    assert np.array(row["corners_xy_px"]).shape == (10, 4, 2)
    assert row["levels"][:2] == ["S1", "L5"]
    assert row["size_hw_px"] == list(FILMS[0].size_hw)
    slip = row["slips"][0]
    assert tuple(slip) == SLIP_FIELDS
    assert (slip["upper_slot"], slip["lower_slot"], len(slip["grade_probabilities"])) == (1, 0, 6)
    assert slip["low_percent"] < slip["slip_percent"] < slip["high_percent"]
    assert row["error"] is None


def test_a_level_without_an_interval_is_referred_and_absent_corners_are_null() -> None:
    bundle = replace(bundle_with_known_corners(FILMS[:1]), uncertainty=None)
    (result,) = FilmModel(bundle, "m").predict(FILMS[0])
    slips = result.to_row()["slips"]
    assert slips
    assert {(slip["refer"], slip["verdict"]) for slip in slips} == {(True, "not known, refer")}
    assert all(slip["low_percent"] is None and slip["coverage"] is None for slip in slips)
    assert all(slip["grade_set"] == [0, 1, 2, 3, 4, 5] for slip in slips)
    report_uncertainty = FilmModel(bundle, "m").report(result).uncertainty
    assert [level.verdict for level in report_uncertainty] == ["not known, refer"] * len(slips)
    assert result.prediction is not None
    corners_with_gap = result.prediction.corners_xy.copy()
    corners_with_gap[9] = np.nan
    row = replace(result, prediction=replace(result.prediction, corners_xy=corners_with_gap)).to_row()
    assert row["corners_xy_px"][9] == [[None, None]] * 4


def test_corners_are_also_named_anterior_or_posterior_if_facing_is_known() -> None:
    mirrored = FILMS[0].mirrored_labels()
    for film, side in ((FILMS[0], FILMS[0].facing), (replace(mirrored, image=FILMS[0].image), mirrored.facing)):
        (result,) = model_knowing([film]).predict(film)
        _, _, corners = tables([{"film": "f", **result.to_row()}], SLOTS.first)
        assert corners["patient_corner"].tolist() == list(patient_corners(side)) * SLOTS.count
        front = corners["patient_corner"].str.endswith("anterior")
        assert set(corners.loc[front, "corner"].str.split("_").str[1]) == {str(side)}


def test_corners_are_named_by_the_image_if_the_anterior_side_is_too_uncertain() -> None:
    (result,) = model_knowing([FILMS[0]]).predict(FILMS[0])
    assert result.measurement is not None
    for confidence, facing in ((0.9, FILMS[0].facing), (0.89, Facing.UNKNOWN)):
        measurement = replace(result.measurement, facing_from="inferred", facing_confidence=confidence)
        row = replace(result, measurement=measurement).to_row()
        assert row["facing"] == facing
        _, _, corners = tables([{"film": "f", **row}], SLOTS.first)
        assert corners["patient_corner"].tolist() == list(patient_corners(facing)) * SLOTS.count
        assert corners["level"].notna().all() == row["levels_known"]


def test_the_verdict_of_a_level_is_the_same_wherever_it_is_reported() -> None:
    """In the rows of the pyfunc and of `predict`, in the report, and in the table of an evaluation."""
    model = model_knowing(FILMS[:1])
    (result,) = model.predict(FILMS[0])
    row, report = result.to_row(), model.report(result)
    _, levels, _ = tables([{"film": "f", **row}], SLOTS.first)
    assert levels["verdict"].tolist() == [slip["verdict"] for slip in row["slips"]]
    assert [one.verdict for one in report.uncertainty] == levels["verdict"].tolist()
    page = film_report_page(report, FILMS[0].image.read())
    uncertainty, rules = model.bundle.uncertainty, model.bundle.config.clinical
    assert uncertainty is not None
    assert result.film is not None
    assert result.prediction is not None
    same_samples = replace(result.prediction, film_id=result.film_key)
    evaluated = level_table(
        PredictionSet([replace(result.film, film_id=result.film_key)], [same_samples]), uncertainty, rules
    )
    by_slot = evaluated.dropna(subset="upper_slot").set_index("upper_slot")["verdict"]
    assert len(by_slot) > 0
    for slip in row["slips"]:
        assert slip["verdict"] in page
        assert slip["refer"] == slip["verdict"].endswith("refer")
        assert slip["verdict"] == by_slot.get(slip["upper_slot"], "not known, refer")


def test_paths_bytes_arrays_and_films_give_the_same_result(unet: FilmModel, tmp_path: Path) -> None:
    pixels = FILMS[0].image.read()
    path = tmp_path / "Someone 1937.png"
    cv2.imwrite(str(path), pixels)
    film = plain_film("own", None, pixels.shape, pixels=pixels, facing=Facing.UNKNOWN)
    results = unet.predict([path, str(path), path.read_bytes(), pixels, film])
    assert [r.film_id for r in results] == [pseudonym(path.stem)] * 2 + ["film-2", "film-3", "own"]
    assert [r.error for r in results] == [""] * 5
    rows = [r.to_row() for r in results]
    assert rows[0]["slips"]
    assert len({r.film_key for r in results}) == 1
    for row in rows[1:]:
        np.testing.assert_allclose(row["corners_xy_px"], rows[0]["corners_xy_px"], atol=SAME_CORNER_PX)
    alone = unet.predict(pixels)
    assert [s["low_percent"] for s in alone[0].to_row()["slips"]] == pytest.approx(
        [s["low_percent"] for s in rows[0]["slips"]], nan_ok=True, abs=0.05
    )


def test_bad_films_are_reported_in_place_and_do_not_affect_others(unet: FilmModel, tmp_path: Path) -> None:
    good = FILMS[0].image.read()
    (tmp_path / "Someone.png").write_bytes(b"noise")
    wrong_size = replace(FILMS[1], image=ArrayImage(np.arange(81, dtype=np.uint8).reshape(9, 9)))
    results = unet.predict([b"", good, tmp_path / "Someone.png", good, wrong_size, tmp_path / "gone.png", good])
    assert [bool(r.error) for r in results] == [True, False, True, False, True, True, False]
    assert results[2].error == "not an image that can be read (broken, empty, or another format)"
    assert results[2].error_detail.startswith("Someone.png: not an image")
    assert "the map was made for" in results[4].error
    assert results[5].error == "cannot be opened (FileNotFoundError)"
    row = results[2].to_row()
    assert {name for name, value in row.items() if value is not None} == {"model", "error"}
    assert "Someone" not in str(row)
    np.testing.assert_allclose(
        results[1].to_row()["corners_xy_px"], unet.predict(good)[0].to_row()["corners_xy_px"], atol=SAME_CORNER_PX
    )
    with pytest.raises(DataError, match=r"film .* has no report: not an image"):
        unet.report(results[2])


def test_an_unexpected_error_of_a_decoder_is_reported_without_its_text(unet: FilmModel) -> None:
    def broken() -> Film:
        raise RuntimeError("in /films/Someone.png")

    (result,) = unet.results([FilmSource("a", broken)])
    assert result.error == "cannot be read (RuntimeError)"
    assert "Someone" in result.error_detail


def test_an_error_while_measuring_fails_only_that_film(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(film: Film, *args: Any, **more: Any) -> Any:
        if film.film_id == FILMS[1].film_id:
            raise ZeroDivisionError("made up")
        return measure_prediction(film, *args, **more)

    monkeypatch.setattr(film_model, "measure_prediction", measure)
    before, bad, after = model_knowing(FILMS[:3]).predict(list(FILMS[:3]))
    assert (before.error, after.error) == ("", "")
    assert bad.error == "cannot be measured (ZeroDivisionError)"
    assert "made up" in bad.error_detail
    assert bad.film_id == FILMS[1].film_id


def test_a_dicom_film_provides_its_spacing_and_warnings() -> None:
    spacing = FILMS[0].spacing
    assert spacing is not None
    mm = [round(spacing.y_mm, 6), round(spacing.x_mm, 6)]
    data = dicom(gradient(FILMS[0].size_hw), ImagerPixelSpacing=mm, BurnedInAnnotation="YES")
    model = model_knowing(FILMS[:1])
    (result,) = model.predict(data)
    assert result.measurement is not None
    assert result.measurement.spacing_provenance == "DICOM ImagerPixelSpacing"
    assert result.measurement.pixel_aspect == pytest.approx(mm[1] / mm[0])
    assert not np.isnan(result.measurement.levels[0].slip_mm.value)
    assert result.warnings[0].startswith("the file has text burnt into its pixels")
    assert "magnification" in result.warnings[-1]
    assert model.report(result).measurement == result.measurement


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_an_impossible_spacing_is_ignored_from_every_source(factor: float) -> None:
    """From a header, from the details, and from a `Film`: the result is that without a spacing.

    The shape of a pixel is stated, since it is not taken from such a spacing either.
    """
    spacing = FILMS[0].spacing
    assert spacing is not None
    wrong_spacing = Spacing(spacing.x_mm * factor, spacing.y_mm * factor, "made")
    pixels = FILMS[0].image.read()
    header = dicom(
        pixels.astype(np.uint16) * 16, PixelSpacing=[f"{wrong_spacing.y_mm:.6g}", f"{wrong_spacing.x_mm:.6g}"]
    )
    (without_spacing,) = model_knowing(FILMS[:1]).predict(
        pixels, FilmDetails(FILMS[0].facing, None, spacing.pixel_aspect)
    )
    assert without_spacing.measurement is not None
    aspect = spacing.pixel_aspect
    inputs = [
        (header, FilmDetails(FILMS[0].facing, pixel_aspect=aspect)),
        (pixels, FilmDetails(FILMS[0].facing, wrong_spacing, aspect)),
        (replace(FILMS[0], spacing=wrong_spacing, aspect_given=True), NO_DETAILS),
    ]
    for film, film_details in inputs:
        (result,) = model_knowing(FILMS[:1]).predict(film, film_details)
        assert result.measurement is not None
        assert any("bodies would be" in text and "the spacing is ignored" in text for text in result.warnings)
        assert result.measurement.spacing_provenance == ""
        for level, other in zip(result.measurement.levels, without_spacing.measurement.levels, strict=True):
            assert level.slip.value == pytest.approx(other.slip.value, rel=1e-3)
            assert (level.grade, level.grade0_limit) == (other.grade, "5 %")
            assert "is impossible: bodies would be" in level.slip_mm.reason


def test_size_limits_apply_and_other_types_are_refused(unet: FilmModel) -> None:
    small = FilmModel(unet.bundle, "m", limits=FilmLimits(max_pixels=1000))
    (result,) = small.predict(np.zeros((40, 40), np.uint8))
    assert result.error.startswith("a film of 40 x 40 px: more than the 0.001 million px")
    with pytest.raises(DataError, match="film 1 is a int: give a path, the bytes of an image or DICOM file"):
        unet.predict([b"", 3])  # type: ignore[list-item]
    assert unet.predict([]) == []


def test_films_are_read_ahead_up_to_a_limit() -> None:
    opened: list[int] = []
    lock = threading.Lock()

    def sources() -> Iterator[Any]:
        yield from range(50)

    def work(number: Any) -> Any:
        with lock:
            opened.append(number)
        return number

    stream = read_ahead(sources(), work, ahead=4)
    first = next(stream)
    while len(opened) < 5:
        threading.Event().wait(0.001)
    assert first == 0
    assert len(opened) == 5, "four more than the one that was requested"
    assert [first, *stream] == list(range(50))


def png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_a_blank_film_is_refused_as_by_the_audit() -> None:
    """Black, grey, white, with a small text burnt in, and with the picture only in the alpha channel."""
    pixels = FILMS[0].image.read()
    height, width = pixels.shape
    hidden = np.dstack([np.zeros((height, width, 3), np.uint8), pixels])
    text = cv2.putText(np.full((height, width), 40, np.uint8), "L", (8, 20), cv2.FONT_HERSHEY_PLAIN, 1, 255)
    blank: list[Any] = [np.full((height, width), grey, np.uint8) for grey in (0, 128, 255)]
    results = FilmModel(unet_bundle(), "m").predict([*blank, png(hidden), np.asarray(text), pixels])
    assert [bool(result.error) for result in results] == [True] * 5 + [False]
    reasons = ["its grey levels span 0 of 255: nothing can be seen"] * 5
    reasons[3] = "the image is only in the alpha channel"
    for result, reason in zip(results[:5], reasons, strict=True):
        assert result.error.startswith(reason)
        assert result.to_row()["slips"] is None


def test_negative_and_badly_exposed_films_get_a_warning() -> None:
    pixels = FILMS[0].image.read()
    dark = np.where(pixels > np.percentile(pixels, 95), pixels, 0).astype(np.uint8)
    flat = (pixels // 10 + 100).astype(np.uint8)
    plain, negative, black, grey = model_knowing([FILMS[0]] * 4, 4).predict([pixels, 255 - pixels, dark, flat])
    assert not any("negative" in text or "of the film is" in text for text in plain.warnings)
    assert any("a negative? Bone must be bright" in text for text in negative.warnings)
    assert any(text.endswith("of the film is black") for text in black.warnings)
    assert any("hardly any contrast" in text for text in grey.warnings)


def test_a_given_aspect_is_used_and_an_unknown_one_withholds_slips() -> None:
    """A film of known scale widened by 1.4; its aspect given, given as unknown, and not given."""
    spacing = FILMS[0].spacing
    assert spacing is not None
    size_hw = (FILMS[0].size_hw[0], round(FILMS[0].size_hw[1] * 1.4))
    ratio = size_hw[1] / FILMS[0].size_hw[1]
    pixels = cv2.resize(FILMS[0].image.read(), size_hw[::-1])
    wide = tuple(Vertebra(v.slot, v.corners_xy * [ratio, 1.0]) for v in FILMS[0].vertebrae or ())
    film = replace(FILMS[0], image=ArrayImage(np.asarray(pixels)), size_hw=size_hw, vertebrae=wide)
    aspects = (spacing.pixel_aspect / ratio, "unknown", None)
    details = [FilmDetails(film.facing, None, aspect) for aspect in aspects]
    with_aspect, unknown_aspect, without_aspect = model_knowing([film] * 3, 4).predict(
        [np.asarray(pixels)] * 3, details
    )
    true = {level.upper_slot: level.slip.value for level in measure_film(FILMS[0]).levels}
    assert with_aspect.measurement is not None
    assert with_aspect.measurement.aspect_from == "given"
    for level in with_aspect.measurement.levels:
        assert level.slip.value == pytest.approx(true[level.upper_slot], abs=1e-6, nan_ok=True)
    assert any(text == STRETCHED for text in unknown_aspect.warnings)
    assert any(text.startswith("the film was probably stretched") for text in without_aspect.warnings)
    for result in (unknown_aspect, without_aspect):
        assert all(slip["slip_percent"] is None and slip["grade"] is None for slip in result.to_row()["slips"])
        assert all(level.refer and level.low_percent is None for level in result.uncertainty)
    with pytest.raises(DataError, match=r"details are one for all films, or one for each; given 2 for 1 film"):
        model_knowing([film]).predict(np.asarray(pixels), details[:2])


def test_a_film_with_weak_evidence_is_not_measured(tmp_path: Path) -> None:
    """Evidence is saved with the model: one whose own films had far sharper peaks rejects this film."""
    bundle = replace(unet_bundle(), evidence=Evidence(measure="heat_share", median_log=3.0, spread_log=0.25))
    save_bundle(bundle, tmp_path)
    loaded = load_bundle(tmp_path)
    assert loaded.evidence == bundle.evidence
    noise = np.random.default_rng(0).integers(0, 256, (96, 64)).astype(np.uint8)
    (result,) = FilmModel(loaded, "m").predict(noise)
    assert result.prediction is not None
    assert result.prediction.evidence == 0.0
    assert WEAK_EVIDENCE in result.warnings
    assert all(slip["grade"] is None for slip in result.to_row()["slips"])
    assert not result.to_row()["levels_known"]
