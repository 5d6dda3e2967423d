"""What records hold, by kind of run, as the modules say that compute it.

`python -m kdlib.runs.holds` writes the table into book/reexecute.md.
"""

import re

from kdlib.paths import atomic, project_root
from kdlib.runs import KINDS

BEGIN, END = "<!-- the table: written by python -m kdlib.runs.holds -->\n", "<!-- end of the table -->\n"
PAGE = "book/reexecute.md"


def pattern(names: str) -> re.Pattern:
    """Names as `holds` writes them: {a,b} is one of these, {stage} a number."""
    return re.compile(re.sub(r"{([^}]*)}", lambda found: f"({found[1].replace(',', '|')})" if "," in found[1]
                             else r"[\d.e+-]+", names))


def table() -> str:
    """One for each kind, as Markdown."""
    return "\n".join("\n".join((f"| {name} | what it is |", "|---|---|", *(
        f"| `{metric}` | {what} |" for metric, what in kind.holds.items()), "")) for name, kind in KINDS.items())


def page() -> str:
    """The page with the table as it should be."""
    head, rest = (project_root() / PAGE).read_text().split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    text = page()
    with atomic(project_root() / PAGE) as file:
        file.write(text.encode())
