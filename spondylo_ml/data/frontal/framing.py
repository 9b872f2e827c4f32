"""Place of a spine on a frontal film: size, scale, position."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spondylo_ml.data.frontal.curves import L5, T1
from spondylo_ml.data.frontal.spine import LABELLED, FrontalSpine
from spondylo_ml.data.phantom.framing import MARGIN_PX
from spondylo_ml.data.phantom.styles import Style
from spondylo_ml.landmarks import FloatArray


@dataclass(frozen=True, eq=False)
class FrontalFraming:
    """A spine in px of the film.

    Attributes:
        size_hw: height and width in px.
        corners_px: (V, 4, 2) corners of all drawn bodies by slot, from S1 up to C4.
        rotation_deg: (V,) axial rotation; positive if the spinous process points to the right of the image.
        px_per_mm: scale.
        unit_px: median width of T1 to L5, the unit of length for everything around the spine.
        style: patient, exposure and device.
    """

    size_hw: tuple[int, int]
    corners_px: FloatArray
    rotation_deg: FloatArray
    px_per_mm: float
    unit_px: float
    style: Style

    @cached_property
    def centres_px(self) -> FloatArray:
        """(V, 2) centre of each body."""
        return np.asarray(self.corners_px.mean(axis=1))

    @cached_property
    def _axes_px(self) -> FloatArray:
        """(V, 2, 2) width of each body from left to right, and its height downward."""
        c = self.corners_px
        return np.stack([c[:, 1] + c[:, 3] - c[:, 0] - c[:, 2], c[:, 2] + c[:, 3] - c[:, 0] - c[:, 1]], axis=1) / 2

    @cached_property
    def trunk_px(self) -> FloatArray:
        """(V, 2) points of the trunk's axis beside each body; it follows the spine only in part."""
        x, y = self.centres_px.T
        straight = np.interp(y, y[[T1, L5]], x[[T1, L5]])
        return np.stack([0.75 * straight + 0.25 * x, y], axis=1)

    @property
    def labelled_px(self) -> FloatArray:
        """(17, 4, 2) corners of L5 up to T1."""
        return self.corners_px[LABELLED]

    @cached_property
    def shown(self) -> range:
        """Slots of the vertebrae above the sacrum of which the film may show something."""
        on_film = self.corners_px[:, 2:, 1].max(axis=1) > -self.unit_px
        return range(L5, int(np.flatnonzero(on_film)[-1]) + 1)

    def in_body(self, slot: int, local: FloatArray) -> FloatArray:
        """(N, 2) px of points in a body's local coordinates.

        x to the right of the image from its centre in units of its width, y down in units of its height.
        """
        return np.asarray(self.centres_px[slot] + local @ self._axes_px[slot])

    def beside_axis(self, knots: FloatArray, side: int = 1) -> FloatArray:
        """(N, 2) px of points given by their slot, and by their distance from the trunk's axis in units of `unit_px`.

        Distances are to the right of the image, or to its left if `side` is -1. Slots below 0 continue the axis.
        """
        slots = np.arange(len(self.trunk_px), dtype=np.float64)
        x = np.interp(knots[:, 0], slots, self.trunk_px[:, 0]) + side * knots[:, 1] * self.unit_px
        y = np.interp(knots[:, 0], slots, self.trunk_px[:, 1]) - np.minimum(knots[:, 0], 0.0) * 1.2 * self.unit_px
        return np.stack([x, y], axis=1)

    def axis_px(self, slot: float, right: float = 0.0) -> FloatArray:
        """(2,) the point of `beside_axis` for one slot and distance."""
        return np.asarray(self.beside_axis(np.array([[slot, right]]))[0])


def random_framing(rng: np.random.Generator, spine: FrontalSpine, long_side_px: int, style: Style) -> FrontalFraming:
    """Draw width, scale and position; from just above T1 to just below L5, as the films of SpineWeb-16."""
    height = long_side_px
    low, high = (f(spine.corners_mm[LABELLED].reshape(-1, 2), axis=0) for f in (np.min, np.max))
    top = height * float(np.clip(0.028 * np.exp(rng.normal(0.0, 0.45)), 0.006, 0.09))
    bottom = height * float(1 - np.clip(0.062 * np.exp(rng.normal(0.0, 0.38)), 0.02, 0.22))
    scale = float((bottom - top) / (high[1] - low[1]))
    aspect = float(np.clip(rng.normal(0.376, 0.055), 0.245, 0.51))
    need = (high[0] - low[0]) * scale
    width = max(round(height * aspect), int(np.ceil(need * 1.08 + 4 * MARGIN_PX)))
    middle = float(spine.corners_mm[LABELLED, :, 0].mean()) * scale
    x = width * float(np.clip(rng.normal(0.484, 0.05), 0.36, 0.62)) - middle
    margin = MARGIN_PX + 0.02 * width
    x = float(np.clip(x, margin - low[0] * scale, width - 1 - margin - high[0] * scale))
    y = max(top, MARGIN_PX) - low[1] * scale
    return FrontalFraming(
        size_hw=(height, width),
        corners_px=spine.corners_mm * scale + [x, y],
        rotation_deg=spine.rotation_deg,
        px_per_mm=scale,
        unit_px=spine.width_mm * scale,
        style=style,
    )
