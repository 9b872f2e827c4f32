"""Networks behind one contract, and the codec between corners and heatmaps."""
