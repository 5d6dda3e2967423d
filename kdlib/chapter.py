"""What every notebook does besides its science: open the runs, glue numbers, show claims and provenance."""

import hashlib
import html

from IPython.display import HTML
from myst_nb import glue

from kdlib import figures
from kdlib.experiments import CHAPTERS
from kdlib.experiments.design import Design, Results
from kdlib.paper import FOUND
from kdlib.stats import Claim, Estimate, estimate

MARK = {"holds": "✓", "does not hold": "✗", "undecided": "?"}


def open_chapter(name: str, profile: str, seeds: int | None, workers: int) -> tuple[Design, Results]:
    """The design of a chapter and the results of its runs; trains what the store does not have."""
    figures.style()
    if profile == "workstation":
        raise ValueError("chapters run at smoke or laptop; workstation results are recorded with "
                         "`kdlib run 01_fidelity_gap --profile workstation` and shown beside them")
    design = Design(profile, seeds)
    return design, design.train(CHAPTERS[name].runs(design), workers)


def say(key: str, values, scale: float = 100, digits: int = 1) -> Estimate:
    """Glue a number for the prose: mean and 95 % interval over trials, as text."""
    e = estimate(values)
    glue(key, e.text(scale, digits), display=False)
    glue(f"{key}-mean", f"{e.mean * scale:.{digits}f}", display=False)
    return e


def say_claims(claims: list[Claim]) -> None:
    """Glue every claim's verdict as `verdict-<id>`."""
    for claim in claims:
        glue(f"verdict-{claim.id}", claim.verdict, display=False)


def table(headers, rows, caption="") -> HTML:
    """A plain accessible table that scrolls in its own box on a narrow screen."""
    def cells(tag, row):
        return "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in row)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    note = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return HTML(f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption or "table")}">'
                f'<table class="table">{note}<thead><tr>{cells("th", headers)}</tr></thead>'
                f"<tbody>{body}</tbody></table></div>")


def claim_table(claims: list[Claim]) -> HTML:
    rows = [(row["id"] if i == 0 else "", row["statistic"], row["estimate"], row["interval"], row["n"], row["rule"],
             f"{MARK[row['verdict']]} {row['verdict']}") for c in claims for i, row in enumerate(c.to_rows())]
    return table(("claim", "statistic", "estimate", "95 % interval", "n", "holds if", "verdict"), rows,
                 "Claims, statistics and verdicts; shares in percentage points")


def comparison(claims: list[Claim]) -> HTML:
    """Paper beside this book, one row per claim."""
    rows = [(c.id, c.statement, FOUND[c.id],
             "; ".join(f"{r['statistic']}: {r['estimate']} {r['interval']}" for r in c.to_rows()),
             f"{MARK[c.verdict]} {c.verdict}") for c in claims]
    return table(("claim", "statement", "paper", "this book", "verdict here"), rows, "Paper and this book")


def provenance(*results: Results) -> HTML:
    """Where the numbers come from: runs, their hash, commit, device, versions and seconds."""
    records = {r.key: r for result in results for r in result.records()}
    keys = hashlib.sha256("".join(sorted(f"{k}{records[k].metrics}" for k in records)).encode()).hexdigest()[:12]

    def these(values):
        return ", ".join(sorted(set(values)))

    text = (f"{len(records)} runs (hash {keys}) · commit {these(r.commit for r in records.values())} · "
            f"{these(r.device for r in records.values())} · "
            f"torch {these(r.versions['torch'] for r in records.values())} · "
            f"{sum(r.seconds for r in records.values()):.0f} s of training")
    return HTML(f'<p class="provenance">{html.escape(text)}</p>')
