"""The book's chapters: `runs(design)`, the specs behind a chapter's figures, and where its claims stand."""

import pkgutil
from dataclasses import replace
from importlib import import_module

import numpy as np

from kdlib.experiments.claims import CLAIMS, claims_at
from kdlib.experiments.design import PROFILES, Asked, Design, DesignError, NotRecorded, Results
from kdlib.experiments.page import Chapter
from kdlib.results import NotThere, Recorded
from kdlib.spec import levels
from kdlib.stats import Claim, Standing, Statistic, holm

# pages without runs of their own
SHOWN = (
    Chapter(0, "answer", "Does Knowledge Distillation Really Work?", reads=("fidelity_gap",)),
    Chapter(6, "generator", "The generator", reads=("fidelity_gap", "distillation_data")),
    Chapter(7, "claims", "What replicated", reads=(
        "fidelity_gap", "optimization", "distillation_data", "paradox", "scale", "errata", "halves")),
    Chapter(9, "speed", "How fast it is"),
)


def _declared():
    # figure_map reads what is made of these
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
               if found.name != "figure_map"]
    return [module.CHAPTER for module in modules if hasattr(module, "CHAPTER")]


# in the order of the book
PAGES = {page.name: page for page in sorted((*SHOWN, *_declared()), key=lambda page: page.number)}
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
    return Results.of(PROFILES[profile], runs, Recorded(profile).all_of(
        s for row in runs.values() for s in row))


def so_far(name: str, profile: str, source: Recorded | None = None) -> Results:
    """What is committed of a chapter's results: the conditions all of whose runs are. Of a profile whose trials are
    recorded one after another, those of its trials that are there whole."""
    source = source or Recorded(profile)
    design = design_of(source)
    runs = CHAPTERS[name].runs(design)
    needed = (s for layer in levels(s for row in runs.values() for s in row) for s in layer)
    return Results.of(PROFILES[profile], runs, source.find(needed))


def published(name: str, design: Design) -> Results | None:
    """What is committed of a chapter's runs, if all of them are: the text of a page is the same on every machine, and
    what was trained on this one stands beside it."""
    try:
        return from_records(CHAPTERS[name].runs(design), design.profile.name)
    except NotThere:
        return None


def few_trials(design: Design, recorded: Results | None) -> Design:
    """What a chapter trains where nobody says how many trials: beside those that are recorded, a few."""
    return design.few() if recorded else design


def design_of(source: Recorded) -> Design:
    """That of a profile's records: where trials are recorded whole, one after another, of those that are there."""
    design = Design(source.folder.name)
    return design.with_seeds(max(1, len(source.trials))) if design.profile.compact else design


def all_specs(design: Design) -> list:
    """Every run of a design and those that they need, each once, by trial: so students of one trial are trained
    together, who are compared with the same teachers, and these are asked once for all of them."""
    found = dict.fromkeys(s for page in CHAPTERS.values() for layer in levels(
        s for row in page.runs(design).values() for s in row) for s in layer)
    return sorted(found, key=lambda spec: spec.subject.data.trial)


def whole(design: Design, found: dict) -> Design:
    """The design of its first trials all of whose runs are among these; DesignError where not even one is."""
    for seeds in range(design.seeds, 0, -1):
        if all(found.get(s) for s in all_specs(design.with_seeds(seeds))):
            return design.with_seeds(seeds)
    raise DesignError(f"no trial of {design.profile.name} is whole yet: run again without --stored to train it")


def trained(name: str, design: Design, workers: int | None = None) -> Results:
    """A chapter's results from the store, training what it does not have; or, by KDLIB_FROM_RECORDS, as committed."""
    return design.train(CHAPTERS[name].runs(design), workers)


def judged(name: str, r: Results) -> list[Standing]:
    """Every claim of a chapter, as its results decide it."""
    return [_judge(claim, claim.statistics, name, r) for claim in claims_at(r.profile).values()
            if claim.chapter == CHAPTERS[name].stem]


def judged_before(name: str, r: Results) -> list[Standing]:
    """The claims of a chapter whose rules were changed, by the earlier ones."""
    return [_judge(claim, claim.before, name, r) for claim in claims_at(r.profile).values()
            if claim.chapter == CHAPTERS[name].stem and claim.before]


def _judge(claim: Claim, statistics: tuple[Statistic, ...], chapter: str, r: Results) -> Standing:
    """By those statistics of which there are results; the others are named."""
    if not r.planned:
        return claim.stands(r, reason=f"profile {r.profile.name} does not have chapter {chapter}")
    parts, absent = [], {}
    for statistic in statistics:
        try:
            measured = statistic.on(r)
            if np.isfinite(measured.values).all():
                parts.append(measured)
            else:
                absent[measured.label] = "not defined on these runs: they leave nothing to divide by"
        except NotRecorded as error:
            if error.planned:
                part = "all" if r.profile.compact else chapter
                why = f"not recorded yet: its runs “{error}” (`kdlib record {part} --profile {r.profile.name}`)"
            else:
                why = claim.untested or f"profile {r.profile.name} has no runs “{error}”"
            absent[statistic.label.format(**r.words)] = why
    if not parts:
        return claim.stands(r, reason=next(iter(absent.values())))
    return claim.stands(r, tuple(parts), absent=tuple(absent))


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


def runs_read_by(claims, chapter: str, design: Design) -> tuple[dict, dict]:
    """{condition: [one spec per trial]}: of a chapter's runs those that these claims read, a few of many; all."""
    there, runs = claims_at(design.profile), CHAPTERS[chapter].runs(design)
    if not runs:
        return {}, {}
    asked = asked_by([there[name] for name in claims if there[name].chapter == CHAPTERS[chapter].stem], design)
    return {name: row for name, row in runs.items() if name in asked}, runs


def asked_by(claims, design: Design) -> set:
    """The conditions that the statistics of claims read, found by asking them on made-up numbers."""
    made_up = Asked(design.profile)
    with np.errstate(all="ignore"):
        for claim in claims:
            for statistic in claim.statistics + claim.before:
                statistic.values(made_up)
    return set(made_up.read)


def standing(profile: str, seeds: int | None = None, workers: int | None = None, records: bool = True, only=None,
             few: bool = False) -> dict[str, Standing]:
    """Every claim of the paper by id (or `only` some), in the order of its argument, as it stands at a profile. From
    the committed records, or from the store, training what it does not have of the runs that they read; `few`: as the
    runs decide it that pages train beside records. Where all claims are known, `corrected` is the verdict beside all
    others."""
    return by_both_rules(profile, seeds, workers, records, only, few)[0]


def by_both_rules(profile: str, seeds: int | None = None, workers: int | None = None, records: bool = True, only=None,
                  few: bool = False) -> tuple[dict[str, Standing], dict[str, Standing]]:
    """(`standing`; the same of those claims whose rules were changed, by the earlier ones)."""
    asked = CLAIMS if only is None else only
    now: dict[str, Standing] = {}
    earlier: dict[str, Standing] = {}
    design = Design(profile, seeds)
    for name, results in _read_by(asked, design.few() if few else design, workers, records):
        now |= {claim.id: claim for claim in judged(name, results)}
        earlier |= {claim.id: claim for claim in judged_before(name, results)}
    if set(now) == set(CLAIMS):
        together = holm(now.values())
        now = {name: replace(claim, corrected=together[name]) for name, claim in now.items()}
    return ({name: now[name] for name in CLAIMS if name in asked},
            {name: earlier[name] for name in CLAIMS if name in asked and name in earlier})


def _read_by(claims, design: Design, workers, records):
    """(chapter, what claims read of its results) of each chapter that they need."""
    source = Recorded(design.profile.name) if records else None
    if source and design.profile.compact:
        design = design_of(source)
    for name in chapters_of(claims, design.profile.name):
        rows, planned = runs_read_by(claims, name, design)
        if source:
            results = Results.of(design.profile, rows, source.find(spec for row in rows.values() for spec in row))
        else:
            results = design.train(rows, workers)
        yield name, replace(results, planned=frozenset(planned))
