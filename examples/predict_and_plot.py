"""Grade films with a trained model and draw what it found: python predict_and_plot.py [model] [film ...].

The model is an alias, a run id or a folder; without one, a U-Net is trained for a moment on synthetic films.
"""

import sys

import matplotlib.pyplot as plt

import spondylo_ml
from spondylo_ml.evaluation.slips import predicted_vertebrae
from spondylo_ml.landmarks import OUTLINE

model = sys.argv[1] if len(sys.argv) > 1 else spondylo_ml.train("unet", "smoke").run_id
films = sys.argv[2:] or spondylo_ml.draw_phantoms(3, seed=8, slips="even")
results = [result for result in spondylo_ml.predict(films, model) if not result.error]

figure, axes = plt.subplots(1, len(results), figsize=(4 * len(results), 6), squeeze=False, layout="constrained")
for axis, result in zip(axes[0], results, strict=True):
    axis.imshow(result.film.image.read(), cmap="gray")
    for vertebra in predicted_vertebrae(result.prediction):
        x, y = vertebra.corners_xy[list(OUTLINE)].T
        axis.fill(x, y, edgecolor="orange", facecolor="none")
        axis.text(x.mean(), y.mean(), vertebra.level, color="orange", ha="center", va="center")
    slips = [f"{level.name} {level.slip}: {level.grade_name}" for level in result.measurement.levels if level.grade]
    axis.set_title("\n".join([result.film_id, *slips]), fontsize=9)
    axis.set_axis_off()
figure.savefig("predictions.png", dpi=150)
print(f"{len(results)} film(s) drawn in predictions.png")
