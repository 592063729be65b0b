"""The pages of `pbgen web` in Chromium: what they draw is what the native engine makes, and nothing leaves them."""

import base64
import io
import re
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from servers import served

import pbgen
from pbgen.cli import main
from pbgen.pictures import to_pixels

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
Pixels = NDArray[np.uint8]
READY = "#pbgen-live[data-ready]"


@pytest.fixture(autouse=True)
def _compiled(modules: Path) -> None:
    """Skips where there is no compiled engine."""


@contextmanager
def opened(browser: Any, address: str, errors_expected: int = 0, **options: Any) -> Iterator[Any]:
    """The page, alive; in the end it has had no error but those expected, and has asked for nothing."""
    context = browser.new_context(**options)
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector(READY)
    yield page
    context.close()
    assert [url for url in requests if url != address and not url.startswith("blob:")] == []
    assert len(errors) == errors_expected, errors


def written(file: Path, *options: object) -> Path:
    """The page of a packed file."""
    page = file.parent / f"{file.stem}-{len(options)}.html"
    assert main(["web", str(file), "-o", str(page), *map(str, options)]) == 0
    return page


def pixels(page: Any, selector: str) -> Pixels:
    """uint8 (H, W, 3) of a canvas."""
    url = page.eval_on_selector(selector, "canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def native(file: Path, seed: int, number: int, activations: str = "float32") -> Pixels:
    """The same of a picture that `pbgen generate` makes."""
    engine = pbgen.Engine(file, activations=activations)
    z = engine.draw(engine.input_shape, seed=seed, first=number)
    return to_pixels(engine(*z.values()))[0].transpose(1, 2, 0)


def near(found: Pixels, expected: Pixels, bound: int = 1) -> bool:
    return found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= bound


def until(page: Any, condition: Callable[[], bool]) -> None:
    """Waits until it holds."""
    for _ in range(400):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("never")


def shows(page: Any, expected: Pixels, selector: str = ".frame canvas", bound: int = 1) -> None:
    """Waits until a canvas shows this."""
    until(page, lambda: near(pixels(page, selector), expected, bound))


def set_slider(page: Any, selector: str, value: float) -> None:
    page.eval_on_selector(selector, f"input => {{ input.value = {value}; input.dispatchEvent(new Event('input')) }}")


@pytest.mark.parametrize("simd", ["relaxed", "simd128"])
def test_a_gallery_from_file_and_from_http(browser: Any, latents: Path, simd: str) -> None:
    file = written(latents, "--title", "Faces & <more>")
    document = file.read_text(encoding="utf-8")
    assert "<title>Faces &amp; &lt;more&gt;</title>" in document
    if simd == "simd128":
        file = file.with_stem("simd128")
        file.write_text(document.replace("WebAssembly.validate(RELAXED)", "false"), encoding="utf-8")
    with served(file.parent) as server:
        for address in (file.as_uri(), f"{server}/{file.name}"):
            with opened(browser, address) as page:
                assert page.get_attribute("#pbgen-live", "data-ready") == simd
                assert page.locator(".tile canvas").count() == 24
                for number in (0, 1, 23):
                    shows(page, native(latents, 0, number), f".tile:nth-child({number + 1}) canvas")


def test_what_one_can_do_with_latents(browser: Any, latents: Path) -> None:
    with opened(browser, written(latents).as_uri()) as page:
        now = partial(pixels, page, ".frame canvas")
        page.fill("#seed", "5")
        page.keyboard.press("Enter")
        shows(page, native(latents, 5, 23), ".tile:nth-child(24) canvas")
        shows(page, native(latents, 5, 0))

        page.click(".tile:nth-child(3)")
        shows(page, native(latents, 5, 2))
        page.keyboard.press("h")
        page.click(".tile:nth-child(4)")
        shows(page, native(latents, 5, 3))
        set_slider(page, ".morph input", 0.5)
        until(page, lambda: not any(near(now(), native(latents, 5, end), 20) for end in (2, 3)))
        set_slider(page, ".morph input", 0)
        shows(page, native(latents, 5, 2))
        page.click(".well >> nth=1")
        shows(page, native(latents, 5, 3))

        page.wait_for_selector(".walk:not([hidden])")
        set_slider(page, ".walk input", 1)
        until(page, lambda: not near(now(), native(latents, 5, 3), 20))
        page.click("button[aria-label='Next direction']")
        assert page.inner_text(".walk output") == "2 of 8"
        shows(page, native(latents, 5, 3))

        page.focus(".tile:nth-child(4)")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        shows(page, native(latents, 5, 9))
        with page.expect_download() as download:
            page.keyboard.press("s")
        assert download.value.suggested_filename == "latents-5.png"
        saved = np.asarray(Image.open(download.value.path()).convert("RGB"))
        assert near(saved[::16, ::16], native(latents, 5, 9))

        page.check("input[value=int8]", force=True)
        until(page, lambda: not near(now(), native(latents, 5, 9)))
        shows(page, native(latents, 5, 9, "int8"), bound=3)
        page.keyboard.press("n")
        until(page, lambda: page.input_value("#seed") != "5")
        seed = int(page.input_value("#seed"))
        shows(page, native(latents, seed, 23, "int8"), ".tile:nth-child(24) canvas", 3)
        before = now()
        page.keyboard.press("d")
        until(page, lambda: not near(now(), before, 20))
        page.keyboard.press("d")
        assert page.inner_text(".facts").count(" ms") == 1


def test_a_phone_in_the_dark(browser: Any, latents: Path, picture: Path) -> None:
    for file in (latents, picture):
        with opened(browser, written(file).as_uri(), color_scheme="dark", **PHONE) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert sum(map(int, colour[4:-1].split(","))) < 150
            for box in page.evaluate("[...document.querySelectorAll('.live button')].map((b) => b.offsetHeight)"):
                assert box == 0 or box >= 24


def test_a_picture_before_and_after(browser: Any, picture: Path, tmp_path: Path) -> None:
    given = np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)
    Image.fromarray(given).save(tmp_path / "given.png")
    (tmp_path / "words.png").write_text("no picture")
    padded = np.pad(given, ((2, 2), (2, 2), (0, 0)), mode="edge").astype(np.float32).transpose(2, 0, 1)
    made = pbgen.Engine(picture)(padded[None] / 255)[0]
    expected = (made * 255).clip(0, 255).round().transpose(1, 2, 0)
    edge = (expected.shape[0] - 60) // 2
    expected = expected[edge : edge + 60, edge : edge + 88]
    with opened(browser, written(picture).as_uri(), errors_expected=1, permissions=["camera"]) as page:
        page.set_input_files("input[type=file]", tmp_path / "given.png")
        page.locator(".told", has_text="44 × 30 to 88 × 60 pixels").wait_for()
        shows(page, given, ".compare canvas >> nth=0")
        shows(page, expected, ".compare canvas >> nth=1")
        with page.expect_download() as download:
            page.keyboard.press("s")
        assert download.value.suggested_filename == "given-after.png"
        assert near(np.asarray(Image.open(download.value.path()).convert("RGB")), expected)

        page.focus(".divider")
        page.keyboard.press("End")
        assert page.eval_on_selector(".compare", "frame => frame.style.getPropertyValue('--split')") == "100%"

        page.click("text=Camera")
        page.locator(".told", has_text=re.compile("(128|256|512) × (96|192|384) to")).wait_for()
        page.click("text=Camera")
        page.wait_for_selector("[aria-busy=false]")
        page.set_input_files("input[type=file]", tmp_path / "words.png")
        page.wait_for_selector(".alert:not([hidden])")
        assert page.inner_text(".alert") == "words.png: is no picture that this browser can read"


def test_a_sound_before_and_after(browser: Any, sound: Path, tmp_path: Path) -> None:
    given = (np.random.default_rng(0).standard_normal(8000) * 3000).astype("<i2")
    with wave.open(str(tmp_path / "given.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes(given.tobytes())
    expected = pbgen.Engine(sound)(given[None, None].astype(np.float32) / 32768)[0, 0]
    with opened(browser, written(sound).as_uri()) as page:
        page.set_input_files("input[type=file]", tmp_path / "given.wav")
        page.locator(".told", has_text="0.4 s").wait_for()
        with page.expect_download() as download:
            page.keyboard.press("s")
        with wave.open(str(download.value.path())) as file:
            assert (file.getframerate(), file.getnchannels()) == (22050, 1)
            saved = np.frombuffer(file.readframes(8000), "<i2") / 32767
        assert np.abs(saved - expected).max() < 2e-4
        page.click("text=Play after")
        assert page.get_attribute("text=Play after", "aria-pressed") == "true"
        page.locator("button[aria-pressed=false]", has_text="Play after").wait_for()


def test_whatever_else(browser: Any, mixed: Path) -> None:
    with opened(browser, written(mixed).as_uri()) as page:
        assert page.locator("figure canvas").count() == 2
        before = pixels(page, "figure canvas")
        page.fill("#seed", "5")
        page.keyboard.press("Enter")
        until(page, lambda: not np.array_equal(pixels(page, "figure canvas"), before))


def test_a_page_tells_what_is_wrong(browser: Any, latents: Path, tmp_path: Path) -> None:
    document = written(latents).read_text(encoding="utf-8")
    begin = document.index('id="pbgen-weights">') + len('id="pbgen-weights">')
    broken = tmp_path / "broken.html"
    for name, changed in {
        "weights": document[:begin] + document[document.index("</script>", begin) :],
        "worker": document.replace("self.onmessage =", "self.onmessage : "),
        "simd": document.replace("WebAssembly.validate(SIMD128)", "false"),
    }.items():
        broken.write_text(changed, encoding="utf-8")
        page = browser.new_page()
        page.goto(broken.as_uri())
        page.wait_for_selector(".alert:not([hidden])")
        said = page.inner_text(".alert")
        assert "\n" not in said
        assert said
        assert ("SIMD" in said) == (name == "simd")
        page.close()


def test_a_page_can_ask_for_nothing(browser: Any, latents: Path) -> None:
    """What the policy says, the browser holds the page to."""
    with served(latents.parent) as server:
        page = browser.new_page()
        page.goto(written(latents).as_uri())
        asked = page.evaluate(f"fetch('{server}/latents.safetensors').then(() => 'fetched', () => 'refused')")
        assert asked == "refused"
        page.close()
