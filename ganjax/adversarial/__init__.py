"""Adversarial training: `alternate.py` is the engine; `from_noise.py` and `from_images.py` serve the recipes."""
