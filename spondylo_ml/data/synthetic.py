"""Datasets of synthetic films."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spondylo_ml.config.films import PHANTOM_FILMS, PHANTOM_LONG_SIDE_PX
from spondylo_ml.data import phantom
from spondylo_ml.data.films import FilmSet
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, Film, GreyImage, ImageSource, SlotRange, Vertebra
from spondylo_ml.spacing import Spacing

PHANTOM_KIND = "phantom"
SLOTS = SlotRange(first=0, count=10)


@dataclass(frozen=True)
class PhantomImage:
    """Pixels of a synthetic film, drawn when they are read."""

    seed: int
    index: int
    long_side_px: int
    without: tuple[str, ...] = ()
    slips: phantom.Slips = phantom.Slips.CLINIC
    additions: tuple[str, ...] = ()

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        return phantom.render(self.description())

    def description(self) -> phantom.PhantomFilm:
        """The film before it is drawn: size, vertebrae, facing, spacing."""
        return phantom.phantom_film(self.seed, self.index, self.long_side_px, self.without, self.slips, self.additions)

    def fingerprint(self) -> str:
        """Parameters of the film and digest of the code that draws it: changed code may draw other pixels."""
        held_out = ",".join(sorted(self.without))
        parameters = f"{self.seed}-{self.index}-{self.long_side_px}-{held_out}-{self.slips}"
        if not self.additions:
            return f"phantom-{parameters}-{_generator_digest()}"
        added = ",".join(sorted(self.additions))
        return f"phantom-{parameters}-{added}-{_generator_digest()}-{_additions_digest()}"


def phantom_films(
    count: int,
    seed: int,
    long_side_px: int,
    without: Sequence[str] = (),
    slips: str = phantom.Slips.CLINIC,
    additions: Sequence[str] = (),
) -> FilmSet:
    """`count` synthetic films, none in a style named in `without`; each is its own patient.

    Args:
        additions: parts of the film drawn in a later way than that of the first generator.

    Raises:
        DataError: an unknown style or addition, or no style left.
    """
    distribution = phantom.Slips(slips)
    return FilmSet(
        kind=PHANTOM_KIND,
        name=dataset_name(count, seed, long_side_px, without, distribution, additions),
        films=tuple(
            _film(PhantomImage(seed, index, long_side_px, tuple(without), distribution, tuple(additions)))
            for index in range(count)
        ),
        slots=SLOTS,
    )


def dataset_name(
    count: int,
    seed: int,
    long_side_px: int,
    without: Sequence[str],
    slips: phantom.Slips,
    additions: Sequence[str],
) -> str:
    """`phantom-<seed>` for the dataset that all presets share; other names state how they differ from it."""
    differences = []
    if (count, long_side_px) != (PHANTOM_FILMS, PHANTOM_LONG_SIDE_PX):
        differences.append(f"{count}x{long_side_px}px")
    if without:
        differences.append(f"without-{'+'.join(sorted(without))}")
    if slips is not phantom.Slips.CLINIC:
        differences.append(str(slips))
    if additions:
        differences.append(f"with-{'+'.join(sorted(additions))}")
    return "-".join([f"phantom-{seed}", *differences])


def synthetic_film(
    name: str,
    image: ImageSource,
    size_hw: tuple[int, int],
    vertebrae: tuple[Vertebra, ...],
    facing: Facing,
    spacing: Spacing | None,
    patient: str | None = None,
) -> Film:
    """A film that was drawn, so that its labels and its scale are exact.

    Args:
        spacing: None on a film of which no scale is known; it is then taken for unstretched.
        patient: the film's own name if None.
    """
    return Film(
        film_id=name,
        image=image,
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=facing,
        patient=patient or name,
        source="synthetic",
        levels_from=LEVELS_LABELLED,
        spacing=spacing,
        pixel_aspect=spacing.pixel_aspect if spacing else 1.0,
        aspect_given=spacing is not None,
    )


def _film(image: PhantomImage) -> Film:
    drawn = image.description()
    name = f"phantom-{image.seed}-{image.index:05d}"
    return synthetic_film(name, image, drawn.size_hw, drawn.vertebrae, drawn.facing, drawn.spacing)


@cache
def _generator_digest() -> str:
    """Digest of the first generator, which additions do not change."""
    return _digest_of_code(Path(phantom.__file__).parent)


@cache
def _additions_digest() -> str:
    return _digest_of_code(Path(phantom.__file__).parent / "additions")


def _digest_of_code(folder: Path) -> str:
    code = "".join(code_only(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def code_only(source: str) -> str:
    """A module without docstrings, comments and formatting, which do not change the pixels."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [line for line in node.body if not _is_docstring(line)]
    return ast.unparse(tree)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
