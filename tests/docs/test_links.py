"""Links lead somewhere, and what the pages name is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from ron_kms.cli.main import commands
from ron_kms.config import CONFIG_ENV, DEFINITIONS, TOKEN_ENV
from tests.docs.pages import PAGES, ROOT, anchors, blocks, links, name, needs_pages, prose, spans

pytestmark = needs_pages

_FILE = re.compile(r"(?:\.\./)*[\w.-]+(?:/[\w.-]+)*/?")
_SUFFIXES = {".py", ".pyx", ".pyi", ".pxi", ".toml", ".lock", ".json", ".md", ".sh", ".txt"}
_WRITTEN = {"endpoints.json", "high-water.json", "manifest.json"}
"""Not files of the repository."""
_SETTINGS = {row.env for row in DEFINITIONS} | {CONFIG_ENV, TOKEN_ENV, "KMS_GRPC_ADDR"}
_BASES = [ROOT, ROOT / "src/ron_kms", ROOT / "src/ron_kms/api", ROOT / "tests"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_exist(page: Path) -> None:
    def there(span: str) -> bool:
        return any((base / span).exists() for base in (page.parent, *_BASES)) or (
            "/" not in span and any(ROOT.glob(f"src/ron_kms/**/{span}"))
        )

    named = [
        span
        for span in spans(page)
        if _FILE.fullmatch(span)
        and span not in _WRITTEN
        and (Path(span).suffix in _SUFFIXES or span.startswith(("src/", "tests/", "docs/", "scripts/", "wheels/")))
    ]
    assert [span for span in named if not there(span)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_exist(page: Path) -> None:
    assert set(re.findall(r"\bKMS_[A-Z_]+[A-Z]\b", page.read_text())) - _SETTINGS == set()


def _commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.code.splitlines()]
    return [*lines, *spans(page)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for text in _commands(page) if (found := re.match(r"make ([a-z-]+)\b(?!=)", text))}
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_subcommands_exist(page: Path) -> None:
    unknown = []
    for text in _commands(page):
        found = re.match(r"(?:\.venv/bin/)?ron-kms ((?:[a-z][a-z-]*(?: |$))+)", text)
        command: click.Command = commands
        for word in found[1].split() if found else ():
            if not isinstance(command, click.Group):
                break
            inner = command.commands.get(word)
            if inner is None:
                unknown.append(text)
                break
            command = inner
    assert unknown == []


def test_make_targets_are_all_told() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"^\| `make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    assert told == targets - {"help"}


def test_the_readme_tells_what_the_package_is_called() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    readme = prose(ROOT / "README.md")
    assert readme.startswith(f"# {project['name']}\n")
    assert f"Version {project['version']}," in readme
