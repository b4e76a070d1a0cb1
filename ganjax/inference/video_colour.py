"""Frames of a video as images of sRGB, and back: matrices, ranges, transfer functions and primaries."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ganjax.errors import UserError
from ganjax.inference import hdr

# FFmpeg's numbers of what a stream says about its colours.
UNSPECIFIED, BT709, BT601, BT2020 = 2, 1, 5, 9
MATRICES = (1, 4, 5, 6, 7, 9)  # that swscale converts
TRANSFERS = (1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15)  # near enough to BT.1886 or sRGB to be taken as such
LIMITED, FULL = 1, 2
HIGH = 720  # rows from which players take colours for BT.709's where nothing is said
WIDE = {hdr.BT2020: "BT.2020", hdr.P3: "P3"}  # primaries that are converted
BRIGHT = {hdr.HLG: "HLG", hdr.PQ: "PQ"}
WHITE = 65_280  # of swscale's 16-bit RGB
DOLBY = ("dvh1", "dvhe", "dav1", "dva1", "dvav")  # tags of Dolby Vision; profile 5 has colours of its own


class Colours(NamedTuple):
    """matrix, transfer, primaries: FFmpeg's numbers. full: whether Y goes from 0 to 255, and not from 16 to 235."""

    matrix: int
    full: bool
    transfer: int
    primaries: int

    @property
    def converted(self) -> bool:
        """Whether they are other than BT.709's, and not just coded in another way."""
        return self.transfer in BRIGHT or self.primaries in WIDE

    @property
    def words(self) -> str:
        """What they are, to people."""
        return f"colours ({BRIGHT.get(self.transfer, 'SDR')}, {WIDE.get(self.primaries, 'narrow')})"


def of_frame(frame, name: str, tag: str = "") -> Colours:
    """Return how a frame's colours are coded; where it does not say, as players take it. tag: the codec's.

    Raises UserError, with the video's name, for what cannot be converted.
    """
    matrix, transfer, primaries = (int(x) for x in (frame.colorspace, frame.color_trc, frame.color_primaries))
    bright = transfer in BRIGHT
    if tag.lower() in DOLBY and not bright:
        raise UserError(f"{name}: its colours are Dolby Vision's alone: convert it to HLG, HDR10 or SDR first")
    if not (bright or transfer in TRANSFERS or transfer == 0):
        raise UserError(
            f"{name}: its colours have the transfer function {transfer}, which is not known: convert it first"
        )
    if matrix == UNSPECIFIED:
        wide = bright or primaries == hdr.BT2020
        matrix = BT2020 if wide else BT709 if frame.height >= HIGH else BT601
    if frame.format.is_rgb:
        matrix = BT709  # which is not used
    elif matrix not in MATRICES:
        raise UserError(f"{name}: its colours have the matrix {matrix}, not a known one: convert it first")
    if primaries in (0, UNSPECIFIED):
        primaries = hdr.BT2020 if bright or matrix == BT2020 else BT709
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    return Colours(matrix, full, transfer, primaries)


def to_image(frame, colours: Colours) -> Image.Image:
    """Return a frame as 8-bit RGB of BT.709's primaries, tone-mapped if it is HLG or PQ."""
    options = {"format": "rgb48le" if colours.converted else "rgb24", "interpolation": _exactly()}
    if not frame.format.is_rgb:
        options |= {"src_colorspace": colours.matrix, "src_color_range": FULL if colours.full else LIMITED}
    pixels = frame.reformat(**options, dst_color_range=FULL).to_ndarray()
    if colours.converted:
        pixels = hdr.to_sdr(np.minimum(pixels.astype(np.float32) / WHITE, 1), colours.transfer, colours.primaries)
    return Image.fromarray(pixels)


def to_frame(image: Image.Image, pixel_format: str, matrix: int):
    """Return an RGB image as a video frame of limited range."""
    import av

    return av.VideoFrame.from_image(image).reformat(
        format=pixel_format, dst_colorspace=matrix, dst_color_range=LIMITED, interpolation=_exactly()
    )


def tag(context, source: Colours, matrix: int) -> None:
    """Write into a codec's context what its frames are: `to_frame`'s, and what `to_image` left of the source's."""
    unconverted = not source.converted
    context.colorspace, context.color_range = matrix, LIMITED
    context.color_primaries = source.primaries if unconverted else BT709
    context.color_trc = source.transfer if unconverted and source.transfer not in (0, UNSPECIFIED) else BT709


def written(suffix: str, height: int) -> int:
    """Return the matrix to write with: BT.709, or what players assume in an .avi, which cannot say it."""
    return BT601 if suffix == ".avi" and height < HIGH else BT709


def _exactly() -> int:
    """Return swscale's options by which no level is off by more than rounding; its default is off by up to 3."""
    from av.video.reformatter import Interpolation

    return Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
