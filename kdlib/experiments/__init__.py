"""One module per chapter: `runs(design)`, the specs behind its figures, and `claims(results)`, its verdicts."""

from kdlib.compute import levels, recorded
from kdlib.experiments import distillation_data, errata, gap, optimization, paradox, scale
from kdlib.experiments.design import PROFILES, Design, DesignError, NotRecorded, Results
from kdlib.paper import FOUND
from kdlib.stats import Claim
from kdlib.store import Recorded

CHAPTERS = {"01_fidelity_gap": gap, "02_optimization": optimization, "03_distillation_data": distillation_data,
            "04_paradox": paradox, "05_scale": scale, "08_errata": errata}


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
    design, found, source = Design(profile, seeds), {}, Recorded(profile) if records else None
    for name, module in CHAPTERS.items():
        results = so_far(name, profile, source) if records else trained(name, design, workers)
        for claim, judge in module.CLAIMS.items():
            try:
                found[claim] = judge(results)
            except NotRecorded as error:
                found[claim] = UNTESTED.get((claim, profile)) or (
                    f"not recorded yet: its runs “{error}” (`kdlib record {name} --profile {profile}`)")
    return {claim: found[claim] for claim in FOUND}
