"""The pages as a reader has them: rendered from the committed notebooks, in Debian's Chromium, with axe-core.

`make test` sees every page once, a different width and theme in turn; `make test-book` all of them in all ways.
"""

import re
import sys
from itertools import product

import matplotlib.pyplot as plt
import pages
import pytest

from kdlib import figures
from kdlib.experiments.claims import CLAIMS
from kdlib.paths import project_root
from kdlib.results import Recorded

sys.path.insert(0, str(project_root() / "book" / "_ext"))
import tidy

PAGES = ["search.html", "genindex.html", *sorted(
    f"book/{'executed/' * (p.suffix == '.py')}{p.stem}.html"
    for p in (*(project_root() / "book").glob("*.md"), *(project_root() / "notebooks").glob("*.py")))]
LOOKS = list(product((1280, 375), ("light", "dark")))
NARROW = ("book/executed/00_answer.html", "book/executed/01_fidelity_gap.html", "book/executed/07_claims.html")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return pages.published(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def address(html):
    with pages.served(html) as address:
        yield address


@pytest.mark.slow
def test_every_page_is_visited(html):
    assert pages.pages(html) == sorted(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_broken_link_and_its_figures_have_all_they_need(page, html):
    assert pages.faults_of_html(html, page) == []


@pytest.mark.slow
@pytest.mark.parametrize("page, look", [(page, LOOKS[i % 4]) for i, page in enumerate(PAGES)], ids=str)
def test_a_page_is_accessible_and_quiet_and_fits(page, look, browser, address):
    assert pages.faults_in_browser(browser, f"{address}/{page}", *look) == []


@pytest.mark.book
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("place", ["http", "file"])
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_page_is_accessible_and_quiet_and_fits_in_every_way(page, look, place, browser, address, html):
    assert pages.faults_in_browser(browser, f"{address if place == 'http' else html.as_uri()}/{page}", *look) == []


@pytest.mark.book
@pytest.mark.parametrize("page", NARROW)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_fits_a_small_phone(page, theme, browser, address):
    assert pages.faults_in_browser(browser, f"{address}/{page}", 320, theme) == []


@pytest.mark.book
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_no_heavier_or_longer_than_it_may_be(page, browser, address):
    assert pages.faults_of_size(browser, address, page) == []


@pytest.mark.slow
def test_the_words_of_every_figure_can_be_read(browser, html):
    drawn = {picture.name: picture for picture in html.rglob("_images/*.svg")}
    assert len(drawn) > 40
    tab = browser.new_page()
    assert {name: faults for name, picture in drawn.items() if (faults := pages.faults_of_picture(tab, picture))} == {}
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http", "file"])
def test_a_figure_on_photographs_is_a_tab_on_a_phone_that_keys_and_addresses_open(place, browser, address, html):
    start = f"{address if place == 'http' else html.as_uri()}/book/executed/01_fidelity_gap.html"
    with pages.opened(browser, start, 375) as (page, faults):
        signals, images = page.locator("#fig-gap"), page.locator("#fig-gap-cifar")
        assert signals.is_visible() and not images.is_visible()
        page.locator(".twins [role=tab]").first.focus()
        page.keyboard.press("ArrowRight")
        assert images.is_visible() and not signals.is_visible() and not faults
    with pages.opened(browser, f"{start}#fig-gap-cifar", 375) as (page, _):
        assert page.locator("#fig-gap-cifar").is_visible()
    with pages.opened(browser, start, 1280) as (page, _):
        assert page.locator("#fig-gap").is_visible() and page.locator("#fig-gap-cifar").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["tap", "key"])
def test_a_numbers_interval_shows_on_a_phone_and_by_key(way, browser, address):
    with pages.opened(browser, f"{address}/book/executed/04_paradox.html", 375, touch=True) as (page, faults):
        number = page.locator(".number").first
        low, high = re.fullmatch(r"95 % interval: (.+) to (.+), \d+ trials", number.get_attribute("title")).groups()
        assert "[" not in number.inner_text()
        if way == "tap":
            number.tap()
        else:
            number.evaluate("""e => [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')].findLast(
                one => one.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING && one.checkVisibility()
            ).focus()""")
            page.keyboard.press("Tab")
        assert f" [{low},\u00a0{high}], " in number.inner_text() and not faults
        page.locator("article h1").tap()
        assert "[" not in number.inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("figure, place, shown", [
    ("fig-gap", "explorer.html?run=", "h2:text('Run {}')"), ("fig-easy", "runs.html#", "[id='{}'] td >> nth=0")])
def test_from_a_figure_one_comes_to_its_runs(figure, place, shown, browser, address):
    """The trials that verdicts rest on are in the explorer, which comes to the one that is asked for."""
    with pages.opened(browser, f"{address}/book/executed/01_fidelity_gap.html") as (page, faults):
        account = page.locator(f"#evidence-{figure}")
        account.locator("summary").click()
        with page.expect_download() as download:
            account.locator("a[download]").click()
        assert download.value.suggested_filename == f"{figure}.csv"
        link = account.locator("td a").first
        key = link.get_attribute("href").partition(place)[2]
        link.click()
        page.wait_for_url(re.compile(re.escape(place)))
        there = page.locator(shown.format(key))
        there.wait_for()
        page.wait_for_function("e => { const at = e.getBoundingClientRect(); return at.top >= 0 && "
                               "at.bottom <= innerHeight }", arg=there.element_handle())
        assert key in there.inner_text() and not faults


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http", "file"])
@pytest.mark.parametrize("asked", ["temperature", "does it really work", "F1"])
def test_the_search_shows_pages(place, asked, browser, address, html):
    start = address if place == "http" else html.as_uri()
    with pages.opened(browser, f"{start}/search.html?q={asked.replace(' ', '+')}") as (page, faults):
        page.wait_for_function("/page|did not/.test(document.querySelector('#search-results').innerText)")
        assert page.locator("#search-results li a").count() and not faults


@pytest.mark.slow
def test_the_search_finds_every_claim(browser, address):
    """As the page of results asks its index, without drawing them all."""
    with pages.opened(browser, f"{address}/search.html") as (page, _):
        page.wait_for_function("Search.hasIndex()")
        assert page.evaluate("claims => claims.filter(id => !Search._performSearch(...Search._parseQuery(id)).length)",
                             list(CLAIMS)) == []


@pytest.mark.slow
def test_claims_can_be_chosen_by_keyboard_and_the_address_keeps_the_choice(browser, address):
    with pages.opened(browser, f"{address}/book/executed/07_claims.html?chapter=The+data") as (page, faults):
        shown = page.locator(".claim[data-group]:visible")
        of_the_chapter = sum(claim.chapter == "distillation_data" for claim in CLAIMS.values())
        assert shown.count() == of_the_chapter
        page.focus("select[name=verdict]")
        page.keyboard.press("ArrowDown")  # holds
        assert 0 < shown.count() < of_the_chapter and "verdict=holds" in page.url
        assert page.locator("output").inner_text() == f"{shown.count()} of {len(CLAIMS)} claims"
        assert faults == []


KEY = next(iter(Recorded("laptop").records))
CSV = '<a download="x.csv" href="data:text/csv;charset=utf-8,'
# Each check, seen to fail: a page that has the fault, and the words that name it.
WRONG = {
    "a link to nowhere.html leads nowhere": '<a href="nowhere.html">x</a>',
    "a link to #there leads to no place": '<a href="#there">x</a>',
    "fig-x has no picture": '<figure id="fig-x"><figcaption><span class="caption-text">A long caption, as it should be.'
                            "</span></figcaption></figure>",
    "fig-y has no alt text": '<figure id="fig-y"><img src="x.svg" alt="">',
    "fig-z has no caption": '<figure id="fig-z"><img src="x.svg" alt="twenty letters and a few more"></figure>',
    "fig-u has no numbers as CSV": '<figure id="fig-u"></figure><details class="evidence"></details>',
    "x.csv has no lines": f'<details class="evidence">{CSV}key%0A">x</a></details>',
    "x.csv has a run that is not recorded: 00": f'<details class="evidence">{CSV}kl,key%0A1,00%0A">x</a></details>',
    f"x.csv says accuracy 0.5 of {KEY}": f'<details class="evidence">{CSV}accuracy,key%0A0.5,{KEY}%0A">x</a></details>',
    "fig-w has no provenance": '<figure id="fig-w"></figure><figure id="fig-v"></figure><p class="provenance"></p>',
    "shows '{glue'": "<p>It is {glue:text}`gap` %</p>",
    "shows 'set by papermill'": "<p>set by papermill</p>",
    "shows LaTeX: \\arg": "<math><mi>\\arg</mi></math>",
    "shows '??'": "<p>See Fig. ??</p>",
}
WRONG_IN_BROWSER = {
    "asks for http://example.org": '<img alt="x" src="http://example.org/x.png">',
    "console: ": "<script>console.error('a fault')</script>",
    "error: ": "<script>nothing.there</script>",
    "axe image-alt": '<img src="x.svg">',
    "axe color-contrast": '<p style="color: #ccc">pale</p>',
    "axe label-content-name-mismatch": '<button aria-label="search">find it</button>',
    "px wider than the screen": '<div style="width: 3000px">wide</div>',
    "is cut off at the edge of the screen: far":
        '<div class="bd-main" style="overflow: hidden"><p style="width: 3000px">far</p></div>',
    "focus does not show on <button": '<style>button { outline: none !important }</style><button>x</button>',
    "no picture": '<img alt="x" src="gone.png">',
}


@pytest.mark.parametrize("fault, body", WRONG.items(), ids=list(WRONG))
def test_each_check_of_the_html_can_fail(fault, body, tmp_path):
    (tmp_path / "page.html").write_text(f"<article>{body}</article>")
    assert [found for found in pages.faults_of_html(tmp_path, "page.html") if found.startswith(fault)]


@pytest.mark.slow
def test_each_check_in_the_browser_can_fail(browser, tmp_path):
    whole = '<html lang="en"><title>A page</title><main><h1>A page</h1>{}</main>'
    (tmp_path / "x.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"/>')
    (tmp_path / "favicon.ico").touch()
    with pages.served(tmp_path) as address:
        for fault, body in {"": "", **WRONG_IN_BROWSER}.items():
            (tmp_path / "page.html").write_text(whole.format(body))
            found = pages.faults_in_browser(browser, f"{address}/page.html", 1280, "light")
            assert any(fault in one for one in found) if fault else found == []


@pytest.mark.slow
def test_words_of_a_figure_that_cannot_be_read_are_found(browser, tmp_path):
    figures.style()
    figure, ax = plt.subplots(figsize=(figures.WIDTH, 3), layout="none")
    ax.plot([0, 1], [0, 1], "o-")
    ax.set(xticks=[], yticks=[])
    wrong = {"one": (0.2, 0.8), "two": (0.21, 0.81), "corner": (0.95, 0.97), "crossed": (0.45, 0.5), "far": (1.15, 0.5)}
    for word, place in wrong.items():
        ax.text(*place, word)
    ax.text(0.6, 0.1, "tiny", fontsize=5)
    figure.savefig(tmp_path / "x.svg")
    plt.close(figure)
    tab = browser.new_page()
    assert set(pages.faults_of_picture(tab, tmp_path / "x.svg")) == {
        '"two" lies on "one"', '"corner" lies on a point', '"corner" lies on a line', '"crossed" lies on a line',
        '"far" is cut off', '"tiny" is 5.4 px high on a phone'}
    tab.close()


@pytest.mark.slow
def test_a_page_that_is_too_heavy_or_too_long_is_found(browser, tmp_path):
    folder = tmp_path / "executed"
    folder.mkdir()
    (folder / "a.html").write_text("<article style='height: 20000px'>" + "x" * 2_100_000 + "<figure style='margin-top: "
                                   "900px'><img alt='x' src='x.svg'></figure></article>")
    (folder / "x.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 2"/>')
    with pages.served(tmp_path) as address:
        heavy, long, low = pages.faults_of_size(browser, address, "executed/a.html")
    assert "kB" in heavy and "screens" in long and "first figure" in low


def test_an_interval_is_told_by_the_number_in_the_text():
    page = '<p><span class="pasted-text">falls by 3.1 [1.0, 5.2; n = 30] points</span> [1.0, 2.0]</p>'
    assert tidy.numbers(page) == (
        '<p><span class="pasted-text">falls by <span class="number" tabindex="0" title="95 % interval: 1.0 to 5.2, 30 '
        'trials">3.1<span class="asked-for"> [1.0, 5.2], 30 trials</span></span> points</span> [1.0, 2.0]</p>')


def test_no_line_ends_between_a_number_and_its_percent_sign_or_within_an_interval():
    page = '<title>5 %</title><p title="5 %">5 <b>7 %</b> of 12.5 % a % [-1.0, +2.0] 1, 2</p><pre>5 %</pre>'
    assert tidy.units(page) == page.replace("7 %<", "7\u00a0%<").replace("12.5 %", "12.5\u00a0%").replace(
        "0, +", "0,\u00a0+")


def test_a_name_breaks_behind_its_marks_and_an_option_does_not():
    def name(text):
        return f'<code class="docutils literal notranslate"><span class="pre">{text}</span></code>'

    page = name("KDLIB_FROM_RECORDS") + name("{a,b}_c.py -p x --no-recorded") + "<code>a_b</code> a_b --no-one"
    assert tidy.breaks(page) == (
        name("KDLIB_<wbr>FROM_<wbr>RECORDS")
        + name('{a,<wbr>b}_<wbr>c.<wbr>py <span class="option">-p</span> x <span class="option">--no-recorded</span>')
        + "<code>a_b</code> a_b --no-one")


def test_icons_are_drawn_in_the_page_and_the_script_that_would_do_it_is_gone():
    script = 'a={bars:[448,512,["navicon"],"f0c9","M0 96z"],"sun-x":[512,512,[9],"f1","M1 1z"]}'
    page = ('<script defer src="s/fontawesome.js?digest=5"></script><i class="fa-solid fa-bars fa-lg" title="t"></i>'
            '<span class="fas fa-sun-x"></span>')
    assert tidy.icons(page, script) == (
        '<svg class="fa-solid fa-bars fa-lg svg-inline--fa" title="t" aria-hidden="true" viewBox="0 0 448 512">'
        '<path fill="currentColor" d="M0 96z"/></svg><svg class="fas fa-sun-x svg-inline--fa" aria-hidden="true" '
        'viewBox="0 0 512 512"><path fill="currentColor" d="M1 1z"/></svg>')


def test_what_no_page_uses_is_not_loaded():
    page = '<script src="a/searchtools.js"></script><script src="b.js"></script><script src="searchindex.js"></script>'
    assert tidy.without_search(page) == '<script src="b.js"></script>'


def test_a_style_keeps_only_what_some_page_or_script_can_make_it_match():
    words = tidy.words('<p class="fa-lg open">', "e.classList.add('shown'); f(`tip-${side}`)")
    css = ('a{b:c}.fa-x:before,.fa-lg::before{content:"\\f1"}.gone .open{d:e}@media (min-width:1px){.gone{f:g}.shown{'
           'h:i}}:is(.gone,.open) b{j:k}p:not(.gone){l:m}.tip-top{n:o}@font-face{p:q}a[href$=".gone"]{r:s}')
    assert tidy.without_unmatched(css, words) == (
        'a{b:c}.fa-lg::before{content:"\\f1"}@media (min-width:1px){.shown{h:i}}'
        ':is(.gone,.open) b{j:k}p:not(.gone){l:m}.tip-top{n:o}@font-face{p:q}a[href$=".gone"]{r:s}')


def test_a_script_or_style_that_finds_nothing_on_its_page_is_not_loaded():
    page = '<head><link href="a/togglebutton.css"><script src="a/design-tabs.js"></script></head><body>{}</body>'
    assert tidy.without_unused(page.format("<p>design-tabs</p>")) == "<head></head><body><p>design-tabs</p></body>"
    used = page.format('<div class="sd-tab-set"></div><div class="admonition dropdown"></div>')
    assert tidy.without_unused(used) == used
    assert tidy.packed("a { /* why */\n  b: c;\n}\n") == "a {\nb: c;\n}\n"


def test_all_pictures_but_the_first_wait_until_they_are_near():
    assert tidy.lazy("<img a><img b><img c>").count('loading="lazy"') == 2
