import os
import re
import shutil
import subprocess
import sys

import papermill
import pytest

from kdlib.cli import read_specs
from kdlib.paths import project_root


@pytest.mark.slow
def test_the_whole_book_is_executed_and_rendered_at_smoke(tmp_path):
    """From an empty store to HTML, in a copy: the reader's own book stays as it is."""
    root = tmp_path / "copy"
    shutil.copytree(project_root() / "book", root / "book", ignore=shutil.ignore_patterns("_build", "executed"))
    shutil.copytree(project_root() / "notebooks", root / "notebooks")
    for name in ("_config.yml", "_toc.yml", "README.md"):
        shutil.copy(project_root() / name, root)
    stray = root / ".venv" / "lib" / "package"  # what a reader's folder also holds is no page of the book
    stray.mkdir(parents=True)
    (stray / "README.md").write_text("# A package\n\n[broken](nowhere.md)\n")
    environment = os.environ | {"KDLIB_STORE": "store"}  # one folder for all chapters, wherever they run
    environment.pop("KDLIB_FROM_RECORDS", None)
    command = [sys.executable, "-c", f"import sys; sys.argv = ['kdlib', 'book', '--profile', 'smoke', '--root', "
               f"{str(root)!r}]; from kdlib.cli import main; main()"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "07_claims" in done.stdout and "index.html" in done.stdout
    page = (root / "book" / "_build" / "html" / "book" / "executed" / "07_claims.html").read_text()
    assert "undecided" in page and "# Parameters" not in page
    log = (tmp_path / "store" / "runs.log").read_text().splitlines()
    assert len(log) == len(list((tmp_path / "store" / "runs").glob("*.json")))


def test_the_books_own_example_of_an_experiment_runs(store_here, capsys):
    page = (project_root() / "book" / "reexecute.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
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
