"""The reproducibility report, a page in the form of the ML Reproducibility Challenge, and `claims.json` beside it.

Both are made from the committed records when the book is built: no number and no verdict is typed.
"""

import json
from collections import Counter
from typing import NamedTuple

from kdlib import __version__
from kdlib.cards import MARK, chip
from kdlib.experiments import CHAPTERS, so_far
from kdlib.experiments.claims import CLAIMS, claims_at
from kdlib.experiments.design import NotRecorded
from kdlib.experiments.figure_map import FIGURES
from kdlib.experiments.profiles import LIVE, PROFILES, REAL, REGIME, VERDICTS
from kdlib.experiments.standings import standing
from kdlib.explorer import Source
from kdlib.stats import Standing, percent

WHERE = {p.name: p.where for p in PROFILES.values()}
PAPER = {"title": "Does Knowledge Distillation Really Work?", "venue": "NeurIPS 2021", "arxiv": "2106.05945"}


class Runs(NamedTuple):
    """What is recorded of a profile."""

    kinds: Counter
    data: list[str]
    trials: int
    hours: float  # of one core
    devices: list[str]


def runs(source: Source) -> Runs:
    """Of the records of a profile."""
    records = source.records
    subjects = [record.planned.subject for record in records]
    return Runs(Counter(record.spec["kind"] for record in records), sorted({s.data.name for s in subjects}),
                len({s.data.trial for s in subjects}), sum(record.seconds for record in records) / 3600,
                sorted({record.device for record in records}))


def _trials(profile: str, source: Source | None) -> str:
    """How many trials a profile has, and how many in the rows that have more."""
    usual, there = PROFILES[profile].seeds, runs(source).trials if source else 0
    return f"{usual} (some rows {there})" if there > usual else str(usual)


def standings(profiles) -> dict[str, dict[str, Standing]]:
    """Where every claim stands, by profile, of those at which any has a verdict."""
    found = {profile: standing(profile) for profile in profiles}
    return {profile: claims for profile, claims in found.items() if any(claim.tested for claim in claims.values())}


def plain(stands: dict[str, dict[str, Standing]]) -> dict:
    """The claims with every number behind their verdicts, as JSON has it: what `claims.json` holds. `estimate`, `low`
    and `high`, the ends of the 95 % interval, are shares and nats, unscaled; an end that one trial leaves open is
    None. `excluded`, of an undecided statistic, are values less than `below` and more than `above`. `reason`: why there
    is no verdict, or why it is not what those of the statistics alone would say. `beside_all_others` is the verdict of
    Holm's procedure over all claims of the profile, None where not all were judged; `earlier_verdict` that by the
    earlier rules, None where the rules are the first ones."""
    ids = [name for name in CLAIMS if any(name in claims for claims in stands.values())]
    return {"paper": PAPER, "kdlib": __version__, "profiles": {name: WHERE[name] for name in stands},
            "claims": [_claim(name, stands) for name in ids]}


def _claim(name, stands):
    [profile, *others] = stands
    claim = (CLAIMS if others else claims_at(PROFILES[profile]))[name]
    return {"id": name, "chapter": claim.chapter, "paper": claim.found,
            **({"changed_since": claim.why} if claim.why else {}),
            "stands": {profile: _stands(claims[name]) for profile, claims in stands.items() if name in claims}}


def _stands(claim: Standing) -> dict:
    def end(value):
        return float(value) if abs(value) != float("inf") else None

    statistics = []
    for part in claim.parts:
        e = part.estimate
        statistics.append({"statistic": part.label, "estimate": e.mean, "low": end(e.low), "high": end(e.high),
                           "n": e.n, "side": part.side, "threshold": part.threshold, "unit": part.unit,
                           "verdict": part.verdict, "excluded": {"below": end(e.low), "above": end(e.high)}
                           if part.verdict == "undecided" else None, "trials": [float(value) for value in part.values]})
    return {"statement": claim.statement, "source": claim.source, "verdict": claim.verdict,
            "beside_all_others": claim.corrected or None, "reason": " ".join(claim.reasons) or None,
            "rules": [" ".join(one) for one in claim.rules], "statistics": statistics,
            "without_runs": list(claim.absent),
            "earlier_rules": [" ".join(one) for one in claim.earlier.rules] if claim.earlier else [],
            "earlier_verdict": claim.earlier.verdict if claim.earlier else None}


def as_json(stands: dict[str, dict[str, Standing]]) -> bytes:
    """`plain` as a file."""
    return json.dumps(plain(stands), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def table(heads, rows) -> str:
    """In Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines) + "\n"


def list_of(names) -> str:
    """Claims as links to their cards."""
    return ", ".join(f'<a href="executed/07_claims.html#claim-{name}">{name}</a>' for name in names)


def scope(found, stands) -> str:
    """How many claims, by the chapter that tests them."""
    titles = {page.stem: page.title for page in CHAPTERS.values()}
    groups: dict[str, list[str]] = {}
    for name, claim in CLAIMS.items():
        groups.setdefault(titles[claim.chapter], []).append(name)
    rows = [(title, f"{len(names)}: {list_of(names)}") for title, names in groups.items()]
    return (f"{len(CLAIMS)} claims were read out of its text, figures and tables, and each made into statistics "
            f"with thresholds. Behind {len({shown.id for shown in FIGURES})} figures and tables stand runs here.\n\n"
            + table(("finding", "claims"), rows))


def cost(found, stands) -> str:
    """What was run, by profile."""
    by = {profile: runs(source) for profile, source in found.items()}
    kinds = sum((r.kinds for r in by.values()), Counter())
    rows = [(WHERE[profile], profile, ", ".join(r.data), _trials(profile, found[profile]),
             r.kinds["teacher"], r.kinds["student"], r.kinds.total() - r.kinds["teacher"] - r.kinds["student"],
             f"{r.hours:.1f}", ", ".join(r.devices))
            for profile, r in by.items()]
    return (f"{kinds.total():,} runs are recorded, {kinds['student']:,} students and {kinds['teacher']:,} teachers "
            f"among them. They took {sum(r.hours for r in by.values()):.0f} hours of one core.\n\n"
            + table(("data", "profile", "sets", "trials", "teachers", "students", "other runs", "hours of one core",
                     "devices"), rows))


def that_decide(stands: dict) -> dict:
    """Without the live trials, an example, where there are those that verdicts on signals rest on."""
    return {profile: claims for profile, claims in stands.items() if profile != LIVE or VERDICTS not in stands}


def verdicts(found, stands) -> str:
    """Which claims hold, do not, are open, by profile."""
    stands = that_decide(stands)

    def cell(claims, verdict):
        names = [name for name, claim in claims.items() if claim.verdict == verdict]
        return f"{len(names)}: {list_of(names)}" if names else "none"

    return table(("verdict", *(WHERE[profile] for profile in stands)), [
        (verdict, *(cell(claims, verdict) for claims in stands.values())) for verdict in MARK])


def gaps(found, stands) -> str:
    """What is left to 100 % in the largest condition of chapter 1, by profile."""
    rows = []
    for profile in that_decide(stands):
        results = so_far("01_fidelity_gap", profile)
        name = "size", 1, (results.profile.fidelity_gap or PROFILES[LIVE].fidelity_gap).factors[-1]
        try:
            own, unseen = results(name, "agreement"), results.unseen(name)
        except NotRecorded:
            continue
        rows.append((WHERE[profile], f"{name[2]:g}", len(own),
                     *(percent(values) for values in (own, unseen, 1 - own))))
    return table(("data", "times the teacher's data", "trials", "agreement with its own teacher (%)",
                  "with an unseen one (%)", "gap (%)"), rows)


def claims(found, stands) -> str:
    """Every claim with its verdicts."""
    stands = that_decide(stands)
    whole = next(iter(stands.values()), {})
    return table(("claim", "statement", "paper", *(WHERE[profile] for profile in stands)), [
        (list_of([name]), claim.statement, claim.source, *(chip(there[name].verdict) for there in stands.values()))
        for name, claim in whole.items()])


def sizes(found, stands) -> str:
    """What the profiles of real sets have, where the paper has 50,000 images and ResNet-56."""
    return table(("data", "set", "training images", "net", "trials"), [
        (WHERE[p.name], p.data_set, f"{p.train:,}", p.net, _trials(p.name, found.get(p.name)))
        for p in (PROFILES[REAL], PROFILES[REGIME])])


PARTS = {"scope": scope, "cost": cost, "verdicts": verdicts, "gaps": gaps, "claims": claims, "sizes": sizes}
