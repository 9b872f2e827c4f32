"""Measures of each level, of each body, and of the whole spine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

import numpy as np

from spondylo_ml.clinical import angles, shape
from spondylo_ml.clinical.body_faults import PLATE_FAULTS, PLATES, WHOLE_FAULTS, Plate, plate_fault, whole_fault
from spondylo_ml.clinical.measurement import BodyMeasurement, LevelMeasurement, Measure
from spondylo_ml.clinical.meyerding import grade_name, grade_of
from spondylo_ml.clinical.patient_frame import inferior_endplate, superior_endplate
from spondylo_ml.clinical.rounding import rounded_beside, slip_limits_percent
from spondylo_ml.clinical.slip import SLIP_FAULTS, SlipMethod, endplate_length, measure_slip, slip_percent
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.landmarks import FloatArray, level_name

S1, L5, L1 = 0, 1, 5
NAN = float("nan")
LARGEST_DOUBT_POINTS = 5.0
"""Where it is doubtful whether a film was stretched, a slip is given if undoing the stretch changes it by no more than
this, the usual limit of a listhesis, and leaves its grade."""

OPPOSITE = "the two endplates point in opposite directions: the disc has no bisector"


@dataclass(frozen=True)
class Spine:
    """Bodies in the patient's frame with what is needed to measure them.

    Attributes:
        bodies: (4, 2) corners by slot; empty if nothing can be measured.
        names: by slot, from the lowest vertebra of the film to the topmost.
        levels_known: whether `names` are level names.
        withheld: why nothing can be measured, or empty.
        mm_withheld: why lengths cannot be given in mm; if empty, the frame's unit is mm.
        impossible: by slots, why a body, or two together, cannot be measured.
        shape_doubt: why it is doubtful whether the film was stretched, so that it has no angles and ratios; or empty.
        undone_bodies: the bodies if that stretch is undone; empty without such a doubt.
    """

    bodies: Mapping[int, FloatArray]
    names: Mapping[int, str]
    levels_known: bool
    withheld: str
    mm_withheld: str
    rules: ClinicalConfig
    impossible: Mapping[tuple[int, ...], str] = field(default_factory=dict)
    shape_doubt: str = ""
    undone_bodies: Mapping[int, FloatArray] = field(default_factory=dict)

    def name(self, slot: int) -> str:
        """Name of a slot, whether or not the film shows it."""
        return self.names.get(slot, level_name(slot))

    def absent(self, *slots: int) -> str:
        """Why these slots cannot be measured together; empty if they can."""
        missing = [self.name(slot) for slot in slots if slot not in self.bodies]
        if self.withheld or missing:
            return self.withheld or f"no corners of {' and '.join(missing)}"
        # Two bodies that cannot be measured together have no shape each, but can be measured with others.
        asked = set(slots)
        return next((why for parts, why in self.impossible.items() if asked <= {*parts} or asked >= {*parts}), "")

    def shapeless(self, *slots: int) -> str:
        """Why these slots have no angles and ratios; empty if they have."""
        return self.absent(*slots) or self.shape_doubt

    # For all bodies at once: calls of numpy cost about the same for one body as for ten.

    @cached_property
    def plate_faults(self) -> Mapping[tuple[int, Plate], str]:
        """By slot and endplate, why it cannot be measured; empty if it can."""
        faults: dict[tuple[int, Plate], str] = {}
        for plate in PLATES:
            numbers = plate_fault(self._stacked, plate, self.rules.degenerate_fraction)
            for slot, number in zip(self.bodies, numbers, strict=True):
                faults[slot, plate] = PLATE_FAULTS[number].format(name=self.name(slot), plate=plate)
        return faults

    @cached_property
    def whole_faults(self) -> Mapping[int, str]:
        """By slot, why a body's heights and depth cannot be measured; empty if they can."""
        numbers = whole_fault(self._stacked)
        return {
            slot: WHOLE_FAULTS[n].format(name=self.name(slot)) for slot, n in zip(self.bodies, numbers, strict=True)
        }

    @cached_property
    def slips(self) -> Mapping[tuple[SlipMethod, int], tuple[float, str]]:
        """By method and upper slot, the slip in percent on the body below and why it cannot be measured, or empty."""
        uppers = [slot for slot in self.bodies if slot - 1 in self.bodies]
        upper, lower = (np.array([self.bodies[slot - below] for slot in uppers]).reshape(-1, 4, 2) for below in (0, 1))
        slips: dict[tuple[SlipMethod, int], tuple[float, str]] = {}
        for method in get_args(SlipMethod):
            measured = zip(*measure_slip(upper, lower, method, self.rules.degenerate_fraction), strict=True)
            for slot, (percent, fault) in zip(uppers, measured, strict=True):
                slips[method, slot] = float(percent), SLIP_FAULTS[fault]
        return slips

    @property
    def _stacked(self) -> FloatArray:
        """(B, 4, 2) all bodies."""
        return np.array(list(self.bodies.values())).reshape(-1, 4, 2)


def levels(spine: Spine) -> tuple[LevelMeasurement, ...]:
    """Every level between the lowest and the topmost vertebra, including those with an absent vertebra."""
    slots = sorted(spine.names)
    return tuple(_level(spine, slot + 1, slot) for slot in range(slots[0], slots[-1])) if slots else ()


def bodies(spine: Spine) -> tuple[BodyMeasurement, ...]:
    """Every body except the sacrum, or the lowest one where levels have no names and it may be the sacrum."""
    return tuple(
        BodyMeasurement(spine.name(slot), slot, _wedge(spine, slot), _compression(spine, slot))
        for slot in sorted(spine.names)
        if slot >= _lowest_body(spine)
    )


def _lowest_body(spine: Spine) -> int:
    """Slot of the lowest body that is certainly no sacrum, which has no wedge or compression ratio."""
    return L5 if spine.levels_known else min(spine.names) + 1


def lordosis(spine: Spine, unnamed: str) -> Measure:
    """Lumbar lordosis in the variant of the rules; `unnamed` is the reason why there are no level names, or empty."""
    below, plate = _lordosis_end(spine)
    reason = (
        unnamed or spine.shapeless(L1, below) or spine.plate_faults[L1, "superior"] or spine.plate_faults[below, plate]
    )
    if reason:
        return Measure(NAN, "deg", reason)
    end = superior_endplate(spine.bodies[below]) if plate == "superior" else inferior_endplate(spine.bodies[below])
    start = angles.direction_deg(superior_endplate(spine.bodies[L1]))
    return Measure(float(angles.between_deg(angles.direction_deg(end), start)), "deg")


def _lordosis_end(spine: Spine) -> tuple[int, Plate]:
    """Slot and endplate at the lower end of the lordosis."""
    return (S1, "superior") if spine.rules.lordosis == "L1-S1" else (L5, "inferior")


def sacral_slope(spine: Spine, unnamed: str) -> Measure:
    """Sacral slope to the film's horizontal; `unnamed` is the reason why there are no level names, or empty."""
    reason = unnamed or spine.shapeless(S1) or spine.plate_faults[S1, "superior"]
    return Measure(NAN, "deg", reason) if reason else Measure(float(angles.sacral_slope_deg(spine.bodies[S1])), "deg")


def _level(spine: Spine, upper: int, lower: int) -> LevelMeasurement:
    method: SlipMethod = spine.rules.slip_method
    (other,) = (m for m in get_args(SlipMethod) if m != method)
    slip, slip_mm = _slip(spine, upper, lower, method)
    by_mm = spine.rules.grade0_rule == "mm_if_spacing" and not slip_mm.reason
    grade = None if slip.reason else grade_of(slip.value, spine.rules, slip_mm.value)
    return LevelMeasurement(
        name=f"{spine.name(upper)}/{spine.name(lower)}",
        upper_slot=upper,
        lower_slot=lower,
        slip=slip,
        slip_method=method,
        other_slip=_slip(spine, upper, lower, other)[0],
        other_slip_method=other,
        slip_mm=slip_mm,
        grade=None if grade is None else int(grade),
        grade_name="not measurable" if grade is None else grade_name(slip.value, grade),
        grade0_limit=f"{spine.rules.grade0_mm:g} mm" if by_mm else f"{spine.rules.grade0_percent:g} %",
        segmental_angle=_between(spine, upper, lower, "superior", angles.segmental_angle_deg, "deg"),
        disc_angle=_between(spine, upper, lower, "inferior", angles.disc_angle_deg, "deg"),
        disc_height_index=_disc_height(spine, upper, lower),
    )


def _slip(spine: Spine, upper: int, lower: int, method: SlipMethod) -> tuple[Measure, Measure]:
    """Slip in percent and in mm."""
    reason = spine.absent(upper, lower)
    percent = NAN
    if not reason:
        percent, reason = spine.slips[method, upper]
        reason = reason or _depends_on_stretch(spine, upper, lower, method, percent)
    if reason:
        return Measure(NAN, "%", reason), Measure(NAN, "mm", reason)
    if spine.mm_withheld:
        return Measure(percent, "%"), Measure(NAN, "mm", spine.mm_withheld)
    return Measure(percent, "%"), Measure(percent / 100 * float(endplate_length(spine.bodies[lower])), "mm")


def _depends_on_stretch(spine: Spine, upper: int, lower: int, method: SlipMethod, percent: float) -> str:
    """Why a slip cannot be given where it is doubtful whether the film was stretched; empty if it can."""
    if not spine.undone_bodies:
        return ""
    pair = spine.undone_bodies[upper], spine.undone_bodies[lower]
    undone = float(slip_percent(*pair, method, spine.rules.degenerate_fraction))
    near = abs(undone - percent) <= LARGEST_DOUBT_POINTS  # not if `undone` is NaN
    if near and grade_of(undone, spine.rules) == grade_of(percent, spine.rules):
        return ""
    shown, shown_undone = (
        rounded_beside(value, 1, slip_limits_percent(spine.rules.model_dump())) for value in (percent, undone)
    )
    undone_text = "not measurable" if np.isnan(undone) else f"{shown_undone} %"
    return f"the slip is {shown} % on the film as it is and {undone_text} with its possible stretch undone"


def _between(
    spine: Spine,
    upper: int,
    lower: int,
    upper_plate: Plate,
    measure: Callable[[FloatArray, FloatArray], FloatArray],
    unit: str,
) -> Measure:
    """A measure between an endplate of the upper body and the superior endplate of the lower body."""
    reason = (
        spine.shapeless(upper, lower) or spine.plate_faults[upper, upper_plate] or spine.plate_faults[lower, "superior"]
    )
    if reason:
        return Measure(NAN, unit, reason)
    value = float(measure(spine.bodies[upper], spine.bodies[lower]))
    return Measure(value, unit, OPPOSITE if np.isnan(value) else "")


def _disc_height(spine: Spine, upper: int, lower: int) -> Measure:
    reason = spine.shapeless(upper, lower) or spine.whole_faults[upper]
    if reason:
        return Measure(NAN, "ratio", reason)
    return _between(spine, upper, lower, "inferior", shape.disc_height_index, "ratio")


def _wedge(spine: Spine, slot: int) -> Measure:
    reason = spine.shapeless(slot) or spine.whole_faults[slot]
    return Measure(NAN, "ratio", reason) if reason else Measure(float(shape.wedge_ratio(spine.bodies[slot])), "ratio")


def _compression(spine: Spine, slot: int) -> Measure:
    reason = spine.shapeless(slot) or spine.whole_faults[slot]
    adjacent = [s for s in (slot - 1, slot + 1) if s >= _lowest_body(spine) and not spine.absent(s)]
    references = [s for s in adjacent if not spine.whole_faults[s]]
    if not reason and not references:
        reason = "no whole neighbour to compare with"
    if reason:
        return Measure(NAN, "ratio", reason)
    expected = np.mean([shape.posterior_height(spine.bodies[s]) for s in references])
    return Measure(float(shape.posterior_height(spine.bodies[slot]) / expected), "ratio")
