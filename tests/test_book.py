import json
import os
import re
import shutil
import subprocess
import sys

import jupytext
import nbformat
import papermill
import pytest

from kdlib import book, experiments
from kdlib.cli import read_specs
from kdlib.paths import project_root
from kdlib.settings import from_records, settings

PAGE = """# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% tags=["parameters"]
import sys
import matplotlib.pyplot as plt

sys.stdin
sys.executable

# %% mystnb={"figure": {"caption": "A line.", "name": "fig-line"}, "image": {"alt": "A line."}}
plt.plot([0, 1])
plt.title("a line")
plt.show()
"""


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """The folder of a book of one page with one figure."""
    monkeypatch.setattr(book, "PAGES", ("page",))
    root = tmp_path / "book"
    (root / "notebooks").mkdir(parents=True)
    for name in ("_toc.yml", "_config.yml"):
        (root / name).touch()
    (root / "notebooks" / "page.py").write_text(PAGE)
    jupytext.write(jupytext.reads(PAGE, "py:percent"), root / "notebooks" / "page.ipynb")
    return root


def change(path, old, new, seconds):
    """Edit a file so many seconds from now."""
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + seconds))


@pytest.fixture
def another_machine(tmp_path, monkeypatch):
    """Settings of a user's own for all that a kernel reads, and a kernelspec `python3` of another installation."""
    for name, text in {
        "ipython/profile_default/ipython_config.py": "c.InteractiveShell.ast_node_interactivity = 'all'",
        "ipython/profile_default/startup/mine.py": "import matplotlib; matplotlib.rcParams['figure.dpi'] = 1",
        "matplotlibrc": "text.usetex: True\nno.such.key: 1\n",
        "start.py": "raise SystemExit",
        "kernels/python3/kernel.json": json.dumps(
            {"argv": ["false", "{connection_file}"], "display_name": "another", "language": "python"}),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = {"MPLBACKEND": "Agg", "IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_PATH": str(tmp_path),
                "MATPLOTLIBRC": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "start.py"), "HOME": "/dev/null/home"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


def test_notebooks_are_executed_by_this_interpreter_and_without_the_settings_of_a_user(small_book, another_machine):
    book.refresh(small_book)
    first, second = nbformat.read(small_book / "notebooks" / "page.ipynb", 4).cells
    assert [eval(o.data["text/plain"]) for o in first.outputs] == [sys.executable]
    assert [set(o.data) for o in second.outputs] == [{"image/png", "text/plain"}]
    assert another_machine.items() <= os.environ.items()


@pytest.mark.parametrize("command", [book.refresh, lambda root: book.build("smoke", 1, root)], ids=["refresh", "build"])
def test_a_figure_without_a_picture_stops(command, small_book):
    for kind in ("py", "ipynb"):
        change(small_book / "notebooks" / f"page.{kind}", "plt.show()", "plt.close()", 0)
    before = (small_book / "notebooks" / "page.ipynb").read_bytes()
    with pytest.raises(book.BookError, match="page shows no picture in the cell of fig-line"):
        command(small_book)
    assert (small_book / "notebooks" / "page.ipynb").read_bytes() == before


def test_edits_of_a_notebook_that_is_newer_than_its_text_are_not_overwritten(small_book):
    script, notebook = (small_book / "notebooks" / f"page.{kind}" for kind in ("py", "ipynb"))
    change(notebook, "a line", "an edited line", 10)
    before = notebook.read_bytes()
    with pytest.raises(book.BookError, match="newer, and would be overwritten: `jupytext --to py:percent .*`touch "):
        book.refresh(small_book)
    assert notebook.read_bytes() == before
    subprocess.run([sys.executable, "-m", "jupytext", "--quiet", "--to", "py:percent", notebook], check=True)
    assert "an edited line" in script.read_text()
    assert "an edited line" in book.paired(script).cells[1].source


def test_a_newer_text_replaces_what_a_notebook_has(small_book):
    script = small_book / "notebooks" / "page.py"
    change(script, "a line", "a new line", 10)
    assert "a new line" in book.paired(script).cells[1].source


def test_tags_are_edits_too(small_book):
    script, notebook = (small_book / "notebooks" / f"page.{kind}" for kind in ("py", "ipynb"))
    change(notebook, '"parameters"', '"hide-input"', 10)
    with pytest.raises(book.BookError, match="newer"):
        book.paired(script)


def test_a_notebook_with_the_marks_of_a_merge_is_named(small_book):
    change(small_book / "notebooks" / "page.ipynb", "{", "<<<<<<< HEAD\n{", 0)
    with pytest.raises(book.BookError, match="page.ipynb is no notebook .*: remove it, and it is written anew"):
        book.refresh(small_book)


def test_a_notebook_that_is_gone_is_written_anew(small_book):
    (small_book / "notebooks" / "page.ipynb").unlink()
    assert len(book.paired(small_book / "notebooks" / "page.py").cells) == 2


@pytest.mark.parametrize("absent", ["_toc.yml", "_config.yml", "notebooks/page.ipynb"])
def test_a_folder_that_is_no_book_is_named_before_anything_is_trained(absent, small_book, kdlib, store_here):
    (small_book / absent).unlink()
    code, _, told = kdlib("book", "--profile", "smoke", "--root", small_book)
    assert (code, told) == (2, f"kdlib: {small_book} is not the folder of the book: it has no {absent}\n")
    assert not store_here.exists()


def test_a_missing_package_of_the_book_is_named_before_anything_is_trained(kdlib, store_here, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyter_book", None)
    for command in ("book", "notebooks"):
        code, _, told = kdlib(command)
        assert code == 2 and told.startswith("kdlib: jupyter_book is not installed: pip install")
    assert not store_here.exists()


def test_jupyter_book_alone_says_what_to_do_before_the_chapters_are_executed(tmp_path):
    shutil.copytree(project_root() / "book", tmp_path / "book", ignore=shutil.ignore_patterns("_build", "executed"))
    shutil.copytree(project_root() / "results" / "benchmark", tmp_path / "results" / "benchmark")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(project_root() / name, tmp_path)
    done = subprocess.run([sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", tmp_path],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "WARNING" not in done.stdout + done.stderr
    assert re.fullmatch(r"there is no book/executed/\w+: `make book` executes the chapters .*\n", done.stderr)


@pytest.mark.slow
def test_the_whole_book_is_executed_and_rendered_at_smoke(tmp_path):
    """From an empty store to HTML, in a copy: the reader's own book stays as it is."""
    root = tmp_path / "a copy, ä"
    shutil.copytree(project_root() / "book", root / "book", ignore=shutil.ignore_patterns("_build", "executed"))
    shutil.copytree(project_root() / "results" / "benchmark", root / "results" / "benchmark")
    shutil.copytree(project_root() / "notebooks", root / "notebooks")
    for name in ("_config.yml", "_toc.yml", "README.md"):
        shutil.copy(project_root() / name, root)
    stray = root / ".venv" / "lib" / "package"  # what a reader's folder also holds is no page of the book
    stray.mkdir(parents=True)
    (stray / "README.md").write_text("# A package\n\n[broken](nowhere.md)\n")
    environment = os.environ | {"KDLIB_STORE": "store",  # one folder for all chapters, wherever they run
                                "MPLBACKEND": "Agg", "HOME": "/dev/null/home", "TERM": "dumb", "LC_ALL": "C"}
    environment.pop("KDLIB_FROM_RECORDS", None)
    command = [sys.executable, "-c", f"import sys; sys.argv = ['kdlib', 'book', '--profile', 'smoke', '--root', "
               f"{str(root)!r}]; from kdlib.cli import main; main()"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "07_claims" in done.stdout and "index.html" in done.stdout
    page = (root / "book" / "_build" / "html" / "book" / "executed" / "07_claims.html").read_text()
    assert "undecided" in page and "# Parameters" not in page
    assert "papermill" not in (root / "book" / "_build" / "html" / "_static" / "book.css").read_text()
    log = (tmp_path / "store" / "runs.log").read_text().splitlines()
    assert len(log) == len(list((tmp_path / "store" / "runs").glob("*.json")))


def test_the_books_own_example_of_an_experiment_runs(store_here, capsys):
    page = (project_root() / "book" / "reexecute.md").read_text()
    example = page.split("## Your own experiment")[1].split("```python\n")[1].split("```")[0]
    exec(re.sub(r"steps=\d+", "steps=3", example), {})
    assert "'independent_agreement'" in capsys.readouterr().out


def test_the_books_own_file_of_specs_is_one(tmp_path):
    page = (project_root() / "book" / "reexecute.md").read_text()
    (tmp_path / "mine.json").write_text(page.split("```json\n")[1].split("```")[0])
    assert [spec.model for spec in read_specs(tmp_path / "mine.json")] == ["mlp"]


def test_a_misspelt_parameter_stops_a_chapter_before_anything_is_trained(tmp_path, store_here):
    with pytest.raises(papermill.PapermillExecutionError, match="unknown parameter 'sedes'.*profile, seeds, workers"):
        papermill.execute_notebook(project_root() / "notebooks" / "07_claims.ipynb", tmp_path / "out.ipynb",
                                   parameters={"profile": "smoke", "sedes": 3}, cwd=tmp_path, progress_bar=False)
    assert not store_here.exists()


@pytest.mark.parametrize("before", [None, "0"])
def test_writing_the_notebooks_leaves_the_environment_as_it_was(monkeypatch, before):
    monkeypatch.setattr(book, "PAGES", ())
    if before is None:
        monkeypatch.delenv("KDLIB_FROM_RECORDS", raising=False)
    else:
        monkeypatch.setenv("KDLIB_FROM_RECORDS", before)
    with from_records():
        assert settings().from_records
    book.refresh()
    assert os.environ.get("KDLIB_FROM_RECORDS") == before


def test_a_run_equal_to_the_records_is_no_distance_from_them(monkeypatch):
    """The same trials are compared, of which a chapter trains fewer than are recorded."""
    def recorded(name, design, workers):
        return experiments.as_recorded(experiments.CHAPTERS[name].runs(design), "laptop")

    monkeypatch.setattr(experiments, "trained", recorded)
    found = book.compare("laptop", None)
    assert found["01_fidelity_gap"] == "furthest estimate 0.00 half-intervals off; same verdicts"
    assert {line for line in found.values() if "0.00" not in line} == {"tests no claim"}
