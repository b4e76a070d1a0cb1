"""Imports point down: a module may import only from the floors below its own, and `docs/architecture.md` lists them."""

import ast
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ganjax"
CONTRACTS = ("errors", "rng", "state", "recipe", "task")  # modules of the package itself, from the bottom
FLOORS = ("ops", "system", "config", "augment", "nets", "data", "losses", "workdir", "adversarial", "report",
          "inference", "recipes", "tasks", "metrics", "training", "cli")  # fmt: skip
HEAVY = {"ops": {"flax", "ml_collections", "grain", "tensorflow_datasets", "orbax"},
         "nets": {"ml_collections", "grain", "tensorflow_datasets", "orbax"},
         "recipes": {"grain", "tensorflow_datasets", "orbax"}}  # fmt: skip


def level(name: str) -> int:
    return (*CONTRACTS, *FLOORS).index(name)


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or p.stem in CONTRACTS]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "ganjax" and len(parts) > 1 and parts[1] not in (own, "configs"):
            assert level(parts[1]) < level(own), f"{path.name} imports {name}"
        assert parts[0] not in HEAVY.get(own, ()), f"{path.name} imports {name}"


def test_the_package_holds_the_floors_and_nothing_else():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(FLOORS)
    assert {path.stem for path in PACKAGE.glob("*.py")} <= {*CONTRACTS, "__init__", "__main__"}


def test_every_folder_is_installed():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    here = {".".join(path.relative_to(PACKAGE.parent).parts[:-1]) for path in PACKAGE.rglob("*.py")}
    here |= {".".join(("ganjax", *path.relative_to(PACKAGE.parent).parts[:-1]))
             for path in (PACKAGE.parent / "configs").rglob("*.py")}  # fmt: skip
    assert set(project["tool"]["setuptools"]["packages"]) == here


def test_only_checkpoint_knows_orbax():
    knowing = [p.name for p in MODULES if any(name.split(".")[0] == "orbax" for name in imported(p))]
    assert knowing == ["checkpoint.py"]


def test_only_progress_draws_bars():
    knowing = {p.name for p in MODULES if any(name.split(".")[0] == "tqdm" for name in imported(p))}
    assert knowing == {"progress.py"}


def test_nothing_imports_the_launcher_or_tensorflow():
    for path in MODULES:
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"launch", "tensorflow", "torch"}, path
