"""Cycle-level ground truth: planar-tiled dataflows on real tensors; shares specs and tensors with the model."""
