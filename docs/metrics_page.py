"""The documentation page of metrics, made from the catalogue; `generate.py` writes it."""

from __future__ import annotations

from collections.abc import Sequence

from spondylo_ml.evaluation.headline import HEADLINE
from spondylo_ml.evaluation.metric_table import PREFIXES, SECTIONS, SUFFIXES, Affix, Direction, MetricDefinition

INTRODUCTION = """# Metrics

The table of all metrics is `spondylo_ml/evaluation/metric_table.py`.

## How results are measured

* **px512** is px of the film scaled to 512 on its longer side, **px640** of the film scaled to 640. Without either, px
  is of the original film. Sizes of slips are in percent of the superior endplate of the lower vertebra.
* **By level name:** a corner is right only on the vertebra with its name, counted from the sacrum up (from L5 on AP
  films). All true corners count, whatever the presence score. A corner without a prediction, such as one of a vertebra
  that was not found or that the model has no slot for, is charged the diagonal of the film and counts as missed.
* **By instance:** predicted vertebrae (presence of at least 0.5) are matched to true ones by position, whatever their
  name (Hungarian method; the mean corner distance of a pair may be up to half the vertebra's shorter side).
* **Causes of the corner error:** each corner has one cause, by the true corner that lies where it was predicted:
  `level_shift` (a corner of another vertebra), `side_flip` (its mirror image), `corner_swap` (another corner of its
  vertebra), `missed` (not predicted), `false` (no true corner is near) or `localisation` (the right corner, imprecise).
* **Slip and grade** are measured from predicted and from true corners by the same rules. A level that cannot be
  measured reliably is withheld and counted.
* **Intervals** are 95 % intervals over patients: patients, not films, are resampled (bootstrap). A metric that cannot
  be computed is NaN, is not logged, and is `null` in JSON.
* **The mean shape**, each corner at its mean position on the training films, is the trivial predictor that every model
  must beat.
* `report/report.json` of an evaluation holds each value with its interval, the number of observations behind it and the
  number without a value, and the same by level, corner, source, sex, age and facing.

A run logs a metric as `<prefix><name><suffix>`, such as `eval/sdr_6px`. The column "better" says which values are
better; `-` is for counts, settings and rates with a target. A run logs only these of its kept weights, rounded, and the
first four in every epoch: {headline}. All others are in its `metrics.json`, those of each epoch in `epochs.csv`,
intervals and strata in the tables of `report/`.
"""


def metrics_page() -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION.format(headline=", ".join(f"`{name}`" for name in HEADLINE))]
    for title, metrics in SECTIONS.items():
        parts += [f"## {title}\n", _table(("name", "unit", "better", "meaning"), [_row(m) for m in metrics])]
    for title, affixes in (("Prefixes", PREFIXES), ("Suffixes", SUFFIXES)):
        parts += [f"## {title}\n", _table((title.lower().removesuffix("es"), "meaning"), [_affix(a) for a in affixes])]
    return "\n".join(parts)


def _row(metric: MetricDefinition) -> tuple[str, ...]:
    better = "-" if metric.direction is Direction.NEITHER else str(metric.direction)
    return f"`{metric.name}`", metric.unit, better, _escaped(metric.meaning)


def _escaped(text: str) -> str:
    """Markdown in which a placeholder outside of code is not read as an HTML tag."""
    parts = text.split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


def _affix(affix: Affix) -> tuple[str, ...]:
    return f"`{affix.text}`", _escaped(affix.meaning)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
