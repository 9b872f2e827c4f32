"""Findings of a diagnosis: what was measured, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from spondylo_ml.diagnosis.dead_channels import LayerChannels
from spondylo_ml.diagnosis.gradients import GradientCensus
from spondylo_ml.diagnosis.results import CheckResult, failed

LEAST_SHARE_OF_ERROR = 15.0
MANY_DEAD_PERCENT = 10.0

CAUSES = {
    "localisation": (
        "The corner is the right one, but imprecisely placed.",
        "A larger data.input_side_px, a narrower heatmap.sigma_cells or more epochs make corners more precise. First "
        "look at the worst overlays: the labels may be wrong.",
    ),
    "level_shift": (
        "The corner belongs to another vertebra: levels are named too high or too low.",
        "heatmap.levels=chain infers levels jointly; more context helps (model.coordinate_channels, films that show "
        "the sacrum). More training films help more here than a finer input.",
    ),
    "side_flip": (
        "Left and right corners are confused.",
        "Look at the flip check, the order of corners in the labels (command audit), and films of unknown facing.",
    ),
    "corner_swap": (
        "Superior and inferior corners of the right vertebra are confused.",
        "Look at the order of corners in the labels (command audit); loss.anatomical_weight above 0 penalises "
        "such bodies.",
    ),
    "missed": (
        "The model misses vertebrae that are on the film.",
        "More epochs or a larger loss.presence_weight; for Keypoint R-CNN a lower model.keypoint_rcnn.score_threshold.",
    ),
    "false": (
        "Corners are predicted where none is labelled.",
        "Usual after a short training run. Otherwise: unlabelled vertebrae, or films unlike the training films.",
    ),
}
"""Meaning and advice by kind of error."""


@dataclass(frozen=True)
class DiagnosisFinding:
    """One finding on a trained model.

    Attributes:
        seen: what was measured.
        meaning: what it means for the model.
        advice: what to do.
    """

    title: str
    seen: str
    meaning: str
    advice: str

    def to_json(self) -> dict[str, str]:
        """The fields as JSON values."""
        return asdict(self)


def findings(
    checks: Sequence[CheckResult],
    census: GradientCensus | None,
    layers: Sequence[LayerChannels],
    error_shares: Mapping[str, float],
    fixed_px512: Mapping[str, float],
    mre_px512: float,
) -> list[DiagnosisFinding]:
    """All findings, the most fundamental first.

    Args:
        error_shares: percent of the summed error by kind; NaN if there is no error.
        fixed_px512: mean error if the corners of this kind were right.
    """
    failures = [
        DiagnosisFinding(
            f"check {r.name} failed",
            r.finding,
            "A training run with this configuration would waste time or give misleading results.",
            r.advice,
        )
        for r in failed(checks)
    ]
    return [
        *failures,
        *_error_findings(error_shares, fixed_px512, mre_px512),
        *_channel_findings(layers),
        *(_parameter_findings(census) if census else ()),
    ]


def dead_in(layers: Sequence[LayerChannels]) -> tuple[int, int]:
    """Number of dead channels and of all channels."""
    return sum(layer.dead for layer in layers), sum(layer.channels for layer in layers)


def _error_findings(
    shares: Mapping[str, float], fixed: Mapping[str, float], mre_px512: float
) -> list[DiagnosisFinding]:
    large = [(kind, share) for kind, share in shares.items() if share >= LEAST_SHARE_OF_ERROR]
    return [
        DiagnosisFinding(
            f"error: {kind.replace('_', ' ')}",
            f"{share:.0f} % of the summed error. The mean error is {mre_px512:.1f} px512; with this fixed it would be "
            f"{fixed[kind]:.1f}.",
            *CAUSES[kind],
        )
        for kind, share in sorted(large, key=lambda pair: -pair[1])
    ]


def _channel_findings(layers: Sequence[LayerChannels]) -> list[DiagnosisFinding]:
    dead, channels = dead_in(layers)
    if not dead:
        return []
    worst = [layer for layer in layers if layer.dead_percent >= MANY_DEAD_PERCENT]
    named = ", ".join(f"{x.layer} ({x.dead} of {x.channels})" for x in sorted(worst, key=lambda x: -x.dead_percent)[:5])
    seen = f"{dead} of {channels} channels are zero or constant on the films examined"
    if not worst:
        return [
            DiagnosisFinding(
                "dead channels",
                f"{seen}, in no layer {MANY_DEAD_PERCENT:.0f} % or more.",
                "A few dead channels are usual and cost only memory.",
                "None needed.",
            )
        ]
    return [
        DiagnosisFinding(
            "dead channels",
            f"{seen}; {len(worst)} layers have {MANY_DEAD_PERCENT:.0f} % or more, the most: {named}.",
            "These layers do not use their full width. Units that died in training do not recover; after a short "
            "training run, or on few films, some may just not be needed yet.",
            "A lower training.learning_rate or a longer warm-up (training.warmup_fraction), training.clip_norm, less "
            "weight decay, or a narrower network.",
        )
    ]


def _parameter_findings(census: GradientCensus) -> list[DiagnosisFinding]:
    results = []
    unused = [name for name in census.unreached if name not in census.unexpected]
    if unused:
        results.append(
            DiagnosisFinding(
                "unused parameters",
                f"{len(unused)} parameter tensors get no gradient from any part of the loss.",
                "The model declares them unused: they keep their initial values and do not affect predictions.",
                "None needed; a positive weight of the loss that trains them switches them on.",
            )
        )
    if census.silent:
        results.append(
            DiagnosisFinding(
                "parameters without a gradient",
                f"The gradient of {len(census.silent)} parameter tensors is exactly 0 on the films tried.",
                "They do not learn now: they feed dead units, or a factor that is 0 (a residual branch initialised to "
                "zero, a clipped value).",
                "If they belong to a head, or are many after a full training run, see the dead channels.",
            )
        )
    return results
