"""Videos through a trained translator, frame by frame: size, times and sound stay. Needs PyAV: `ganjax[video]`."""

import sys
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from tqdm import tqdm

from ganjax.errors import UserError
from ganjax.model import Model

CODECS = {".webm": ("libvpx-vp9", {"crf": "20", "b:v": "0"}), ".avi": ("mpeg4", {"qscale": "3"})}
H264 = ("libx264", {"crf": "17"})
ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
BT709, LIMITED = 1, 1  # FFmpeg's numbers
KEPT = 0.9  # share of the mean that a frame leaves
CUT = 40  # levels by which thumbnails differ where another scene begins


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

    Its sound is copied, its turns are made. UserError where PyAV is missing, and for what it cannot read or write.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("videos need PyAV: pip install 'ganjax[video]', or pip install av") from error
    temporary = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        with av.open(str(source)) as given, av.open(str(temporary), "w") as made:
            count = _frames(av, model, given, made, target.suffix.lower(), options)
        temporary.replace(target)
    except (av.error.FFmpegError, IndexError) as error:
        reason = "no video in it" if isinstance(error, IndexError) else error
        raise UserError(f"{source} cannot be translated: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)
    if not count:
        target.unlink()
        raise UserError(f"{source} holds no frame")
    return count


def _frames(av, model: Model, given, made, suffix: str, options: dict) -> int:
    video = given.streams.video[0]
    video.thread_type = "AUTO"
    sounds = {stream.index: made.add_stream_from_template(stream) for stream in given.streams.audio}
    length = video.frames or round(float((video.duration or 0) * video.time_base * (video.average_rate or 0)))
    bar = tqdm(total=length or None, desc="translating", unit=" frames", disable=not sys.stderr.isatty())
    steady, out, count, waiting = Steady(), None, 0, []
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
            for frame in packet.decode():
                image = frame.to_image()
                if frame.rotation:
                    image = image.rotate(frame.rotation, expand=True)
                steady.see(image)
                image = model(image, smooth=steady, **options).convert("RGB")
                out = out or _stream(made, suffix, image.size, video)
                picture = av.VideoFrame.from_image(image).reformat(
                    format=out.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                picture.pts, picture.time_base = frame.pts, frame.time_base
                made.mux(out.encode(picture))
                count += 1
                bar.update()
        if out:
            made.mux([*out.encode(), *waiting])
    return count


def _stream(made, suffix: str, size: tuple[int, int], video):
    codec, settings = CODECS.get(suffix, H264)
    out = made.add_stream(codec, rate=video.average_rate or video.guessed_rate, options=settings)
    out.width, out.height = size
    # Half the colours' resolution, as every player takes it, needs even sides.
    out.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 or suffix == ".avi" else "yuv444p"
    out.codec_context.time_base = video.time_base
    out.codec_context.colorspace = out.codec_context.color_primaries = out.codec_context.color_trc = BT709
    out.codec_context.color_range = LIMITED
    return out
