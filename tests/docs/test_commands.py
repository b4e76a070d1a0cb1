"""Every command of the README and the docs is valid: verbs, flags, configs, keys, metrics. The short ones run."""

import argparse
import re
import tomllib

import jax
import numpy as np
import pytest
from docs_pages import PAGES, arguments, blocks, commands, shell_lines, spans
from running import CONFIGS, ROOT, launch

import ganjax.recipes
from ganjax import recipe, task
from ganjax.cli import evaluate as evaluate_verb
from ganjax.cli.main import VERBS, config_flags, parser
from ganjax.config import file as config_file
from ganjax.config.check import check
from ganjax.config.derived import flatten
from ganjax.errors import UserError
from ganjax.metrics import evaluate
from ganjax.metrics.in_loop import check_in_loop
from ganjax.training import sweep, update

IN_ORDER = ["train", "sample", "evaluate"]
SHORT = [words for words in commands() if "--workdir=runs/try" in words or words == ("evaluate", "--list")]


@pytest.fixture
def page_files(tmp_path, monkeypatch):
    """Save the files that the pages show, under their titles, so that recipes and configs are found; work there."""
    for text in PAGES.values():
        for block in blocks(text):
            if block.title.endswith(".py"):
                path = tmp_path / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.code)
    own = str(tmp_path / "ganjax" / "recipes")
    monkeypatch.setattr(ganjax.recipes, "__path__", [*ganjax.recipes.__path__, own])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(words):
    options, rest = parser().parse_known_args(words)
    return options, config_flags(options, rest)


def loaded(name, flags):
    """Return the config of these flags, checked as by `train`, and its recipe."""
    config = check(config_file.load_file(name, flags))
    own = task.of(config)
    own.check(config)
    check_in_loop(config.metrics, own.offers(config))
    with config.unlocked():
        config.data.classes, config.data.class_counts = ("a-b", "c-d"), (1, 1)  # as of a folder of two classes
    return config, recipe.build(config)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_is_right(words, page_files):
    options, flags = parsed(words)
    if options.verb == "train":
        config, gan = loaded(options.config, flags)
        jax.eval_shape(update.initialise(config, task.of(config), gan))  # raises what the networks forbid
    elif options.verb == "sweep":
        plan = sweep.read(options.config)
        assert all(sweep.settings(plan, name, plan.seeds[0], flags) for name in plan.points)
    elif options.verb == "evaluate" and not options.list:
        evaluate_verb.check(options)
        assert all(evaluate.metric(name) for name in evaluate_verb.metric_names(options.metrics or "swd"))


def test_every_line_of_a_shell_block_is_a_command_that_is_known():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page, text in PAGES.items():
        for words in shell_lines(text):
            if words[0] == "make":
                assert words[1] in targets, (page, words)
            elif words[:2] == ["pip", "install"]:
                assert words[2:5] == ["-c", "constraints.txt", "-e"] and words[5].startswith("."), (page, words)
            elif arguments(words) is None:
                assert words in (["python3", "-m", "venv", ".venv"], [".", ".venv/bin/activate"]), (page, words)
        for extra in re.findall(r"(?:ganjax|\.)\[(\w+)\]", text):
            assert extra in extras, (page, extra)


def flag_spans():
    everywhere = [span for text in PAGES.values() for span in spans(text) if span.startswith("--")]
    return [span for span in dict.fromkeys(everywhere) if "KEY" not in span]


@pytest.mark.parametrize("span", flag_spans())
def test_flags_are_of_a_verb_or_of_a_config(span, page_files):
    names = re.findall(r"--config=(\S+)", span)
    keys = re.findall(r"--config\.\S+", span)
    if keys:
        configs = names or ["dcgan_art", "sngan", "pix2pix", "cut", "cyclegan", "restore"]
        assert any(accepted(name, keys) for name in configs), span
    for flag in span.split():
        if flag not in keys:
            name, _, value = flag.partition("=")
            assert any(takes(action, name, value) for verb in VERBS for action in options_of(verb)), flag


def takes(action, name, value):
    """Return whether an option has this name and accepts this value; a word in capitals stands for any value."""
    if name not in action.option_strings:
        return False
    if not value or value.isupper() or action.type is None:
        return action.choices is None or value in action.choices
    try:
        action.type(value)
    except argparse.ArgumentTypeError:
        return False
    return True


def accepted(name, flags):
    try:
        return loaded(name, flags)
    except UserError as error:
        labels = "--config.data.labels=true"
        return labels not in flags and labels in str(error) and accepted(name, [*flags, labels])


def options_of(verb):
    verbs = next(action for action in parser()._actions if action.dest == "verb")
    return verbs.choices[verb]._actions


def test_every_key_that_is_named_is_one():
    configs = [flatten(config_file.load_file(str(path), [])) for path in CONFIGS]
    keys = {key for config in configs for key in config}
    groups = {key.partition(".")[0] for key in keys if "." in key}
    for page, text in PAGES.items():
        for span in spans(text):
            name = span.partition("=")[0].removeprefix("config.")
            if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+(?<!\.html)", name) and name.partition(".")[0] in groups:
                assert name in keys or any(key.startswith(f"{name}.") for key in keys), (page, span)


def test_every_config_and_every_metric_has_its_place_on_a_page():
    pages = {
        "generate": "train",
        "single": "train",
        "translate": "translate",
        "restore": "translate",
        "sweeps": "measure",
    }
    for path in (ROOT / "configs").glob("*/[!_]*.py"):
        if path.stem != "dcgan":  # the base of the others
            assert f"`{path.stem}`" in PAGES[f"docs/{pages[path.parent.name]}.md"], path.stem
    names = [line.split()[0] for line in evaluate.listing().splitlines()]
    for name in names:
        assert f"`{name}`" in PAGES["docs/measure.md"], name
    assert f"all {len(names)} metrics" in PAGES["docs/measure.md"]


def test_the_short_commands_run(tmp_path, monkeypatch):
    assert sorted(words[0] for words in SHORT) == sorted(IN_ORDER)
    for words in sorted(SHORT, key=lambda words: IN_ORDER.index(words[0])):
        done = launch(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stdout
    assert (tmp_path / "runs" / "try" / "report.html").is_file()
    assert (tmp_path / "runs" / "try.png").is_file()
    assert "rand_fd " in done.stdout
    (tmp_path / "runs" / "mine").symlink_to(tmp_path / "runs" / "try")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(next(block.code for block in blocks(PAGES["docs/train.md"]) if block.language == "python"), names)
    assert names["images"].shape == (64, 32, 32, 3) and names["images"].dtype == np.float32
    assert np.abs(names["images"]).max() <= 1
