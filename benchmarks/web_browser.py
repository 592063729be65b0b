"""benchmarks/web.html in Chromium, several times: a picture's time, and each engine's first in a browser of its own.

python benchmarks/web_browser.py [opened] [rounds]

Wants what benchmarks/web.mjs wants in build/web, and Chromium.
"""

import os
import shutil
import statistics
import sys
from collections import defaultdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import quote

from playwright.sync_api import BrowserType, sync_playwright

ROOT = Path(__file__).resolve().parents[1]


class Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        pass


def visit(chromium: BrowserType, address: str) -> dict[str, Any]:
    """What the page found, in a browser that has not compiled anything before."""
    browser = chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page()
    page.on("console", lambda message: print(message.text, file=sys.stderr))
    page.goto(address)
    page.wait_for_function("window.results", timeout=600_000)
    results: dict[str, Any] = page.evaluate("window.results")
    browser.close()
    return results


def main(opened: int, rounds: int) -> None:
    first: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(ROOT))) as server,
        sync_playwright() as playwright,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/benchmarks/web.html"
        for _ in range(opened):
            for name, measured in visit(playwright.chromium, f"{address}?rounds={rounds}").items():
                times[name] += measured["times"]
            for name in times:
                alone = visit(playwright.chromium, f"{address}?rounds=0&only={quote(name)}")
                first[name].append(alone[name]["first"])
        server.shutdown()
    print(f"Opened {opened} times, {rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
    print("| | first picture, ms | least | a picture: median, ms | 10% | 90% |\n|---|---|---|---|---|---|")
    for name, found in times.items():
        tenths = statistics.quantiles(found, n=10)
        cells = [statistics.median(first[name]), min(first[name]), statistics.median(found), tenths[0], tenths[-1]]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*numbers, *(5, 20)[len(numbers) :])
