"""Keys: each is declared once, with a description; defaults, checks, resume rules and docs follow from that."""

import pytest
from running import CONFIGS, ROOT

from ganjax.adversarial import conditions, optimisers
from ganjax.config import docs, groups, key
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.config.derived import flatten
from ganjax.config.game_keys import FROM_IMAGES, FROM_NOISE, FROM_ONE
from ganjax.config.key import Key
from ganjax.config.recipe_keys import DCGAN, NORM, RECIPES, WEIGHT
from ganjax.config.run_keys import RUN
from ganjax.configs.generate import dcgan
from ganjax.errors import UserError
from ganjax.losses import content, logits
from ganjax.nets import layers, spectral
from ganjax.recipes import dcgan as dcgan_recipe

GROUPS = {"run": RUN, "noise": FROM_NOISE.keys, "images": FROM_IMAGES.keys, "one": FROM_ONE.keys, **RECIPES}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_key_of_every_config_is_declared_with_words(file):
    config = config_file.load_file(str(file), [])
    declared = groups.keys_of(config)
    assert flatten(config).keys() == declared.keys()
    assert all(own.doc for own in declared.values())


@pytest.mark.parametrize("name", GROUPS)
def test_every_default_is_what_its_key_allows_and_its_words_are_a_phrase(name):
    group = GROUPS[name]
    key.check_types(key.defaults(group), group)
    for own, one in key.flat(group).items():
        key.check_value(own, one.default, one)
        assert 5 < len(one.doc) < 120 and one.doc[-1] not in ".;," and "\n" not in one.doc, own
        assert isinstance(one.default, float) or not one.schedule, own
        assert (one.parts is not None) == isinstance(one.default, tuple), own


def test_choices_are_those_of_who_takes_them():
    noise, images = key.flat(FROM_NOISE.keys), key.flat(FROM_IMAGES.keys)
    assert set(noise["loss.kind"].choices) == set(logits.KINDS)
    assert set(images["loss.kind"].choices) == set(logits.HALVED)
    assert set(images["loss.content_kind"].choices) == set(content.KINDS)
    assert set(noise["condition.kind"].choices) == set(conditions.CONDITIONS)
    assert set(noise["optimizer.schedule"].choices) == set(optimisers.SCHEDULES)
    assert set(NORM.choices) == set(layers.NORMS)
    assert set(WEIGHT.choices) == set(spectral.WEIGHTS)
    assert set(key.flat(DCGAN)["model.init"].choices) == set(dcgan_recipe.KERNEL_INITS)


def test_a_group_of_keys_gives_defaults_limits_words_and_refusals():
    group = {
        "rate": Key(1.0, "a rate", low=0, high=10, schedule=True),
        "inner": {"count": Key(3, "a count", low=1), "names": Key((), "names", parts=str), "way": WAY},
    }
    config = key.defaults(group)
    assert flatten(config) == {"rate": 1.0, "inner.count": 3, "inner.names": (), "inner.way": "left"}
    flat = key.flat(group)
    assert [key.allowed(own) for own in flat.values()] == ["0 to 10", "1 or more", "", "left or right"]
    config.rate = {"kind": "linear", "from": 1, "to": 0, "images": 100}
    key.check_types(config, group)
    for name, value, message in (
        ("rate", 11.0, "config.rate = 11.0 must be from 0 to 10"),
        ("inner.count", 0, "config.inner.count = 0 must be at least 1"),
        ("inner.way", "leff", "config.inner.way = 'leff' is none of left, right; did you mean 'left'"),
        ("inner.way", "up", r"config.inner.way = 'up' must be 'left' or 'right' \(which way\)"),
    ):
        with pytest.raises(UserError, match=message):
            key.check_value(name, value, flat[name])
    for value, message in (
        ({"rate": "x"}, "config.rate = 'x' must be a number"),
        ({"inner": 3}, "config.inner = 3 must be a group of keys, such as inner.count"),
        ({"inner": {"names": (1,)}}, r"config.inner.names = \(1,\) must be a list of texts"),
        ({"inner": {"count": {"kind": "linear"}}}, "config.inner.count = {'kind': 'linear'} must be a whole number"),
    ):
        with pytest.raises(UserError, match=message):
            key.check_types(value, group)


WAY = Key("left", "which way", choices=("left", "right"))


def test_a_later_group_replaces_a_key_of_an_earlier_one_and_keeps_the_others():
    a, b = {"x": WAY, "in": {"y": WAY, "z": WAY}}, {"in": {"y": Key(0, "a number")}}
    whole = key.flat(key.merged(a, b))
    assert (list(whole), whole["in.y"].default, whole["in.z"]) == (["x", "in.y", "in.z"], 0, WAY)
    assert key.flat(a)["in.y"] == WAY


def test_a_recipe_of_the_users_own_may_have_any_keys():
    config = dcgan.get_config("debug")
    config.recipe, config.mine, config.model.odd = "mine", "x", (1, "a")
    config.model.generator.norm = "its own"
    check(config)
    assert "mine" not in groups.keys_of(config) and "mine " in docs.listing(config)
    config.mine_too = 3_000_000_000
    with pytest.raises(UserError, match="config.mine_too = 3000000000 must be from -2000000000 to 2000000000"):
        check(config)


def test_what_a_resume_may_change():
    declared = groups.keys_of(dcgan.get_config())
    resumable = {name for name in declared if config_file.may_change(name, declared)}
    named = {
        "total_images",
        "schedule_images",
        "steps_per_call",
        "on_divergence",
        "health",
        "metrics",
        "metrics_images",
        "init_from",
        "chosen",
    }
    named |= {"metrics_every_images", "branch.at", "branch.images", "branch.attempt", "branch.checkpoint"}
    named |= {f"data.{name}" for name in ("path", "a", "b", "pairs_fit", "split_at", "threads", "resident", "classes")}
    named |= {"branch.changed", "data.class_counts", "data.side_by_side"}
    whole = {name for name in declared if name.startswith(("checkpoint.", "mesh.", "report."))}
    assert resumable == named | whole and len(whole) == 10
    assert not config_file.may_change("a.key.of.nobody", declared)


def test_which_keys_change_no_result():
    declared = groups.keys_of(dcgan.get_config())
    silent = {name for name, own in declared.items() if not own.matters}
    passing = ("report.", "checkpoint.", "mesh.", "data.class", "metrics")
    assert {name for name in declared if name.startswith(passing)} <= silent
    assert {"steps_per_call", "health", "data.threads", "data.resident"} <= silent
    assert not {"schedule_images", "total_images", "data.path", "branch.workdir", "accumulate", "seed"} & silent


def test_an_older_run_gets_the_keys_of_its_recipe_and_none_of_its_networks():
    config = groups.for_recipe("pix2pix")
    del config.loss.feature_matching, config.model.generator.dropout, config.optimizer.eps
    whole = groups.completed(config)
    assert (whole.loss.feature_matching, whole.optimizer.eps, whole.optimizer.schedule) == (0.0, 1e-8, "linear")
    assert "dropout" not in whole.model.generator


def test_an_unknown_recipe_has_no_defaults():
    with pytest.raises(UserError, match="recipe 'dcgna' declares no keys; did you mean 'dcgan'"):
        groups.for_recipe("dcgna")


def test_the_page_of_keys_is_in_step():
    advice = f"docs/config.md is not what the keys say: run `{docs.COMMAND}`"
    assert (ROOT / docs.PLACE).read_text() == docs.page(), advice


def test_the_page_has_every_key():
    page = docs.page()
    for group in GROUPS.values():
        assert all(f"| `{name}` |" in page for name in key.flat(group))


def test_the_listing_is_aligned_and_narrow():
    config = config_file.load_file("biggan128", ["--config.data.path=/" + "x" * 30, "--config.metrics=swd,rand_fd"])
    lines = docs.listing(config).splitlines()
    assert max(map(len, lines)) <= 100
    (row,) = (line for line in lines if line.startswith("  data.resolution "))
    assert row == "  data.resolution                 128            height of the images, in pixels (1 to 16_384)"
    place = lines.index("  data.path                       /" + "x" * 30)
    assert lines[place + 1].startswith(" " * 49 + "folder")  # the description of a long value begins on the next line
    assert any(line.startswith("  metrics                         swd,rand_fd    metrics") for line in lines)
    names = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    declared = groups.keys_of(config)
    assert sorted(names) == sorted(name for name, own in declared.items() if not own.derived)
