"""Two sides that move in turn: `alternate.py` is the engine; `from_noise.py`, `from_images.py` what families share."""
