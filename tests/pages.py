"""What a page of the book must be: functions that name each fault, of its HTML alone and of the page in a browser."""

import csv
import io
import re
import threading
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import axe_playwright_python
from bs4 import BeautifulSoup

from kdlib.printing import chromium, published
from kdlib.reading import committed

__all__ = ["chromium", "published"]
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
# What axe finds and the theme cannot help, with the reason.
THEME = {
    "css-orientation-lock": "needs the style sheets again, which axe asks for at addresses of its own making",
}
STRAY = ("set by papermill", "{glue", "{numref}", "{doc}", "{cite", "Traceback", "??", "<Figure size")


def pages(html: Path) -> list[str]:
    """Every page of the book, the search page too, relative to `html`; index.html only leads to the first."""
    return sorted(str(page.relative_to(html)) for page in html.rglob("*.html")
                  if "_static" not in page.parts and page.relative_to(html).as_posix() not in ("index.html",))


def faults_of_html(html: Path, page: str) -> list[str]:
    """Links that lead nowhere, figures that lack something, what should not show."""
    soup = BeautifulSoup((html / page).read_text(encoding="utf-8"), "html.parser")
    article = soup.find("article") or soup
    prose = _prose(article)
    return [*_links(html, page, soup), *_figures(article), *_numbers(article),
            *(f"shows {word!r}" for word in STRAY if word in prose),
            *(f"shows LaTeX: {command}" for command in re.findall(r"\\[a-z]{2,}", prose))]


def _prose(article) -> str:
    return " ".join(text for text in article.find_all(string=True) if not text.find_parent(("pre", "code", "script")))


def _figures(article):
    for figure in article.find_all("figure"):
        name, image = figure.get("id", "a figure"), figure.find("img")
        caption = figure.select_one("figcaption .caption-text")
        if image is None:
            yield f"{name} has no picture"
        elif len(image.get("alt", "")) < 20:
            yield f"{name} has no alt text"
        if caption is None or len(caption.get_text()) < 20:
            yield f"{name} has no caption"
        later = [e for e in figure.find_all_next(("figure", "p", "details")) if e.name == "figure"
                 or {"provenance", "evidence"} & set(e.get("class", ()))]
        if not later or later[0].name == "figure":
            yield f"{name} has no provenance"
        elif later[0].name == "details" and not later[0].select('a[download][href^="data:text/csv"]'):
            yield f"{name} has no numbers as CSV"


@cache
def recorded() -> dict:
    """Every committed run, by key."""
    return {record.key: record for records in committed().values() for record in records}


def _numbers(article):
    """Numbers under figures and tables that are not those of the records."""
    for link in article.select(".evidence a[download]"):
        rows = list(csv.DictReader(io.StringIO(unquote(link["href"]).partition(",")[2])))
        if not rows:
            yield f"{link['download']} has no lines"
        for row in (row for row in rows if "key" in row):
            record = recorded().get(row["key"])
            if record is None:
                yield f"{link['download']} has a run that is not recorded: {row['key']}"
                continue
            for name, shown in row.items():
                if name in ("profile", "condition", "trial", "key") or not shown:
                    continue
                value = record.number(name)
                if abs(float(shown) - value) > 1e-5 * max(1, abs(value)):
                    yield f"{link['download']} says {name} {shown} of {row['key']}, its record {value:g}"


def _links(html, page, soup):
    for link in soup.find_all(("a", "img", "script", "link")):
        address = link.get("href") or link.get("src") or ""
        path, fragment = urldefrag(unquote(address))
        path = path.partition("?")[0]
        if ":" in path.partition("/")[0] or address.startswith(("//", "data:")) or not address:
            continue
        target = (html / page).parent / path if path else html / page
        if not target.is_file():
            yield f"a link to {address} leads nowhere"
        elif fragment and target.suffix == ".html":
            there = soup if not path else _parsed(target)
            if there.find(id=fragment) is None:
                yield f"a link to {address} leads to no place on its page"


_PARSED: dict[Path, BeautifulSoup] = {}


def _parsed(path):
    path = path.resolve()
    if path not in _PARSED:
        _PARSED[path] = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return _PARSED[path]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path):
    """The address under which `folder` is served to this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


PICTURES = """async () => {
  const missing = [];
  for (const e of document.images) {
    e.loading = 'eager';
    await e.decode().catch(() => missing.push(`no picture ${e.src}`));
  }
  return missing;
}"""
FOCUS = """async () => {
  const still = document.head.appendChild(document.createElement('style'));
  still.textContent = '* { transition: none !important; animation: none !important }';
  const look = e => { const s = getComputedStyle(e);
    return [s.outlineStyle === 'none' ? '' : s.outline, s.boxShadow, s.border, s.backgroundColor].join(' | '); };
  const found = [];
  for (const e of document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')) {
    if (!e.checkVisibility({visibilityProperty: true}) || e.disabled) continue;
    document.activeElement.blur();
    const before = look(e);
    e.focus({preventScroll: true, focusVisible: true});
    if (document.activeElement === e && look(e) === before) found.push(e.outerHTML.slice(0, 90));
  }
  return found;
}"""


CROWDED = """() => {
  const whole = document.documentElement, box = e => e.getBoundingClientRect(), found = new Set();
  const all = (...parts) => [...document.querySelectorAll(parts.map(part => `g[id^="axes_"] > g[id^="${part}`))];
  const common = (a, b) => [Math.min(a.right, b.right) - Math.max(a.left, b.left),
                            Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
  const points = all('line2d_"] use').map(box).filter(at => Math.min(at.width, at.height) > 3);  // no ends of intervals
  const along = all('line2d_"] > path', 'LineCollection_"] > path').flatMap(e => {
    const to = e.getScreenCTM(), long = e.getTotalLength();
    return Array.from({length: long && long / 2 + 2}, (_, i) => e.getPointAtLength(2 * i).matrixTransform(to));
  });
  const texts = [...document.querySelectorAll('g[id^="text_"]')].map(e => ({e, at: box(e),
    said: [...e.childNodes].find(node => node.nodeType === Node.COMMENT_NODE)?.data.trim() ?? e.id}));
  texts.forEach(({e, at, said}, i) => {
    const fault = what => found.add(`"${said}" ${what}`);
    for (const other of texts.slice(0, i))
      if (Math.min(...common(at, other.at)) > 1) fault(`lies on "${other.said}"`);
    for (const point of points) {
      const [across, down] = common(at, point);
      if (across > 0 && down > 0 && across * down > 0.15 * point.width * point.height) fault('lies on a point');
    }
    if (along.some(p => at.left + 1 < p.x && p.x < at.right - 1 && at.top + 1 < p.y && p.y < at.bottom - 1))
      fault('lies on a line');
    const [across, down] = common(at, box(whole));
    if (across < at.width - 1 || down < at.height - 1) fault('is cut off');
    const scales = [...e.querySelectorAll('[transform*="scale"]')].map(e => e.transform.baseVal.consolidate().matrix);
    const letters = Math.max(...scales.map(m => 100 * Math.hypot(m.a, m.b))) * 343 / whole.viewBox.baseVal.width;
    if (scales.length && letters < 9) fault(`is ${letters.toFixed(1)} px high on a phone`);
  });
  return [...found];
}"""


def faults_of_picture(tab, picture: Path) -> list[str]:
    """Of a figure of matplotlib's: words that lie on others or on points, that are cut off, or too small on a phone."""
    tab.goto(picture.as_uri())
    return tab.evaluate(CROWDED)


CUT = """() => [...document.querySelectorAll('.bd-main :is(a, p, li, td, th, h1, h2, h3, button, svg)')].filter(e => {
  const at = e.getBoundingClientRect();
  if (!at.width || at.right <= innerWidth + 1 || !e.checkVisibility({visibilityProperty: true})) return false;
  for (let box = e.parentElement; box; box = box.parentElement)
    if (box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX)) return false;
  return true;
}).map(e => e.textContent.trim().slice(0, 60) || e.outerHTML.slice(0, 60))"""


WEIGHT = {"00_answer": 700, "": 2000}  # kB that a page may load, its pictures too
SCREENS = 16  # of a phone, that a chapter may be long


def faults_of_size(browser, address: str, page: str) -> list[str]:
    """A page that loads too much, or, a chapter, is too long on a phone, or has its first figure below the screen."""
    name, faults = page.rpartition("/")[2].removesuffix(".html"), []
    loaded: list = []
    tab = browser.new_page(viewport={"width": 375, "height": 812})
    try:
        tab.on("requestfinished", lambda request: loaded.append(request))
        tab.goto(f"{address}/{page}", wait_until="networkidle")
        tab.evaluate(PICTURES)
        long, top = tab.evaluate("[(document.querySelector('article') ?? document.body).scrollHeight / innerHeight, "
                                 "(document.querySelector('article figure img') ?? document.body)"
                                 ".getBoundingClientRect().top + scrollY]")
        kb = sum(request.sizes()["responseBodySize"] for request in loaded) / 1000
    finally:
        tab.close()
    limit = WEIGHT.get(name, WEIGHT[""])
    if kb > limit:
        faults.append(f"loads {kb:.0f} kB, more than {limit}")
    if "executed/" in page and long > SCREENS:
        faults.append(f"is {long:.0f} screens of a phone long")
    if "executed/" in page and name != "00_answer" and top > 800:
        faults.append(f"has its first figure {top:.0f} px down")
    return faults


@contextmanager
def opened(browser, address: str, width: int = 1280, theme: str = "light", touch: bool = False):
    """(page, its faults so far): a page of the book as a reader has it, where nothing but the book can be reached."""
    faults: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme, reduced_motion="reduce",
                                  has_touch=touch)
    here = address.split("/")[2]

    def asked(route):
        if route.request.url.startswith(("data:", "blob:")) or route.request.url.split("/")[2] == here:
            return route.continue_()
        faults.append(f"asks for {route.request.url}")
        return route.abort()

    context.route("**/*", asked)
    page = context.new_page()
    page.on("console", lambda told: told.type == "error" and faults.append(f"console: {told.text} {told.location}"))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    try:
        page.goto(address, wait_until="load")
        yield page, faults
    finally:
        context.close()


def faults_in_browser(browser, address: str, width: int, theme: str) -> list[str]:
    """What axe finds, errors, requests to others, what is wider than the screen, focus that cannot be seen."""
    with opened(browser, address, width, theme) as (page, faults):
        faults += page.evaluate(PICTURES)
        page.evaluate(AXE)
        found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false, "
                              "rules: {'label-content-name-mismatch': {enabled: true}}})")
        faults += [f"axe {v['id']}: {v['nodes'][0]['target']} and {len(v['nodes']) - 1} more: {v['help']}"
                   for v in found["violations"] if v["id"] not in THEME]
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        faults += [f"is {wider} px wider than the screen"] if wider > 0 else []
        faults += [f"is cut off at the edge of the screen: {text}" for text in page.evaluate(CUT)]
        page.keyboard.press("Tab")  # from here on focus comes by keyboard
        return faults + [f"focus does not show on {element}" for element in page.evaluate(FOCUS)]
