import json
import os
import subprocess
import sys

import pytest
from conftest import student

from kdlib.cli import main


@pytest.fixture
def kdlib(monkeypatch, capsys, tmp_path):
    """Call the command line in this process: (exit code, stdout, stderr); what it lets through fails the test."""
    monkeypatch.setenv("KDLIB_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("KDLIB_FROM_RECORDS", raising=False)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kdlib", *map(str, args)])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code or 0, *capsys.readouterr()

    return call


@pytest.mark.parametrize(("args", "says"), [
    (("run", "all", "--profile", "huge"), "unknown profile 'huge'"),
    (("run", "05_nothing"), "unknown chapter '05_nothing'"),
    (("run", "nowhere.json"), "nowhere.json cannot be read (No such file"),
    (("run", "02_optimization", "--profile", "workstation"), "no workstation runs"),
    (("run", "all", "--seeds", "0"), "seeds must be a whole number"),
    (("data", "import", "cifar", "/nowhere"), "unknown data set 'cifar'"),
    (("data", "import", "mnist", "/nowhere"), "does not exist"),
    (("audit", "--profile", "smoke"), "there are no records"),
    (("runs", "zzz"), "begins with 'zzz'"),
])
def test_bad_input_gets_one_sentence(kdlib, args, says):
    code, _, error = kdlib(*args)
    assert code == 2 and says in error and error.count("\n") == 1


@pytest.mark.parametrize(("change", "says"), [
    ({"policy": "flip"}, "policy: Input should be 'baseline'"), ({"colour": "red"}, "colour: Extra inputs are not"),
    ({"temperature": "4"}, "temperature: Input should be a valid number"), ({"temperature": -1.0}, "greater than 0"),
    ({"alpha": 1.5}, "alpha: Input should be less than or equal to 1"), ({"fresh": -3}, "fresh: Input should be gr"),
    ({"toward_teacher": 0.5, "model": "mlp"}, "one teacher of the student's own architecture")])
def test_a_wrong_spec_in_a_file_gets_one_sentence(kdlib, change, says, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([student().model_dump(mode="json") | change]))
    code, _, error = kdlib("run", file)
    assert code == 2 and says in error and error.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_specs_of_a_file_are_trained(kdlib, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([student().model_dump(mode="json")]))
    code, out, _ = kdlib("run", file)
    assert code == 0 and student().key in out and "3 runs trained" in out


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    """In a process of its own: nothing on the way there may print a traceback either."""
    (tmp_path / "file").write_text("")
    code = "import sys; sys.argv = ['kdlib', 'runs']; from kdlib.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ | {"KDLIB_STORE": str(tmp_path / "file")})
    assert done.returncode == 2 and "KDLIB_STORE" in done.stderr and done.stderr.count("\n") == 1
