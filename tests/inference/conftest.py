"""Small trained runs, which the tests of a session share: their programs take the most of the time."""

import pytest
from tiny import small

from ganjax.training.loop import train

CLASSES = {"data.labels": True, "condition.kind": "projection"}


@pytest.fixture(scope="session")
def styled_run(tmp_path_factory):
    """The folder of a run of StyleGAN2, with classes."""
    workdir = tmp_path_factory.mktemp("stylegan2")
    train(small("stylegan2", total_images=8, **CLASSES), workdir)
    return workdir


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory):
    """The folder of a run without w, with classes."""
    workdir = tmp_path_factory.mktemp("sngan")
    train(small("sngan", total_images=8, **CLASSES), workdir)
    return workdir
