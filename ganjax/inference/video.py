"""Videos through a trained translator, frame by frame: size, times and sound stay. Needs PyAV: `ganjax[video]`."""

import contextlib
import errno
import json
import logging
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from ganjax.data.metadata import KEY
from ganjax.errors import UserError
from ganjax.inference import video_colour
from ganjax.inference.model import Model
from ganjax.system import atomic
from ganjax.system.names import printable
from ganjax.system.progress import progress_bar

CODECS = {  # a quantiser of 2, in FFmpeg's units of 1/118, for MPEG-4
    ".webm": ("libvpx-vp9", {"crf": "16", "b:v": "0"}),
    ".avi": ("mpeg4", {"flags": "+qscale", "global_quality": "236"}),
}
H264 = ("libx264", {"crf": "14"})
ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg"  # FFmpeg's names of what may be inside
FINEST = 65_535  # parts of a second that MPEG-4 can count
SHORT = 0.1  # share of the time that a file says it lasts, at least a second: more is missing of one that is cut short
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


def translate(
    model: Model, source: Path, target: Path, max_pixels: int | None = None, record: dict | None = None, **options
) -> int:
    """Translate a video into the file `target`; return the number of frames. `options`: `translate.translator`'s.

    max_pixels: limit of a frame. record: how the video is made, for its metadata: under the key `ganjax` of Matroska
    and WebM, else as the comment where the source has none. Titles, languages, sound and subtitles are copied, turns
    are made, damaged frames are left out. HLG, PQ and wide colours become BT.709's. Raises UserError where PyAV is
    missing, and for what it cannot read or write; `target` is then as it was.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("videos need PyAV: pip install 'ganjax[video]', or pip install av") from error
    name = printable(str(source))
    with contextlib.ExitStack() as stack:
        try:
            # Opened here, so that any name will do; the formats are named, so that no playlist leads elsewhere.
            file = stack.enter_context(source.open("rb"))
            given = av.open(file, options={"format_whitelist": FORMATS}, metadata_errors="replace")
            stack.enter_context(given)
        except (OSError, av.error.FFmpegError) as error:
            unreadable = isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EIO)
            reason = error.strerror if unreadable else "it is empty, damaged, cut short or no video"
            raise UserError(f"{name} cannot be translated: {reason}") from error
        video = next((stream for stream in given.streams.video if not _is_cover(stream)), None)
        if not video:
            raise UserError(f"{name} holds no video, but {_kinds(given.streams) or 'nothing: it may be cut short'}")
        if not video.codec_context:
            raise UserError(f"{name} cannot be translated: FFmpeg does not know the video's codec")
        if max_pixels and video.width * video.height > max_pixels:
            size = f"{video.width}x{video.height}"
            raise UserError(f"{name}: {size} is over data.max_pixels = {max_pixels}; --max_pixels=N sets another limit")
        temporary = stack.enter_context(atomic.replacing(target))
        try:
            with av.open(str(temporary), "w") as made:
                made.metadata.update(_tags(given.metadata, target.suffix.lower(), record))
                count = _Translation(av, model, name, given, video, made, options).run(target.suffix.lower())
        except av.error.FFmpegError as error:
            if isinstance(error, OSError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(error.errno, error.strerror) from error  # `replacing` names the target
            raise UserError(f"{name} cannot be translated: {error.strerror}") from error
        if not count:
            raise UserError(f"{name} holds no frame that can be read")
    return count


class _Translation:
    """The streams of one video, from container to container."""

    def __init__(self, av, model: Model, name: str, given, video, made, options: dict):
        self.errors, self.name = av.error.FFmpegError, name
        self.model, self.given, self.video, self.made, self.options = model, given, video, made, options
        self.copied = [s for s in given.streams if s.type in ("audio", "subtitle") and s.codec_context]
        self.out, self.streams, self.waiting = None, {}, []
        self.steady, self.last, self.count, self.damaged, self.ends = Steady(), None, 0, 0, 0.0
        self.tag = (video.codec_context.codec_tag or "").lower()

    def run(self, suffix: str) -> int:
        """Translate all frames; return their number."""
        self.video.thread_type = "AUTO"
        rate, unit = self.video.average_rate or 0, self.video.time_base or 0
        length = self.video.frames or round(float((self.video.duration or 0) * unit * rate))
        with progress_bar(total=length or None, desc="translating", unit=" frames") as bar:
            for packet in self._packets():
                if packet and packet.stream is not self.video:
                    self._copy(packet)
                    continue
                for frame in self._decoded(packet):
                    self._write(frame, suffix)
                    bar.update()
            if self.out:
                self._release()
                self.made.mux(self.out.encode())
        self._say_what_is_missing()
        return self.count

    def _say_what_is_missing(self) -> None:
        if self.damaged:
            log.warning("%d packets of %s are damaged and left out", self.damaged, self.name)
        left = [s for s in self.given.streams if s is not self.video and s.index not in self.streams]
        if self.out and left:
            log.warning("left out of %s: %s", self.name, _kinds(left))
        said = float((self.given.duration or 0) / 1e6)
        if said - self.ends > max(1, SHORT * said):
            log.warning("%s ends after %.1f s of %.1f s: it may be cut short", self.name, self.ends, said)

    def _packets(self) -> Iterator:
        """Yield the packets; None, for the frames that the decoder still holds, where they break off."""
        packets = self.given.demux([self.video, *self.copied])
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except self.errors as error:
                log.warning("%s breaks off after %d frames: %s", self.name, self.count, error.strerror)
                yield None
                return

    def _decoded(self, packet) -> list:
        try:
            return packet.decode() if packet else self.video.decode(None)
        except self.errors:
            self.damaged += 1
            return []

    def _copy(self, packet) -> None:
        if packet.size:  # the last of each stream, which ends it, has none
            packet.dts = packet.pts if packet.dts is None else packet.dts
            self.waiting.append(packet)
        if self.out:  # nothing is written before all streams are known, and the first frame tells the size
            self._release()

    def _release(self) -> None:
        for packet in self.waiting:
            if packet.stream.index in self.streams:
                packet.stream = self.streams[packet.stream.index]
                try:
                    self.made.mux(packet)
                except self.errors as error:
                    if error.errno != errno.EINVAL:
                        raise
                    self.damaged += 1  # its time lies before that of the one before it
        self.waiting = []

    def _write(self, frame, suffix: str) -> None:
        colours = video_colour.of_frame(frame, self.name, self.tag)
        image = video_colour.to_image(frame, colours)
        image = image.rotate(frame.rotation, expand=True) if frame.rotation else image
        self.steady.see(image)
        image = self.model(image, smooth=self.steady, **self.options).convert("RGB")
        if not self.out:
            self._open(suffix, image.size, colours, turned=frame.rotation % 180 != 0)
        elif image.size != (self.out.width, self.out.height):  # of a stream that changes its size
            image = image.resize((self.out.width, self.out.height), Image.Resampling.LANCZOS)
        picture = video_colour.to_frame(image, self.out.pix_fmt, video_colour.written(suffix, self.out.height))
        picture.time_base = self.out.codec_context.time_base
        picture.pts = self.last = _time(frame, picture.time_base, self.last, self.video.average_rate)
        self.made.mux(self.out.encode(picture))
        self.ends = float((self.last + 1) * picture.time_base - (self.given.start_time or 0) / 1_000_000)
        self.count += 1

    def _open(self, suffix: str, size: tuple[int, int], colours: video_colour.Colours, turned: bool) -> None:
        """Add the streams to what is written: first the video, then what is copied, if the container can hold it."""
        if colours.converted:
            log.info("%s: its %s become those of BT.709", self.name, colours.words)
        codec, settings = CODECS.get(suffix, H264)
        rate = self.video.average_rate or self.video.guessed_rate or 25
        self.out = out = self.made.add_stream(codec, rate=rate, options=settings)
        out.width, out.height = size
        # Half the colours' resolution, as every player takes it, needs even sides.
        out.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 or suffix == ".avi" else "yuv444p"
        context, unit = out.codec_context, Fraction(self.video.time_base or 1 / Fraction(rate))
        # A unit that MPEG-4 cannot have is replaced by one fine enough.
        fits = suffix != ".avi" or max(unit.numerator, unit.denominator) <= FINEST
        context.time_base = unit if fits else Fraction(1, 60_000)
        video_colour.tag(context, colours, video_colour.written(suffix, size[1]))
        shape = self.video.sample_aspect_ratio
        if shape and shape != 1:
            context.sample_aspect_ratio = 1 / shape if turned else shape
        out.metadata.update(_language(self.video))
        for stream in self.copied:
            try:
                self.streams[stream.index] = copy = self.made.add_stream_from_template(stream)
                copy.metadata.update(_language(stream))
            except (ValueError, self.errors):
                continue  # `run` names it


def _tags(metadata: dict, suffix: str, record: dict | None) -> dict[str, str]:
    """Return what a container says of the video, with the record of how it was made."""
    tags = {key: value for key, value in metadata.items() if key not in ("encoder", KEY)}
    if record is None:
        return tags
    free = suffix in (".mkv", ".webm")  # the others hold the keys that they know
    return {KEY if free else "comment": json.dumps(record), **tags}


def _language(stream) -> dict[str, str]:
    return {key: value for key, value in stream.metadata.items() if key in ("language", "title")}


def _is_cover(stream) -> bool:
    """Return whether a stream is a picture beside the sound, and not a video."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _kinds(streams) -> str:
    """Return how many streams there are of each kind, in words."""
    kinds = Counter("cover picture" if s.type == "video" and _is_cover(s) else s.type for s in streams)
    return ", ".join(f"{count} {kind} stream{'s' if count > 1 else ''}" for kind, count in kinds.items())


def _time(frame, unit: Fraction, last: int | None, rate) -> int:
    """Return when a frame is shown, in `unit` seconds: after the last, which some files do not promise."""
    at = None if frame.pts is None else round(frame.pts * frame.time_base / unit)
    if last is not None and (at is None or at <= last):
        return last + max(1, round(1 / ((rate or 25) * unit)) if at is None else 1)
    return at or 0
