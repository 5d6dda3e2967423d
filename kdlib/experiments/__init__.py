"""One module per chapter: `runs(design)`, the specs behind its figures, and `claims(results)`, its verdicts."""

from kdlib.compute import recorded
from kdlib.experiments import data, errata, gap, optimization, paradox
from kdlib.experiments.design import PROFILES, Design, DesignError, Results

CHAPTERS = {"01_fidelity_gap": gap, "02_optimization": optimization, "03_data": data, "04_paradox": paradox,
            "09_errata": errata}


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


def verdicts(profile: str, seeds: int | None = None, workers: int = 2, records: bool = True) -> dict[str, list]:
    """Claims by chapter, from the committed records or from the store."""
    design = Design(profile, seeds)
    return {name: module.claims(from_records(module.runs(design), profile) if records
                                else trained(name, design, workers)) for name, module in CHAPTERS.items()}


def in_order(claims_by_chapter: dict[str, list]) -> list:
    """All claims in the order of the paper's argument: F, P, D, O."""
    everything = [claim for claims in claims_by_chapter.values() for claim in claims]
    return sorted(everything, key=lambda c: ("FPDO".index(c.id[0]), int(c.id[1:])))
