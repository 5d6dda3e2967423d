"""One module per chapter: `runs(design)`, the specs behind its figures, and `claims(results)`, its verdicts."""

from kdlib.experiments import data, gap, optimization, paradox

CHAPTERS = {"01_fidelity_gap": gap, "02_optimization": optimization, "03_data": data, "04_paradox": paradox}


def verdicts(profile: str, workers: int = 2, from_records: bool = True) -> list:
    """Every chapter's claims at a profile, in the order of their ids."""
    from kdlib.compute import recorded
    from kdlib.experiments.design import Design, Results

    design, out = Design(profile), []
    for module in CHAPTERS.values() if profile != "workstation" else [gap]:
        runs = module.runs(design)
        if from_records:
            records = recorded([s for row in runs.values() for s in row], profile)
            results = Results({name: [records[s] for s in row] for name, row in runs.items()})
        else:
            results = design.train(runs, workers)
        out += gap.mnist_claims(results) if profile == "workstation" else module.claims(results)
    return sorted(out, key=lambda c: ("FPDO".index(c.id[0]), int(c.id[1:])))
