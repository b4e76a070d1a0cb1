"""Links, headings, pictures and files of the README and the docs exist."""

import ast
import posixpath
import re

import pytest
from docs_pages import PAGES, anchors, blocks, links, spans
from running import ROOT

FOLDERS = "(?:configs|benchmarks|tests|ganjax|docs)"
EACH = pytest.mark.parametrize("page", PAGES)


@EACH
def test_every_link_leads_to_a_file_and_a_heading(page):
    for name, heading in links(PAGES[page]):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), name)) if name else page
        assert (ROOT / path).is_file(), f"{page}: {name}"
        assert not heading or heading in anchors((ROOT / path).read_text()), f"{page}: {name}#{heading}"


@EACH
def test_pictures_are_small_and_name_their_source(page):
    lines = PAGES[page].splitlines()
    for i, line in enumerate(lines):
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", line):
            assert (ROOT / posixpath.join(posixpath.dirname(page), name)).stat().st_size < 400_000, name
            caption = " ".join(lines[i + 1 : i + 5])
            assert re.search(r"\*.*(Source:|The images\s+are)", caption), f"{page}: {name}"


@EACH
def test_files_that_are_named_exist(page):
    titles = {block.title for text in PAGES.values() for block in blocks(text)}
    names = re.findall(rf"\b{FOLDERS}/[\w/]+\.\w+", PAGES[page])
    names += [span for span in spans(PAGES[page]) if re.fullmatch(rf"{FOLDERS}/[\w/]*", span)]
    for name in set(names) - titles:
        assert (ROOT / name).exists(), f"{page}: {name}"


@EACH
def test_python_is_python(page):
    for block in blocks(PAGES[page]):
        if block.language == "python":
            assert ast.parse(block.code).body, f"{page}: a block without a statement"


def test_the_site_has_every_page_and_takes_nothing_from_the_net():
    settings = (ROOT / ".mkdocs.yml").read_text()
    nav = set(re.findall(r": ([\w-]+\.md)$", settings, re.MULTILINE))
    assert nav == {path.name for path in (ROOT / "docs").glob("*.md")} | {"index.md", "benchmarks.md"}
    assert "font: false" in settings and "strict: true" in settings and "://" not in settings


def test_the_readme_says_what_was_not_measured():
    assert "No run was made on a GPU" in PAGES["README.md"]
