"""What the theme's pages lack or have too much of: icons as pictures in the page instead of a script of 1.5 MB,
pictures that load when they are near, landmarks and names for screen readers, no kernel in the browser."""

import re
from functools import cache
from pathlib import Path

_ICON = re.compile(r'<(i|span) class="([^"]*\bfa-[^"]*)"([^>]*)></\1>')
_STYLES = {"solid", "regular", "brands", "lg"}


@cache
def paths(script: str) -> dict[str, tuple[str, str]]:
    """{name: (width, path)} of the solid icons in Font Awesome's own script, all 512 high."""
    found = re.findall(r'[{,]"?([a-z][a-z0-9-]*)"?:\[(\d+),512,\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]', script)
    return {name: (width, path) for name, width, path in sorted(found, key=lambda icon: -len(icon[2]))}


def icons(html: str, script: str) -> str:
    """Each icon drawn in its place: the theme's script, which would do it in the browser, has all two thousand."""
    def drawn(match):
        _, classes, more = match.groups()
        [name] = [c[3:] for c in classes.split() if c.startswith("fa-") and c[3:] not in _STYLES]
        width, path = paths(script)[name]
        return (f'<svg class="{classes} svg-inline--fa"{more} aria-hidden="true" viewBox="0 0 {width} 512">'
                f'<path fill="currentColor" d="{path}"/></svg>')

    html = re.sub(r'\s*<script[^>]*fontawesome\.js[^>]*></script>', "", html)
    return _ICON.sub(drawn, html)


def lazy(html: str) -> str:
    """Pictures after the first load when they come near."""
    head, first, rest = html.partition("<img ")
    return head + first + rest.replace("<img ", '<img loading="lazy" decoding="async" ')


def named(html: str) -> str:
    """Roles and names as a screen reader needs them."""
    html = html.replace('<div id="pst-primary-sidebar" class', '<div id="pst-primary-sidebar" role="complementary" '
                        'aria-label="The book" class')
    html = html.replace('search-button-field search-button__button pst-js-only" title="Search" aria-label="Search"',
                        'search-button-field search-button__button pst-js-only" title="Search"')
    html = html.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    return html.replace(' role="doc-biblioentry"', "").replace('<div role="list" class="citation-list">',
                                                               '<div class="citation-list">')


def numbers(html: str) -> str:
    """In the text a number is its estimate; interval and trials show when one points at it, and stay beside it while
    the number has the focus: by key, or by a tap, since a phone has no pointer."""
    def shorter(match):
        return re.sub(r"(-?[\d.,]+) \[(-?[\d.]+), (-?[\d.]+); n = (\d+)\]",
                      r'<span class="number" tabindex="0" title="95 % interval: \2 to \3, \4 trials">\1'
                      r'<span class="asked-for"> [\2, \3], \4 trials</span></span>', match[0])

    return re.sub(r'<span class="pasted-text">[^<]*</span>', shorter, html)


_TEXT = re.compile(r"(<(?:script|style|pre|title)\b.*?</(?:script|style|pre|title)>|<[^>]*>)", re.S)
_NAME = re.compile(r'(<code class="[^"]*\bliteral\b[^>]*>)(.*?)(</code>)', re.S)


def _in_text(pattern: str, by: str, html: str) -> str:
    """`html` with what is found between its tags replaced."""
    return "".join(part if part.startswith("<") else re.sub(pattern, by, part) for part in _TEXT.split(html))


def units(html: str) -> str:
    """No line ends between a number and its percent sign, nor within an interval."""
    return _in_text(r"(?<=\d) (?=%)|(?<=\d,) (?=[-+−]?[\d.]+\])", "\u00a0", html)


def breaks(html: str) -> str:
    """Where a name may break, if it is too long for its line: behind its marks; and an option stays whole."""
    def shorter(text):
        text = re.sub(r"(?<![\w-])--?[a-z][\w-]*", r'<span class="option">\g<0></span>', text)
        return _in_text(r"(?<=[\w}\])])([_,./=]+)(?=[\w{\[(])", r"\1<wbr>", text)

    return _NAME.sub(lambda name: name[1] + shorter(name[2]) + name[3], html)


def without_kernel(html: str) -> str:
    """No configuration of a kernel: there is none to connect to."""
    html = re.sub(r'\s*<script type="text/x-thebe-config">.*?</script>', "", html, flags=re.S)
    html = re.sub(r"\s*<script[^>]*>(kernelName = |const THEBE_JS_URL)[^<]*</script>", "", html)
    return re.sub(r'\s*<script[^>]*sphinx-thebe\.js[^>]*></script>', "", html)


def without_search(html: str) -> str:
    """No index of the whole book on a page that does not search it."""
    return re.sub(r'\s*<script[^>]*(searchtools|language_data|searchindex)\.js[^>]*></script>', "", html)


def words(*texts: str) -> set[str]:
    """What can be, or, ending in a hyphen, begin, the name of a class."""
    return set().union(*(re.findall(r"[\w-]+", text) for text in texts))


def without_unmatched(css: str, known: set[str]) -> str:
    """A style without the rules that ask for a class which no page and no script names: of a whole framework, and of
    the glyphs of an icon font, pages need a small part."""
    beginnings = tuple(word for word in known if len(word) > 2 and word.endswith("-"))

    def can_match(selector):
        plain = re.sub(r"\[[^\]]*\]|\([^()]*\)", "", re.sub(r"\([^()]*\)", "", selector))
        return all(name in known or name.startswith(beginnings) for name in re.findall(r"\.(-?[A-Za-z_][\w-]*)", plain))

    def kept(rule):
        selectors = [s for s in re.split(r",(?![^()]*\))", rule[1]) if can_match(s)]
        return f"{','.join(selectors)}{{{rule[2]}}}" if selectors else ""

    return re.sub(r"([^{}@;]+)\{([^{}]*)\}", kept, css)


# Scripts and styles that the theme puts on every page, by what a page must have for them to do anything.
_FOR = {"design-tabs": "sd-tab-set", "togglebutton": r'class="(?:[^"]* )?toggle[ "]|admonition [^"]*dropdown',
        "sphinx-thebe": "thebe-init"}


def without_unused(html: str) -> str:
    """No script or style on a page that has nothing for it to work on."""
    body = html.partition("<body")[2]
    for name, needs in _FOR.items():
        if not re.search(needs, re.sub(r"<(script|link)[^>]*>", "", body)):
            html = re.sub(rf'\s*<script[^>]*/{name}\.js[^>]*></script>|\s*<link[^>]*/{name}\.css[^>]*>', "", html)
    return html


def packed(css: str) -> str:
    """A style without comments and indentation."""
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", css, flags=re.S))


def tidy(html: str, script: str) -> str:
    """A whole page."""
    return breaks(units(numbers(lazy(named(without_unused(without_kernel(icons(html, script))))))))


def _finish(app, exception):
    out = Path(app.outdir)
    script = out / "_static" / "scripts" / "fontawesome.js"
    if exception or not script.is_file():
        return
    known: set[str] = set()
    for page in out.rglob("*.html"):
        if "_static" not in page.relative_to(out).parts:
            html = tidy(page.read_text(encoding="utf-8"), script.read_text(encoding="utf-8"))
            page.write_text(html if page.name == "search.html" else without_search(html), encoding="utf-8")
            known |= words(html)
    for code in (out / "_static").rglob("*.js"):
        if code.name not in ("fontawesome.js", "explorer-data.js"):  # of these one is not loaded, one has only records
            known |= words(code.read_text(encoding="utf-8"))
    for style in (out / "_static").rglob("*.css"):
        style.write_text(without_unmatched(packed(style.read_text(encoding="utf-8")), known), encoding="utf-8")
    for unused in (*(out / "_static" / "scripts").glob("fontawesome.js*"), *(out / "_static").rglob("*.map"),
                   *(out / "_static").glob("*macros.html")):
        unused.unlink(missing_ok=True)


def setup(app):
    """Called by Sphinx."""
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True}
