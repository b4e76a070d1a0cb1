"""Imports point down: a module may import only from the layers below its own."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ganjax"
LAYERS = [  # from the bottom; a name stands for the module, or for all modules below a package
    {"errors", "numbers"},
    {"rng", "ops", "health", "progress", "signals", "board", "provenance", "hdr", "memory"},
    {"names", "fetch", "videocolour"},
    {"whole", "console", "arrays", "pickled"},
    {"damage", "jsonl", "kinds"},
    {"nets", "losses", "pool", "contrast", "content", "penalties", "state", "augment", "optim", "config", "pth"},
    {"labels", "configfile", "meta"},
    {"recipe", "data", "parallel", "page", "process"},
    {"adversarial", "translation"},
    {"weights"},
    {"metrics"},
    {"recipes", "checkpoint", "report", "grid"},
    {"exact", "rundir"},
    {"translate"},
    {"model"},
    {"video"},
    {"files", "samples"},
    {"evaluate"},
    {"sheets"},
    {"watch", "inloop"},
    {"update"},
    {"branch"},
    {"train"},
    {"sweep"},
]
HEAVY = {"ops": {"flax", "ml_collections", "grain", "tensorflow_datasets", "orbax"},
         "nets": {"ml_collections", "grain", "tensorflow_datasets", "orbax"},
         "recipes": {"grain", "tensorflow_datasets", "orbax"}}  # fmt: skip


def level(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "ganjax" and len(parts) > 1 and parts[1] != own:
            assert level(parts[1]) < level(own), f"{path.name} imports {name}"
        assert parts[0] not in HEAVY.get(own, ()), f"{path.name} imports {name}"


def test_only_checkpoint_knows_orbax():
    knowing = [p.name for p in MODULES if any(name.split(".")[0] == "orbax" for name in imported(p))]
    assert knowing == ["checkpoint.py"]


def test_only_progress_draws_bars():
    knowing = {p.name for p in MODULES if any(name.split(".")[0] == "tqdm" for name in imported(p))}
    assert knowing == {"progress.py"}


def test_nothing_imports_the_launcher_or_tensorflow():
    for path in MODULES:
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"launch", "tensorflow", "torch", "configs"}, path
