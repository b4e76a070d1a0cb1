"""Videos through a translator: size, times, colours, sound and turns stay; a static scene stands still."""

import sys
from fractions import Fraction

import av
import jax
import numpy as np
import pytest
from PIL import Image

from configs import cyclegan
from ganjax import config as configs
from ganjax import files, model, recipe, translate, video
from ganjax.errors import UserError


@pytest.fixture(scope="module")
def net():
    """An untrained generator: its norms are what counts."""
    config = cyclegan.get_config("debug")
    config.model.generator.width = 4
    gan = recipe.build(configs.check(config))
    state = gan.init(jax.random.key(0), {name: jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32) for name in "ab"})
    variables = {"params": state.generator.params}
    return model.Model(config, variables, {}, None, None, translate.translator(gan, variables))


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
    assert files.translate(net, str(given), str(tmp_path / "out"), strength=0.0) == 8  # as it was
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
    """A telephone held upright writes turned frames, and a matrix that turns them back a quarter, clockwise."""
    frame = flat(0)
    frame[:, :32] = 255  # white on the left, which the quarter turn brings to the top
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
        picture.colorspace = 2  # nothing is said
        made.mux(out.encode(picture))
        made.mux(out.encode())
    files.translate(net, str(path), str(tmp_path / "out"), strength=0.0)
    with av.open(str(tmp_path / "out" / "clip.mp4")) as given:
        made = next(given.decode(video=0)).reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    np.testing.assert_allclose(made.mean((0, 1)), [200, 60, 30], atol=6)


def test_damaged_packets_are_passed_over(net, tmp_path):
    noise = np.random.default_rng(0)
    given = write(tmp_path / "clip.avi", [noise.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(9)], "mpeg4")
    with av.open(str(given)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        at, size = packets[4].pos, packets[4].size
    content = bytearray(given.read_bytes())
    content[at : at + size + 8] = bytes(size + 8)
    given.write_bytes(content)
    assert files.translate(net, str(given), str(tmp_path / "out"), strength=0.0) >= 4


def test_avis_of_any_clock(net, tmp_path):
    """MPEG-4 counts no finer than 65,535 parts of a second."""
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as made:
        out = made.add_stream("mjpeg", rate=Fraction(1_000_000, 33_366))
        out.height, out.width, out.pix_fmt = 48, 64, "yuvj420p"
        for i in range(5):
            made.mux(out.encode(av.VideoFrame.from_ndarray(flat(40 * i)).reformat(format="yuvj420p")))
        made.mux(out.encode())
    assert files.translate(net, str(path), str(tmp_path / "out"), strength=0.0) == 5
    (_, before), (_, after) = read(path), read(tmp_path / "out" / "clip.avi")
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=2e-3)


def test_what_moves_does_not_make_the_rest_flicker(net):
    """A light that goes on and off in a corner: elsewhere the translated picture hardly changes."""
    scene = np.asarray(Image.fromarray(np.random.default_rng(0).integers(60, 180, (12, 16, 3), np.uint8)).resize(
        (64, 48), Image.Resampling.BICUBIC))  # fmt: skip
    lit = scene.copy()
    lit[:24, :24] = 255
    frames = [Image.fromarray(lit if i % 2 else scene) for i in range(12)]
    steady, shown = video.Steady(), {True: [], False: []}
    for frame in frames:
        steady.see(frame)
        for smooth in (True, False):
            made = net(frame, smooth=steady if smooth else None)
            shown[smooth].append(np.asarray(made, float)[-12:, -16:])
    change = {smooth: np.abs(np.diff(np.stack(made)[4:], axis=0)).mean() for smooth, made in shown.items()}
    assert change[False] > 1 and change[True] < change[False] / 3


def test_another_scene_begins_anew(net):
    steady = video.Steady()
    for level in (0, 150):
        frame = Image.fromarray(np.random.default_rng(level).integers(level, level + 100, (64, 64, 3)).astype(np.uint8))
        steady.see(frame)
        made = net(frame, smooth=steady)
        np.testing.assert_allclose(np.asarray(made, int), np.asarray(net(frame), int), atol=1)


def test_what_is_no_video_is_named_and_leaves_nothing(net, tmp_path, monkeypatch):
    (tmp_path / "bad.mp4").write_bytes(b"none at all")
    with pytest.raises(UserError, match=r"bad.mp4 cannot be translated"):
        files.translate(net, str(tmp_path / "bad.mp4"), str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []
    given = write(tmp_path / "clip.mp4", [flat(10)] * 2)
    files.translate(net, str(given), str(tmp_path / "out"))
    with pytest.raises(UserError, match=r"clip.mp4 is there already .*--overwrite"):
        files.translate(net, str(given), str(tmp_path / "out"))
    with pytest.raises(UserError, match="take fast or whole for a video"):
        files.translate(net, str(given), str(tmp_path / "out"), overwrite=True, tile="exact")
    assert len(read(tmp_path / "out" / "clip.mp4")[0]) == 2  # the one that was there is whole
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'ganjax\[video\]'"):
        files.translate(net, str(given), str(tmp_path / "out"), overwrite=True)
