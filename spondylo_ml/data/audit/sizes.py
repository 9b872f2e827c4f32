"""Sizes that stand out: films, bodies, mm per pixel, and films stretched in one direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.clinical.spacing import impossible_spacing
from spondylo_ml.clinical.stretch import film_stretch
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

STRETCH_FACTOR = 1.25
"""An AP film's median aspect further than this factor from that of the dataset's others stands out."""

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
    z = robust_z(np.log(mm), LEAST_SD)
    findings = []
    for film, far in zip(films, np.abs(z) > OUTLIER_Z, strict=True):
        if film.spacing is None:
            continue
        said = f"{film.spacing.x_mm:.4g} x {film.spacing.y_mm:.4g} mm per px"
        if impossible := impossible_spacing(film.vertebrae or (), film.spacing):
            message = f"{impossible}: it is set aside in measurements"
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
            findings.append(AuditFinding(Severity.WARNING, check, (film.film_id,), message))
    return findings


def stretch_factors(bodies: Bodies) -> FloatArray:
    """(F,) how many times too wide each film is: by its bodies' shapes on lateral films, against the dataset's other
    films on AP ones; NaN where nothing is expected or labelled. A known pixel aspect is taken out."""
    lateral = np.array([film.facing is not Facing.NONE for film in bodies.films], dtype=bool)
    known = np.array([film.pixel_aspect or 1.0 for film in bodies.films])
    factors = np.full(len(bodies.films), np.nan)
    if not lateral.all():
        aspect = bodies.width_px / bodies.height_px * known[bodies.film]
        usual = np.exp(group_medians(np.log(aspect), bodies.slot, FEWEST_FILMS))
        factors = film_medians(bodies, np.where(lateral[bodies.film], np.nan, aspect / usual))
    for place in map(int, np.flatnonzero(lateral)):
        factors[place] = film_stretch(bodies.films[place].vertebrae or (), known[place]).factor
    return factors


def film_medians(bodies: Bodies, values: FloatArray) -> FloatArray:
    """(F,) median of a value of the bodies, by film; NaN for a film without one."""
    out = np.full(len(bodies.films), np.nan)
    known = np.isfinite(values)
    medians = group_medians(values[known], bodies.film[known])
    out[bodies.film[known]] = medians
    return out
