"""Check for unusual sizes of films and bodies, unusual spacings, and stretched films."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.clinical.spacing_plausibility import impossible_spacing
from spondylo_ml.clinical.stretch import film_stretch
from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.robust import FEWEST_FILMS, group_medians, robust_z
from spondylo_ml.landmarks import Facing, Film, FloatArray

OUTLIER_Z = 5.0
"""Values further from the dataset's median than this many robust standard deviations are outliers."""

LEAST_SD = 0.05
"""Lower limit of the standard deviation of a logarithm, 5 %."""

FILM_FACTOR = 1.5
"""A film's size or shape within this factor of the median is never an outlier."""

STRETCH_FACTOR = 1.25
"""An AP film whose median body aspect differs from the dataset's by more than this factor gets a warning."""

SQUARE_PIXEL = 0.05
"""Pixels of a detector are square: largest plausible difference of log x and log y spacing."""


def check_film_sizes(films: Sequence[Film]) -> list[AuditFinding]:
    """Warnings for films with an unusual longer side or shape."""
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
                excess=float(abs(z[i])),
            )
            for i in map(
                int, np.flatnonzero((np.abs(z) > OUTLIER_Z) & (np.abs(np.log(values / usual)) > np.log(FILM_FACTOR)))
            )
        ]
    return findings


def check_body_sizes(bodies: Bodies) -> list[AuditFinding]:
    """Warnings for films with unusually large or small bodies relative to the film."""
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
            excess=float(abs(z[i])),
        )
        for i in map(int, np.flatnonzero(np.abs(z) > OUTLIER_Z))
    ]


def check_spacing(bodies: Bodies) -> list[AuditFinding]:
    """Warnings for spacings that give bodies impossible sizes, are not square, or differ from the other films'."""
    films = bodies.films
    mm = np.array([film.spacing.x_mm if film.spacing else np.nan for film in films])
    z = robust_z(np.log(mm), LEAST_SD)
    usual = float(np.nanmedian(mm)) if np.isfinite(mm).any() else np.nan
    findings = []
    for film, far in zip(films, np.abs(z) > OUTLIER_Z, strict=True):
        if film.spacing is None:
            continue
        spacing = f"{film.spacing.x_mm:.4g} x {film.spacing.y_mm:.4g} mm per px"
        if reason := impossible_spacing(film.vertebrae or (), film.spacing):
            message = f"{reason}: it is ignored in measurements"
        elif abs(np.log(film.spacing.x_mm / film.spacing.y_mm)) > SQUARE_PIXEL:
            message = f"{spacing}: pixels of a detector are square"
        elif far:
            message = f"{spacing}: {usual:.4g} is usual"
        else:
            continue
        findings.append(AuditFinding(Severity.WARNING, "spacing", (film.film_id,), message))
    return findings


def check_stretch(bodies: Bodies) -> list[AuditFinding]:
    """Warnings for films with too wide or too high bodies: compared with anatomy (lateral) or the dataset (AP)."""
    factors = stretch_factors(bodies)
    findings = []
    for film, factor in zip(bodies.films, factors, strict=True):
        message = f"bodies are {factor:.2f} times as wide for their height as expected"
        if film.facing is Facing.NONE:
            check, unusual = "body_aspect", abs(np.log(factor)) > np.log(STRETCH_FACTOR)
            message = f"{message}: endplates labelled out of place, or the film was stretched"
        else:
            check, unusual = "stretched_film", film_stretch(film.vertebrae or (), film.pixel_aspect or 1.0).probable
            message = f"{message}: slip, angles and mm are wrong on a stretched film"
            if film.aspect_given:
                message = f"{message}; a pixel aspect of {film.pixel_aspect:g} is given, is that right?"
        if unusual:
            excess = float(abs(np.log(factor)))
            findings.append(AuditFinding(Severity.WARNING, check, (film.film_id,), message, excess=excess))
    return findings


def stretch_factors(bodies: Bodies) -> FloatArray:
    """(F,) factor by which each film is too wide, after undoing its known pixel aspect.

    Estimated from the shapes of the bodies on lateral films, and relative to the dataset on AP films; NaN if it cannot
    be estimated.
    """
    lateral = np.array([film.facing is not Facing.NONE for film in bodies.films], dtype=bool)
    pixel_aspect = np.array([film.pixel_aspect or 1.0 for film in bodies.films])
    factors = np.full(len(bodies.films), np.nan)
    if not lateral.all():
        aspect = bodies.width_px / bodies.height_px * pixel_aspect[bodies.film]
        usual = np.exp(group_medians(np.log(aspect), bodies.slot, FEWEST_FILMS))
        factors = film_medians(bodies, np.where(lateral[bodies.film], np.nan, aspect / usual))
    for index in map(int, np.flatnonzero(lateral)):
        factors[index] = film_stretch(bodies.films[index].vertebrae or (), pixel_aspect[index]).factor
    return factors


def film_medians(bodies: Bodies, values: FloatArray) -> FloatArray:
    """(F,) median over the bodies of each film; NaN for a film without a finite value."""
    out = np.full(len(bodies.films), np.nan)
    finite = np.isfinite(values)
    medians = group_medians(values[finite], bodies.film[finite])
    out[bodies.film[finite]] = medians
    return out
