"""Sizes that stand out: films, bodies, mm per pixel, and films stretched in one direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.robust import FEWEST_FILMS, group_medians, robust_z
from spondylo_ml.landmarks import Facing, Film, FloatArray

OUTLIER_Z = 5.0
"""Robust standard deviations from the median of the dataset."""

LEAST_SD = 0.05
"""Spread of a logarithm below which it counts as 5 %."""

FILM_FACTOR = 1.5
"""A film's size or shape within this factor of the usual one is no finding, however alike the others are."""

LATERAL_ASPECT = 1.39
"""Width over height of a lumbar body on a lateral film (median of 1,755 films: anterior height 0.72 of the depth)."""

STRETCH_FACTOR = 1.25
"""A film's median aspect further than this factor from the expected one: the film was stretched."""

LUMBAR_SLOTS = range(1, 6)

WIDTH_LIMITS_MM = (20.0, 75.0)
"""Widths of a vertebral body between which a spacing is believed."""

SQUARE_PIXEL = 0.05
"""A spacing whose x and y differ by more than this share is not that of a detector."""


def check_film_sizes(films: Sequence[Film]) -> list[AuditFinding]:
    """Films whose longer side, or shape, is unlike that of the others."""
    sides = np.array([film.size_hw for film in films], dtype=np.float64).reshape(-1, 2)
    findings = []
    for name, values in (("longer side", sides.max(axis=1)), ("height over width", sides[:, 0] / sides[:, 1])):
        z = robust_z(np.log(values), LEAST_SD)
        usual = float(np.median(values)) if len(values) else np.nan
        findings += [
            AuditFinding(
                Severity.WARNING,
                "film_size",
                (films[i].film_id,),
                f"{films[i].size_hw[1]} x {films[i].size_hw[0]} px: {name} {values[i]:.4g}, {usual:.4g} is usual",
            )
            for i in map(
                int, np.flatnonzero((np.abs(z) > OUTLIER_Z) & (np.abs(np.log(values / usual)) > np.log(FILM_FACTOR)))
            )
        ]
    return findings


def check_body_sizes(bodies: Bodies) -> list[AuditFinding]:
    """Films on which all bodies are much larger or smaller than on the others, as a share of the film."""
    longer = np.array([max(film.size_hw) for film in bodies.films], dtype=np.float64)
    shares = film_medians(bodies, bodies.width_px / longer[bodies.film])
    z = robust_z(np.log(shares), 2 * LEAST_SD)
    usual = float(np.nanmedian(shares)) if np.isfinite(shares).any() else np.nan
    return [
        AuditFinding(
            Severity.WARNING,
            "body_size",
            (bodies.films[i].film_id,),
            f"bodies are {shares[i]:.1%} of the film's longer side wide, {usual:.1%} is usual",
        )
        for i in map(int, np.flatnonzero(np.abs(z) > OUTLIER_Z))
    ]


def check_spacing(bodies: Bodies) -> list[AuditFinding]:
    """Spacings with which bodies would have impossible sizes, that are not square, or unlike the others'."""
    films = bodies.films
    mm = np.array([film.spacing.x_mm if film.spacing else np.nan for film in films])
    widths_mm = film_medians(bodies, bodies.width_px) * mm
    z = robust_z(np.log(mm), LEAST_SD)
    findings = []
    for film, width_mm, far in zip(films, widths_mm, np.abs(z) > OUTLIER_Z, strict=True):
        if film.spacing is None:
            continue
        said = f"{film.spacing.x_mm:.4g} x {film.spacing.y_mm:.4g} mm per px"
        if not np.isnan(width_mm) and not WIDTH_LIMITS_MM[0] <= width_mm <= WIDTH_LIMITS_MM[1]:
            low, high = WIDTH_LIMITS_MM
            message = f"{said}: bodies would be {width_mm:.0f} mm wide, {low:.0f} to {high:.0f} are possible"
        elif abs(np.log(film.spacing.x_mm / film.spacing.y_mm)) > SQUARE_PIXEL:
            message = f"{said}: pixels of a detector are square"
        elif far:
            message = f"{said}: {np.nanmedian(mm):.4g} is usual"
        else:
            continue
        findings.append(AuditFinding(Severity.WARNING, "spacing", (film.film_id,), message))
    return findings


def check_stretch(bodies: Bodies) -> list[AuditFinding]:
    """Films whose bodies are too wide or too high: against anatomy on lateral films, against the dataset on AP ones."""
    factors = stretch_factors(bodies)
    findings = []
    for i in map(int, np.flatnonzero(np.abs(np.log(factors)) > np.log(STRETCH_FACTOR))):
        film, message = bodies.films[i], f"bodies are {factors[i]:.2f} times as wide for their height as expected"
        if film.facing is Facing.NONE:
            check, message = "body_aspect", f"{message}: endplates labelled out of place, or the film was stretched"
        else:
            check, message = "stretched_film", f"{message}: slip, angles and mm are wrong on a stretched film"
        findings.append(AuditFinding(Severity.WARNING, check, (film.film_id,), message))
    return findings


def stretch_factors(bodies: Bodies) -> FloatArray:
    """(F,) median aspect of each film's bodies over the expected one; NaN where nothing is expected or labelled.

    Spacing that differs in x and y explains a stretch, and is taken out of it.
    """
    lateral = np.array([film.facing is not Facing.NONE for film in bodies.films], dtype=bool)[bodies.film]
    known = np.array([f.spacing.x_mm / f.spacing.y_mm if f.spacing else 1.0 for f in bodies.films])
    aspect = bodies.width_px / bodies.height_px * known[bodies.film]
    lumbar = np.isin(bodies.slot, LUMBAR_SLOTS)
    expected = np.where(lumbar, LATERAL_ASPECT, np.nan)
    if not lateral.all():
        usual = np.exp(group_medians(np.log(aspect), bodies.slot, FEWEST_FILMS))
        expected = np.where(lateral, expected, usual)
    return film_medians(bodies, aspect / expected)


def film_medians(bodies: Bodies, values: FloatArray) -> FloatArray:
    """(F,) median of a value of the bodies, by film; NaN for a film without one."""
    out = np.full(len(bodies.films), np.nan)
    known = np.isfinite(values)
    medians = group_medians(values[known], bodies.film[known])
    out[bodies.film[known]] = medians
    return out
