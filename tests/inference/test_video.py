"""Translation of videos: size, times, colours, sound and rotation are kept, and static parts do not flicker."""

import json
import sys
from fractions import Fraction

import av
import jax
import numpy as np
import pytest
from PIL import Image

from ganjax import recipe
from ganjax.config.check import check
from ganjax.configs.translate import cyclegan
from ganjax.errors import UserError
from ganjax.inference import files, hdr, model, tiles, video, video_colour


@pytest.fixture(scope="module")
def net():
    """Return a model with an untrained generator: only its norms matter here."""
    config = cyclegan.get_config("debug")
    config.model.generator.width = 4
    gan = recipe.build(check(config))
    state = gan.init(jax.random.key(0), {name: jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32) for name in "ab"})
    variables = state.variables(recipe.networks_of(gan.methods))
    run = tiles.translator(gan.methods, variables)
    return model.Model(config, variables, {}, gan.methods, None, sample=None, chunks=None, translate=run)


def write(path, frames, codec="libx264", sound=False, times=None):
    """Write frames (uint8 arrays) at 10 a second, or at these times in tenths."""
    with av.open(str(path), "w") as made:
        out = made.add_stream(codec, rate=10, options={"crf": "10", "qscale": "1"})
        out.height, out.width = frames[0].shape[:2]
        out.pix_fmt = "yuv444p" if codec == "libx264" else "yuv420p"
        beep = made.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48_000) if sound else None
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame)
            if times:
                picture.pts, picture.time_base = times[i], Fraction(1, 10)
            made.mux(out.encode(picture))
        made.mux(out.encode())
        if sound:
            noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 48_000)).astype(np.float32)
            block = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
            block.sample_rate = 48_000
            made.mux(beep.encode(block))
            made.mux(beep.encode())
    return path


def read(path):
    with av.open(str(path)) as given:
        frames = list(given.decode(video=0))
        return [frame.to_image() for frame in frames], [float(frame.time) for frame in frames]


def sound(path):
    with av.open(str(path)) as given:
        return [bytes(packet) for packet in given.demux(audio=0) if packet.size]


def flat(level, size=(48, 64)):
    return np.broadcast_to(np.array([level, 120, 200 - level], np.uint8), (*size, 3)).copy()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi"])
def test_every_frame_at_its_time_in_its_colours_with_its_sound(net, tmp_path, suffix):
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264")
    given = write(tmp_path / f"clip{suffix}", [flat(20 * i) for i in range(8)], codec, sound=suffix != ".avi")
    assert files.translate(net, str(given), str(tmp_path / "out"), strength=0.0).written  # the frames do not change
    (before, times), (after, again) = read(given), read(tmp_path / "out" / given.name)
    np.testing.assert_allclose(again, times, atol=2e-3)
    for x, y in zip(before, after, strict=True):
        assert x.size == y.size == (64, 48)
        np.testing.assert_allclose(np.asarray(y, int), np.asarray(x, int), atol=12)
    if suffix != ".avi":
        assert sound(tmp_path / "out" / given.name) == sound(given)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [given.name]


def test_uneven_times_and_odd_sides_stay(net, tmp_path):
    given = write(tmp_path / "clip.mp4", [flat(40 * i, (47, 63)) for i in range(4)], times=[0, 1, 5, 9])
    files.translate(net, str(given), str(tmp_path / "out"), strength=0.0)
    images, times = read(tmp_path / "out" / "clip.mp4")
    np.testing.assert_allclose(times, [0, 0.1, 0.5, 0.9], atol=1e-3)
    assert images[0].size == (63, 47)


def test_a_turn_that_the_file_asks_for_is_made(net, tmp_path):
    """A phone held upright stores rotated frames, and a matrix that rotates them back by a quarter turn, clockwise."""
    frame = flat(0)
    frame[:, :32] = 255  # white on the left, which the quarter turn moves to the top
    given = write(tmp_path / "clip.mp4", [frame] * 3)
    content = given.read_bytes()
    at = content.index(b"tkhd") + 44
    quarter = b"".join(int(n).to_bytes(4, "big", signed=True) for n in (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30))
    given.write_bytes(content[:at] + quarter + content[at + 36 :])
    files.translate(net, str(given), str(tmp_path / "out"), strength=0.0)
    images, _ = read(tmp_path / "out" / "clip.mp4")
    assert images[0].size == (48, 64)
    made = np.asarray(images[0], int)
    assert made[:24].min() > 200 > made[40:].max(axis=-1).mean()


def test_colours_of_untagged_large_frames_are_taken_as_players_take_them(net, tmp_path):
    frame = np.broadcast_to(np.array([200, 60, 30], np.uint8), (720, 64, 3)).copy()
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as made:
        out = made.add_stream("libx264", rate=10, options={"crf": "5"})
        out.height, out.width, out.pix_fmt = 720, 64, "yuv420p"
        picture = av.VideoFrame.from_ndarray(frame).reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        picture.colorspace = 2  # unspecified
        made.mux(out.encode(picture))
        made.mux(out.encode())
    files.translate(net, str(path), str(tmp_path / "out"), strength=0.0)
    with av.open(str(tmp_path / "out" / "clip.mp4")) as given:
        made = next(given.decode(video=0)).reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    np.testing.assert_allclose(made.mean((0, 1)), [200, 60, 30], atol=6)


def same(image, **options):
    """Return the image unchanged: a model for videos."""
    return image


def exact(path, colours, size=(48, 64), matrix=1, full=False, fmt="yuv444p", codec="ffv1", **tags):
    """Write a lossless video with one flat frame for each colour, 8- or 16-bit RGB, and with these tags."""
    with av.open(str(path), "w") as made:
        out = made.add_stream(codec, rate=10)
        (out.height, out.width), out.pix_fmt = size, fmt
        context = out.codec_context
        context.colorspace, context.color_range = tags.pop("colorspace", matrix), 2 if full else 1
        for name, value in tags.items():
            setattr(context, name, value)
        for colour in colours:
            pixels = np.broadcast_to(np.asarray(colour), (*size, 3)).copy()
            frame = av.VideoFrame.from_ndarray(pixels, "rgb48le" if pixels.dtype == np.uint16 else "rgb24")
            made.mux(out.encode(frame.reformat(
                format=fmt, dst_colorspace=matrix, dst_color_range=2 if full else 1,
                interpolation=video_colour._interpolation())))  # fmt: skip
        made.mux(out.encode())
    return path


COLOURS = np.random.default_rng(1).integers(0, 256, (8, 3), np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
@pytest.mark.parametrize("suffix", video.ENDINGS)
def test_what_is_read_back_is_what_was_written(tmp_path, suffix, size):
    given = exact(tmp_path / "clip.mkv", COLOURS, size)
    assert video.translate(same, given, tmp_path / f"made{suffix}") == len(COLOURS)
    with av.open(str(tmp_path / f"made{suffix}")) as made:
        for frame, colour in zip(made.decode(video=0), COLOURS, strict=True):
            matrix = int(frame.colorspace)
            assert matrix == (2 if suffix == ".avi" else 1)  # an .avi cannot store the matrix: players assume BT.601's
            pixels = frame.reformat(format="rgb24", src_colorspace=5 if matrix == 2 else 1,
                                    interpolation=video_colour._interpolation()).to_ndarray()  # fmt: skip
            assert pixels.shape == (*size, 3)
            np.testing.assert_allclose(pixels.astype(int), np.broadcast_to(colour, pixels.shape), atol=3)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "colorspace", "height"), [(1, 1, 48), (5, 5, 48), (5, 6, 48), (5, 2, 48), (1, 2, 720)]
)
def test_matrices_and_ranges_are_read(tmp_path, matrix, colorspace, height, full):
    path = exact(tmp_path / "clip.mkv", COLOURS[:3], (height, 16), matrix, full, colorspace=colorspace)
    with av.open(str(path)) as given:
        for frame, colour in zip(given.decode(video=0), COLOURS, strict=False):
            pixels = np.asarray(video_colour.to_image(frame, video_colour.of_frame(frame, "clip")), int)
            np.testing.assert_allclose(pixels, np.broadcast_to(colour, pixels.shape), atol=2)


def test_hlg_is_tone_mapped_and_tagged_as_what_it_then_is(tmp_path):
    grey = np.full((1, 3), 49_152, np.uint16)  # 75%: diffuse white, which BT.2390's curve maps to 230
    given = exact(
        tmp_path / "clip.mkv", [grey, grey // 2], matrix=9, fmt="yuv420p10le", color_trc=18, color_primaries=9
    )
    video.translate(same, given, tmp_path / "made.mov")
    with av.open(str(tmp_path / "made.mov")) as made:
        frames = list(made.decode(video=0))
        assert {(int(f.colorspace), int(f.color_trc), int(f.color_primaries)) for f in frames} == {(1, 1, 1)}
        levels = [video_colour.to_image(f, video_colour.of_frame(f, "made")).getpixel((9, 9)) for f in frames]
    expected = [hdr.to_sdr(np.full((1, 3), level), hdr.HLG, hdr.BT2020)[0] for level in (0.75, 0.375)]
    np.testing.assert_allclose(np.array(levels, int), np.array(expected, int), atol=3)


def test_primaries_of_sdr_and_the_shape_of_pixels_are_kept(tmp_path):
    tags = {"color_trc": 6, "color_primaries": 6, "sample_aspect_ratio": Fraction(16, 11)}
    given = exact(tmp_path / "clip.mp4", COLOURS[:2], matrix=5, codec="libx264", **tags)
    video.translate(same, given, tmp_path / "made.mp4")
    with av.open(str(tmp_path / "made.mp4")) as made:
        assert made.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
        frame = next(made.decode(video=0))
    assert (int(frame.colorspace), int(frame.color_trc), int(frame.color_primaries)) == (1, 6, 6)


def test_colours_that_are_not_known_are_refused(tmp_path):
    given = exact(tmp_path / "clip.mkv", COLOURS[:2], colorspace=8)
    with pytest.raises(UserError, match="clip.mkv: its colour matrix 8 is not supported"):
        video.translate(same, given, tmp_path / "made.mkv")
    with av.open(str(exact(given, COLOURS[:1]))) as file:
        frame = next(file.decode(video=0))
    with pytest.raises(UserError, match="clip: its colours are in Dolby Vision's own format"):
        video_colour.of_frame(frame, "clip", "dvh1")
    assert not (tmp_path / "made.mkv").exists()


def test_sound_and_subtitles_stay(tmp_path):
    clip = write(tmp_path / "clip.mkv", [flat(9)] * 20, sound=True)
    (tmp_path / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nWhat is said\n")
    given = tmp_path / "given.mkv"
    with av.open(str(clip)) as file, av.open(str(tmp_path / "words.srt")) as words, av.open(str(given), "w") as made:
        streams = {stream: made.add_stream_from_template(stream) for stream in (*file.streams, *words.streams)}
        streams[file.streams.video[0]].codec_context.sample_aspect_ratio = Fraction(16, 11)
        for packet in (*words.demux(), *file.demux()):
            if packet.size:
                packet.stream = streams[packet.stream]
                made.mux(packet)
    video.translate(same, given, tmp_path / "made.mkv")
    with av.open(str(tmp_path / "made.mkv")) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio", "subtitle"]
        assert [bytes(packet) for packet in made.demux(subtitles=0) if packet.size] == [b"What is said"]
    assert sound(tmp_path / "made.mkv") == sound(given)


@pytest.mark.parametrize("name", ["M\udcfcller.mp4", "x" * 251 + ".mp4", "http:a.mp4", "line\nbreak.mp4"])
def test_any_name_will_do(tmp_path, name):
    given = write(tmp_path / "clip.mp4", [flat(9)] * 2).rename(tmp_path / name)
    assert video.translate(same, given, tmp_path / "out" / name) == 2
    assert len(read_frames(tmp_path / "out" / name)) == 2


def read_frames(path):
    with path.open("rb") as file, av.open(file) as given:
        return list(given.decode(video=0))


def test_a_video_that_is_cut_short_is_translated_so_far_and_says_so(tmp_path, caplog):
    given = write(tmp_path / "clip.mkv", [flat(i) for i in range(200)])
    content = given.read_bytes()
    given.write_bytes(content[: len(content) // 2])
    assert 50 < video.translate(same, given, tmp_path / "made.mkv") < 150
    assert "of 20.0 s: it may be cut short" in caplog.text
    (tmp_path / "whole.mp4").write_bytes(write(tmp_path / "clip.mp4", [flat(9)] * 30).read_bytes()[:-700])
    with pytest.raises(UserError, match="whole.mp4 .*cut short"):
        video.translate(same, tmp_path / "whole.mp4", tmp_path / "made.mp4")
    assert not (tmp_path / "made.mp4").exists()


def test_what_holds_no_video_says_what_it_holds(tmp_path):
    write(tmp_path / "clip.mkv", [flat(9)] * 2, sound=True)
    with av.open(str(tmp_path / "clip.mkv")) as file, av.open(str(tmp_path / "sound.mkv"), "w") as made:
        out = made.add_stream_from_template(file.streams.audio[0])
        for packet in file.demux(audio=0):
            if packet.dts is not None:
                packet.stream = out
                made.mux(packet)
    with pytest.raises(UserError, match="sound.mkv has no video stream, only 1 audio stream"):
        video.translate(same, tmp_path / "sound.mkv", tmp_path / "made.mkv")
    lists = {"list.mp4": "#EXTM3U\n#EXTINF:1,\nclip.mkv\n", "two.mp4": "ffconcat version 1.0\nfile clip.mkv\n"}
    for name, text in {**lists, "empty.mp4": ""}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(
            UserError, match=f"{name} cannot be translated: it is empty, damaged, cut short or no video"
        ):
            video.translate(same, tmp_path / name, tmp_path / "made.mkv")


def test_titles_that_are_not_utf_8_and_codecs_that_are_not_known(tmp_path):
    given = write(tmp_path / "clip.mkv", [flat(9)] * 2)
    with av.open(str(given)) as file, av.open(str(tmp_path / "title.mkv"), "w") as made:
        made.metadata["title"] = "Maler"
        out = made.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = out
                made.mux(packet)
    content = (tmp_path / "title.mkv").read_bytes()
    (tmp_path / "title.mkv").write_bytes(content.replace(b"Maler", b"M\xe4ler"))
    assert video.translate(same, tmp_path / "title.mkv", tmp_path / "made.mkv") == 2
    content = write(tmp_path / "clip.avi", [flat(9)] * 2, "mpeg4").read_bytes()
    (tmp_path / "clip.avi").write_bytes(content.replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(UserError, match="clip.avi cannot be translated: FFmpeg does not know the video's codec"):
        video.translate(same, tmp_path / "clip.avi", tmp_path / "made.avi")


def test_damaged_packets_are_passed_over(net, tmp_path):
    noise = np.random.default_rng(0)
    given = write(tmp_path / "clip.avi", [noise.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(9)], "mpeg4")
    with av.open(str(given)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        at, size = packets[4].pos, packets[4].size
    content = bytearray(given.read_bytes())
    content[at : at + size + 8] = bytes(size + 8)
    given.write_bytes(content)
    assert files.translate(net, str(given), str(tmp_path / "out"), strength=0.0).written


def test_avis_of_any_clock(net, tmp_path):
    """MPEG-4's time base is at most 65,535 ticks per second."""
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as made:
        out = made.add_stream("mjpeg", rate=Fraction(1_000_000, 33_366))
        out.height, out.width, out.pix_fmt = 48, 64, "yuvj420p"
        for i in range(5):
            made.mux(out.encode(av.VideoFrame.from_ndarray(flat(40 * i)).reformat(format="yuvj420p")))
        made.mux(out.encode())
    assert files.translate(net, str(path), str(tmp_path / "out"), strength=0.0).written
    (_, before), (_, after) = read(path), read(tmp_path / "out" / "clip.avi")
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=2e-3)


def test_what_moves_does_not_make_the_rest_flicker(net):
    """A light flashes in one corner: the translation of the opposite corner hardly changes."""
    scene = np.asarray(Image.fromarray(np.random.default_rng(0).integers(60, 180, (12, 16, 3), np.uint8)).resize(
        (64, 48), Image.Resampling.BICUBIC))  # fmt: skip
    lit = scene.copy()
    lit[:24, :24] = 255
    frames = [Image.fromarray(lit if i % 2 else scene) for i in range(12)]
    norms, corners = video.AveragedNorms(), {True: [], False: []}
    for frame in frames:
        norms.start_frame(frame)
        for smooth in (True, False):
            made = net(frame, smooth=norms if smooth else None)
            corners[smooth].append(np.asarray(made, float)[-12:, -16:])
    change = {smooth: np.abs(np.diff(np.stack(images)[4:], axis=0)).mean() for smooth, images in corners.items()}
    assert change[False] > 1 and change[True] < change[False] / 3


def test_another_scene_begins_anew(net):
    norms = video.AveragedNorms()
    for level in (0, 150):
        frame = Image.fromarray(np.random.default_rng(level).integers(level, level + 100, (64, 64, 3)).astype(np.uint8))
        norms.start_frame(frame)
        made = net(frame, smooth=norms)
        np.testing.assert_allclose(np.asarray(made, int), np.asarray(net(frame), int), atol=1)


def test_what_is_no_video_is_named_and_leaves_nothing(net, tmp_path, monkeypatch):
    (tmp_path / "bad.mp4").write_bytes(b"none at all")
    with pytest.raises(UserError, match=r"bad.mp4 cannot be translated"):
        files.translate(net, str(tmp_path / "bad.mp4"), str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []
    given = write(tmp_path / "clip.mp4", [flat(10)] * 2)
    files.translate(net, str(given), str(tmp_path / "out"))
    with pytest.raises(UserError, match=r"clip.mp4 exists already: set --overwrite"):
        files.translate(net, str(given), str(tmp_path / "out"))
    with pytest.raises(UserError, match="take fast or whole for a video"):
        files.translate(net, str(given), str(tmp_path / "out"), overwrite=True, tile="exact")
    assert len(read(tmp_path / "out" / "clip.mp4")[0]) == 2  # the existing file is intact
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'ganjax\[video\]'"):
        files.translate(net, str(given), str(tmp_path / "out"), overwrite=True)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_titles_and_languages_stay_and_a_record_joins_them(net, suffix, tmp_path):
    given = write(tmp_path / f"plain{suffix}", [flat(90)], sound=True)
    with av.open(str(given)) as source, av.open(str(tmp_path / f"clip{suffix}"), "w") as titled:
        titled.metadata["title"] = "A boat"
        streams = {stream.index: titled.add_stream_from_template(stream) for stream in source.streams}
        streams[source.streams.audio[0].index].metadata["language"] = "fra"
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                titled.mux(packet)
    video.translate(net, tmp_path / f"clip{suffix}", tmp_path / f"out{suffix}", record={"step": 7}, strength=0.0)
    with av.open(str(tmp_path / f"out{suffix}")) as made:
        tags = {key.lower(): value for key, value in made.metadata.items()}
        assert tags["title"] == "A boat"
        assert json.loads(tags["ganjax" if suffix == ".mkv" else "comment"]) == {"step": 7}
        assert made.streams.audio[0].metadata["language"] == "fra"


def test_frames_of_too_many_pixels_are_refused_with_the_way_out(net, tmp_path):
    given = write(tmp_path / "clip.mp4", [flat(90)])
    with pytest.raises(UserError, match="64x48 is over data.max_pixels = 100; --max_pixels=N sets another limit"):
        files.translate(net, str(given), str(tmp_path / "out"), max_pixels=100)
