"""Sets of synthetic films under one named condition."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from spondylo_ml.data import phantom
from spondylo_ml.data.conditions.difficult import DIFFICULT
from spondylo_ml.data.conditions.lumbar import LUMBAR
from spondylo_ml.data.conditions.not_lumbar import NOT_LUMBAR as NOT_LUMBAR_SCENES
from spondylo_ml.data.conditions.scene import Request, Scene
from spondylo_ml.data.conditions.whole_film import WHOLE_FILMS
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.synthetic import PHANTOM_KIND, SLOTS, code_only, dataset_name, synthetic_film
from spondylo_ml.errors import DataError, unknown_name
from spondylo_ml.landmarks import Film, GreyImage

_SCENES: dict[str, Callable[[Request], Scene]] = {**LUMBAR, **DIFFICULT, **WHOLE_FILMS, **NOT_LUMBAR_SCENES}

CONDITIONS: tuple[str, ...] = tuple(_SCENES)
"""Names of all conditions."""

NOT_LUMBAR: tuple[str, ...] = tuple(NOT_LUMBAR_SCENES)
"""Names of those whose films are no lateral lumbar films: a model should refuse them."""

TRAINING_SEED = 1_000_000
"""Added to the seed of further training films, so that none shows a patient of the validation or test films."""


@dataclass(frozen=True)
class ConditionImage:
    """Pixels of a synthetic film under a condition, drawn when they are read."""

    condition: str
    request: Request

    def scene(self) -> Scene:
        """The film before it is drawn."""
        return _SCENES[self.condition](self.request)

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        return self.scene().paint()

    def fingerprint(self) -> str:
        """Parameters of the film and digest of the code that draws it."""
        request = self.request
        names = f"{','.join(sorted(request.without))}-{request.slips}-{','.join(sorted(request.additions))}"
        return f"{self.condition}-{request.seed}-{request.index}-{request.long_side_px}-{names}-{_digest()}"


def condition_films(
    condition: str,
    count: int,
    seed: int = 0,
    long_side_px: int = 512,
    without: Sequence[str] = (),
    slips: str = phantom.Slips.CLINIC,
    additions: Sequence[str] = phantom.ADDITION_NAMES,
) -> FilmSet:
    """`count` synthetic films under a condition, each of its own patient.

    Films with the same seed and index show the same patient under all conditions but `whole-film-*`, so that two
    conditions can be compared film by film.

    Args:
        condition: one of `CONDITIONS`.
        long_side_px: longer side before the condition; a rotated film or one with a second one beside it is wider.
        without, slips, additions: as in `phantom_films`; what is no lumbar film does not depend on them.

    Returns:
        films with their true vertebrae; a film that is no lateral lumbar film is labelled with none.

    Raises:
        DataError: an unknown condition, style or addition, no style left, or a film too small to draw.
    """
    if condition not in _SCENES:
        raise DataError(unknown_name("condition of synthetic films", condition, CONDITIONS))
    held_out, distribution, added = tuple(sorted(without)), phantom.Slips(slips), tuple(sorted(additions))
    images = [
        ConditionImage(condition, Request(seed, index, long_side_px, held_out, distribution, added))
        for index in range(count)
    ]
    plain = dataset_name(count, seed, long_side_px, held_out, distribution, added)
    return FilmSet(kind=PHANTOM_KIND, name=f"{plain}-{condition}", films=tuple(map(_film, images)), slots=SLOTS)


def training_films_under(
    conditions: Sequence[str],
    count: int,
    seed: int,
    long_side_px: int,
    without: Sequence[str] = (),
    slips: str = phantom.Slips.CLINIC,
) -> tuple[Film, ...]:
    """`count` films under each condition, with all additions, in the training part; each is its own patient.

    Raises:
        DataError: as `condition_films`.
    """
    return tuple(
        replace(film, patient=film.film_id, split="train")
        for condition in sorted(set(conditions))
        for film in condition_films(condition, count, TRAINING_SEED + seed, long_side_px, without, slips).films
    )


def _film(image: ConditionImage) -> Film:
    scene, request = image.scene(), image.request
    patient = f"phantom-{request.seed}-{request.index:05d}"
    name = f"{patient}-{image.condition}"
    return synthetic_film(name, image, scene.size_hw, scene.vertebrae, scene.facing, scene.spacing, patient)


@cache
def _digest() -> str:
    """Digest of the generator, its additions and the conditions."""
    folders = [Path(phantom.__file__).parent, Path(__file__).parent]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    code = "".join(code_only(path.read_text(encoding="utf-8")) for path in files)
    return hashlib.sha256(code.encode()).hexdigest()[:16]
