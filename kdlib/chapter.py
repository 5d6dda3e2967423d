"""What every notebook does besides its science: open the runs, glue numbers, show claims and provenance."""

import ast
import functools
import html
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from IPython.display import HTML, display
from matplotlib.figure import Figure
from matplotlib_inline.config import InlineBackend
from myst_nb import glue

from kdlib import cards, figures
from kdlib.cards import MARK
from kdlib.catalog import data_set
from kdlib.errors import KdlibError
from kdlib.evidence import EXPLORER, provenance
from kdlib.experiments import CHAPTERS, few_trials, halves, published, so_far, trained
from kdlib.experiments.claims import CLAIMS, IN_THE_REGIME
from kdlib.experiments.design import BRIEF, Beside, Design, NotRecorded, Results
from kdlib.experiments.figure_map import FIGURES, page_of
from kdlib.experiments.profile import Profile
from kdlib.experiments.profiles import LIVE, PROFILES, REAL, REGIME, VERDICTS
from kdlib.experiments.standings import ELSEWHERE, elsewhere, judged, standing
from kdlib.results import has_records
from kdlib.settings import settings
from kdlib.spec import levels
from kdlib.stats import BOUNDED, Estimate, Part, Standing, estimate, telling_digits

COMPARED = ("unseen_agreement", "agreement", "train_agreement", "accuracy", "kl", "barrier")  # your run and the records
ROUNDING = 1e-3  # beside a recorded interval, which may be empty: of a share, a few inputs of the test set
OPEN = "neither more nor less, as far as these trials tell"


class PageError(KdlibError):
    """A page that was given what it does not take, or that runs where it would show something else."""


def open_chapter(name: str, profile: str, seeds: int | None, workers: int | None, **data) -> tuple[Design, Results]:
    """The design of a chapter and the results of its runs; trains what the store does not have. Where all of the runs
    are recorded, the results are those, with what is trained here beside them: unless `seeds` says how many, the
    profile's `live` trials; and, for the text, the trials that verdicts rest on. A page that can be of other data than
    the profile's gives its parameter `data`."""
    open_page(*data)
    design = Design(profile, seeds, **data)
    notice(design)
    judging = so_far(name, VERDICTS) if _is_usual(design) and trials_of(VERDICTS) else None
    if settings().from_records:
        return design, replace(trained(name, design, workers), judging=judging)
    recorded = None if data.get("data") else published(name, design)
    here = design if seeds else few_trials(design, recorded)
    _announce(name, here, workers)
    made = trained(name, here, workers)
    if recorded is None:
        return design, made
    live = Beside(made.profile, made.rows, recorded.planned, made.needed)
    return design, replace(recorded, live=live, judging=judging)


def _is_usual(design: Design) -> bool:
    """Whether it is that of the runs which the text of pages is about."""
    usual = Design(LIVE)
    return (design.profile, design.seeds) == (usual.profile, usual.seeds)


def _announce(name, design, workers):
    """Say what the page will train, if it will."""
    from kdlib.plan import lacking  # which needs torch: a page of records does not

    runs = CHAPTERS[name].runs(design)
    missing, line = lacking([s for row in runs.values() for s in row], "of this page",
                            None if design.data else design.profile.name, workers)
    if missing and not design.data:
        line += (". `%env KDLIB_FROM_RECORDS=1` in a cell above this one reads the recorded runs, where there are any, "
                 "and trains nothing")
    if missing:
        print(line, file=sys.stderr, flush=True)


def open_page(*more: str, shows: str = "") -> None:
    """Check what a page was given and where it runs, and set what its cells show: the first call of every page. `more`
    are its parameters besides profile, seeds and workers; `shows`: what it shows whatever they are, which it says where
    they were given."""
    given = check_parameters(("profile", "seeds", "workers", *more))
    check_checkout()
    figures.style()
    shell = get_ipython()
    if hasattr(shell, "kernel"):  # a notebook's, not a terminal's
        show_as_written(shell)
    if shows and (given.get("profile", LIVE), given.get("seeds")) != (LIVE, None):
        display(HTML('<div class="admonition note"><p class="admonition-title">Parameters change nothing here</p>'
                     f"<p>This page shows {html.escape(shows)}, whatever profile and seeds are.</p></div>"))


def check_checkout() -> None:
    """PageError where the kernel is another installation's and would run another checkout's code."""
    own = Path(__file__).resolve().parent
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "_toc.yml").exists() and (folder / "kdlib" / "chapter.py").exists():
            if (folder / "kdlib").resolve() != own:
                raise PageError(f"this kernel runs the code in {own}, not that of {folder}, where it was started: "
                                "start it with this checkout's own environment (`make setup`, then "
                                "`source .venv/bin/activate`)")
            return


def show_as_written(shell) -> None:
    """Undo what MPLBACKEND or an IPython profile changes on a page: a cell shows its last value, a figure is an SVG.

    PageError if a figure would still be none: it would be missing without a word.
    """
    shell.ast_node_interactivity = "last_expr"
    inline = InlineBackend.instance(parent=shell)
    for name, trait in inline.traits(config=True).items():
        setattr(inline, name, trait.default(inline))
    inline.figure_formats = {"svg"}
    inline.print_figure_kwargs = inline.print_figure_kwargs | {"metadata": {"Date": None}}
    shell.enable_matplotlib("inline")
    select_figure_formats(shell, inline.figure_formats, **inline.print_figure_kwargs)
    example = Figure(figsize=(0.1, 0.1), layout="none")
    example.add_axes((0, 0, 1, 1))
    if "image/svg+xml" not in shell.display_formatter.format(example)[0]:
        raise PageError("this kernel makes no pictures of figures; is it an IPython profile that switches them off? "
                        "Try with IPYTHONDIR set to an empty folder")


def notice(design: Design) -> None:
    """Say on the page that its text was written for other runs, where it was."""
    if not _is_usual(design):
        usual = Design(LIVE)
        on, but = (f" on {design.data}", "") if design.data else (
            "", ", but for verdicts and what the text says of their claims,")
        display(HTML('<div class="admonition warning"><p class="admonition-title">Not the runs this text is about</p>'
                     f"<p>The numbers on this page{but} are of profile {html.escape(design.profile.name + on)} with "
                     f"{design.seeds} trials. What the text says about them was written for profile {LIVE} with "
                     f"{usual.seeds}, and need not be true here.</p></div>"))


def check_parameters(known=("profile", "seeds", "workers")) -> dict:
    """Make a misspelt `papermill -p` name an error: papermill itself only warns, and the default would run. The
    parameters that were given."""
    shell, given = get_ipython(), {}
    for source in shell.user_ns.get("In", ()) if shell else ():
        if source.startswith("# Parameters\n"):  # the cell that papermill injects
            given = {t.id: shell.user_ns.get(t.id) for node in ast.parse(source).body if isinstance(node, ast.Assign)
                     for t in node.targets}
            unknown = sorted(given.keys() - set(known))
            if unknown:
                raise PageError(f"unknown parameter {unknown[0]!r}; a chapter has {', '.join(known)}")
    return given


def drawn(draw, r: Results, n: int = 1, height: float | tuple[float, ...] = 3.3):
    """A figure of n panels, one below the other so that a phone can show them, as `draw(r, axes)` makes it, and over
    it, as open rings, the same of what was trained here: if the figure is of other trials, with dots for the records
    of these. Of the trials that verdicts and text rest on, where these have
    all that it reads, else of `r`'s own. A fresh account of the runs that it reads begins: `evidence`.
    """
    for shown in filter(None, (r.judging, r)):
        r.forget()
        figure, axes = figures.panels(n, height)
        try:
            draw(shown, axes)
            break
        except NotRecorded:
            plt.close(figure)
            if shown is r:
                raise
    if r.live is not None:
        with figures.over():
            draw(r.live, axes)
        if shown is not r:
            with figures.over(dots=True):
                draw(Beside(r.profile, r.beside(r.live).rows, r.planned), axes)
    plt.show()
    return figure


def say(key: str, values, scale: float = 100, digits: int = 1, bound: float | None = None) -> Estimate | None:
    """Glue a number for the prose: mean and 95 % interval over trials, as text. `values` may be a function: where the
    profile lacks the runs that it asks for, or they leave it undefined (as a share of no room), the text says so.
    No value lies beyond +-`bound`, of what is in percent beyond 1."""
    why = "not run at this profile"
    try:
        values = np.asarray(values() if callable(values) else values)
        why = "" if np.isfinite(values).all() else "not defined here"
    except NotRecorded:
        pass
    if why:
        for name in (key, f"{key}-mean"):
            glue(name, f"({why})", display=False)
        return None
    e = estimate(values, bound=bound or _bound(scale))
    glue(key, _told(e, scale, digits), display=False)
    glue(f"{key}-mean", f"{e.mean * scale:z.{digits}f}", display=False)
    return e


def _bound(scale) -> float:
    """What neither a share nor a difference of two, shown times 100, lies beyond."""
    return 1.0 if scale == 100 else math.inf


def _told(e: Estimate, scale, digits) -> str:
    """An estimate in the text, with its trials, since these are not everywhere the same: 61.2 [59.9, 62.5; n = 30]."""
    return e.text(scale, digits).replace("]", f"; n = {e.n}]")


def on_record(profile: str) -> dict[str, Standing]:
    """Where all claims stand by the committed records of a profile, read once."""
    return _on_record(profile, tuple(CLAIMS))


@functools.cache
def _on_record(profile, _claims):
    return standing(profile)


def trials_of(profile: str) -> int:
    """How many recorded trials of a profile its verdicts rest on, at the most."""
    return max((len(part.values) for claim in on_record(profile).values() for part in claim.parts), default=0)


def judging() -> str:
    """The profile that verdicts on signals rest on: the many trials, or where none is recorded those of the pages."""
    return VERDICTS if trials_of(VERDICTS) else LIVE


def word(values, up: str, down: str, undecided: str, scale: float = 100, digits: int = 1) -> str:
    """The words that a difference's interval allows: above 0, below 0, both. {} stands for its size and interval."""
    if not np.isfinite(values).all():
        return "(not defined here)"
    e = estimate(values, bound=_bound(scale))
    words = up if e.low > 0 else down if e.high < 0 else undecided
    return _sized(words, e, words != down, scale, digits)


def _sized(words, e, upward, scale, digits, limits=(0.0,)) -> str:
    """{} of the words as the size of a difference, counted upward or downward, in as many digits as show on which side
    of limits its interval ends."""
    e = e if upward else Estimate(-e.mean, -e.high, -e.low, e.n)
    return words.replace("{}", _told(e, scale, telling_digits(e, limits, scale, digits)))


def follows(key: str, values, up: str = "more", down: str = "less", undecided: str = OPEN, scale: float = 100,
            digits: int = 1) -> None:
    """Glue for the prose what a difference's interval allows to say (`word`). `values` may be a function: see `say`. Or
    they are several, {"on signals": values, ...}, of which one text is made: `in_one_sentence`."""
    said = {}
    for where, differences in (values if isinstance(values, dict) else {"": values}).items():
        try:
            found = differences() if callable(differences) else differences
            said[where] = word(found, up, down, undecided, scale, digits)
        except NotRecorded:
            said[where] = "(not run at this profile)"
    glue(key, in_one_sentence(said, undecided), display=False)


def place(r: Results) -> str:
    """Where a page's own results were seen, in words of its text: on signals, on photographs, or on one's own data."""
    name = r.profile.data_set
    if data_set(name).drawn is not None:
        return "on signals"
    return "on photographs" if name == PROFILES[REAL].data_set else f"on {name}"


def in_one_sentence(said: dict[str, str], undecided: str) -> str:
    """What is said of each place, as one text that says the same words once: {"on signals": "rises by 3 points",
    "on photographs": "rises by 2 points"} is "rises by 3 points on signals and by 2 points on photographs"."""
    text = before = ""
    for where, words in said.items():
        verb, by, size = words.partition(" by ")
        again = "" if words == before else f"by {size}" if by and before.startswith(verb + by) else words
        link = "" if not text else " or " if words == before == undecided else " and "
        text += " ".join(filter(None, (link + again if again else link.rstrip(), where)))
        before = words
    return text


RISES, FALLS = "rises by {} points", "falls by {} points"
STAYS = "shows no clear change"


def moves(key: str, values, scale: float = 100, digits: int = 1, unit: str = "points") -> None:
    """Glue "rises by 3.1 points", "falls by ...", or that these trials do not tell."""
    follows(key, values, RISES.replace("points", unit), FALLS.replace("points", unit), STAYS, scale, digits)


def states(name: str, r: Results, told: dict[str, tuple], real: str = "on photographs") -> None:
    """Glue what the claims of a chapter allow to say, by what their verdicts rest on, so that no sentence contradicts
    its card: {key: (claim, number of its statistic, or a word that it alone has where profiles order them otherwise,
    words where that holds, where it does not, where it is open)}, with {} for its size, {signed} with its sign, {share}
    of a share that is not in percent. `in_one_sentence` of signals and real data (in words: `real`), where they have
    the statistic's runs."""
    profile, _, signals = _signals(name, r)
    for key, (claim, which, *words) in told.items():
        said = {}
        for where, of, stands in ((place(r), profile, signals), (real, PROFILES[REAL], on_record(REAL))):
            labels = [s.label.format(**Results(of, {}).words) for s in CLAIMS[claim].statistics]
            label = next(one for one in labels if which in one) if isinstance(which, str) else labels[which]
            for part in (stands if claim in stands else on_record(of.name))[claim].parts:
                if part.label == label:
                    said[where] = _of_part(part, words)
        glue(key, in_one_sentence(said, words[-1]) if said else "(not tested)", display=False)


def _of_part(part: Part, words) -> str:
    """The one of `words` that a statistic's verdict allows, with its size: with its sign where the threshold is another
    than 0, on either side of which it may lie below 0."""
    said = dict(zip(("holds", "does not hold", "undecided"), words, strict=True))[part.verdict]
    scale = 100 if part.unit in BOUNDED and "{share}" not in said else 1
    digits = 2 if "per " in part.label or "{share}" in said else 3 if scale == 1 else 1
    upward = part.threshold != 0 or part.estimate.mean >= 0 or "{}" not in said
    return _sized(re.sub(r"\{(signed|share)\}", "{}", said), part.estimate, upward, scale, digits, part.limits)


def table(headers, rows, caption="") -> HTML:
    """A plain accessible table that scrolls in its own box on a narrow screen."""
    def cells(tag, row):
        return "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in row)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    note = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return HTML(f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption or "table")}">'
                f'<table class="table">{note}<thead><tr>{cells("th", headers)}</tr></thead>'
                f"<tbody>{body}</tbody></table></div>")


def folded(title: str, what: HTML) -> HTML:
    """What is there to open."""
    return HTML(f"<details><summary>{html.escape(title)}</summary>{what.data}</details>")


def claim_table(claims: Iterable[Standing], caption="Claims, statistics and verdicts") -> HTML:
    """The numbers of the cards as a table to open: a row per statistic, with its number or why there is none. Of an
    undecided one the last column says what its interval excludes; where all claims of a profile are there, another the
    verdict beside all others (Holm)."""
    claims = list(claims)
    together = any(claim.corrected for claim in claims)

    def lines(claim):
        beside = (marked(claim.corrected or "not tested"),) * together
        rules = dict(claim.rules)
        if not claim.tested:
            for i, (label, rule) in enumerate((rules or {"": ""}).items()):
                yield (label, claim.reason, "", rule, marked(claim.verdict),
                       *(beside if i == 0 else ("",) * together), "")
        for i, row in enumerate(claim.to_rows()):
            yield (row["statistic"], f"{row['estimate']} {row['interval']}", row["n"], row["rule"],
                   marked(row["verdict"]), *(beside if i == 0 else ("",) * together), row["excluded"])
        for label, why in claim.absent.items():
            yield label, why, "", rules.get(label, ""), marked("not tested"), *("",) * together, ""

    rows = [(claim.id if i == 0 else "", *line) for claim in claims for i, line in enumerate(lines(claim))]
    made = table(("claim", "statistic", "estimate, 95 % interval", "n", "holds if", "verdict",
                  *("all claims together",) * together, "excluded"), rows, f"{caption}; shares in percentage points")
    return HTML(f"<details><summary>{html.escape(caption)}: every number</summary>{made.data}</details>")


def changed_rules(profiles: dict[str, str]) -> HTML:
    """The claims whose rules were changed, or that were added: both rules, what was wrong, and the verdicts by both on
    the records of profiles, {profile: its words}."""
    def rules(stands):
        said = {where: "; ".join(map(" ".join, one.rules)) if one else "none"
                for where, one in zip(profiles.values(), stands, strict=True)}
        if len(set(said.values())) == 1:
            return next(iter(said.values()))
        return " / ".join(f"{where}: {text}" for where, text in said.items())

    rows = []
    for claim in (claim for claim in CLAIMS.values() if claim.why):
        now = [on_record(profile)[claim.id] for profile in profiles]
        rows.append((claim.id, rules([one.earlier for one in now]), rules(now), claim.why, *(
            f"{marked(one.earlier.verdict) if one.earlier else 'new'} → {marked(one.verdict)}" for one in now)))
    return table(("claim", "earlier rule", "rule", "why", *profiles.values()), rows,
                 "Rules that changed, and why: verdicts by the earlier rule and by this one")


def trials_shown(r: Results) -> HTML:
    """Which trials of signals the figures of a page show, and which its text and verdicts rest on: nothing where these
    are the same."""
    def numbers(results):
        of = sorted({record.planned.subject.data.trial for row in results.rows.values() for record in row})
        return f"{len(of)} recorded trials (numbers {of[0]} to {of[-1]})"

    if r.judging is None:
        return HTML("")
    if not r.judging.rows:
        return HTML(f'<p class="provenance">Signals: all of this page is of {numbers(r)}; no verdict rests on it.</p>')
    return HTML(f'<p class="provenance">Signals: verdicts rest on {numbers(r.judging)}, and so do text, charts and '
                f"tables; but of {numbers(r)} is what shows a condition that no claim reads. Of how many trials "
                "something is stands below a chart, and at a number that one points at. "
                f'<a href="{EXPLORER}?profile={r.judging.profile.name}">The students of these trials, in the '
                "explorer</a>.</p>")


def _signals(name: str, r: Results) -> tuple[Profile, str, dict[str, Standing]]:
    """What a chapter's verdicts on signals rest on, a profile and in words, and where its claims stand by it: the
    recorded trials; or this page's, where there are none, or they do not test it, or the page is of own images."""
    here = {claim.id: claim for claim in judged(name, r)}
    judging = {claim: on_record(VERDICTS)[claim] for claim in here}
    if data_set(r.profile.data_set).drawn is None:
        return r.profile, f"profile {r.profile.name}", here
    if any(claim.tested for claim in judging.values()):
        return PROFILES[VERDICTS], f"MNIST-1D, {trials_of(VERDICTS)} trials", judging
    return r.profile, f"MNIST-1D, {_count(here)} trials", here


def verdicts(name: str, r: Results) -> HTML:
    """A card for each of a chapter's claims, the paper beside what verdicts rest on: the recorded trials of signals (or
    this page's, where there are none, or they do not test it), real data and, where it decides a claim, the paper's own
    regime; below them every number, to open."""
    real, regime = (on_record(profile) for profile in (REAL, REGIME))
    _, where, here = _signals(name, r)
    columns = {where: here}
    columns[PROFILES[REAL].where] = {claim: real[claim] for claim in here}
    columns[PROFILES[REGIME].where] = {claim: regime[claim] for claim in here if claim in IN_THE_REGIME}
    return claim_cards({place: found for place, found in columns.items() if found}, _changed)


def claim_cards(columns: dict[str, dict[str, Standing]], changed: Callable[[str], str] = lambda _: "") -> HTML:
    """A card for each claim of `columns`, {data set: {id: where it stands}}, and below them every number, to open;
    `changed` says what became of a claim's rule."""
    tables = "".join(claim_table(found.values(), place).data for place, found in columns.items())
    return HTML(cards.cards(columns, _shown, changed=changed) + tables)


def _count(standings: dict[str, Standing]) -> int:
    return max((len(part.values) for claim in standings.values() for part in claim.parts), default=0)


def your_run(name: str, r: Results) -> HTML:
    """What was trained on this machine, beside the records that the page is written from: how many of its means lie
    within the recorded intervals, and which verdicts differ. A line where nothing was trained for the page."""
    if r.live is None:
        return HTML('<p class="provenance">Written from the committed records: nothing was trained for this page. '
                    "Executed with training, it says here how far your own runs lie from them.</p>"
                    if settings().from_records else "")
    inside = [_inside(r(*number), r.live(*number)) for row in r.live.rows for number in _compared(r, row)]
    differ = [f"{a.id}: {marked(a.verdict)} in the records, {marked(b.verdict)} here"
              for a, b in zip(judged(name, r.beside(r.live)), judged(name, r.live), strict=True)
              if a.verdict != b.verdict]
    made = sorted({record.device for record in r.live.needed}
                  | {f"torch {record.versions['torch']}" for record in r.live.needed})
    trials = len(next(iter(r.live.rows.values())))
    return HTML('<div class="admonition note" id="your-run"><p class="admonition-title">Your run</p>'
                f"<p>{sum(inside)} of {len(inside)} means that this machine trained lie within the 95 % intervals of "
                "the records, from which the page is written. Verdicts by these trials alone that differ: "
                f"{html.escape('; '.join(differ) or 'none')}. Open rings in the charts are your run "
                f"({html.escape(', '.join(made))}), {trials} trials; the small dot by one is the record of these, "
                f"where the chart is of others. What trains for more than {BRIEF} times the usual steps is shown as "
                "recorded alone.</p></div>")


def your_verdicts(profile: str, seeds: int | None, workers: int | None) -> HTML:
    """The same for all claims at once: what this machine's runs say, trained where the store does not have them."""
    if settings().from_records:
        return HTML('<p class="provenance">Written from the committed records: nothing was trained for this page.</p>')
    few = not seeds and has_records(profile)
    here, there = (standing(profile, seeds, workers, records, few=few) for records in (False, True))
    whole = {part.label: part.values for claim in standing(profile, seeds).values() for part in claim.parts}
    pairs = [(here[name], there[name]) for name in here if here[name].tested and there[name].tested]
    differ = [f"{a.id}: {marked(b.verdict)} in the records, {marked(a.verdict)} here" for a, b in pairs
              if a.verdict != b.verdict]
    inside = [_inside(whole[part.label], part.values) for claim, _ in pairs for part in claim.parts
              if part.label in whole]
    words = (f"{sum(inside)} of {len(inside)} estimates lie within the 95 % "
             f"intervals of the records. Verdicts that differ: {'; '.join(differ) or 'none'}." if pairs else
             f"{f'So many trials of {profile} are' if has_records(profile) else f'Profile {profile} is'} not recorded, "
             f"so there is nothing to compare its verdicts with: {cards.counted(here)}.")
    return HTML('<div class="admonition note" id="your-run"><p class="admonition-title">Your run</p>'
                f"<p>{html.escape(words)}</p></div>")


def other_processor(profile: str) -> HTML:
    """Whether claims stand as they do where another processor trained a part of the trials."""
    found = elsewhere(profile)
    if found is None:
        return HTML('<p class="provenance">No trial was trained again on another processor.</p>')
    what = (f"of {len(CLAIMS)} claims the verdict differs, by itself or when all are judged jointly, for "
            f"{', '.join(found.differ)}" if found.differ else
            f"<b>no verdict differs</b> of {len(CLAIMS)} claims, nor when all are judged jointly")
    return HTML(f"<p>Of the {found.trials} trials {found.again} were trained a second time, where the others were "
                f"({found.processor}) but with fewer instructions ({found.other}). These take the place of the first "
                f"ones: {what}. Of {found.estimates} estimates the furthest is {found.furthest:.1f} half-intervals "
                f"away. <code>KDLIB_RESULTS=results/{ELSEWHERE} kdlib claims</code> judges by the {found.again} "
                "alone: fewer trials, wider intervals.</p>")


def _inside(recorded, live) -> bool:
    e = estimate(recorded)
    return e.low - ROUNDING <= float(np.mean(live)) <= e.high + ROUNDING


def _compared(r: Results, name) -> list[tuple]:
    """What a condition's runs are compared by."""
    return [(name, metric) for metric in r.rows[name][0].numbers(COMPARED)]


def all_claims(columns: dict[str, dict[str, Standing]]) -> HTML:
    """Every claim as a card, with choices above."""
    titles = {page.stem: page.title for page in CHAPTERS.values()}
    groups = {name: titles[claim.chapter] for name, claim in CLAIMS.items()}
    pages = {page.stem: name for name, page in CHAPTERS.items()}
    return HTML(cards.chooser(columns, list(dict.fromkeys(groups.values()))) + cards.cards(
        columns, lambda name: [(f"{pages[CLAIMS[name].chapter]}.html", f"chapter: {groups[name]}"), *_shown(name)],
        groups.get, _changed))


def _changed(name: str) -> str:
    """What became of a claim's rule, and why; "" where it is the first one."""
    claim = CLAIMS[name]
    said = f"its rule was changed: {claim.why}" if claim.before else claim.why  # "new: ..." of one that was added
    if said and name in IN_THE_REGIME:
        said = f"but for {PROFILES[REGIME].where}, {said}"
    return said and f"{said[0].upper()}{said[1:]}."


def everywhere() -> dict[str, dict[str, Standing]]:
    """Where all claims stand by the committed records: on signals, on real data and, those that it decides, in the
    paper's own regime."""
    signals = judging()
    return {f"MNIST-1D, {trials_of(signals)} trials": on_record(signals), PROFILES[REAL].where: on_record(REAL),
            PROFILES[REGIME].where: {claim: on_record(REGIME)[claim] for claim in IN_THE_REGIME}}


def tally(columns: dict[str, dict[str, Standing]]) -> HTML:
    """How many claims hold, do not, are open on each data set."""
    return HTML(cards.tally(columns))


def _shown(name: str) -> list[tuple[str, str]]:
    """(address, text) of the figures that show what a claim is about, the first of each place."""
    sources = [claims[name].source for claims in (CLAIMS, IN_THE_REGIME) if name in claims]
    found: dict[str, str] = {}
    for wanted in (figure for source in sources for figure in cards.figures_of(source)):
        for shown in FIGURES:
            if wanted in (shown.id, shown.id.rstrip("abc")) or wanted.rstrip("abc") == shown.id:
                for cell in (cell for cell in (*shown.signals, *shown.real) if cell.startswith("fig-")):
                    page = page_of(cell)
                    where = ("MNIST-1D" if cell in shown.signals else
                             PROFILES[REGIME].where if page == halves.CHAPTER.name else "real data")
                    found.setdefault(f"figure: {shown.shows}, {where}", f"{page}.html#{cell}")
    return [(address, text) for text, address in found.items()]


def marked(verdict: str) -> str:
    """A verdict with its sign."""
    return f"{MARK[verdict]} {verdict}"


def all_runs(name: str, r: Results) -> HTML:
    """How to run this page again, of those of its trials that are then trained, and where all its numbers come from."""
    records, profile = r.needed, PROFILES[r.profile.name]
    own = r.profile.data_set != profile.data_set  # of which nothing is recorded
    runs = {} if own else CHAPTERS[name].runs(Design(profile.name).few())
    again = {spec.key for row in runs.values() for layer in levels(row) for spec in layer}
    half = sum(record.seconds for record in records if own or record.key in again) / 2
    other = "" if r.profile.name == LIVE else f" -p profile {r.profile.name}"
    if own:
        other += f" -p data {r.profile.data_set}"
    return HTML(f"<p>Run this page again: <code>papermill notebooks/{name}.ipynb out.ipynb{other}</code>. From nothing "
                f"that takes about {math.ceil(half / 10) * 10} seconds on two CPU cores like those that made these "
                "records, from the run store a few seconds. It has not been timed on a GPU.</p>" + provenance(records))


def cost(chapters: dict[str, Results], caption: str, key: str = "runs") -> HTML:
    """Runs and time of every chapter, with the device, versions and code that made them; glues the number of runs under
    `key`, and the hours on one core under `key`-hours."""
    everything, rows = {}, []

    def row(label, records):
        rows.append((label, len(records), f"{sum(r.seconds for r in records):.0f}", *(
            ", ".join(sorted(set(values))) for values in zip(
                *((r.device, r.versions["torch"], r.commit) for r in records), strict=True))))

    for name, results in chapters.items():
        if not results.planned:
            continue  # the profile does not have the chapter
        everything |= {r.key: r for r in results.needed}
        row(name, results.needed)
    row("all, each run once", everything.values())
    glue(key, float(len(everything)), display=False)
    glue(f"{key}-hours", f"{sum(r.seconds for r in everything.values()) / 3600:.1f}", display=False)
    return table(("chapter", "runs", "seconds on one core", "device", "torch", "commit"), rows, caption)
