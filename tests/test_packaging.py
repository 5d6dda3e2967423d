import re
import shutil
import subprocess
import tomllib

import pytest

from kdlib.paths import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = sorted({pin for pins in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()) for pin in pins})


@pytest.mark.parametrize("pin", PINS)
def test_pyproject_lock_and_conda_agree(pin):
    assert re.fullmatch(r"[\w-]+==[\w.]+", pin), "direct dependencies have exact versions"
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    lock = {line.split(" ")[0].lower().replace("_", "-") for line in lines}
    assert pin.lower() in lock
    assert f"- {pin}\n" in (ROOT / "environment.yml").read_text()


def test_the_lock_has_no_addresses():
    assert not re.search(r"https?:|file:| @ ", (ROOT / "requirements.lock").read_text())


def test_the_conda_environment_pins_nothing_else():
    conda = re.findall(r"^ +- ([\w.-]+==\S+)$", (ROOT / "environment.yml").read_text(), re.M)
    assert sorted(conda) == PINS


def test_no_file_names_the_host_of_a_package_registry():
    hosts = re.compile(r"(py" r"pi\.org|python" r"hosted\.org|download\.py" r"torch\.org|anaconda" r"\.(org|com)"
                       r"|npm" r"js\.(org|com)|index-" r"url)")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [ROOT / name for name in listed.split("\0") if name and not name.startswith("results/")]
    files = files or [path for path in ROOT.glob("*") if path.is_file()]  # not a git checkout
    named = [path.name for path in files if path.exists() and hosts.search(path.read_text(errors="ignore"))]
    assert not named


@pytest.mark.parametrize("folder", ["a copy", "copy"])
def test_make_does_not_use_an_environment_that_was_made_for_another_folder(folder, tmp_path):
    """A copied checkout would run the original's code. Nothing of either is changed."""
    copy = tmp_path / folder
    (copy / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, copy)
    settings = copy / ".venv" / "pyvenv.cfg"

    def make():
        return subprocess.run(["make", "setup", "PYTHON=false"], cwd=copy, capture_output=True, text=True)

    settings.write_text(f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv {tmp_path / 'original' / '.venv'}\n")
    for stamp in (False, True):  # older than what it is made from, or newer
        if stamp:
            (copy / ".venv" / ".installed").touch()
        done = make()
        assert done.returncode == 2 and done.stderr.startswith("the environment in .venv was made for another folder: ")
    settings.write_text(f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv {copy / '.venv'}\n")
    assert make().returncode == 0
