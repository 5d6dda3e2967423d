import os
import subprocess
import sys

import pytest

from kdlib.paths import project_root


@pytest.mark.slow
def test_the_whole_book_is_executed_and_rendered_at_smoke(tmp_path):
    """From an empty store to HTML; the second time trains nothing."""
    environment = os.environ | {"KDLIB_STORE": str(tmp_path / "store")}
    environment.pop("KDLIB_FROM_RECORDS", None)
    command = [sys.executable, "-c", "import sys; sys.argv = ['kdlib', 'book', '--profile', 'smoke']; "
               "from kdlib.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=project_root())
    assert done.returncode == 0, done.stderr[-2000:]
    page = (project_root() / "book" / "_build" / "html" / "book" / "executed" / "05_claims.html").read_text()
    assert "undecided" in page
    log = (tmp_path / "store" / "runs.log").read_text().splitlines()
    assert len(log) == len(list((tmp_path / "store" / "runs").glob("*.json")))
