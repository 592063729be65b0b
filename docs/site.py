"""Build the documentation's site into build/docs/site: python docs/site.py

The pages are those of the repository, with README.md as the first, and all that they link to in its place beside them:
so links hold on a forge and in the site. What a command or a function says of itself is not written down twice: the
reference is made here. A link that leads nowhere fails the build.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import typer

import pbgen
from pbgen.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "docs"
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
CONFIG = """
[project]
site_name = "PBGen"
site_description = "Generators with weights of one bit or a few"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = [
    { "Home" = "index.md" },
    { "Tutorials" = [
        { "A trained generator, made small" = "docs/tutorials/compress.md" },
        { "Your own images" = "docs/tutorials/train.md" },
        { "Run it" = "docs/tutorials/run.md" },
    ] },
    { "How to" = [
        { "Make a trained generator small" = "docs/compress.md" },
        { "Your own generator" = "docs/your-generator.md" },
        { "Training" = "docs/training.md" },
        { "In the browser" = "docs/web.md" },
        { "In C, and without Python" = "docs/c.md" },
        { "ONNX" = "docs/onnx.md" },
    ] },
    { "Reference" = [
        { "Commands" = "commands.md" },
        { "Python" = "python.md" },
        { "The packed file" = "docs/format.md" },
    ] },
    { "Theory" = [
        { "Which layers may be binary" = "docs/theory.md" },
        { "The claims, tested" = "docs/results.md" },
        { "How the engine is fast" = "docs/kernels.md" },
        { "Precision" = "docs/precision.md" },
        { "Measured" = "docs/measured.md" },
    ] },
    { "Project" = [
        { "Contributing" = "CONTRIBUTING.md" },
        { "Changes" = "CHANGELOG.md" },
        { "Releasing" = "docs/releasing.md" },
    ] },
]

[project.theme]
font = false  # the reader's own: nothing is fetched from elsewhere
features = ["navigation.sections", "content.code.copy", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Light"

[project.plugins.mkdocstrings.handlers.python]
paths = ["../../src"]

[project.plugins.mkdocstrings.handlers.python.options]
show_source = false
show_root_heading = true
merge_init_into_class = true
separate_signature = true
show_signature_annotations = true
heading_level = 2
"""


def main() -> None:
    shutil.rmtree(STAGE, ignore_errors=True)
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        stage(page)
    (STAGE / "pages" / "commands.md").write_text(commands())
    (STAGE / "pages" / "python.md").write_text(python())
    (STAGE / "zensical.toml").write_text(CONFIG)
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build", "--strict"], cwd=STAGE, check=True, env=os.environ | {"NO_COLOR": "1"})


def stage(file: Path) -> None:
    """Copies a file and, of a page, what it links to."""
    to = staged(file)
    if to.exists():
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix != ".md":
        shutil.copy2(file, to)
        return
    to.touch()
    text = file.read_text()

    def follow(link: re.Match[str]) -> str:
        target = (file.parent / link[2]).resolve()
        target = target / "README.md" if target.is_dir() else target
        if not target.exists():
            sys.exit(f"{file.relative_to(ROOT)}: links to {link[2]}, which is not there")
        stage(target)
        return link[1] + os.path.relpath(staged(target), to.parent) + link[3]

    to.write_text(LINK.sub(follow, text))


def staged(file: Path) -> Path:
    inside = file.relative_to(ROOT)
    return STAGE / "pages" / ("index.md" if inside == Path("README.md") else inside)


def commands() -> str:
    """What each command's --help says."""
    group = typer.main.get_group(app)
    context = typer.Context(group, info_name="pbgen")
    parts = ["# Commands", *(command(name, one, context) for name, one in group.commands.items())]
    return "\n\n".join(parts) + "\n"


def command(name: str, one: typer.core.TyperCommand, parent: typer.Context) -> str:
    context = typer.Context(one, info_name=name, parent=parent)
    usage = one.get_usage(context).removeprefix("Usage: ")
    rows = [record for parameter in one.params if (record := parameter.get_help_record(context))]
    heads = ["| argument or option | |", "|---|---|"]
    table = "\n".join([*heads, *(f"| `{names.strip()}` | {escape(text)} |" for names, text in rows)])
    return f"## pbgen {name}\n\n```\n{usage}\n```\n\n{(one.help or '').strip()}\n\n{table}"


def escape(text: str) -> str:
    """For a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def python() -> str:
    """The public names, from their docstrings."""
    modules = {"data", "metrics", "models", "packing", "training"}
    names = [f"::: pbgen.{name}" for name in pbgen.__all__ if name not in modules]
    return "\n\n".join(["# Python", *names, "::: pbgen.metrics.sliced_wasserstein", "::: pbgen.models.create"]) + "\n"


if __name__ == "__main__":
    main()
