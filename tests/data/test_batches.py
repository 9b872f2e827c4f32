"""Batches: their order, and what becomes of corners that leave the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import plain_film, square

from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.batches import PreparedDataset, plain_loader, train_loader
from spondylo_ml.data.epochs import EpochIndex, EpochSampler, SharedBatches
from spondylo_ml.data.prepare import PreparedFilm, prepare_film
from spondylo_ml.landmarks import FloatArray, GreyImage, SlotRange, Vertebra

SLOTS = SlotRange(0, 3)
SIDE = 64


class Shift(Augmenter):
    """A fixed shift instead of a random one."""

    def __init__(self, x: float, y: float) -> None:
        super().__init__(AugmentationConfig(enabled=False))
        self._by = np.array([x, y])

    def __call__(self, image: GreyImage, corners_xy: FloatArray, seed: int) -> tuple[GreyImage, FloatArray]:
        return image, corners_xy + self._by


def prepared(*vertebrae: Vertebra, name: str = "a", labelled: bool = True) -> PreparedFilm:
    """A film of the input's own size, so that its px are those of the input."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    film = plain_film(name, vertebrae if labelled else None, (SIDE, SIDE), pixels=pixels)
    return prepare_film(film, SLOTS, (SIDE, SIDE))


def order(count: int, seed: int, epoch: int) -> list[int]:
    sampler = EpochSampler(count, seed)
    sampler.set_epoch(epoch)
    items = list(sampler)
    assert {item.epoch for item in items} == {epoch}
    return [item.row for item in items]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert order(20, 0, 3) == order(20, 0, 3)
    assert order(20, 0, 3) != order(20, 0, 4)
    assert order(20, 0, 3) != order(20, 1, 3)
    went_through = EpochSampler(20, 0)
    for epoch in range(4):
        went_through.set_epoch(epoch)
        last = [item.row for item in went_through]
    assert last == order(20, 0, 3)


@pytest.mark.parametrize("epoch", range(3))
def test_an_epoch_shows_every_film_once(epoch: int) -> None:
    assert sorted(order(20, 7, epoch)) == list(range(20))
    assert len(EpochSampler(20, 7)) == 20


def test_a_film_is_given_as_it_is_without_an_augmenter() -> None:
    film = prepared(square(0, 10, 40), square(1, 10, 20))
    row = PreparedDataset([film])[0]
    np.testing.assert_array_equal(row.images[0].numpy(), film.image)
    assert row.images.dtype == torch.uint8
    np.testing.assert_allclose(row.corners_xy.numpy(), film.corners_xy, atol=1e-5)
    assert row.present.tolist() == [True, True, False]
    assert bool(row.labelled)
    assert int(row.row) == 0


def test_an_unlabelled_film_says_so_and_has_no_corners() -> None:
    row = PreparedDataset([prepared(labelled=False)])[0]
    assert not bool(row.labelled)
    assert row.corners_xy.isnan().all()
    assert not row.present.any()


def test_a_corner_outside_the_image_becomes_absent_and_its_vertebra_stays() -> None:
    # Moved by 7 to the left, the left edge of a square at x = 3 to 13 is at -4 and its centre at 1.
    row = PreparedDataset([prepared(square(0, 3, 30))], augmenter=Shift(-7, 0))[0]
    assert row.corners_xy[0, [0, 2]].isnan().all()
    np.testing.assert_allclose(row.corners_xy[0, [1, 3]], [[6, 30], [6, 40]])
    assert row.present.tolist() == [True, False, False]


def test_a_vertebra_whose_centre_left_the_image_is_absent_even_if_a_corner_is_inside() -> None:
    row = PreparedDataset([prepared(square(0, 3, 30))], augmenter=Shift(-9, 0))[0]
    assert not row.present.any()
    assert row.corners_xy[0, [0, 2]].isnan().all()
    np.testing.assert_allclose(row.corners_xy[0, [1, 3]], [[4, 30], [4, 40]])


def test_the_images_edge_is_half_a_pixel_beyond_the_last_pixel_centre() -> None:
    film = prepared(square(0, 20, 20))
    just_inside = PreparedDataset([film], augmenter=Shift(-20.5, 0))[0]
    just_outside = PreparedDataset([film], augmenter=Shift(-20.6, 0))[0]
    assert not just_inside.corners_xy[0].isnan().any()
    assert just_outside.corners_xy[0].isnan().any(dim=1).tolist() == [True, False, True, False]


def test_a_vertebra_with_corners_set_aside_stays_present_whatever_the_shift() -> None:
    aside = Vertebra(1, np.full((4, 2), np.nan))
    row = PreparedDataset([prepared(square(0, 20, 40), aside)], augmenter=Shift(-100, 0))[0]
    assert row.present.tolist() == [False, True, False]


@pytest.mark.parametrize(("down_px", "present"), [(0, True), (30, True), (60, False)])
def test_a_vertebra_with_two_labelled_corners_is_absent_once_both_have_left(down_px: int, present: bool) -> None:
    corners = square(0, 20, 20).corners_xy.copy()
    corners[2:] = np.nan
    film = prepared(Vertebra(0, corners))
    row = PreparedDataset([film], augmenter=Shift(0, down_px))[0]
    assert row.present.tolist() == [present, False, False]
    assert row.corners_xy[0, :2].isnan().all().item() == (not present)


def test_the_prepared_film_is_not_changed_by_its_augmentation() -> None:
    film = prepared(square(0, 20, 20))
    before = film.image.copy(), film.corners_xy.copy(), film.present.copy()
    dataset = PreparedDataset([film], seed=1, augmenter=Augmenter(AugmentationConfig()))
    for epoch in range(5):
        dataset[EpochIndex(epoch, 0)]
    for now, then in zip((film.image, film.corners_xy, film.present), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_augmentation_depends_on_seed_epoch_and_film_alone() -> None:
    films = [prepared(square(0, 20, 20), name=n) for n in "ab"]

    def pixels(seed: int, epoch: int, index: int) -> bytes:
        dataset = PreparedDataset(films, seed, Augmenter(AugmentationConfig()))
        return bytes(dataset[EpochIndex(epoch, index)].images.numpy().tobytes())

    assert pixels(0, 2, 1) == pixels(0, 2, 1)
    draws = {pixels(seed, epoch, index) for seed in (0, 1) for epoch in (0, 1) for index in (0, 1)}
    assert len(draws) == 8


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(5, 2, [2, 2]), (6, 4, [4, 2]), (4, 2, [2, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])]
)
def test_the_last_smaller_batch_is_kept_unless_it_is_a_single_film(
    count: int, batch_size: int, sizes: list[int]
) -> None:
    films = [prepared(square(0, 20, 20), name=str(i)) for i in range(count)]
    batches = SharedBatches(EpochSampler(count, 0), batch_size)
    loader = train_loader(films, AugmentationConfig(), batches, seed=0, workers=0)
    assert len(loader) == len(sizes)
    assert [len(batch.images) for batch in loader] == sizes


def test_plain_batches_hold_all_films_in_their_order() -> None:
    films = [prepared(square(0, 20, 20), name=str(i)) for i in range(5)]
    batches = list(plain_loader(films, 2))
    assert [batch.row.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert batches[0].images.shape == (2, 1, SIDE, SIDE)
    assert batches[0].corners_xy.shape == (2, 3, 4, 2)


def test_workers_give_the_same_batches_as_the_main_process() -> None:
    films = [prepared(square(0, 20, 20), name=str(i)) for i in range(4)]
    batches = SharedBatches(EpochSampler(4, 0), 2)
    original = list(train_loader(films, AugmentationConfig(), batches, seed=0, workers=0))
    mirrored = list(train_loader(films, AugmentationConfig(), batches, seed=0, workers=1))
    for a, b in zip(original, mirrored, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.row, b.row)
        torch.testing.assert_close(a.corners_xy, b.corners_xy, equal_nan=True)


def test_an_epoch_may_show_each_film_several_times_each_time_augmented_differently() -> None:
    sampler = EpochSampler(3, 0, shown=4)
    items = list(sampler)
    assert len(sampler) == len(items) == 12
    assert sorted((item.row, item.showing) for item in items) == [(row, n) for row in range(3) for n in range(4)]
    dataset = PreparedDataset(
        [prepared(square(0, 20, 30, 20))], 5, Augmenter(AugmentationConfig(affine_probability=1.0))
    )
    corners = [dataset[EpochIndex(2, 0, showing)].corners_xy[0] for showing in range(3)]
    assert torch.equal(corners[0], dataset[EpochIndex(2, 0)].corners_xy[0]), "the first showing is the former one"
    assert not torch.equal(corners[0], corners[1])
    assert not torch.equal(corners[1], corners[2])


@pytest.mark.parametrize(("least", "n_films", "shown"), [(0, 7, 1), (32, 7, 5), (32, 32, 1), (32, 40, 1), (32, 31, 2)])
def test_few_films_are_shown_until_an_epoch_has_the_least_number(least: int, n_films: int, shown: int) -> None:
    assert TrainingConfig(least_epoch_films=least).shown_per_epoch(n_films) == shown
