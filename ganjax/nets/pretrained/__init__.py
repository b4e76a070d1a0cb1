"""Frozen networks with published weights, for losses and metrics.

lite0, vgg, alexnet and inception have one interface: a Flax module with the field `taps`, which maps normalised images
to {tap: features} and runs no layer after the last tap; and `variables(arrays)`, which turns the published state dict
into its variables. `normalise` turns images in [-1, 1] into the module's input. (FID's and ArtFID's Inception differ in
their input, which the metrics' extractors make.) `weights.load` finds and verifies the arrays; lpips is a distance on
such features.
"""
