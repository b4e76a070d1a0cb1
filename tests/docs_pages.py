"""The README and the pages of docs/, as the tests read them: blocks, code spans, commands, links, headings."""

import re
import shlex
from typing import NamedTuple

from running import ROOT

FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in FILES}
FENCE = re.compile(r'^```(\w*)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LAUNCH = ["python", "launch.py"]


class Block(NamedTuple):
    language: str
    title: str
    code: str


def blocks(text: str) -> list[Block]:
    return [Block(*match) for match in FENCE.findall(text)]


def prose(text: str) -> str:
    """Return the text without its blocks."""
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """Return what stands in backticks outside of blocks."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def shell_lines(text: str) -> list[list[str]]:
    """Return the words of each line of the shell blocks, and of each code span that is a command."""
    lines = [line for block in blocks(text) if block.language == "sh"
             for line in block.code.replace("\\\n", " ").splitlines()]  # fmt: skip
    lines += [span for span in spans(text) if span.startswith(("python launch.py ", "ganjax ", "make "))]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def arguments(words: list[str]) -> list[str] | None:
    """Return what a command gives to ganjax; None for another program's."""
    if words[:2] == LAUNCH:
        return words[2:]
    return words[1:] if words[0] == "ganjax" else None


def commands() -> list[list[str]]:
    """Return the arguments of every command of ganjax on any page, each once."""
    everywhere = [arguments(words) for text in PAGES.values() for words in shell_lines(text)]
    return list(dict.fromkeys(tuple(words) for words in everywhere if words))


def links(text: str) -> list[tuple[str, str]]:
    """Return (file, heading) of each link that is not to another site."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    return [tuple(target.partition("#")[::2]) for target in targets if "://" not in target]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings: those that GitHub and mkdocs agree on."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles]
    return {title.replace(" ", "-") for title in plain if "  " not in title and "- " not in title}
