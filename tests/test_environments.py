"""Wherever it is started: a page shows what the committed one shows, and a run gives the same record in the same place.

Each environment is one that broke something; all at once is in the quick suite, each alone in `make soak`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import teacher

from kdlib.paths import project_root

# by name: variables, None: not set; {here} is a folder with a configuration of IPython, matplotlib and git
SETTINGS = {
    "another backend": {"MPLBACKEND": "Agg"},
    "an IPython profile": {"IPYTHONDIR": "{here}/ipython"},
    "a matplotlibrc": {"MATPLOTLIBRC": "{here}"},
    "another repository": {"GIT_DIR": "{here}/.git", "GIT_WORK_TREE": "{here}"},
    "a dumb terminal": {"TERM": "dumb"},
    "no language": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
}
PLACES = {
    "no home": {"HOME": None},
    "a home that cannot be written": {"HOME": "/dev/null/home"},
    "spaces": {"KDLIB_STORE": "{here}/the runs", "KDLIB_DATA": "{here}/the data"},
    "letters": {"KDLIB_STORE": "{here}/Läufe", "KDLIB_DATA": "{here}/数据"},
    "relative": {"KDLIB_STORE": "runs", "KDLIB_DATA": "data"},
    "below home": {"HOME": "{here}", "KDLIB_STORE": "~/runs", "KDLIB_DATA": "~/data"},
}
ALL_AT_ONCE = {name: value for settings in SETTINGS.values() for name, value in settings.items()} | {
    "HOME": "{here}", "KDLIB_STORE": "~/die Läufe", "KDLIB_DATA": "./the data"}
PROFILE = """
c.InteractiveShell.ast_node_interactivity = 'last_expr_or_assign'
c.InlineBackend.figure_formats = {'svg'}
c.InlineBackend.print_figure_kwargs = {'dpi': 1}
c.InlineBackend.rc = {'text.usetex': True}
"""


def started(here: Path, settings: dict):
    """What a user gets who starts a page and a run in the folder `here`: (the notebook, the record, the store)."""
    (here / "ipython" / "profile_default").mkdir(parents=True)
    (here / "ipython" / "profile_default" / "ipython_config.py").write_text(PROFILE)
    (here / "matplotlibrc").write_text("text.usetex: True\nsavefig.dpi: 1\n")
    (here / "mine.json").write_text(json.dumps([teacher().model_dump(mode="json")]))
    subprocess.run(["git", "init", "-q", here], check=True)
    environment = os.environ | {"KDLIB_STORE": str(here / "store")} | {
        name: value and value.format(here=here) for name, value in settings.items()}
    environment = {name: value for name, value in environment.items() if value is not None}

    def start(*command):
        done = subprocess.run([sys.executable, *command], cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    start("-m", "papermill", "--no-progress-bar", project_root() / "notebooks" / "09_speed.ipynb", "out.ipynb", "-p",
          "workers", "1")
    start("-c", "from kdlib.cli import main; main()", "run", "mine.json")
    [record] = here.rglob(f"{teacher().key}.json")
    notebook = nbformat.read(here / "out.ipynb", 4)
    [given] = [i for i, cell in enumerate(notebook.cells) if "injected-parameters" in cell.metadata.get("tags", ())]
    assert not notebook.cells.pop(given).outputs
    return notebook, json.loads(record.read_text()), record.parent.parent


def outputs(notebook):
    """Cell by cell what is shown, without drawings, matplotlib's business, and without what it says itself."""
    return [[[*sorted(o.data.items() - {("image/svg+xml", o.data.get("image/svg+xml"))}), "image/svg+xml" in o.data]
             for o in cell.outputs if o.output_type != "stream"] for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return started(tmp_path_factory.mktemp("undisturbed"), {})[1]


def check(settings, here, undisturbed):
    notebook, record, store = started(here, settings)
    assert outputs(notebook) == outputs(nbformat.read(project_root() / "notebooks" / "09_speed.ipynb", 4))
    told = [o.text for cell in notebook.cells for o in cell.get("outputs", ()) if o.output_type == "stream"]
    assert all("HOME" in settings and "atplotlib" in text for text in told)  # that there is no place for its cache
    varies = ("seconds", "checksum")
    assert {k: v for k, v in record.items() if k not in varies} == {
        k: v for k, v in undisturbed.items() if k not in varies}
    asked = settings.get("KDLIB_STORE", "store").format(here=here).replace("~", str(here))
    assert store == here / asked and not (here / "~").exists()
    if "KDLIB_DATA" in settings:
        assert list((here / settings["KDLIB_DATA"].format(here=here).replace("~", str(here))).iterdir())


def test_what_a_user_has_set_up_changes_no_output_and_no_record(tmp_path, undisturbed):
    check(ALL_AT_ONCE, tmp_path, undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("name", [*SETTINGS, *PLACES])
def test_each_environment_alone_changes_no_output_and_no_record(name, tmp_path, undisturbed):
    check((SETTINGS | PLACES)[name], tmp_path, undisturbed)


def test_a_kernel_that_makes_no_pictures_says_so_at_the_first_cell(tmp_path):
    (tmp_path / "profile_default").mkdir()
    (tmp_path / "profile_default" / "ipython_config.py").write_text("c.SVGFormatter.enabled = False")
    done = subprocess.run([sys.executable, "-m", "papermill", project_root() / "notebooks" / "09_speed.ipynb", "-"],
                          cwd=tmp_path, env=os.environ | {"IPYTHONDIR": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1 and "PageError: this kernel makes no pictures of figures" in done.stderr
