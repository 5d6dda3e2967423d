"""Where claims stand: what they read of results, and what these make of them."""

from dataclasses import dataclass, replace

import numpy as np

from kdlib.experiments import CHAPTERS, design_of
from kdlib.experiments.claims import CLAIMS, claims_at
from kdlib.experiments.design import Asked, Design, DesignError, NotRecorded, Results
from kdlib.paths import results_dir
from kdlib.results import Recorded
from kdlib.stats import Claim, Standing, half_intervals, holm


def judged(name: str, r: Results) -> list[Standing]:
    """Every claim of a chapter, as its results decide it."""
    return [_judge(claim, name, r) for claim in claims_at(r.profile).values() if claim.chapter == CHAPTERS[name].stem]


def judged_before(name: str, r: Results) -> list[Standing]:
    """The claims of a chapter whose rules were changed, by the earlier ones."""
    return [_judge(replace(claim, statistics=claim.before), name, r) for claim in claims_at(r.profile).values()
            if claim.chapter == CHAPTERS[name].stem and claim.before]


def _judge(claim: Claim, chapter: str, r: Results) -> Standing:
    """By those statistics of which there are results; the others are named."""
    if not r.planned:
        return claim.stands(r, reason=f"profile {r.profile.name} does not have chapter {chapter}")
    parts, absent = [], {}
    for statistic in claim.statistics:
        try:
            measured = statistic.on(r)
            if np.isfinite(measured.values).all():
                parts.append(measured)
            else:
                absent[measured.label] = "not defined on these runs: they leave nothing to divide by"
        except NotRecorded as error:
            if error.planned:
                part = "all" if r.profile.compact else chapter
                why = f"not recorded yet: `kdlib record {part} --profile {r.profile.name}`"
            else:
                why = claim.untested or f"profile {r.profile.name} has no runs “{error}”"
            absent[statistic.label.format(**r.words)] = why
    if not parts:
        return claim.stands(r, reason=next(iter(absent.values())))
    return claim.stands(r, tuple(parts), absent=absent)


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


def standing(profile: str, seeds: int | None = None, workers: int | None = None, records: bool | Recorded = True,
             only=None, few: bool = False) -> dict[str, Standing]:
    """Every claim of the paper by id (or `only` some), in the order of its argument, as it stands at a profile. From
    the committed records, or others, or from the store, training what it does not have of the runs that they read;
    `few`: as the runs decide it that pages train beside records. `earlier` is where a claim stands by the rule that it
    had before; where all claims are known, `corrected` is the verdict beside all others."""
    asked = CLAIMS if only is None else only
    now: dict[str, Standing] = {}
    design = Design(profile, seeds)
    for name, results in _read_by(asked, design.few() if few else design, workers, records):
        before = {claim.id: claim for claim in judged_before(name, results)}
        now |= {claim.id: replace(claim, earlier=before.get(claim.id)) for claim in judged(name, results)}
    if set(now) == set(CLAIMS):
        beside_others = holm(now.values())
        now = {name: replace(claim, corrected=beside_others[name]) for name, claim in now.items()}
    return {name: now[name] for name in CLAIMS if name in asked}


ELSEWHERE = "avx2"  # the folder in results/ of runs that were trained again, with fewer of the processor's instructions


@dataclass(frozen=True)
class Elsewhere:
    """Claims at a profile where some trials were trained again on another processor."""

    processor: str  # of the records that verdicts rest on
    other: str  # of those that take their place
    again: int  # trials of which they are
    trials: int  # that verdicts rest on
    differ: list[str]  # claims whose verdict is another, or is when all are judged jointly
    estimates: int
    furthest: float  # how far one of these moves, in half-widths of its interval


def elsewhere(profile: str) -> Elsewhere | None:
    """How the claims stand where trials that another processor trained again take the place of the first ones. None
    where none are recorded."""
    source, others = Recorded(profile), Recorded(profile, results_dir() / ELSEWHERE)
    if not others.records:
        return None
    was, first = standing(profile, records=source), next(iter(others.records))
    here, there = (records[first].processor for records in (source.records, others.records))
    source.put_in_place(others)
    now = standing(profile, records=source)
    pairs = [(a, b) for name in was for a, b in zip(was[name].parts, now[name].parts, strict=True)]
    return Elsewhere(here, there, len(others.trials), len(source.trials),
                     [name for name, claim in was.items() if (claim.verdict, claim.corrected) !=
                      (now[name].verdict, now[name].corrected)], len(pairs),
                     max(half_intervals(b.values, a.values, a.estimate) for a, b in pairs))


def _read_by(claims, design: Design, workers, records):
    """(chapter, what claims read of its results) of each chapter that they need."""
    source = Recorded(design.profile.name) if records is True else records or None
    if source and design.profile.compact:
        design = design_of(source)
    for name in chapters_of(claims, design.profile.name):
        rows, planned = runs_read_by(claims, name, design)
        if source:
            results = Results.of(design.profile, rows, source.find(spec for row in rows.values() for spec in row))
        else:
            results = design.train(rows, workers)
        yield name, replace(results, planned=frozenset(planned))
