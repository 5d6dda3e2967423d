"""The book's chapters: the runs behind their figures (`Chapter.runs`), and the results of these."""

import pkgutil
from importlib import import_module

from kdlib.experiments.design import PROFILES, Design, DesignError, Results
from kdlib.experiments.page import Chapter
from kdlib.results import NotThere, Recorded
from kdlib.spec import levels


def _declared():
    # figure_map and standings read what is made of these
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
               if found.name not in ("figure_map", "standings")]
    return [module.CHAPTER for module in modules if hasattr(module, "CHAPTER")]


# pages without runs of their own
SHOWN = (
    Chapter(0, "answer", "Does Knowledge Distillation Really Work?", reads=("fidelity_gap", "optimization", "halves")),
    Chapter(6, "generator", "The generator", reads=("fidelity_gap", "distillation_data")),
    Chapter(7, "claims", "What replicated", reads=tuple(page.stem for page in _declared())),
    Chapter(9, "speed", "How fast it is"),
)

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


def as_recorded(runs: dict, profile: str) -> Results:
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
        return as_recorded(CHAPTERS[name].runs(design), design.profile.name)
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
