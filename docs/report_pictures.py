"""Pictures of the report at three widths for docs/figures, and what its pages weigh.

    python docs/report_pictures.py world.db reference.db

A leaderboard of `bench run` on the built-in world, and one of `bench reference`. Needs the extra 'report', playwright
and a Chromium. Prints a line for each page: bytes of everything that opening it at 1440 px reads.
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from benchmark.report.site import build
from benchmark.variables import read_settings

WIDTHS = {390: 1690, 768: 1300, 1440: 1300}  # px: what is shown of each
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FIGURES = Path(__file__).resolve().parent / "figures"


def shoot(browser: Browser, report: Path, page: str, width: int, height: int) -> tuple[bytes, int]:
    """(a page as PNG, bytes of the files that it reads)."""
    files: set[str] = set()
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    tab = context.new_page()
    tab.on("request", lambda request: files.add(request.url))
    tab.goto(f"{report.resolve().as_uri()}/{page}", wait_until="networkidle")
    picture = tab.screenshot()
    context.close()
    paths = (Path(unquote(urlsplit(file).path)) for file in files if file.startswith("file:"))
    return picture, sum(path.stat().st_size for path in paths)


def main() -> None:
    """Two leaderboards, three widths."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world")
    parser.add_argument("reference")
    asked = parser.parse_args()
    program = next(path for path in map(shutil.which, NAMES) if path)
    with sync_playwright() as running, tempfile.TemporaryDirectory() as folder:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, db in (("world", asked.world), ("reference", asked.reference)):
            report = Path(folder) / name
            site = build(read_settings(db), report)
            print(f"{name}: {site.pages} pages, {site.written / 1e6:.1f} MB")
            for width, height in WIDTHS.items():
                picture, _ = shoot(browser, report, "index.html", width, height)
                image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256)
                image.save(FIGURES / f"report-{name}-{width}.png", optimize=True)
            folders = ("suites", "observers", "compare", "stimuli")
            shown = [sorted(report.glob(f"{kind}/*.html"))[: 9 if kind == "suites" else 1] for kind in folders]
            for page in ["index.html", *(str(path.relative_to(report)) for paths in shown for path in paths)]:
                _, weight = shoot(browser, report, page, 1440, 900)
                print(f"| {name} | {page} | {weight / 1e3:.0f} kB |")
        browser.close()


if __name__ == "__main__":
    main()
