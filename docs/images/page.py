"""Take the picture of the page in docs/serving.md, from made defects in a photograph (CC0).

    oddlens demo --out .demo
    oddlens serve .demo/brick.oddlens
    python docs/images/page.py http://127.0.0.1:8000 .demo/data/brick/test chromium

The images are not chosen: the first three of each folder.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import expect, sync_playwright

OUT = Path(__file__).with_suffix(".jpg")
EACH = 3
SIZE = {"width": 1240, "height": 780}


def main() -> None:
    """Drop the images, wait for the scores, take the picture."""
    address, test, program = sys.argv[1:]
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        chosen = Path(folder) / "bricks"
        count = 0
        for kind in sorted(path for path in Path(test).iterdir() if path.is_dir()):
            (chosen / kind.name).mkdir(parents=True)
            for file in sorted(kind.iterdir())[:EACH]:
                shutil.copy(file, chosen / kind.name)
                count += 1
        browser = playwright.chromium.launch(executable_path=shutil.which(program))
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.goto(address)
        page.locator("#folder").set_input_files(chosen)
        scored = page.locator(".card[data-verdict=flagged], .card[data-verdict=passed]")
        expect(scored).to_have_count(count, timeout=120_000)
        expect(page.locator(".card .heat").nth(7)).to_be_visible()
        page.screenshot(path=OUT, type="jpeg", quality=88)
        browser.close()


if __name__ == "__main__":
    main()
