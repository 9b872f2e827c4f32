"""Train two networks on the same synthetic films, and compare them on the validation films."""

import spondylo_ml

PRESET = "smoke"  # under a minute, learns nothing worth reading; "quick" takes minutes and learns

runs = {model: spondylo_ml.train(model, PRESET) for model in ("unet", "resnet50")}

print(f"{'model':10} {'MRE px512':>10} {'SDR@6 %':>8}   run")
for model, run in runs.items():
    print(f"{model:10} {run.metrics['mre_px512']:10.2f} {run.metrics['sdr_6px']:8.1f}   {run.run_id}")

first, second = (run.run_id for run in runs.values())
print("\nPaired differences with intervals, and the films that changed most:")
print(f"python -m spondylo_ml compare --run_ids {first},{second}")
