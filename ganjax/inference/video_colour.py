"""Convert video frames to sRGB images and back: matrices, ranges, transfer functions and primaries."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ganjax.errors import UserError
from ganjax.inference import hdr

# FFmpeg's codes of a stream's colour metadata.
UNSPECIFIED, BT709, BT601, BT2020 = 2, 1, 5, 9
MATRICES = (1, 4, 5, 6, 7, 9)  # those that swscale converts
TRANSFERS = (1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 15)  # close enough to BT.1886 or sRGB to be treated as SDR
LIMITED, FULL = 1, 2
HIGH = 720  # rows from which players assume BT.709 if the matrix is unspecified
WIDE = {hdr.BT2020: "BT.2020", hdr.P3: "P3"}  # primaries that are converted to BT.709
HDR = {hdr.HLG: "HLG", hdr.PQ: "PQ"}  # transfer functions that are tone-mapped
WHITE = 65_280  # the level of white in swscale's 16-bit RGB
DOLBY = ("dvh1", "dvhe", "dav1", "dva1", "dvav")  # codec tags of Dolby Vision; profile 5 has its own colour space


class Colours(NamedTuple):
    """matrix, transfer, primaries: FFmpeg's codes. full: whether Y has the range 0 to 255, and not 16 to 235."""

    matrix: int
    full: bool
    transfer: int
    primaries: int

    @property
    def converted(self) -> bool:
        """Whether tone mapping or a conversion of primaries to BT.709 is needed."""
        return self.transfer in HDR or self.primaries in WIDE

    @property
    def words(self) -> str:
        """A description for messages."""
        return f"colours ({HDR.get(self.transfer, 'SDR')}, {WIDE.get(self.primaries, 'narrow')})"


def of_frame(frame, name: str, tag: str = "") -> Colours:
    """Return a frame's colour coding; for unspecified fields the values that players assume. tag: the codec's.

    Raises UserError, which names the video `name`, if the colours cannot be converted.
    """
    matrix, transfer, primaries = (int(x) for x in (frame.colorspace, frame.color_trc, frame.color_primaries))
    is_hdr = transfer in HDR
    if tag.lower() in DOLBY and not is_hdr:
        raise UserError(f"{name}: its colours are in Dolby Vision's own format: convert it to HLG, HDR10 or SDR first")
    if not (is_hdr or transfer in TRANSFERS or transfer == 0):
        raise UserError(f"{name}: its transfer function {transfer} is not supported: convert it to SDR first")
    if matrix == UNSPECIFIED:
        wide = is_hdr or primaries == hdr.BT2020
        matrix = BT2020 if wide else BT709 if frame.height >= HIGH else BT601
    if frame.format.is_rgb:
        matrix = BT709  # not used: RGB needs no matrix
    elif matrix not in MATRICES:
        raise UserError(f"{name}: its colour matrix {matrix} is not supported: convert it to BT.709 first")
    if primaries in (0, UNSPECIFIED):
        primaries = hdr.BT2020 if is_hdr or matrix == BT2020 else BT709
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    return Colours(matrix, full, transfer, primaries)


def to_image(frame, colours: Colours) -> Image.Image:
    """Return a frame as 8-bit RGB with BT.709's primaries, tone-mapped if it is HLG or PQ."""
    options = {"format": "rgb48le" if colours.converted else "rgb24", "interpolation": _interpolation()}
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
        format=pixel_format, dst_colorspace=matrix, dst_color_range=LIMITED, interpolation=_interpolation()
    )


def tag(context, source: Colours, matrix: int) -> None:
    """Set a codec context's colour metadata to those of `to_frame`'s frames.

    Primaries and transfer function are the source's if `to_image` did not convert them, else BT.709.
    """
    unconverted = not source.converted
    context.colorspace, context.color_range = matrix, LIMITED
    context.color_primaries = source.primaries if unconverted else BT709
    context.color_trc = source.transfer if unconverted and source.transfer not in (0, UNSPECIFIED) else BT709


def output_matrix(suffix: str, height: int) -> int:
    """Return the output's matrix: BT.709 or, for .avi, which cannot store it, the one that players assume."""
    return BT601 if suffix == ".avi" and height < HIGH else BT709


def _interpolation() -> int:
    """Return swscale's options for levels that are exact but for rounding; with its default they are off by up to 3."""
    from av.video.reformatter import Interpolation

    return Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
