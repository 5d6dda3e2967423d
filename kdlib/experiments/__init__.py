"""One module per chapter: `runs(design)`, the specs behind its figures, and `claims(results)`, its verdicts."""

from kdlib.compute import levels, recorded
from kdlib.experiments import data, errata, gap, optimization, paradox, scale
from kdlib.experiments.design import PROFILES, Design, DesignError, Results
from kdlib.paper import FOUND
from kdlib.stats import Claim
from kdlib.store import Recorded

CHAPTERS = {"01_fidelity_gap": gap, "02_optimization": optimization, "03_data": data, "04_paradox": paradox,
            "07_scale": scale, "09_errata": errata}


def chapters(name: str) -> list[str]:
    """The chapters that `name` (one of them, or "all") stands for."""
    if name != "all" and name not in CHAPTERS:
        raise DesignError(f"unknown chapter {name!r}; there are all, {', '.join(CHAPTERS)}")
    return list(CHAPTERS) if name == "all" else [name]


def from_records(runs: dict, profile: str) -> Results:
    """The results of {name: [one spec per trial]} as committed under `results/<profile>`."""
    return Results.of(PROFILES[profile], runs, recorded([s for row in runs.values() for s in row], profile))


def trained(name: str, design: Design, workers: int = 2) -> Results:
    """A chapter's results from the store, training what it does not have."""
    return design.train(CHAPTERS[name].runs(design), workers)


# why a claim cannot be tested at a profile, whatever runs
UNTESTED = {("A3", name): "needs ImageNet: only the profile paper has it" for name in PROFILES if name != "paper"} | {
            ("A4", "smoke"): "MNIST-1D has no text: see workstation",
            ("A4", "laptop"): "MNIST-1D has no text: see workstation"}


def standing(profile: str, seeds: int | None = None, workers: int = 2, records: bool = True) -> dict[str, Claim | str]:
    """Every claim of the paper by id, in the order of its argument: as it stands at a profile, or why it cannot be
    told. From the committed records, or from the store, training what it does not have."""
    design, found = Design(profile, seeds), {}
    for name, module in CHAPTERS.items():
        if records and (absent := missing(name, profile)):
            found |= dict.fromkeys(module.CLAIMS, f"not recorded yet: {absent} of {name}'s runs are missing")
            continue
        results = from_records(module.runs(design), profile) if records else trained(name, design, workers)
        found |= {claim.id: claim for claim in module.claims(results)}
    for claim in FOUND:
        reason = UNTESTED.get((claim, profile))
        if claim not in found or reason and isinstance(found[claim], str):
            found[claim] = reason
    return {claim: found[claim] for claim in FOUND}


def missing(name: str, profile: str) -> int:
    """How many of a chapter's runs are not among the committed records."""
    source, rows = Recorded(profile), CHAPTERS[name].runs(Design(profile)).values()
    return sum(source.get(spec) is None for layer in levels(s for row in rows for s in row) for spec in layer)


def tested(standings: dict) -> list[Claim]:
    """The claims that have a verdict."""
    return [claim for claim in standings.values() if isinstance(claim, Claim)]
