import os
import subprocess
import sys

import pytest


def kdlib(*args, **env):
    code = f"import sys; sys.argv = ['kdlib', *{args!r}]; from kdlib.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | env,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(("args", "says"), [
    (("run", "all", "--profile", "huge"), "unknown profile 'huge'"),
    (("run", "05_nothing"), "unknown chapter '05_nothing'"),
    (("run", "02_optimization", "--profile", "workstation"), "no workstation runs"),
    (("run", "all", "--seeds", "0"), "seeds must be a whole number"),
    (("data", "import", "cifar", "/nowhere"), "unknown data set 'cifar'"),
    (("data", "import", "mnist", "/nowhere"), "does not exist"),
    (("audit", "--profile", "smoke"), "there are no records"),
    (("runs", "zzz"), "begins with 'zzz'"),
])
def test_bad_input_gets_one_sentence(args, says, tmp_path):
    done = kdlib(*args, KDLIB_STORE=str(tmp_path), KDLIB_FROM_RECORDS="")
    assert done.returncode == 2 and says in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    done = kdlib("runs", KDLIB_STORE=str(tmp_path / "file"))
    assert done.returncode == 2 and "KDLIB_STORE" in done.stderr and "Traceback" not in done.stderr
