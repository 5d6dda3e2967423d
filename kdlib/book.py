"""Building the book: papermill executes every chapter into book/executed, Jupyter Book renders it."""

import atexit
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from kdlib.errors import KdlibError
from kdlib.experiments import in_order
from kdlib.paths import atomic, project_root
from kdlib.results import StoreError, has_records
from kdlib.settings import from_records
from kdlib.spec import levels
from kdlib.stats import half_intervals
from kdlib.store import Store

PAGES = in_order()

# A kernel warns that its own machine's sockets are not encrypted, and prints tracebacks when Ctrl-C stops it; what goes
# wrong in a cell comes back as an exception anyway.
QUIET = ["--log-level=50"]


class BookError(KdlibError):
    """A chapter that failed, or a page that did not render without warnings."""


@contextmanager
def own_kernels():
    """For papermill and nbclient, the options that start kernels as the book needs them: the running interpreter's,
    whatever a `python3` kernelspec of this machine names, and, within the block, nothing of the user's: no IPython
    profile, no start-up file, no matplotlibrc; and nothing is written at home, which may not be writable."""
    import psutil  # which ipykernel asks for
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_core.utils import ensure_event_loop
    from traitlets import default

    def refuse(*_):
        raise NotImplementedError

    class OwnKernel(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _none_is_installed(self):  # ipykernel's own is left, which is that of this interpreter
            return KernelSpecManager(kernel_dirs=[])

    with TemporaryDirectory(prefix="kdlib-") as folder:
        ours = {"IPYTHONDIR": f"{folder}/ipython", "JUPYTER_RUNTIME_DIR": folder, "MPLCONFIGDIR": folder,
                "MATPLOTLIBRC": "", "MPLBACKEND": "", "PYTHONSTARTUP": ""}
        before = {name: os.environ.get(name) for name in ours}
        os.environ |= ours
        loop = ensure_event_loop()
        loop.add_signal_handler = refuse  # nbclient's answer to Ctrl-C is a traceback; ours ends the kernel too
        try:
            # where matplotlib's cache of fonts is missing, a kernel may say on its page that it is being made
            subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True)
            yield {"kernel_name": "python3", "kernel_manager_class": OwnKernel, "extra_arguments": QUIET}
        except SystemExit:  # told to stop; a kernel that is asked to while it starts prints a traceback
            for child in psutil.Process().children():  # one that starts is not yet known to its manager
                with suppress(psutil.Error):
                    if any("ipykernel" in part for part in child.cmdline()):
                        child.kill()
                        child.wait(5)
            raise
        finally:
            del loop.add_signal_handler
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def check_installed() -> None:
    """BookError without the packages of the extra `book`."""
    for name in ("papermill", "jupytext", "jupyter_book"):
        if not find_spec(name):
            raise BookError(f"{name} is not installed: pip install -e '.[book]' in the checkout installs it")


def check_pictures(page: str, notebook) -> None:
    """BookError if a cell that the book shows as a figure drew none: nothing else would notice."""
    none = [cell["metadata"]["mystnb"]["figure"]["name"] for cell in notebook["cells"]
            if "figure" in cell["metadata"].get("mystnb", {})
            and not any(kind.startswith("image/") for o in cell["outputs"] for kind in o.get("data", ()))]
    if none:
        raise BookError(f"{page} shows no picture in the cell of {', '.join(none)}: does it end with plt.show()?")


def build(profile: str, workers: int | None = None, root: Path | None = None) -> None:
    """Execute and render the book under `root` (default: this checkout) at `profile`.

    Prints a line per chapter (runs, seconds, distance from the records) and where to open the book.
    """
    check_installed()
    import papermill
    from nbclient.exceptions import DeadKernelError

    from kdlib.experiments import CHAPTERS, few_trials, published
    from kdlib.experiments.design import PROFILES, Design

    for name in ("papermill", "asyncio"):  # they report, at Ctrl-C, that the kernel has died
        logging.getLogger(name).setLevel(logging.CRITICAL)

    design = Design(profile)
    if design.profile.role not in ("check", "live"):
        at = " or ".join(p.name for p in PROFILES.values() if p.role in ("check", "live"))
        raise BookError(f"the book is built at {at}; results of {profile} come from its records")
    root, start, rows = Path(root or project_root()).resolve(), time.perf_counter(), []
    # whatever stops the book stops it here: training takes minutes
    for part in ("_toc.yml", "_config.yml", *(f"notebooks/{page}.ipynb" for page in PAGES)):
        if not (root / part).is_file():
            raise BookError(f"{root} is not the folder of the book: it has no {part}")
    executed = root / "book" / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    with own_kernels() as kernel:
        for page in PAGES:
            before = time.perf_counter()
            had = {p.stem for p in (Store().root / "runs").glob("*.json")}
            needed = set()
            if page in CHAPTERS:
                # trained here, where a progress bar shows; the notebook then finds its runs in the store
                here = few_trials(design, published(page, design))
                runs = CHAPTERS[page].runs(here)
                needed = {s.key for layer in levels(s for row in runs.values() for s in row) for s in layer}
                print(f"{page}", flush=True)
                here.train(runs, workers, progress=True)
            try:
                # a kernel imports from the folder it starts in: the code that trained the runs, not that beside `root`
                done = papermill.execute_notebook(
                    root / "notebooks" / f"{page}.ipynb", executed / f"{page}.ipynb",
                    parameters={"profile": profile, "workers": workers}, cwd=project_root(), progress_bar=False,
                    **kernel)
            except papermill.PapermillExecutionError as error:
                raise BookError(f"{page} failed in cell {error.exec_count}: {error.ename}: {error.evalue}") from None
            except DeadKernelError:
                raise BookError(f"the kernel of {page} died (out of memory?); finished runs are kept") from None
            check_pictures(page, done)
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


def publish(root: Path | None = None) -> None:
    """Render the book under `root` (default: this checkout) as its committed notebooks show it: nothing is executed."""
    check_installed()
    root = Path(root or project_root()).resolve()
    executed = root / "book" / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        shutil.copy(root / "notebooks" / f"{page}.ipynb", executed)
    render(root)
    print(f"open {os.path.relpath(root / 'book' / '_build' / 'html' / 'index.html')}")


def compare(profile, workers) -> dict[str, str]:
    """By chapter: how far this machine's estimates are from the recorded ones of the same trials, and the verdicts on
    these that differ.

    A distance is in half-widths of the 95 % interval over all recorded trials, since that of the few which a chapter
    trains is of any width, 0 too: 0 on the machine that made the records, small on others.
    """
    from kdlib.experiments import CHAPTERS, few_trials, published, trained
    from kdlib.experiments.design import Design
    from kdlib.experiments.standings import judged

    out = {}
    for name in CHAPTERS:
        design = Design(profile)
        try:
            recorded = published(name, design) if has_records(profile) else None
        except StoreError as error:
            out[name] = str(error)
            continue
        if recorded is None:
            out[name] = f"there are no records at {profile}"
            continue
        live = trained(name, few_trials(design, recorded), workers)
        pairs = list(zip(judged(name, live), judged(name, recorded.beside(live)), strict=True))
        whole = {part.label: part.estimate for claim in judged(name, recorded) for part in claim.parts}
        far = [half_intervals(a.values, b.values, whole[a.label])
               for one, two in pairs for a, b in zip(one.parts, two.parts, strict=True)]
        if not far:
            out[name] = "tests no claim"
            continue
        changed = [a.id for a, b in pairs if a.verdict != b.verdict]
        out[name] = f"furthest estimate {max(far):.2f} half-intervals off; " + (
            f"verdicts that differ: {', '.join(changed)}" if changed else "same verdicts")
    return out


def refresh(root: Path | None = None) -> None:
    """Write notebooks/*.ipynb anew: cells from their .py, outputs from the committed records, nothing is trained.

    BookError before anything is written if an .ipynb has been edited since its .py.
    """
    check_installed()
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    folder = Path(root or project_root()) / "notebooks"
    notebooks = {page: paired(folder / f"{page}.py") for page in PAGES}
    with from_records(), own_kernels() as kernel:
        for page, notebook in notebooks.items():
            client = NotebookClient(notebook, record_timing=False, resources={"metadata": {"path": folder}}, **kernel)
            try:
                client.execute()
            except CellExecutionError as error:
                raise BookError(f"{page} failed: {error.ename}: {error.evalue}") from None
            finally:  # after a signal its own way to end the kernel at exit is a traceback; the kernel ends with us
                atexit.unregister(client._cleanup_kernel)
            check_pictures(page, notebook)
            for cell in notebook.cells:
                cell.metadata.pop("execution", None)
            with atomic(folder / f"{page}.ipynb") as file:
                file.write((nbformat.writes(notebook) + "\n").encode())
            print(f"{page} is executed")


def cells(notebook) -> list:
    """What the two files of a pair have in common."""
    return [(c.cell_type, c.source, c.metadata.get("tags"), c.metadata.get("mystnb")) for c in notebook.cells]


def paired(script: Path):
    """The notebook that a .py describes, with the ids of its .ipynb. BookError if that has other cells and is newer."""
    import jupytext
    import nbformat
    from jupytext.combine import combine_inputs_with_outputs

    text, path = jupytext.read(script), script.with_suffix(".ipynb")
    if not path.exists():
        return text
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, AttributeError) as error:  # conflict markers of a merge, say
        raise BookError(f"{path} is no notebook ({error}): remove it, and it is written anew from "
                        f"{script.name}") from None
    if cells(text) != cells(notebook) and path.stat().st_mtime > script.stat().st_mtime:
        raise BookError(f"{path} has other cells than {script.name} and is newer, and would be overwritten: "
                        f"`jupytext --to py:percent {path}` keeps its cells, `touch {script}` those of {script.name}")
    return combine_inputs_with_outputs(text, notebook)


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


def render(root, builder: str = "html") -> None:
    """Build the HTML; a warning is an error. Jupyter Book writes to book/_build/<builder>."""
    done = subprocess.run(
        [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(root),
         "--path-output", str(root / "book"), "--builder", builder, "-W", "-n", "--keep-going", "--all"],
        capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line or "ERROR" in line]
        raise BookError("the book did not render: " + " | ".join(lines[:5] or done.stderr.splitlines()[-3:]))
