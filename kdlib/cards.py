"""Claims as a reader sees them: a card each, with a verdict per data set and every interval beside its threshold."""

import html
import math
import re
from collections.abc import Callable

from kdlib.stats import Part, Standing

MARK = {"holds": "✓", "does not hold": "✗", "undecided": "?", "not tested": "–"}
WIDTH, HEIGHT = 240, 22  # of a drawn interval, in units of its own


def chip(verdict: str) -> str:
    """A verdict as a word and a sign on a colour."""
    return f'<span class="chip chip-{verdict.replace(" ", "-")}">{MARK[verdict]} {verdict}</span>'


def interval(part: Part) -> str:
    """A part drawn: its estimate as a dot, its interval as a line, what the claim asks for as a shaded side of the
    threshold; the numbers are its description."""
    e, row = part.estimate, part.row()
    limits = part.limits
    spread = [v for v in (e.low, e.mean, e.high) if math.isfinite(v)]
    low, high = min(*spread, *limits, 0), max(*spread, *limits, 0)
    margin = 0.12 * (high - low or 1)
    low, high = low - margin, high + margin

    def x(value):
        return round(WIDTH * (min(max(value, low), high) - low) / (high - low), 1)

    asked = {"above": (x(limits[-1]), WIDTH), "below": (0, x(limits[0])), "within": (x(limits[0]), x(limits[-1]))}
    left, right = asked[part.side]
    kind = part.verdict.replace(" ", "-")
    told = html.escape(f"{row['estimate']} {row['interval']}, asked: {row['rule']}")
    line = (f'<line class="range" x1="{x(e.low)}" x2="{x(e.high)}" y1="11" y2="11"/>' if len(spread) == 3 else "")
    return (f'<svg class="interval {kind}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{told}">'
            f'<rect class="asked" x="{left}" width="{round(right - left, 1)}" y="3" height="16"/>'
            + "".join(f'<line class="threshold" x1="{x(v)}" x2="{x(v)}" y1="1" y2="21"/>' for v in limits)
            + line + f'<circle cx="{x(e.mean)}" cy="11" r="4.5"/></svg>')


def _stands(where: str, claim: Standing) -> str:
    parts = "".join(
        f'<li><span class="label">{html.escape(part.label)}</span>{interval(part)}<span class="number">'
        f'{row["estimate"]} {row["interval"]}, n = {row["n"]} '
        f'<span class="rule">· asked: {html.escape(row["rule"])}</span></span></li>'
        for part, row in zip(claim.parts, (part.row() for part in claim.parts), strict=True))
    if not claim.tested:  # the rule is known before there are runs
        parts = "".join(f'<li><span class="label">{html.escape(label)}</span><span class="number"><span class="rule">'
                        f'asked: {html.escape(rule)}</span></span></li>' for label, rule in claim.rules)
    notes = "".join(f'<p class="reason">{_as_code(note)}</p>' for note in _notes(claim))
    return (f'<div class="stands"><p class="where">{html.escape(where)}</p>' + f"<ul>{parts}</ul>" * bool(parts)
            + notes + "</div>")


def _notes(claim: Standing):
    """What a reader of its intervals would not expect of its verdicts, and why."""
    yield from claim.reasons
    if claim.corrected not in ("", claim.verdict):
        yield f"Judged together with all other claims (Holm): {claim.corrected}."


def _as_code(text: str) -> str:
    """Plain text in which a command stands between backquotes, as HTML."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _source(claim: Standing) -> str:
    """Where the paper says it, unless its words end with that themselves, as with "(Fig 3)" or "(B.1)"."""
    there = re.search(r"\(((Fig|Table|Sec) |[A-Z]\.\d)[^)]*\)$", claim.found)
    return "" if there else f" ({html.escape(claim.source)})"


def cards(columns: dict[str, dict[str, Standing]], links: Callable[[str], list[tuple[str, str]]] = lambda _: [],
          group: Callable[[str], str] = lambda _: "", changed: Callable[[str], str] = lambda _: "") -> str:
    """A card for each claim of `columns`, {data set: {id: where it stands}}, in the order of the first: its verdicts,
    and to open every interval; `links` gives (address, text) of what it shows, `group` the chapter that tests it, by
    which a reader may choose, `changed` what became of its rule."""
    first = next(iter(columns.values()))
    found = []
    for name, claim in first.items():
        there = {where: standings[name] for where, standings in columns.items() if name in standings}
        seen = " ".join(f"{where}={c.verdict}".replace(" ", "_") for where, c in there.items())
        more = " · ".join(f'<a href="{html.escape(address)}">{html.escape(text)}</a>' for address, text in links(name))
        chips = "".join(f'<span class="on">{html.escape(where)} {chip(c.verdict)}'
                        + f" <small>with all others {c.corrected}</small>" * (c.corrected not in ("", c.verdict))
                        + "</span>" for where, c in there.items())
        found.append(
            f'<section class="claim" id="claim-{name}" aria-labelledby="claim-{name}-title" data-stands="'
            f'{html.escape(seen)}" data-group="{html.escape(group(name))}"><p class="claim-title" '
            f'id="claim-{name}-title"><span class="claim-id">{name}</span> {html.escape(claim.statement)}</p>'
            f'<p class="chips">{chips}</p><details open><summary>The paper, intervals and thresholds</summary>'
            f'<p class="found">The paper{_source(claim)}: {html.escape(claim.found)}</p>'
            + f'<p class="found">{html.escape(changed(name))}</p>' * bool(changed(name)) +
            f'<div class="standings">{"".join(_stands(where, c) for where, c in there.items())}</div></details>'
            + (f'<p class="links">{more}</p>' if more else "") + "</section>")
    return f'<div class="claims">{"".join(found)}</div>'


def chooser(columns: dict[str, dict[str, Standing]], groups: list[str]) -> str:
    """Choices above the cards, which a script of the book puts to work and the page's address keeps."""
    def select(name, label, values):
        options = "".join(f'<option value="{html.escape(v)}">{html.escape(text)}</option>' for v, text in values)
        return f'<label>{label} <select name="{name}">{options}</select></label>'

    return ('<form class="choose-claims">' + select("verdict", "verdict", [("", "any"), *(
        (v.replace(" ", "_"), v) for v in MARK)]) + select("where", "on", [("", "any data set"), *(
            (w.replace(" ", "_"), w) for w in columns)]) + select("chapter", "chapter", [("", "all"), *(
                (g, g) for g in groups)]) + '<output aria-live="polite"></output></form>')


def counted(standings: dict[str, Standing], jointly: bool = False) -> str:
    """How many hold, do not, are open: "4 hold, 2 do not"; each by itself or beside all others."""
    verb = {"holds": "hold", "does not hold": "do not"}
    found = [c.corrected or c.verdict if jointly else c.verdict for c in standings.values()]
    count = {v: found.count(v) for v in MARK}
    return ", ".join(f"{n} {verb.get(v, v)}" for v, n in count.items() if n)


def tally(columns: dict[str, dict[str, Standing]]) -> str:
    """How many claims hold, do not, are open, on each data set: a bar and a line of words."""
    rows = []
    for where, standings in columns.items():
        count = {v: sum(c.verdict == v for c in standings.values()) for v in MARK}
        words, together = counted(standings), counted(standings, jointly=True)
        words += f"; judged all together {together}" * (together != words)
        bar = "".join(f'<span class="share {v.replace(" ", "-")}" style="flex-grow: {n}">{MARK[v]} {n}</span>'
                      for v, n in count.items() if n)
        rows.append(f'<div class="tally"><p>{html.escape(where)}: {words}</p><div class="bar" aria-hidden="true">{bar}'
                    "</div></div>")
    return "".join(rows)


def figures_of(source: str) -> list[str]:
    """The figures and tables that a claim's source names: "Fig 3, 4" -> ["Fig 3", "Fig 4"]."""
    found = []
    for kind, numbers in re.findall(r"(Fig|Table) ([\d]+[a-c]?(?:, \d+[a-c]?)*)", source):
        found += [f"{kind} {number}" for number in numbers.split(", ")]
    return found
