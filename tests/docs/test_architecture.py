"""docs/architecture.md: its floors, its reading path and its contracts agree with the code."""

import dataclasses
import importlib
import re

from docs_pages import PAGES
from running import ROOT
from test_imports import CONTRACTS, FLOORS, imported

PAGE = PAGES["docs/architecture.md"]


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_floors_are_those_that_imports_keep():
    rows = re.findall(r"^\| `(\w+)` \|", section("The floors"), re.MULTILINE)
    assert rows[::-1] == [*CONTRACTS, *FLOORS]


def test_each_file_of_the_reading_path_is_called_by_one_above_it():
    files = re.findall(r"^\d\. \[([\w/.]+)\]", section("Where to begin reading"), re.MULTILINE)
    assert len(files) <= 7 and files[0] == "ganjax/cli/train.py"
    names = [file.removesuffix(".py").replace("/", ".") for file in files]
    assert "ganjax.recipe" in imported(ROOT / files[2])  # which imports the recipe of a name
    recipes = {f"ganjax.recipes.{path.stem}" for path in (ROOT / "ganjax" / "recipes").glob("*.py")}
    for i, name in enumerate(names[1:], 1):
        above = {module for file in files[:i] for module in imported(ROOT / file)}
        assert name in recipes or name in above or any(module.startswith(f"{name}.") for module in above), name


def test_the_contracts_have_these_fields():
    rows = re.findall(r"^\| \[(\w+)\]\(\.\./([\w/]+)\.py\) \| (.*?) \|", section("The contracts"), re.MULTILINE)
    contracts = {"State", "GOutput", "DOutput", "Method", "Recipe", "Task", "Player", "Game", "Regulariser"}
    assert {name for name, _, _ in rows} == contracts
    for name, module, fields in rows:
        contract = getattr(importlib.import_module(module.replace("/", ".")), name)
        own = contract._fields if hasattr(contract, "_fields") else [f.name for f in dataclasses.fields(contract)]
        assert re.findall(r"`(\w+)`", fields) == list(own), name
