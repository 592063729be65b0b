"""A generator that runs in a page: engine, weights and controls inside, so that nothing is served or fetched."""

import json
import os
from math import prod
from pathlib import Path

from pbgen.engine import Engine
from pbgen.errors import PBGenError
from pbgen.opening import Shape
from pbgen.pictures import Range
from pbgen.report import html
from pbgen.report.text import escape, size
from pbgen.web.bundle import FOLDER, bundle, engine_modules, inlined_worker, packed

MAX_BYTES = 256 << 20
"""Of a packed file in a page: browsers hold no longer text."""

MAX_LATENTS = 2**20
"""Numbers; more are no latent vector."""

SMALLEST = 8
"""Pixels along the edge of what is taken for a picture, and not for latents of so many channels."""

USUAL = {"latents": Range(-1, 1), "plain": Range(-1, 1), "picture": Range(0, 1), "sound": Range(-1, 1)}
"""Values of black and white: as `pbgen generate` and `pbgen run` have them."""

LEADS = {
    "latents": "Every one of these is made while you look, on your device alone, by {weights} of weights in this page.",
    "picture": "Choose a picture: {weights} of weights in this page remake it, on your device alone.",
    "sound": "Choose a sound: {weights} of weights in this page remake it, on your device alone.",
    "plain": "A network of {weights} that stands in this page and runs on your device alone.",
}

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; media-src blob: mediastream:"
)
HEAD = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
"""For the head of a page that is alive: by it the browser lets the page send and fetch nothing."""


def kind_of(engine: Engine) -> str:
    """What a page offers for a generator of these shapes: "latents", "picture", "sound" or "plain".

    "picture" and "sound" are those that take one and make one, "latents" makes one of numbers of a fixed size;
    "plain" is every other.
    """
    given = [source.shape for source in engine.inputs]
    made = next(iter(engine.outputs.values()))
    if len(given) == 1 and _is_picture(given[0]) and _is_picture(made):
        return "picture"
    if len(given) == 1 and _is_sound(given[0]) and _is_sound(made):
        return "sound"
    fixed = all(None not in source.shape for source in (*engine.inputs, *engine.noise))
    drawn = [source for source in engine.inputs if not source.integer]
    if fixed and drawn and (_is_picture(made) or _is_sound(made)):
        numbers = sum(prod(size or 0 for size in source.shape) for source in drawn)  # none is free
        return "latents" if numbers <= MAX_LATENTS else "plain"
    return "plain"


def live(file: str | os.PathLike[str], activations: str = "float32", values: Range | None = None) -> tuple[str, str]:
    """The block of HTML that makes a page run the packed `file`, one a page, and a lead for it.

    values: what the generator has for black and white; None: -1 and 1 where it makes pictures of latents, 0 and 1 where
    of pictures. Raises PBGenError where the file cannot be read or is too large, and where the engine for browsers is
    missing.
    """
    engine = Engine(file, threads=1, activations=activations)
    content = Path(file).read_bytes()
    if len(content) > MAX_BYTES:
        raise PBGenError(f"{file}: has {size(len(content))}; a page holds at most {MAX_BYTES >> 20} MiB")
    kind = kind_of(engine)
    scale = values or USUAL[kind]
    config = {
        "kind": kind,
        "name": Path(file).stem,
        "activations": activations,
        "range": {"low": scale.low, "high": scale.high},
        "weights": len(content),
        "engine": max(map(len, engine_modules().values())),
        "seed": 0,
    }
    spawn = (FOLDER / "page" / "spawn.js").read_text(encoding="utf-8")
    script = bundle("page/main.js", {"spawn.js": spawn})
    block = (
        f"<style>{(FOLDER / 'page' / 'page.css').read_text(encoding='utf-8')}</style>"
        f'<section class="live" id="pbgen-live" data-config="{escape(json.dumps(config))}">'
        "<p>This part needs a browser with JavaScript and WebAssembly.</p></section>"
        f'<script type="text/plain" id="pbgen-weights">{packed(content)}</script>'
        f'<script type="text/plain" id="pbgen-worker">{_inside(inlined_worker())}</script>'
        f"<script>{{\n{_inside(script)}}}</script>"
    )
    return block, LEADS[kind].format(weights=size(len(content)))


def live_page(
    file: str | os.PathLike[str], title: str, activations: str = "float32", values: Range | None = None
) -> str:
    """The whole document of a page that is that block alone. Raises PBGenError as `live` does."""
    block, lead = live(file, activations, values)
    return html.page(title, lead, [block], HEAD)


def _is_picture(shape: Shape) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3) and all(size is None or size >= SMALLEST for size in shape[1:])


def _is_sound(shape: Shape) -> bool:
    return len(shape) == 2 and shape[0] in (1, 2)


def _inside(script: str) -> str:
    """A script that stands in an element of a page: nothing in it ends that."""
    assert "</script" not in script and "<!--" not in script
    return script
