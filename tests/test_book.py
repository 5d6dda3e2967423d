import os
import shutil
import subprocess
import sys

import pytest

from kdlib.paths import project_root


@pytest.mark.slow
def test_the_whole_book_is_executed_and_rendered_at_smoke(tmp_path):
    """From an empty store to HTML, in a copy: the reader's own book stays as it is."""
    root = tmp_path / "copy"
    shutil.copytree(project_root() / "book", root / "book", ignore=shutil.ignore_patterns("_build", "executed"))
    shutil.copytree(project_root() / "notebooks", root / "notebooks")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(project_root() / name, root)
    environment = os.environ | {"KDLIB_STORE": str(tmp_path / "store")}
    environment.pop("KDLIB_FROM_RECORDS", None)
    command = [sys.executable, "-c", f"import sys; sys.argv = ['kdlib', 'book', '--profile', 'smoke', '--root', "
               f"{str(root)!r}]; from kdlib.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "05_claims" in done.stdout and "index.html" in done.stdout
    page = (root / "book" / "_build" / "html" / "book" / "executed" / "05_claims.html").read_text()
    assert "undecided" in page
    log = (tmp_path / "store" / "runs.log").read_text().splitlines()
    assert len(log) == len(list((tmp_path / "store" / "runs").glob("*.json")))
