"""Where a reader can open this repository in a browser: its public address, and what is made of it.

`repository: url` in `_config.yml` is the one place that says it. `python -m kdlib.launch` writes it where files of
other services need it: CITATION.cff, and the notebook that Colab opens, which comes without the rest.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import yaml

from kdlib.paths import atomic, project_root

COLAB = ".binder/colab.ipynb"
CITATION = "CITATION.cff"
FIRST = "notebooks/00_answer.ipynb"


class Address(NamedTuple):
    """Of the public copy; `url` is "" where there is none."""

    url: str = ""
    branch: str = "main"

    @property
    def name(self) -> str:
        """OWNER/NAME on GitHub, "" elsewhere: two of the services open nothing else."""
        found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", self.url)
        return found[1] if found else ""


def address(root: Path | None = None) -> Address:
    """What `_config.yml` says."""
    config = (root or project_root()) / "_config.yml"
    said = yaml.safe_load(config.read_text(encoding="utf-8")).get("repository") or {}
    return Address(said.get("url") or "", said.get("branch") or "main")


def links(at: Address) -> dict[str, str]:
    """By name the addresses under which services open the repository; none where it is not public."""
    if not at.url:
        return {}
    place = f"gh/{at.name}" if at.name else f"git/{quote(at.url, safe='')}"
    found = {"Binder": f"https://mybinder.org/v2/{place}/{quote(at.branch, safe='')}?urlpath=lab/tree/{FIRST}"}
    if at.name:
        found |= {"Colab": f"https://colab.research.google.com/github/{at.name}/blob/{at.branch}/{COLAB}",
                  "Codespaces": f"https://codespaces.new/{at.name}?ref={quote(at.branch, safe='')}"}
    return found | {"the code": at.url}


def markdown(at: Address) -> str:
    """The links as a page shows them."""
    return " · ".join(f"[{name}]({url})" for name, url in links(at).items()) or (
        "This copy of the book has no public address: there is nothing to link to, and what stands below works in a "
        "clone.") + "\n"


def written(root: Path | None = None) -> dict[str, str]:
    """By name the files that repeat the address, as they should be."""
    root = root or project_root()
    at = address(root)
    citation = re.sub(r"^repository-code: .*\n", "", (root / CITATION).read_text(encoding="utf-8"), flags=re.M)
    if at.url:
        citation = citation.replace("license: MIT\n", f"license: MIT\nrepository-code: {json.dumps(at.url)}\n", 1)
    notebook = json.loads((root / COLAB).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["source"] and cell["source"][0].startswith("repository = "):
            cell["source"][0] = f"repository = {json.dumps(at.url)}  # python -m kdlib.launch writes it\n"
    return {CITATION: citation, COLAB: json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"}


if __name__ == "__main__":
    for name, text in written().items():
        with atomic(project_root() / name) as file:
            file.write(text.encode())
