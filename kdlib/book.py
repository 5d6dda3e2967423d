"""Building the book: papermill executes every chapter into book/executed, Jupyter Book renders it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from kdlib.paths import project_root
from kdlib.store import Store

PAGES = ("01_fidelity_gap", "02_optimization", "03_data", "04_paradox", "05_claims")


class BookError(Exception):
    """A chapter that failed, or a page that did not render without warnings."""


def build(profile: str, workers: int, root: Path | None = None) -> None:
    """Execute and render the book under `root` (default: this checkout) at `profile`.

    Prints a line per chapter, how far the estimates are from the recorded ones, and where to open the book.
    """
    import papermill

    from kdlib.experiments import CHAPTERS
    from kdlib.experiments.design import Design

    design = Design(profile)
    if profile == "workstation":
        raise BookError("the book is built at smoke or laptop; workstation results come from its records")
    root, start, rows = Path(root or project_root()).resolve(), time.perf_counter(), []
    executed = root / "book" / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        before = time.perf_counter()
        had = {p.stem for p in (Store().root / "runs").glob("*.json")}
        needed = set()
        if page in CHAPTERS:
            # trained here, where a progress bar shows; the notebook then finds its runs in the store
            runs = CHAPTERS[page].runs(design)
            needed = {s.key for row in runs.values() for s in row}
            print(f"{page}", flush=True)
            design.train(runs, workers, progress=True)
        try:
            papermill.execute_notebook(
                root / "notebooks" / f"{page}.ipynb", executed / f"{page}.ipynb",
                parameters={"profile": profile, "workers": workers}, cwd=root, progress_bar=False)
        except papermill.PapermillExecutionError as error:
            raise BookError(f"{page} failed in cell {error.exec_count}: {error.ename}: {error.evalue}") from None
        strip(executed / f"{page}.ipynb")
        now = {p.stem for p in (Store().root / "runs").glob("*.json")}
        rows.append((page, len(now - had), len(needed & had), time.perf_counter() - before))
    render(root)
    print(f"\n{'chapter':20} {'trained':>8} {'reused':>8} {'seconds':>8}")
    for page, trained, reused, seconds in rows:
        print(f"{page:20} {trained:8d} {reused:8d} {seconds:8.1f}")
    print(f"{'whole book':20} {sum(r[1] for r in rows):8d} {sum(r[2] for r in rows):8d} "
          f"{time.perf_counter() - start:8.1f}")
    print(compare(profile, workers))
    print(f"open {os.path.relpath(root / 'book' / '_build' / 'html' / 'index.html')}")


def compare(profile, workers) -> str:
    """How far this machine's estimates are from the recorded ones."""
    from kdlib.experiments import verdicts
    from kdlib.paths import results_dir

    if not list((results_dir() / profile).glob("*.jsonl")):
        return f"no records of profile {profile} to compare with"
    here, there = verdicts(profile, workers, from_records=False), verdicts(profile)
    largest = max(abs(np.mean(a.values) - np.mean(b.values))
                  for one, two in zip(here, there, strict=True) for a, b in zip(one.parts, two.parts, strict=True))
    changed = [a.id for a, b in zip(here, there, strict=True) if a.verdict != b.verdict]
    return (f"estimates differ from the recorded ones by at most {largest:.2g}; "
            + (f"verdicts that differ: {', '.join(changed)}" if changed else "every verdict is the same"))


def strip(path) -> None:
    """Remove what differs between identical executions: timestamps and papermill's own paths."""
    notebook = json.loads(path.read_text())
    notebook["metadata"].pop("papermill", None)
    for i, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{i}"
        for name in ("papermill", "execution"):
            cell["metadata"].pop(name, None)
    path.write_text(json.dumps(notebook, indent=1) + "\n")


def render(root) -> None:
    """Build the HTML; a warning is an error. Jupyter Book writes to book/_build/html."""
    done = subprocess.run(
        [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(root),
         "--path-output", str(root / "book"), "-W", "-n", "--keep-going", "--all"],
        capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "ERROR" in line]
        raise BookError("the book did not render: " + " | ".join(lines[:5] or done.stderr.splitlines()[-3:]))
