"""Videos through a trained translator, frame by frame: size, times and sound stay. Needs PyAV: `ganjax[video]`."""

import logging
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from ganjax.errors import UserError
from ganjax.model import Model
from ganjax.progress import progress_bar

CODECS = {".webm": ("libvpx-vp9", {"crf": "20", "b:v": "0"}), ".avi": ("mpeg4", {"qscale": "3"})}
H264 = ("libx264", {"crf": "17"})
ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
BT709, UNSPECIFIED, LIMITED = 1, 2, 1  # FFmpeg's numbers
HIGH = 720  # rows from which players take colours for BT.709's where nothing is said
FINEST = 65_535  # parts of a second that MPEG-4 can count
KEPT = 0.9  # share of the mean that a frame leaves
CUT = 40  # levels by which thumbnails differ where another scene begins
log = logging.getLogger(__name__)


class Steady:
    """Statistics of a translator's norms, averaged over the frames of a scene.

    A norm that sees each frame alone makes the whole picture flicker with whatever comes into it.
    """

    def __init__(self):
        self.mean, self.last = None, None

    def see(self, frame: Image.Image) -> None:
        """Begin anew where the frame is of another scene than the one before."""
        small = np.asarray(frame.convert("L").resize((32, 32), Image.Resampling.BOX), np.float32)
        if self.last is not None and np.abs(small - self.last).mean() > CUT:
            self.mean = None
        self.last = small

    def __call__(self, statistics: dict) -> dict:
        """Return the mean, this frame's statistics in it."""
        if self.mean is None:
            self.mean = statistics
        else:
            self.mean = jax.tree.map(lambda old, new: KEPT * old + (1 - KEPT) * new, self.mean, statistics)
        return self.mean


def translate(model: Model, source: Path, target: Path, **options) -> int:
    """Translate a video into the file `target`; return the number of frames. `options`: `translate.translator`'s.

    Its sound is copied, its turns are made, damaged frames are passed over. UserError where PyAV is missing, and for
    what it cannot read or write.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("videos need PyAV: pip install 'ganjax[video]', or pip install av") from error
    temporary = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        with av.open(str(source)) as given, av.open(str(temporary), "w") as made:
            count = _frames(av, model, given, made, target.suffix.lower(), options) if given.streams.video else 0
        if not count:
            raise UserError(f"{source} holds no frame")
        temporary.replace(target)
    except av.error.FFmpegError as error:
        raise UserError(f"{source} cannot be translated: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _frames(av, model: Model, given, made, suffix: str, options: dict) -> int:
    video = given.streams.video[0]
    video.thread_type = "AUTO"
    sounds = {stream.index: made.add_stream_from_template(stream) for stream in given.streams.audio}
    length = video.frames or round(float((video.duration or 0) * video.time_base * (video.average_rate or 0)))
    bar = progress_bar(total=length or None, desc="translating", unit=" frames")
    steady, out, count, damaged, waiting, last = Steady(), None, 0, 0, [], None
    with bar:
        for packet in given.demux([video, *given.streams.audio]):
            if packet.stream is not video:
                if packet.dts is not None:
                    packet.stream = sounds[packet.stream.index]
                    waiting.append(packet)
                if out:  # nothing is written before all streams are known, and the first frame tells the size
                    made.mux(waiting)
                    waiting = []
                continue
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                continue
            for frame in frames:
                image = _upright(frame)
                steady.see(image)
                image = model(image, smooth=steady, **options).convert("RGB")
                out = out or _stream(made, suffix, image.size, video)
                picture = av.VideoFrame.from_image(image).reformat(
                    format=out.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                picture.time_base = out.codec_context.time_base
                picture.pts = last = _time(frame, picture.time_base, last, video.average_rate)
                made.mux(out.encode(picture))
                count += 1
                bar.update()
        if out:
            made.mux([*out.encode(), *waiting])
    if damaged:
        log.warning("%d packets of %s are damaged: their frames are left out", damaged, given.name)
    return count


def _upright(frame) -> Image.Image:
    """Return a frame as RGB, its turn made. Where it does not say how its colours are coded, its size does."""
    unsaid = int(frame.colorspace) == UNSPECIFIED and frame.height >= HIGH
    image = (frame.reformat(format="rgb24", src_colorspace="ITU709") if unsaid else frame).to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _time(frame, unit: Fraction, last: int | None, rate) -> int:
    """Return when a frame is shown, in `unit` seconds: after the last, which some files do not promise."""
    at = None if frame.pts is None else round(frame.pts * frame.time_base / unit)
    if last is not None and (at is None or at <= last):
        return last + max(1, round(1 / ((rate or 25) * unit)) if at is None else 1)
    return at or 0


def _stream(made, suffix: str, size: tuple[int, int], video):
    codec, settings = CODECS.get(suffix, H264)
    out = made.add_stream(codec, rate=video.average_rate or video.guessed_rate, options=settings)
    out.width, out.height = size
    # Half the colours' resolution, as every player takes it, needs even sides.
    out.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 or suffix == ".avi" else "yuv444p"
    unit = Fraction(video.time_base)
    # A unit that MPEG-4 cannot have is replaced by one fine enough.
    fits = suffix != ".avi" or max(unit.numerator, unit.denominator) <= FINEST
    out.codec_context.time_base = unit if fits else Fraction(1, 60_000)
    out.codec_context.colorspace = out.codec_context.color_primaries = out.codec_context.color_trc = BT709
    out.codec_context.color_range = LIMITED
    return out
