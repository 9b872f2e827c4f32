"""The command line with a network that trains in milliseconds; in steps of PAUSE_S seconds if that is set."""

from __future__ import annotations

import os
import sys
import time

from small_net import SmallNet
from torch import Tensor

from spondylo_ml import register_model
from spondylo_ml.cli import main
from spondylo_ml.data.batches import FilmBatch


class SlowNet(SmallNet):
    """Takes its time for each step."""

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        time.sleep(float(os.environ.get("PAUSE_S", "0")))
        return super().losses(batch)


if __name__ == "__main__":
    register_model("small_net", lambda config, slots: SlowNet(slots))
    sys.exit(main())
