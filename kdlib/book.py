"""Building the book: papermill executes every chapter into book/executed, Jupyter Book renders it."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from kdlib.compute import levels
from kdlib.errors import KdlibError
from kdlib.experiments import in_order
from kdlib.paths import atomic, project_root
from kdlib.store import Store, StoreError

PAGES = in_order()

# A kernel warns that its own machine's sockets are not encrypted, and prints tracebacks when Ctrl-C stops it; what goes
# wrong in a cell comes back as an exception anyway.
QUIET = ["--log-level=50"]


class BookError(KdlibError):
    """A chapter that failed, or a page that did not render without warnings."""


def build(profile: str, workers: int, root: Path | None = None) -> None:
    """Execute and render the book under `root` (default: this checkout) at `profile`.

    Prints a line per chapter (runs, seconds, distance from the records) and where to open the book.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    from kdlib.experiments import CHAPTERS
    from kdlib.experiments.design import Design

    for name in ("papermill", "asyncio"):  # they report, at Ctrl-C, that the kernel has died
        logging.getLogger(name).setLevel(logging.CRITICAL)

    design = Design(profile)
    if profile not in ("smoke", "laptop"):
        raise BookError(f"the book is built at smoke or laptop; results of {profile} come from its records")
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
            needed = {s.key for layer in levels(s for row in runs.values() for s in row) for s in layer}
            print(f"{page}", flush=True)
            design.train(runs, workers, progress=True)
        try:
            papermill.execute_notebook(
                root / "notebooks" / f"{page}.ipynb", executed / f"{page}.ipynb",
                parameters={"profile": profile, "workers": workers}, cwd=root, progress_bar=False,
                extra_arguments=QUIET)
        except papermill.PapermillExecutionError as error:
            raise BookError(f"{page} failed in cell {error.exec_count}: {error.ename}: {error.evalue}") from None
        except DeadKernelError:
            raise BookError(f"the kernel of {page} died (out of memory?); finished runs are kept") from None
        strip(executed / f"{page}.ipynb")
        now = {p.stem for p in (Store().root / "runs").glob("*.json")}
        rows.append((page, now - had, needed & had, time.perf_counter() - before))
    render(root)
    distances = compare(profile, workers)
    print(f"\n{'chapter':20} {'trained':>8} {'reused':>8} {'seconds':>8}  against the records")
    for page, trained, reused, seconds in rows:
        print(f"{page:20} {len(trained):8d} {len(reused):8d} {seconds:8.1f}  {distances.get(page, '')}")
    trained = set().union(*(r[1] for r in rows))
    reused = set().union(*(r[2] for r in rows)) - trained  # what one chapter trained and another used is not reused
    print(f"{'each run once':20} {len(trained):8d} {len(reused):8d} {time.perf_counter() - start:8.1f}")
    print(f"open {os.path.relpath(root / 'book' / '_build' / 'html' / 'index.html')}")


def compare(profile, workers) -> dict[str, str]:
    """By chapter: how far this machine's estimates are from the recorded ones, and the verdicts that differ.

    A distance is in half-widths of the recorded 95 % interval: 0 on the machine that made the records, below 1
    where another machine's rounding leads to an estimate that the record's interval contains.
    """
    from kdlib.experiments import CHAPTERS, from_records, judged, trained
    from kdlib.experiments.design import Design
    from kdlib.paths import results_dir

    if not list((results_dir() / profile).glob("*.jsonl")):
        return dict.fromkeys(CHAPTERS, f"there are no records at {profile}")
    out = {}
    for name, module in CHAPTERS.items():
        try:
            there = judged(name, from_records(module.runs(Design(profile)), profile))
        except StoreError as error:
            out[name] = str(error)
            continue
        pairs = list(zip(judged(name, trained(name, Design(profile), workers)), there, strict=True))
        parts = [(a.estimate, b.estimate) for one, two in pairs for a, b in zip(one.parts, two.parts, strict=True)]
        if not parts:
            out[name] = "tests no claim"
            continue
        distance = max(abs(a.mean - b.mean) / max(b.high - b.mean, 1e-12) for a, b in parts)
        changed = [a.id for a, b in pairs if a.verdict != b.verdict]
        out[name] = f"furthest estimate {distance:.2f} half-intervals off; " + (
            f"verdicts that differ: {', '.join(changed)}" if changed else "same verdicts")
    return out


def refresh(root: Path | None = None) -> None:
    """Execute notebooks/*.ipynb in place from the committed records, training nothing: what nbval compares with."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    os.environ["KDLIB_FROM_RECORDS"] = "1"
    for page in PAGES:
        path = Path(root or project_root()) / "notebooks" / f"{page}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        try:
            NotebookClient(notebook, record_timing=False, extra_arguments=QUIET,
                           resources={"metadata": {"path": path.parent}}).execute()
        except CellExecutionError as error:
            raise BookError(f"{page} failed: {error.ename}: {error.evalue}") from None
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        with atomic(path) as file:
            file.write((nbformat.writes(notebook) + "\n").encode())
        print(f"{page} is executed")


def strip(path) -> None:
    """Remove what differs between identical executions, timestamps and papermill's own paths, and hide the cell of
    parameters that papermill adds, as the notebook hides its own."""
    notebook = json.loads(path.read_text())
    notebook["metadata"].pop("papermill", None)
    for i, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{i}"
        for name in ("papermill", "execution"):
            cell["metadata"].pop(name, None)
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"].append("remove-input")
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
