"""The documentation's pages: what they link to is there, and the site builds."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("", "docs", "docs/tutorials", "core", "web", "examples", "experiments")
PAGES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """As forges make them of headings, and those that are named."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|<[^>]*>", r"\1", heading) for heading in headings)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}
    return made | set(re.findall(r'<a name="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.skipif(not find_spec("zensical"), reason="needs zensical, of the docs extra")
def test_site_builds() -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "site.py"], check=True)
    pages = ROOT / "build" / "docs" / "site"
    assert "pbgen compress" in (pages / "commands.html").read_text()
    assert "sliced_wasserstein" in (pages / "python.html").read_text()
