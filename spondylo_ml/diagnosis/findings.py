"""What a diagnosis means, in plain sentences, and what to do about it."""

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
        "The right corner was meant and placed inexactly.",
        "A larger data.input_side_px, a narrower heatmap.sigma_cells or a longer training sharpens corners; look at "
        "the worst overlays first, which may be wrong labels.",
    ),
    "level_shift": (
        "The corner belongs to another vertebra: the spine is named one or more levels too high or too low.",
        "Levels are inferred jointly with heatmap.levels=chain; wider context helps (model.coordinate_channels, films "
        "that show the sacrum). More training films do more here than a finer input.",
    ),
    "side_flip": (
        "The mirror image of the corner was found: left and right are confused.",
        "Look at the check of the flip, the labels' order of corners (command audit), and films without a facing.",
    ),
    "corner_swap": (
        "Another corner of the right vertebra was found: superior and inferior are confused.",
        "Look at the labels' order of corners (command audit); loss.anatomical_weight above 0 punishes such bodies.",
    ),
    "missed": (
        "The model says that vertebrae are absent which are there.",
        "A longer training or a larger loss.presence_weight; for Keypoint R-CNN a lower "
        "model.keypoint_rcnn.score_threshold.",
    ),
    "false": (
        "Corners were predicted where no labelled one is.",
        "Usual after a short training. If not: bodies that the labels leave out, or films unlike those trained on.",
    ),
}  # fmt: skip
"""By kind of error: what it means, and what to do."""


@dataclass(frozen=True)
class DiagnosisFinding:
    """One thing worth knowing.

    Attributes:
        seen: what was measured.
        meaning: what that says of the model.
        advice: what to do.
    """

    title: str
    seen: str
    meaning: str
    advice: str

    def to_json(self) -> dict[str, str]:
        """All of it."""
        return asdict(self)


def findings(
    checks: Sequence[CheckResult],
    census: GradientCensus | None,
    layers: Sequence[LayerChannels],
    error_shares: Mapping[str, float],
    fixed_px512: Mapping[str, float],
    mre_px512: float,
) -> list[DiagnosisFinding]:
    """The findings, those on which all others rest first.

    Args:
        error_shares: percent of the summed error by kind, NaN where there is no error.
        fixed_px512: what the mean error would be with the corners of a kind put right.
    """
    found = [
        DiagnosisFinding(
            f"check {r.name} failed",
            r.finding,
            "A training started like this would waste its time or mislead.",
            r.advice,
        )
        for r in failed(checks)
    ]
    found += _of_error(error_shares, fixed_px512, mre_px512)
    found += _of_channels(layers)
    return found + (_of_parameters(census) if census else [])


def dead_in(layers: Sequence[LayerChannels]) -> tuple[int, int]:
    """Dead channels of all layers, and all channels."""
    return sum(layer.dead for layer in layers), sum(layer.channels for layer in layers)


def _of_error(shares: Mapping[str, float], fixed: Mapping[str, float], mre_px512: float) -> list[DiagnosisFinding]:
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


def _of_channels(layers: Sequence[LayerChannels]) -> list[DiagnosisFinding]:
    dead, channels = dead_in(layers)
    if not dead:
        return []
    worst = [layer for layer in layers if layer.dead_percent >= MANY_DEAD_PERCENT]
    named = ", ".join(f"{x.layer} ({x.dead} of {x.channels})" for x in sorted(worst, key=lambda x: -x.dead_percent)[:5])
    seen = f"{dead} of {channels} channels are zero or constant on the films that were looked at"
    if not worst:
        return [DiagnosisFinding("dead channels", f"{seen}, in no layer {MANY_DEAD_PERCENT:.0f} % or more.",
                        "A few are usual and cost nothing but memory.", "Nothing.")]  # fmt: skip
    return [
        DiagnosisFinding(
            "dead channels", f"{seen}; {len(worst)} layers have {MANY_DEAD_PERCENT:.0f} % or more, the most: {named}.",
            "These layers use less of their width than they have. Units that died in training do not come back; after "
            "a short training, or on few films, some have only not been needed yet.",
            "A lower training.learning_rate or a longer warm-up (training.warmup_fraction), training.clip_norm, less "
            "weight decay; or a narrower network, which would do as well.",
        )
    ]  # fmt: skip


def _of_parameters(census: GradientCensus) -> list[DiagnosisFinding]:
    found = []
    known = [name for name in census.unreached if name not in census.unexpected]
    if known:
        found.append(
            DiagnosisFinding(
                "parameters out of use", f"{len(known)} parameter tensors get no gradient from any part of the loss.",
                "The model names them as out of use: they stay as they started, and change no prediction that counts.",
                "Nothing; the loss that would train them is switched on by its weight.",
            )
        )  # fmt: skip
    if census.silent:
        found.append(
            DiagnosisFinding(
                "parameters without a gradient",
                f"The gradient of {len(census.silent)} parameter tensors is exactly 0 on the films tried.",
                "They do not learn at present: behind dead units, or behind a factor that is 0 (a residual branch that "
                "starts as nothing, a limit that was reached).",
                "If they belong to a head, or are many after a full training: see the dead channels.",
            )
        )
    return found
