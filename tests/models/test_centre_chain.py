"""The reading of the whole spine from the bodies on a film."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from spondylo_ml.models.centre_chain import (
    BOX_NOISE,
    MOST_SEEN,
    NEVER,
    SHIFTS,
    STEP_WEIGHT,
    WORST_DISTANCE,
    Bodies,
    CentreChain,
    find_bodies,
)
from spondylo_ml.models.oriented_boxes import bodies_of_boxes

LEVELS, SPACING_PX = 4, 50.0


def column(count: int, lowest_px: float = 300.0) -> Tensor:
    """(count, 5) boxes 40 px wide and 30 px high, one above the other."""
    y = lowest_px - SPACING_PX * torch.arange(count)
    size = torch.tensor([math.log(40), math.log(30), 0.0]).expand(count, 3)
    return torch.cat([torch.full((count, 1), 100.0), y[:, None], size], dim=1)


def learned_chain(levels: int = LEVELS) -> CentreChain:
    """A chain that learned straight columns of varied zoom."""
    chain = CentreChain(levels)
    films = torch.stack([bodies_of_boxes(column(levels)) * zoom for zoom in torch.linspace(0.8, 1.2, 8)])
    chain.learn(films)
    return chain


def bodies_with(shares: list[list[float]], absent: list[float], boxes: Tensor | None = None) -> Bodies:
    """One film: (V, B) shares of each level at each body, and (V,) shares of "absent"."""
    share = torch.tensor([shares])
    boxes = column(share.shape[2]) if boxes is None else boxes
    return Bodies(boxes[None], share.log(), torch.tensor([absent]).log())


def brute_force_presence(chain: CentreChain, bodies: Bodies) -> tuple[list[int], Tensor]:
    """The best path and the presence, by listing all paths."""
    steps = [step[0] for step in chain._steps(bodies.boxes)]
    levels, count = bodies.log_share.shape[1:]
    share, absent = bodies.log_share[0], bodies.log_absent[0]
    evidence = share - (1 - share.exp().sum(dim=0).clamp_max(MOST_SEEN)).log()
    scores, paths = [], []
    for first, last in itertools.combinations_with_replacement(range(levels), 2):
        for path in itertools.product(range(count), repeat=last - first + 1):
            score = absent[:first].sum() + absent[last + 1 :].sum()
            score = score + sum(evidence[first + i, body] for i, body in enumerate(path))
            score = score + sum(steps[first + i][a, b] for i, (a, b) in enumerate(itertools.pairwise(path)))
            scores.append(float(score))
            paths.append([-1] * first + list(path) + [-1] * (levels - last - 1))
    best = max(zip(scores, paths, strict=True))[1]
    scores.append(float(absent.sum()))
    paths.append([-1] * levels)
    weight = torch.tensor(scores).softmax(dim=0)
    on = torch.tensor(paths) >= 0
    return best, (weight[:, None] * on).sum(dim=0)


def test_clear_bodies_are_read_as_given() -> None:
    rows = [[0.9 if body == level else 0.01 for body in range(3)] for level in range(3)]
    bodies = bodies_with([*rows, [0.01, 0.01, 0.01]], [0.01, 0.01, 0.01, 0.97])
    path = learned_chain().choose(bodies)
    assert path.body.tolist() == [[0, 1, 2, -1]]
    torch.testing.assert_close(path.presence, torch.tensor([[1.0, 1.0, 1.0, 0.0]]), atol=0.02, rtol=0)


def test_path_and_presence_equal_those_of_all_paths_listed() -> None:
    chain = learned_chain()
    torch.manual_seed(0)
    for _ in range(20):
        boxes = column(3) + 4 * torch.randn(3, 5) * torch.tensor([1.0, 1.0, 0.02, 0.02, 0.01])
        shares = torch.rand(LEVELS, 4).softmax(dim=1)
        bodies = bodies_with(shares[:, :3].tolist(), shares[:, 3].tolist(), boxes)
        path = chain.choose(bodies)
        best, presence = brute_force_presence(chain, bodies)
        assert path.body.tolist() == [best]
        torch.testing.assert_close(path.presence[0], presence, atol=1e-4, rtol=1e-4)


def test_the_whole_spine_outvotes_a_level_that_prefers_its_neighbours_body() -> None:
    rows = [[0.9, 0.01, 0.01, 0.01], [0.01, 0.3, 0.65, 0.01], [0.01, 0.3, 0.6, 0.01], [0.01, 0.01, 0.01, 0.9]]
    path = learned_chain().choose(bodies_with(rows, [0.01] * 4))
    assert path.body.tolist() == [[0, 1, 2, 3]]


def test_on_a_film_without_a_spine_no_level_is_present() -> None:
    # Readings: no level .9 * .8; level 0 alone .1 / .7 * .8, level 1 alone .9 * .2 / .7, since .7 is left for no level.
    path = learned_chain(2).choose(bodies_with([[0.1], [0.2]], [0.9, 0.8], column(1)))
    torch.testing.assert_close(path.presence[0], torch.tensor([0.08, 0.18]) / (0.72 * 0.7 + 0.26), atol=1e-4, rtol=0)


def test_a_body_that_is_clearly_seen_is_not_left_out() -> None:
    # The upper bodies would fit one level lower slightly better, which would leave out the third.
    rows = [
        [0.90, 0.01, 0.01, 0.01, 0.01],
        [0.01, 0.80, 0.10, 0.01, 0.01],
        [0.01, 0.10, 0.40, 0.45, 0.01],
        [0.01, 0.01, 0.30, 0.35, 0.45],
        [0.01, 0.01, 0.01, 0.10, 0.35],
    ]
    path = learned_chain(5).choose(bodies_with(rows, [0.01, 0.01, 0.01, 0.02, 0.4]))
    assert path.body.tolist() == [[0, 1, 2, 3, 4]]


def test_a_usual_step_costs_nothing_and_a_step_over_a_body_much() -> None:
    chain = learned_chain()
    chain.step_mean.zero_()
    chain.step_mean[:, 1] = SPACING_PX / math.sqrt(40 * 30)  # straight up, in units of the root of a body's area
    chain.step_spread.fill_(0.1)
    along = math.hypot(0.1, BOX_NOISE[1])
    steps = chain._steps(column(3)[None])[0][0]
    best = STEP_WEIGHT / 2 * 4  # four features, each of which is off by one standard deviation on average
    assert float(steps[0, 1]) == pytest.approx(best, abs=1e-3)
    moved = column(3)
    moved[1, 1] -= 2 * along * math.sqrt(40 * 30)  # one feature off by two of them, the others not at all
    assert float(chain._steps(moved[None])[0][0, 0, 1]) == pytest.approx(0, abs=1e-2)
    missed = (SPACING_PX / math.sqrt(40 * 30) / along) ** 2
    assert float(steps[1, 0]) == NEVER, "downward"
    assert float(steps[0, 2]) == pytest.approx(best - STEP_WEIGHT / 2 * min(missed, WORST_DISTANCE), abs=1e-2)


def test_two_levels_never_share_a_body() -> None:
    path = learned_chain(2).choose(bodies_with([[0.9], [0.9]], [0.1, 0.1], column(1)))
    assert sorted(path.body[0].tolist()) == [-1, 0]


def test_a_spine_that_fits_one_level_higher_as_well_is_not_certain() -> None:
    # Levels 0 to 2 fit as well as 1 to 3; 1 and 2 alone would leave out the lowest or the topmost body.
    rows = [[0.5, 0.001, 0.001], [0.5, 0.5, 0.001], [0.001, 0.5, 0.5], [0.001, 0.001, 0.5]]
    path = learned_chain().choose(bodies_with(rows, [0.5, 0.001, 0.001, 0.5]))
    same, up, down = (float(path.shift_scores.softmax(dim=1)[0, SHIFTS + k]) for k in (0, 1, -1))
    assert same == pytest.approx(0.5, abs=0.01)
    assert max(up, down) == pytest.approx(0.5, abs=0.01)
    assert path.presence[0, [0, 3]].tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert float(path.presence[0, 1]) == pytest.approx(1.0, abs=0.01)


def test_shift_scores_are_worked_out_by_hand() -> None:
    # One body: level 0 with .6, level 1 with .3; "absent" .4 and .7. Readings: .6 * .7 and .4 * .3.
    path = learned_chain(2).choose(bodies_with([[0.6], [0.3]], [0.4, 0.7], column(1)))
    assert path.body.tolist() == [[0, -1]]
    expected = torch.tensor([0.42, 0.12])
    torch.testing.assert_close(path.shift_scores.exp()[0, SHIFTS : SHIFTS + 2], expected, atol=1e-4, rtol=0)
    assert float(path.shift_scores.softmax(dim=1)[0, SHIFTS]) == pytest.approx(0.42 / 0.54)


def test_a_spine_that_would_leave_the_levels_is_not_moved() -> None:
    rows = [[0.5 if abs(body - level) <= 1 else 0.01 for body in range(4)] for level in range(4)]
    path = learned_chain().choose(bodies_with(rows, [0.01] * 4))
    assert path.shift_scores.softmax(dim=1)[0, SHIFTS] == 1.0


def test_absent_levels_continue_the_spine_by_mean_steps() -> None:
    chain = learned_chain()
    boxes = column(4)
    extended = chain.extended(boxes[None, 1:3], torch.tensor([[-1, 0, 1, -1]]))
    torch.testing.assert_close(extended[0], boxes, atol=0.05, rtol=1e-3)


def test_bodies_are_the_peaks_with_their_shapes() -> None:
    share = torch.full((1, 2, 12, 10), 1e-8)
    share[0, 0, 8, 4], share[0, 0, 8, 5] = 0.6, 0.3  # the centre of mass is a third of a cell to the right
    share[0, 1, 3, 7] = 0.9
    shapes = torch.zeros(1, 3, 12, 10)
    shapes[0, :, 8, 4] = torch.tensor([3.0, 2.0, 0.1])
    bodies = find_bodies(share.log(), torch.tensor([[0.1, 0.1]]).log(), shapes, 8)
    boxes, level_share = bodies.boxes[0], bodies.log_share[0].exp()
    assert boxes[0, :2].tolist() == pytest.approx([(7 + 0.5) * 8 - 0.5, (3 + 0.5) * 8 - 0.5], abs=1e-3)
    assert boxes[1].tolist() == pytest.approx([(4 + 1 / 3 + 0.5) * 8 - 0.5, 67.5, 3.0, 2.0, 0.1], abs=1e-3)
    assert level_share[:, :2].tolist() == [pytest.approx([1e-6, 0.9], abs=1e-5), pytest.approx([0.9, 1e-6], abs=1e-5)]


def test_a_film_with_no_peak_has_all_levels_absent_but_one() -> None:
    bodies = find_bodies(torch.full((1, 3, 8, 8), -20.0), torch.zeros(1, 3), torch.zeros(1, 3, 8, 8), 8)
    assert float(bodies.log_share.max()) < -5
    path = learned_chain(3).choose(bodies)
    assert (path.body >= 0).sum() <= 1
    assert float(bodies.log_absent.min()) > NEVER
