"""One module per chapter: `runs(design)`, the specs behind its figures, and `claims(results)`, its verdicts."""

from kdlib.compute import recorded
from kdlib.experiments import data, gap, optimization, paradox
from kdlib.experiments.design import Design, DesignError, Results

CHAPTERS = {"01_fidelity_gap": gap, "02_optimization": optimization, "03_data": data, "04_paradox": paradox}


def chapters(name: str, profile: str) -> list[str]:
    """The chapters that `name` (one of them, or "all") stands for at a profile."""
    if name != "all" and name not in CHAPTERS:
        raise DesignError(f"unknown chapter {name!r}; there are all, {', '.join(CHAPTERS)}")
    if profile == "workstation":
        if name not in ("all", "01_fidelity_gap"):
            raise DesignError(f"{name} has no workstation runs yet; 01_fidelity_gap has (real MNIST)")
        return ["01_fidelity_gap"]
    return list(CHAPTERS) if name == "all" else [name]


def from_records(name: str, profile: str) -> Results:
    """A chapter's results as committed under `results/<profile>`."""
    runs = CHAPTERS[name].runs(Design(profile))
    return Results.of(runs, recorded([s for row in runs.values() for s in row], profile))


def trained(name: str, design: Design, workers: int = 2) -> Results:
    """A chapter's results from the store, training what it does not have."""
    return design.train(CHAPTERS[name].runs(design), workers)


def verdicts(profile: str, seeds: int | None = None, workers: int = 2, records: bool = True) -> dict[str, list]:
    """Claims by chapter, from the committed records or from the store."""
    design = Design(profile, seeds)
    return {name: CHAPTERS[name].claims(from_records(name, profile) if records else trained(name, design, workers))
            for name in chapters("all", profile)}


def in_order(claims_by_chapter: dict[str, list]) -> list:
    """All claims in the order of the paper's argument: F, P, D, O."""
    everything = [claim for claims in claims_by_chapter.values() for claim in claims]
    return sorted(everything, key=lambda c: ("FPDO".index(c.id[0]), int(c.id[1:])))
