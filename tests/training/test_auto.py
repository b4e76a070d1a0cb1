"""`config.auto`: what is chosen for which images and device, once; what the user sets stays."""

import json

import pytest
from PIL import Image

from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.config.derived import flatten
from ganjax.data.atelier import Atelier
from ganjax.data.folder import Folder
from ganjax.errors import UserError
from ganjax.training import auto
from ganjax.training.survey import Survey, survey

GIB = 2**30


def seen(count, **fields):
    return Survey(count, min(count, 1000), **{"height": 300, "width": 300, "aspect": 1.0, "alike": 1.0, **fields})


def chosen(survey, platform="cpu", flags=()):
    config = config_file.load_file("auto", list(flags))
    given = {flag.removeprefix("--config.").partition("=")[0] for flag in flags}
    return {choice.key: choice.value for choice in auto.choices(survey, platform, config, given)}


def test_the_length_and_the_augmentation_follow_the_number_of_images():
    rows = [chosen(seen(count)) for count in (10, 100, 1_000, 10_000, 100_000)]
    lengths = [row["total_images"] for row in rows]
    assert lengths == sorted(set(lengths))
    assert [row["diffaugment"].count(",") for row in rows] == [1, 1, 1, 1, 0]
    assert [row.get("augment.crop_scale", 1) for row in rows] == [0.8, 0.8, 1, 1, 1]
    assert all(row["total_images"] < chosen(seen(100), "gpu")["total_images"] for row in rows[:3])


def test_one_picture_is_for_singan():
    row = chosen(seen(1, height=200, width=300))
    assert row == {"recipe": "singan", "data.resolution": 96, "total_images": 6 * 500}
    assert chosen(seen(1, height=300, width=200))["data.resolution"] == 144  # the shorter side has 96 pixels
    assert chosen(seen(1, height=600, width=400), "gpu")["total_images"] == 10 * 2000
    assert chosen(seen(3, repeated=2 / 3))["recipe"] == "projected"  # three files, though of one picture


def test_nearly_repeated_images_count_once():
    assert chosen(seen(320, repeated=0.1)) == chosen(seen(288))


@pytest.mark.parametrize(
    ("fields", "platform", "size"),
    [
        ({}, "cpu", (64, None)),
        ({}, "gpu", (256, None)),
        ({"height": 120, "width": 90, "aspect": 0.75}, "gpu", (80, 64)),
        ({"height": 40, "width": 50, "aspect": 1.25}, "cpu", (32, 40)),
        ({"height": 20, "width": 20}, "cpu", (32, None)),
        ({"height": 400, "width": 2000, "aspect": 5.0}, "cpu", (64, 128)),  # at most 2:1
        ({"height": 400, "width": 640, "aspect": 1.6, "alike": 0.5}, "cpu", (64, None)),  # of all shapes
    ],
)
def test_the_size_follows_the_images_and_the_device(fields, platform, size):
    row = chosen(seen(500, **fields), platform)
    assert (row["data.resolution"], row.get("data.width")) == size


def test_sub_folders_of_enough_images_become_classes():
    assert chosen(seen(500, class_counts=(400, 100)))["condition.kind"] == "projection"
    assert "data.balance" not in chosen(seen(500, class_counts=(300, 200)))
    assert chosen(seen(500, class_counts=(420, 80)))["data.balance"] == 0.5
    for counts in ((500,), (480, 20), ()):
        assert "data.labels" not in chosen(seen(500, class_counts=counts))


def test_labels_that_the_user_turned_off_stay_off():
    row = chosen(seen(500, class_counts=(400, 100)), flags=["--config.data.labels=false"])
    assert not {"data.labels", "condition.kind"} & row.keys()


def test_objects_on_nothing_are_shown_whole_on_white_and_grey_images_have_one_channel():
    assert chosen(seen(500, transparent=0.9))["data.fit"] == "pad"
    assert "data.fit" not in chosen(seen(500, transparent=0.1))
    assert chosen(seen(500, grey=1.0))["data.channels"] == 1
    assert "data.channels" not in chosen(seen(500, grey=0.9))


def test_a_given_size_is_what_the_rest_follows():
    row = chosen(seen(500, aspect=1.5, width=450), flags=["--config.data.resolution=32"])
    assert (row["data.resolution"], row.get("data.width")) == (32, None)


@pytest.fixture
def paintings(tmp_path):
    folder, source = tmp_path / "paintings", Atelier(6, (60, 80), (), "train", 3)
    folder.mkdir()
    for i in range(6):
        source.read(i)[0].save(folder / f"{i}.png")
    return folder


def test_a_survey_sees_sizes_repetitions_transparency_and_grey(paintings):
    plain = survey(Folder(str(paintings), None))
    assert plain == Survey(6, 6, 60, 80, 80 / 60, 1.0)
    with Image.open(paintings / "0.png") as image:
        image.save(paintings / "again.jpg", quality=90)
    clear = Image.new("RGBA", (60, 60), (90, 90, 90, 0))
    clear.paste((20, 20, 20, 255), (10, 10, 40, 40))
    clear.save(paintings / "clear.png")
    (paintings / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    more = survey(Folder(str(paintings), None))
    assert (more.count, more.looked_at) == (9, 8)
    assert (more.repeated, more.transparent, more.grey) == (1 / 8, 1 / 8, 1 / 8)
    assert (more.height, more.width) == (60, 80)


def test_the_batch_is_halved_until_its_step_fits(paintings, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(auto, "free_memory", lambda: 10 * GIB)
    monkeypatch.setattr(auto, "step_bytes", lambda config: config.batch_size * GIB)
    monkeypatch.setattr(auto, "survey", lambda folder: seen(len(folder), height=60, width=80, aspect=80 / 60))
    flags = [f"--config.data.path={paintings}", "--config.total_images=400", "--config.model.generator.width=4"]
    config = auto.choose(config_file.load_file("auto", flags), flags, tmp_path / "run")
    assert (config.batch_size, config.total_images, config.model.generator.width) == (8, 400, 4)
    out = capsys.readouterr().out
    assert "batch_size = 8" in out and "a step takes 8.0 of 10.0 GiB" in out
    assert "total_images = 400" in out and "given" in out
    assert any(line.startswith("data.width = 40: ") for line in config.chosen)
    given = [*flags, "--config.batch_size=32"]
    assert auto.choose(config_file.load_file("auto", given), given, tmp_path / "run").batch_size == 32


def test_a_run_keeps_its_choice_when_images_and_device_change(paintings, monkeypatch, tmp_path):
    monkeypatch.setattr(auto, "step_bytes", lambda config: 0)
    monkeypatch.setattr(auto, "survey", lambda folder: seen(len(folder)))
    flags = [f"--config.data.path={paintings}"]
    first = auto.choose(config_file.load_file("auto", flags), flags, tmp_path)
    config_file.save(first, tmp_path / "config.json")
    monkeypatch.setattr(auto, "survey", lambda folder: pytest.fail("looked again"))
    longer = [*flags, "--config.total_images=99_000"]
    again = auto.choose(config_file.load_file("auto", longer), longer, tmp_path)
    assert flatten(again) == {**flatten(check(first)), "total_images": 99_000}
    assert json.loads((tmp_path / "config.json").read_text())["chosen"] == list(first.chosen)


def test_what_cannot_be_chosen_for_is_said(tmp_path):
    with pytest.raises(UserError, match="give --config.data.path=FOLDER"):
        auto.choose(config_file.load_file("auto", []), [], tmp_path)
    config_file.save(config_file.load_file("dcgan", []), tmp_path / "config.json")
    with pytest.raises(UserError, match="was not begun with config.auto"):
        auto.choose(config_file.load_file("auto", []), [], tmp_path)


@pytest.mark.slow
def test_the_memory_of_a_compiled_step_grows_with_the_batch():
    config = config_file.load_file("dcgan32", ["--config.batch_size=8"]).unlock()
    small = auto.step_bytes(config)
    config.batch_size = 32
    assert 1 << 20 < small < auto.step_bytes(config)
