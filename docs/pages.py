"""What mkdocs is told beside .mkdocs.yml: pages of the repository that lie outside docs/.

The README becomes the first page and benchmarks/README.md another; each source file that a page links to becomes a page
of its code. So links that work on GitHub work in the site, and mkdocs checks them all.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
OUTSIDE = {"README.md": "index.md", "benchmarks/README.md": "benchmarks.md"}
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")  # a relative one, without its heading


def page_of(path: str) -> str:
    """Return the page that a file of the repository becomes, relative to docs/."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}.md"


def target(link: str, path: str) -> str:
    """Return the file of the repository that a link of the file at `path` points to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def on_files(files, config):
    """Add the pages from outside docs/."""
    for path in (*OUTSIDE, *(f"docs/{file.src_uri}" for file in files.documentation_pages())):
        text = (ROOT / path).read_text()
        if path in OUTSIDE:
            files.append(File.generated(config, OUTSIDE[path], content=text))
        for source in {target(link, path) for link in LINK.findall(text)}:
            page = page_of(source)
            if page.startswith("source/") and (ROOT / source).is_file() and not files.get_file_from_path(page):
                files.append(File.generated(config, page, content=listing(source)))
    return files


def listing(path: str) -> str:
    """Return the page of a source file."""
    language = "python" if path.endswith(".py") else "text"
    code = (ROOT / path).read_text()
    return f"---\nsearch:\n  exclude: true\n---\n# {path}\n\n~~~~~~{language}\n{code}\n~~~~~~\n"


def on_page_markdown(markdown, page, config, files):
    """Point links at pages. All pages with links lie at the top of the site."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    path = {page: path for path, page in OUTSIDE.items()}.get(uri, f"docs/{uri}")
    return LINK.sub(lambda link: page_of(target(link[0], path)), markdown)
