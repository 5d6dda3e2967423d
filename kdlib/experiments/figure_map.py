"""Where each figure and table of the paper is: what plans its runs, and which cells of which pages draw it.

`python -m kdlib.experiments.figure_map` writes the map into the README.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from kdlib.experiments import PAGES, distillation_data, errata, fidelity_gap, halves, optimization, paradox, scale
from kdlib.paths import atomic, project_root

BEGIN, END = "<!-- the map: written by python -m kdlib.experiments.figure_map -->\n", "<!-- end of the map -->\n"


@dataclass(frozen=True)
class Shown:
    """A figure or table of the paper; cells are named by their figure, or by the caption of their table."""

    id: str
    shows: str
    plans: Callable | tuple[Callable, ...]
    signals: tuple[str, ...]
    real: tuple[str, ...]


FIGURES = (
    Shown("Fig 1", "fidelity and accuracy over the amount of data", (fidelity_gap.sizes, fidelity_gap.generated),
          ("fig-gap", "fig-gap-ensembles", "fig-paradox"),
          ("fig-gap-cifar", "fig-gap-ensembles-cifar", "fig-paradox-cifar", "fig-generated")),
    Shown("Fig 2", "an easy task, MNIST", fidelity_gap.easy, ("fig-easy",), ("fig-easy-mnist",)),
    Shown("Fig 3", "augmentation policies, m = 5", distillation_data.policies, ("fig-policies",),
          ("fig-policies-cifar",)),
    Shown("Fig 4", "recycled data over m and τ", (distillation_data.recycling, halves.recycling),
          ("fig-recycling", "fig-recycling-tau"),
          ("fig-recycling-cifar", "fig-recycling-tau-cifar", "fig-halves-recycled",
           "Figure 4 and the middle of Figure 5")),
    Shown("Fig 5", "agreement on the distillation data", optimization.train_agreement, ("fig-train-agreement",),
          ("fig-train-cifar",)),
    Shown("Fig 6a", "longer training, SGD and Adam", (optimization.optimizers, optimization.as_in_the_paper),
          ("fig-optimizers",), ("fig-optimizers-cifar",)),
    Shown("Fig 6b", "starts near the teacher",
          (optimization.starts_near, optimization.as_in_the_paper, optimization.moves, errata.runs),
          ("fig-lambda", "fig-moves", "fig-errata-lambda"), ("fig-lambda-cifar", "fig-errata-lambda-cifar")),
    Shown("Fig 6c", "the loss between them", (optimization.starts_near, optimization.as_in_the_paper),
          ("fig-planes", "fig-barrier"), ("fig-planes-cifar", "fig-barrier-cifar")),
    Shown("Fig 7", "generated images", fidelity_gap.generated, (), ("fig-samples",)),
    Shown("Fig 8", "what the labels say", scale.labels, ("fig-labels",),
          ("fig-labels-cifar", "CIFAR-100 (recorded): mean largest probability")),
    Shown("Fig 9", "temperature and m", (distillation_data.temperatures, halves.temperatures), ("Fig 9 here",),
          ("Fig 9 on CIFAR-100", "fig-halves", "Figure 9: test agreement and accuracy")),
    Shown("Fig 10", "up to twelve members", paradox.members, ("fig-members",), ("fig-members-cifar",)),
    Shown("Fig 11", "policies for m = 1, 3, 5", distillation_data.policies, ("fig-policies-m",),
          ("fig-policies-m-cifar",)),
    Shown("Fig 12", "capacity", scale.capacity, ("fig-capacity",), ("fig-capacity-cifar",)),
    Shown("Fig 13", "another architecture", scale.architecture, ("fig-architecture",), ("fig-architecture-cifar",)),
    Shown("Fig 14", "true labels mixed in", paradox.true_labels, ("fig-alpha",), ("fig-alpha-cifar",)),
    Shown("Table 1", "the teacher's initial weights", optimization.initial_weights, ("Table 1 here",),
          ("Table 1 on CIFAR-100",)),
    Shown("Table 2", "text, and photographs at scale", scale.other_domains, (), ("IMDB, a small LSTM",)),
)


@cache
def page_of(cell: str) -> str:
    """The page with a figure of this name, or a table whose caption begins so; LookupError unless there is just one."""
    mark = f'"name": "{cell}"' if cell.startswith("fig-") else f'"{cell}'
    found = [name for name in PAGES if mark in (project_root() / "notebooks" / f"{name}.py").read_text()]
    if len(found) != 1:
        raise LookupError(f"the cell {cell!r} is on {len(found)} pages")
    return found[0]


def table() -> str:
    """The map as Markdown."""
    lines = ["| paper | shows | runs planned by | drawn by: page, cells |", "|---|---|---|---|"]
    for shown in FIGURES:
        plans = shown.plans if isinstance(shown.plans, tuple) else (shown.plans,)
        planned = ", ".join(f"[`{name.rpartition('.')[2]}.{plan.__name__}`]({name.replace('.', '/')}.py)"
                            for plan in plans for name in [plan.__module__])
        cells: dict[str, list[str]] = {}
        for cell in shown.signals + shown.real:
            cells.setdefault(page_of(cell), []).append(cell)
        drawn = "; ".join(f"[{name}](notebooks/{name}.py): {', '.join(f'`{cell}`' for cell in names)}"
                          for name, names in cells.items())
        lines.append(f"| {shown.id} | {shown.shows} | {planned} | {drawn} |")
    return "\n".join(lines) + "\n"


def readme() -> str:
    """The README with the map as it is now."""
    before, _, rest = (project_root() / "README.md").read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + "\n" + END + after


if __name__ == "__main__":
    text = readme()
    with atomic(project_root() / "README.md") as file:
        file.write(text.encode())
