"""The PDF: what is on paper, and what is said where it cannot be made."""

import re
import subprocess
import sys

import pytest
from pages import opened, served

from kdlib import printing
from kdlib.paths import project_root

CSS = project_root() / "book" / "_static" / "print.css"
PAGE = """<html lang="en" data-theme="dark"><title>x</title>
<style>html[data-theme="dark"] {{ --pst-color-text-base: #eee }} p {{ color: var(--pst-color-text-base) }}</style>
<link rel="stylesheet" media="print" href="print.css">
<div class="bd-sidebar-primary">contents</div><main class="bd-main"><div class="bd-content"><h1>x</h1>
<details class="above-input"><div class="cell_input">code</div></details><div class="cell_output">shown</div>
<form class="choose-claims">choices</form><p id="text">Text. <a href="other.txt">other</a> <a href="#text">here</a>
<a href="https://example.org/">away</a></p>{}</div></main>"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "print.css").write_text(CSS.read_text())
    (tmp_path / "favicon.ico").touch()
    (tmp_path / "page.html").write_text(PAGE.format("<p>" + "Words. " * 4000))
    return tmp_path / "page.html"


def test_on_paper_there_are_no_bars_choices_and_code_and_dark_pages_are_light(page, browser):
    with served(page.parent) as address, opened(browser, f"{address}/page.html", theme="dark") as (there, _):
        shown = """[...document.querySelectorAll('.bd-sidebar-primary, .above-input, .choose-claims, .cell_output')]
            .filter(e => e.checkVisibility()).map(e => e.className)"""
        colour = "getComputedStyle(document.querySelector('#text')).color"
        assert len(there.evaluate(shown)) == 4 and there.evaluate(colour) == "rgb(238, 238, 238)"
        there.emulate_media(media="print")
        assert there.evaluate(shown) == ["cell_output"] and there.evaluate(colour) == "rgb(29, 29, 31)"


def test_a_printed_page_has_its_pages_and_links_and_no_folder_of_this_machine(page, tmp_path):
    if printing.chromium() is None:
        pytest.skip("this machine has no Chromium: apt-get install chromium")
    subprocess.run([sys.executable, "-c", "import sys; from pathlib import Path; from kdlib.printing import *; "
                    "print_page(*map(Path, sys.argv[1:]))", page, tmp_path / "new" / "book.pdf"], check=True)
    made = (tmp_path / "new" / "book.pdf").read_bytes()
    assert made.startswith(b"%PDF") and len(re.findall(rb"/Type /Page\b", made)) > 2
    assert b"https://example.org/" in made and b"file://" not in made


def test_what_is_folded_is_opened_for_paper(page, browser):
    page.write_text("<details class='sd-dropdown'>how</details><details class='evidence'>keys</details>")
    with served(page.parent) as address, opened(browser, f"{address}/page.html") as (there, _):
        there.evaluate(printing.PREPARE)
        assert there.evaluate("[...document.querySelectorAll('details')].map(e => e.open)") == [True, False]


def test_without_a_browser_it_says_so_and_renders_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(printing, "BROWSERS", ("none of this name",))
    monkeypatch.setattr(printing, "published", pytest.fail)
    with pytest.raises(printing.PrintError, match="this machine has no Chromium, .*: apt-get install chromium"):
        printing.pdf(tmp_path / "book.pdf")


@pytest.mark.book
def test_the_whole_book_is_printed(tmp_path):
    printing.pdf(tmp_path / "book.pdf")
    made = (tmp_path / "book.pdf").read_bytes()
    assert 50 < len(re.findall(rb"/Type /Page\b", made)) < 200 and b"file://" not in made
