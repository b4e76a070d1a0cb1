"""Show images of one, three or four channels, the fourth of which is alpha, as RGB. For arrays of NumPy and of JAX."""

import numpy as np

SQUARES = 8  # of the board, along the shorter side


def on_board(images):
    """Return floats (..., H, W, C) in [-1, 1] as RGB; with alpha before the checkerboard that stands for "clear".

    No opaque image is likely to have the board's pattern, so that what is clear can be told from what is opaque.
    """
    if images.shape[-1] != 4:
        return _repeated(images)
    height, width = images.shape[-3:-1]
    side = max(min(height, width) // SQUARES, 1)
    rows, columns = np.arange(height)[:, None] // side, np.arange(width) // side
    board = np.where((rows + columns) % 2, 0.25, -0.25)[..., None].astype(images.dtype)
    share = (images[..., 3:].clip(-1, 1) + 1) / 2
    return board + share * (images[..., :3] - board)


def on_white(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 images (..., H, W, C) without alpha, before white; grey ones stay as they are."""
    if pixels.shape[-1] != 4:
        return pixels
    share = pixels[..., 3:].astype(np.uint16)
    return ((pixels[..., :3] * share + (255 - share) * 255 + 127) // 255).astype(np.uint8)


def _repeated(images):
    return images if images.shape[-1] == 3 else images.repeat(3, -1)
