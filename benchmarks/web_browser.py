"""benchmarks/web.html in Chromium, opened anew several times: the first picture's time, and a picture's, as Markdown.

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
from typing import ClassVar

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]


class Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        pass


def main(opened: int, rounds: int) -> None:
    first: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(ROOT))) as server,
        sync_playwright() as playwright,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(opened):
            page = browser.new_page()
            page.on("console", lambda message: print(message.text, file=sys.stderr))
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/benchmarks/web.html?rounds={rounds}")
            page.wait_for_function("window.results", timeout=600_000)
            for name, measured in page.evaluate("window.results").items():
                first[name].append(measured["first"])
                times[name] += measured["times"]
            page.close()
        print(f"Chromium {browser.version}, opened {opened} times, {rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
        browser.close()
        server.shutdown()
    print("| | first picture, ms | least | a picture: median, ms | 10% | 90% |\n|---|---|---|---|---|---|")
    for name, found in times.items():
        tenths = statistics.quantiles(found, n=10)
        cells = [statistics.median(first[name]), min(first[name]), statistics.median(found), tenths[0], tenths[-1]]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*numbers, *(5, 20)[len(numbers) :])
