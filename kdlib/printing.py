"""The book as a PDF: rendered as one page, which a Chromium that is installed here prints."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from kdlib.book import render
from kdlib.errors import KdlibError
from kdlib.paths import atomic, project_root

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
MARGINS = {"top": "16mm", "bottom": "18mm", "left": "17mm", "right": "17mm"}
FOOTER = '<div style="width: 100%; text-align: center; font-size: 8px"><span class="pageNumber"></span></div>'
# A link to a file beside the page would be one to a folder of this machine; what is folded on a screen is not on paper.
PREPARE = """() => {
  for (const link of document.querySelectorAll("a[href]"))
    if (link.protocol === "file:" && link.pathname !== location.pathname) link.removeAttribute("href");
  for (const folded of document.querySelectorAll("details.sd-dropdown")) folded.open = true;
}"""


class PrintError(KdlibError):
    """No browser, or nothing that drives it."""


def chromium() -> str | None:
    """The browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def published(folder: Path, builder: str = "html") -> Path:
    """The folder of the book as its committed notebooks show it, rendered in `folder` by Sphinx's `builder`."""
    root = project_root()
    shutil.copytree(root / "book", folder / "book", ignore=shutil.ignore_patterns("_build", "executed"))
    shutil.copytree(root / "results" / "benchmark", folder / "results" / "benchmark")  # which a page offers
    (folder / "book" / "executed").mkdir()
    for notebook in (root / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, folder / "book" / "executed")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, folder)
    render(folder, builder)
    return folder / "book" / "_build" / builder


def pdf(path: Path) -> None:
    """Write the book, as its committed notebooks show it, as a PDF: nothing is trained."""
    browser()  # before a minute of work
    with TemporaryDirectory(prefix="kdlib-") as folder:
        html = published(Path(folder), "singlehtml")
        # its pictures and styles are named as from the top of the folder, wherever the first page of the book lies
        [page] = (html / "book" / "executed").glob("*.html")
        shutil.move(page, html / "book.html")
        print_page(html / "book.html", path)


def browser() -> str:
    """PrintError where there is none, or nothing that drives it."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        raise PrintError("playwright is not installed: pip install -e '.[book]' in the checkout installs it") from None
    found = chromium()
    if found is None:
        raise PrintError("this machine has no Chromium, which prints the book: apt-get install chromium")
    return found


def print_page(page: Path, path: Path) -> None:
    """Write an HTML file as a PDF, A4, with an outline and page numbers."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        try:
            opened = started.new_page(color_scheme="light")
            opened.goto(page.resolve().as_uri(), wait_until="load")
            opened.evaluate(PREPARE)
            opened.evaluate("async () => { for (const image of document.images) { image.loading = 'eager'; "
                            "await image.decode().catch(() => 0); } }")
            made = opened.pdf(format="A4", margin=MARGINS, print_background=True, outline=True, tagged=True,
                              display_header_footer=True, header_template="<span></span>", footer_template=FOOTER)
        finally:
            started.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as file:
        file.write(made)
