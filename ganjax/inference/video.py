"""Translate videos with a trained model frame by frame; size, times and sound are kept. Needs `ganjax[video]`: PyAV."""

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

CODECS = {  # MPEG-4 has a quantiser of 2, in FFmpeg's units of 1/118
    ".webm": ("libvpx-vp9", {"crf": "16", "b:v": "0"}),
    ".avi": ("mpeg4", {"flags": "+qscale", "global_quality": "236"}),
}
H264 = ("libx264", {"crf": "14"})
ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg"  # FFmpeg's names of accepted containers
MAX_TICKS = 65_535  # per second: the finest time base of MPEG-4
MAX_MISSING = 0.1  # share of a video's stated duration, and at least a second; if more is missing, a warning is logged
DECAY = 0.9  # of the moving average of the norms' statistics, per frame
SCENE_CHANGE = 40  # levels of mean difference between thumbnails, above which a new scene begins
log = logging.getLogger(__name__)


class AveragedNorms:
    """The statistics of a translator's norms, averaged over the frames of a scene.

    With separate statistics for each frame, an object that moves into the picture would make all of it flicker.
    """

    def __init__(self):
        self.mean, self.thumbnail = None, None

    def start_frame(self, frame: Image.Image) -> None:
        """Reset the average if the frame begins a new scene. Call it for each frame."""
        thumbnail = np.asarray(frame.convert("L").resize((32, 32), Image.Resampling.BOX), np.float32)
        if self.thumbnail is not None and np.abs(thumbnail - self.thumbnail).mean() > SCENE_CHANGE:
            self.mean = None
        self.thumbnail = thumbnail

    def __call__(self, statistics: dict) -> dict:
        """Return the average, updated by this frame's statistics."""
        if self.mean is None:
            self.mean = statistics
        else:
            self.mean = jax.tree.map(lambda old, new: DECAY * old + (1 - DECAY) * new, self.mean, statistics)
        return self.mean


def translate(
    model: Model, source: Path, target: Path, max_pixels: int | None = None, record: dict | None = None, **options
) -> int:
    """Translate a video into the file `target`; return the number of frames.

    Titles, languages, sound and subtitles are copied, frames are rotated as the file says, and damaged packets are
    skipped. HLG, PQ and wide colours are converted to BT.709.

    max_pixels: limit of a frame's size. record: how the video is made, for its metadata: under the key `ganjax` in
    Matroska and WebM, else as the comment, unless the source has one. options: of the function of `tiles.translator`.
    Raises UserError, without touching `target`, if PyAV is missing or the video cannot be read or written.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("videos need PyAV: pip install 'ganjax[video]', or pip install av") from error
    name = printable(str(source))
    with contextlib.ExitStack() as stack:
        try:
            # FFmpeg would take some names for URLs, so the file is opened here; and a playlist could refer to other
            # files, so the formats are limited.
            file = stack.enter_context(source.open("rb"))
            reader = av.open(file, options={"format_whitelist": FORMATS}, metadata_errors="replace")
            stack.enter_context(reader)
        except (OSError, av.error.FFmpegError) as error:
            unreadable = isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EIO)
            reason = error.strerror if unreadable else "it is empty, damaged, cut short or no video"
            raise UserError(f"{name} cannot be translated: {reason}") from error
        video = next((stream for stream in reader.streams.video if not _is_cover(stream)), None)
        if not video:
            kinds = _kinds(reader.streams)
            raise UserError(f"{name} has no video stream{f', only {kinds}' if kinds else ': it may be cut short'}")
        if not video.codec_context:
            raise UserError(f"{name} cannot be translated: FFmpeg does not know the video's codec")
        if max_pixels and video.width * video.height > max_pixels:
            size = f"{video.width}x{video.height}"
            raise UserError(f"{name}: {size} is over data.max_pixels = {max_pixels}; --max_pixels=N sets another limit")
        temporary = stack.enter_context(atomic.replacing(target))
        try:
            with av.open(str(temporary), "w") as writer:
                writer.metadata.update(_tags(reader.metadata, target.suffix.lower(), record))
                count = _Translation(av, model, name, reader, video, writer, options).run(target.suffix.lower())
        except av.error.FFmpegError as error:
            if isinstance(error, OSError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(error.errno, error.strerror) from error  # `replacing` names the target
            raise UserError(f"{name} cannot be translated: {error.strerror}") from error
        if not count:
            raise UserError(f"{name} has no readable frame")
    return count


class _Translation:
    """The translation of one video from the container `reader` to the container `writer`."""

    def __init__(self, av, model: Model, name: str, reader, video, writer, options: dict):
        self.errors, self.name = av.error.FFmpegError, name
        self.model, self.reader, self.video, self.writer, self.options = model, reader, video, writer, options
        self.to_copy = [s for s in reader.streams if s.type in ("audio", "subtitle") and s.codec_context]
        # The output's video stream, {index of an input stream: its copy in the output}, and packets to be copied.
        self.out, self.copies, self.queue = None, {}, []
        self.norms, self.last_pts, self.count, self.damaged, self.end = AveragedNorms(), None, 0, 0, 0.0
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
                for frame in self._decode(packet):
                    self._write(frame, suffix)
                    bar.update()
            if self.out:
                self._flush()
                self.writer.mux(self.out.encode())
        self._log_losses()
        return self.count

    def _log_losses(self) -> None:
        if self.damaged:
            log.warning("%s: %d damaged packets were skipped", self.name, self.damaged)
        dropped = [s for s in self.reader.streams if s is not self.video and s.index not in self.copies]
        if self.out and dropped:
            log.warning("%s: the output lacks %s", self.name, _kinds(dropped))
        duration = float((self.reader.duration or 0) / 1e6)
        if duration - self.end > max(1, MAX_MISSING * duration):
            log.warning("%s ends after %.1f s of %.1f s: it may be cut short", self.name, self.end, duration)

    def _packets(self) -> Iterator:
        """Yield the packets; if an error ends them, yield None last, to flush the decoder."""
        packets = self.reader.demux([self.video, *self.to_copy])
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except self.errors as error:
                log.warning("%s cannot be read beyond %d frames: %s", self.name, self.count, error.strerror)
                yield None
                return

    def _decode(self, packet) -> list:
        try:
            return packet.decode() if packet else self.video.decode(None)
        except self.errors:
            self.damaged += 1
            return []

    def _copy(self, packet) -> None:
        if packet.size:  # the last packet of a stream only marks its end
            packet.dts = packet.pts if packet.dts is None else packet.dts
            self.queue.append(packet)
        if self.out:  # all streams must be added before the first packet, and the first frame gives the video's size
            self._flush()

    def _flush(self) -> None:
        for packet in self.queue:
            if packet.stream.index in self.copies:
                packet.stream = self.copies[packet.stream.index]
                try:
                    self.writer.mux(packet)
                except self.errors as error:
                    if error.errno != errno.EINVAL:
                        raise
                    self.damaged += 1  # its time is before that of the previous packet
        self.queue = []

    def _write(self, frame, suffix: str) -> None:
        colours = video_colour.of_frame(frame, self.name, self.tag)
        image = video_colour.to_image(frame, colours)
        image = image.rotate(frame.rotation, expand=True) if frame.rotation else image
        self.norms.start_frame(image)
        image = self.model(image, smooth=self.norms, **self.options).convert("RGB")
        if not self.out:
            self._open(suffix, image.size, colours, sideways=frame.rotation % 180 != 0)
        elif image.size != (self.out.width, self.out.height):  # the stream changes its size
            image = image.resize((self.out.width, self.out.height), Image.Resampling.LANCZOS)
        picture = video_colour.to_frame(image, self.out.pix_fmt, video_colour.output_matrix(suffix, self.out.height))
        picture.time_base = self.out.codec_context.time_base
        picture.pts = self.last_pts = _pts(frame, picture.time_base, self.last_pts, self.video.average_rate)
        self.writer.mux(self.out.encode(picture))
        self.end = float((self.last_pts + 1) * picture.time_base - (self.reader.start_time or 0) / 1_000_000)
        self.count += 1

    def _open(self, suffix: str, size: tuple[int, int], colours: video_colour.Colours, sideways: bool) -> None:
        """Add the output's streams: the video, then those copied streams that the container can hold.

        sideways: whether the frames are rotated by a quarter turn, which inverts the aspect ratio of their pixels.
        """
        if colours.converted:
            log.info("%s: its %s are converted to BT.709", self.name, colours.words)
        codec, settings = CODECS.get(suffix, H264)
        rate = self.video.average_rate or self.video.guessed_rate or 25
        self.out = out = self.writer.add_stream(codec, rate=rate, options=settings)
        out.width, out.height = size
        # Every player supports 4:2:0, but it needs even sides.
        out.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 or suffix == ".avi" else "yuv444p"
        context, unit = out.codec_context, Fraction(self.video.time_base or 1 / Fraction(rate))
        # A time base that MPEG-4 does not allow is replaced by a fine one.
        fits = suffix != ".avi" or max(unit.numerator, unit.denominator) <= MAX_TICKS
        context.time_base = unit if fits else Fraction(1, 60_000)
        video_colour.tag(context, colours, video_colour.output_matrix(suffix, size[1]))
        pixel_aspect = self.video.sample_aspect_ratio
        if pixel_aspect and pixel_aspect != 1:
            context.sample_aspect_ratio = 1 / pixel_aspect if sideways else pixel_aspect
        out.metadata.update(_language(self.video))
        for stream in self.to_copy:
            try:
                self.copies[stream.index] = copy = self.writer.add_stream_from_template(stream)
                copy.metadata.update(_language(stream))
            except (ValueError, self.errors):
                continue  # `_log_losses` reports the stream


def _tags(metadata: dict, suffix: str, record: dict | None) -> dict[str, str]:
    """Return the container's metadata without the encoder, and with the record of how the video is made."""
    tags = {key: value for key, value in metadata.items() if key not in ("encoder", KEY)}
    if record is None:
        return tags
    any_key = suffix in (".mkv", ".webm")  # the other containers store only the keys that they define
    return {KEY if any_key else "comment": json.dumps(record), **tags}


def _language(stream) -> dict[str, str]:
    return {key: value for key, value in stream.metadata.items() if key in ("language", "title")}


def _is_cover(stream) -> bool:
    """Return whether a stream is a cover picture, and not a video."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _kinds(streams) -> str:
    """Return the number of streams of each kind in words, such as "1 audio stream, 2 subtitle streams"."""
    kinds = Counter("cover picture" if s.type == "video" and _is_cover(s) else s.type for s in streams)
    return ", ".join(f"{count} {kind} stream{'s' if count > 1 else ''}" for kind, count in kinds.items())


def _pts(frame, unit: Fraction, last: int | None, rate) -> int:
    """Return a frame's presentation time in units of `unit` seconds, made later than `last` if the file's is not."""
    pts = None if frame.pts is None else round(frame.pts * frame.time_base / unit)
    if last is not None and (pts is None or pts <= last):
        return last + max(1, round(1 / ((rate or 25) * unit)) if pts is None else 1)
    return pts or 0
