"""Short names of vertebrae, for pictures and narrow tables."""

from __future__ import annotations

from spondylo_ml.clinical.measurement import LOWEST_VISIBLE


def short_name(name: str) -> str:
    """The name shortened to fit on a body; unnamed vertebrae are counted from the lowest one."""
    return name.replace(LOWEST_VISIBLE, "lowest" if name == LOWEST_VISIBLE else "").strip()
