"""The book's chapters: `runs(design)`, the specs behind a chapter's figures, and where its claims stand."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kdlib.experiments import distillation_data, errata, gap, halves, optimization, paradox, scale
from kdlib.experiments.claims import CLAIMS, claims_at
from kdlib.experiments.design import PROFILES, Design, DesignError, NotRecorded, Results
from kdlib.results import Record, Recorded, recorded
from kdlib.spec import levels
from kdlib.stats import Claim, Standing


@dataclass(frozen=True)
class Chapter:
    """A page with a notebook: `notebooks/<number>_<stem>.py`, numbered by its place in the book."""

    stem: str
    title: str
    plan: Callable[[Design], dict] | None = None  # {condition: [one spec per trial]}; none: it shows those of others
    settings: str = ""  # of a profile: one without them has no runs of this chapter
    reads: tuple[str, ...] = ()  # the chapters whose runs it shows, besides its own

    def runs(self, d: Design) -> dict:
        """{condition: [one spec per trial]} of a design, {} where its profile does not have this chapter."""
        return self.plan(d) if self.plan and (not self.settings or getattr(d.profile, self.settings)) else {}


# in the order of the book; notebooks, records and the command line name a chapter by number and stem
PAGES = {f"{number:02d}_{page.stem}": page for number, page in enumerate((
    Chapter("fidelity_gap", "The fidelity gap", gap.runs, "gap"),
    Chapter("optimization", "Optimization", optimization.runs, "optimization"),
    Chapter("distillation_data", "The data", distillation_data.runs, "distillation_data"),
    Chapter("paradox", "The paradox", paradox.runs, "paradox"),
    Chapter("scale", "Size, architecture, labels", scale.runs, "scale"),
    Chapter("generator", "The generator", reads=("fidelity_gap", "distillation_data")),
    Chapter("claims", "What replicated", reads=(
        "fidelity_gap", "optimization", "distillation_data", "paradox", "scale", "errata", "halves")),
    Chapter("errata", "Errata", errata.runs, "gap"),
    Chapter("speed", "How fast it is"),
    Chapter("halves", "The paper's own regime", halves.runs, "halves"),
), 1)}
CHAPTERS = {name: page for name, page in PAGES.items() if page.plan}


def in_order() -> list[str]:
    """The pages so that each comes after those whose runs it shows."""
    return sorted(PAGES, key=lambda name: bool(PAGES[name].reads))


def chapters(name: str) -> list[str]:
    """The chapters that `name` (one of them, or "all") stands for."""
    if name != "all" and name not in CHAPTERS:
        raise DesignError(f"unknown chapter {name!r}; there are all, {', '.join(CHAPTERS)}")
    return list(CHAPTERS) if name == "all" else [name]


def from_records(runs: dict, profile: str) -> Results:
    """The results of {name: [one spec per trial]} as committed under `results/<profile>`; all of them must be there."""
    return Results.of(PROFILES[profile], runs, recorded([s for row in runs.values() for s in row], profile))


def so_far(name: str, profile: str, source: Recorded | None = None) -> Results:
    """What is committed of a chapter's results: the conditions all of whose runs are."""
    runs, source = CHAPTERS[name].runs(Design(profile)), source or Recorded(profile)
    records = {s: source.get(s) for layer in levels(s for row in runs.values() for s in row) for s in layer}
    return Results.of(PROFILES[profile], runs, {s: record for s, record in records.items() if record})


def trained(name: str, design: Design, workers: int | None = None) -> Results:
    """A chapter's results from the store, training what it does not have."""
    return design.train(CHAPTERS[name].runs(design), workers)


def judged(name: str, r: Results) -> list[Standing]:
    """Every claim of a chapter, as its results decide it."""
    return [_judge(claim, name, r) for claim in claims_at(r.profile).values() if claim.chapter == CHAPTERS[name].stem]


def _judge(claim: Claim, chapter: str, r: Results) -> Standing:
    if not r.planned:
        return claim.stands(r, reason=f"profile {r.profile.name} does not have chapter {chapter}")
    try:
        return claim.on(r)
    except NotRecorded as error:
        if error.planned:
            why = f"not recorded yet: its runs “{error}” (`kdlib record {chapter} --profile {r.profile.name}`)"
        else:
            why = claim.untested or f"profile {r.profile.name} has no runs “{error}”"
        return claim.stands(r, reason=why)


def claims_of(names, profile: str) -> list[str]:
    """The claims that `names` stand for at a profile, each a claim or a chapter; all where there are none."""
    there = claims_at(Design(profile).profile)
    known = {name: [claim.id for claim in there.values() if claim.chapter == page.stem]
             for name, page in CHAPTERS.items()} | {name: [name] for name in CLAIMS}
    for name in names:
        if name not in known:
            raise DesignError(f"unknown claim or chapter {name!r}; there are {', '.join(known)}")
    asked = {claim for name in names for claim in known[name]}
    return [claim for claim in CLAIMS if claim in asked or not names]


def chapters_of(claims, profile: str) -> list[str]:
    """The chapters that test these claims at a profile, with whose runs they stand and fall."""
    there = claims_at(Design(profile).profile)
    stems = {there[claim].chapter for claim in claims}
    return [name for name, page in CHAPTERS.items() if page.stem in stems]


class _Anything(dict):
    """Metrics of a run that is not done: each of them some number."""

    def __missing__(self, name):
        return 0.5


def read_by(claims, chapter: str, design: Design) -> dict:
    """{condition: [one spec per trial]} of a chapter's runs that these claims read, a few of many: their statistics are
    asked on made-up numbers."""
    runs = CHAPTERS[chapter].runs(design)
    made_up = Results.of(design.profile, runs, {
        s: Record(s.key, {}, _Anything(), {}, 0.0, "", {}, "") for row in runs.values() for s in row})
    there = claims_at(design.profile)
    with np.errstate(all="ignore"):
        for name in claims:
            if there[name].chapter == CHAPTERS[chapter].stem:
                _judge(there[name], chapter, made_up)
    return {name: row for name, row in runs.items() if any(s.key in made_up.read for s in row)}


def standing(profile: str, seeds: int | None = None, workers: int | None = None, records: bool = True,
             only=None) -> dict[str, Standing]:
    """Every claim of the paper by id (or `only` some), in the order of its argument, as it stands at a profile. From
    the committed records, or from the store, training what it does not have of the runs that they read."""
    design, source = Design(profile, seeds), Recorded(profile) if records else None
    found: dict[str, Standing] = {}
    asked = CLAIMS if only is None else only
    for name in chapters_of(asked, profile):
        results = (so_far(name, profile, source) if records
                   else replace(design.train(read_by(asked, name, design), workers),
                                planned=frozenset(CHAPTERS[name].runs(design))))
        found |= {claim.id: claim for claim in judged(name, results)}
    return {name: found[name] for name in CLAIMS if name in asked}
