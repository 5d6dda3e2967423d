"""Settings: what the page says of them, when they are read, and what their paths mean to a process and its children."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import student, teacher

from kdlib.compute import compute
from kdlib.paths import data_dir, project_root, results_dir, store_dir
from kdlib.settings import Settings, settings


def test_the_page_has_a_row_for_every_setting():
    page = (project_root() / "book" / "reexecute.md").read_text()
    rows = "".join(f"| `KDLIB_{name.upper()}` | {field.description} |\n"
                   for name, field in Settings.model_fields.items())
    assert f"| variable | what it sets |\n|---|---|\n{rows}\n" in page


def test_no_variable_is_read_elsewhere():
    modules = [path for path in (project_root() / "kdlib").rglob("*.py") if path.name != "settings.py"]
    assert not [path.name for path in modules for line in path.read_text().splitlines()
                if "environ.get" in line and "KDLIB_" in line]


@pytest.mark.parametrize(("value", "trained"), [("0", 1), ("false", 1), ("off", 1), ("", 1), ("1", 0), ("true", 0)])
def test_reading_records_is_switched_on_and_off(store_here, monkeypatch, value, trained):
    monkeypatch.setenv("KDLIB_FROM_RECORDS", value)
    monkeypatch.setattr("kdlib.results.Recorded.all_of", lambda self, specs: {})
    assert compute([teacher()], workers=1, profile="smoke").trained == trained


def test_settings_are_read_when_they_are_asked_for(monkeypatch):
    monkeypatch.delenv("KDLIB_DEVICES", raising=False)
    assert settings().devices == 1
    monkeypatch.setenv("KDLIB_DEVICES", "3")
    assert settings().devices == 3


def test_a_path_is_that_of_the_first_folder_wherever_the_process_goes(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in (("STORE", "my store"), ("DATA", "~/däta"), ("RESULTS", "../results")):
        monkeypatch.setenv(f"KDLIB_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    paths = store_dir(), data_dir(), results_dir()
    assert paths == (tmp_path / "my store", tmp_path / "home" / "däta", tmp_path / ".." / "results")
    monkeypatch.chdir(tmp_path / "deep")
    assert (store_dir(), data_dir(), results_dir()) == paths
    child = "from kdlib.paths import *; print(store_dir(), data_dir(), results_dir(), sep='\\n', end='')"
    said = subprocess.run([sys.executable, "-c", child], cwd="/", capture_output=True, text=True, check=True).stdout
    assert tuple(map(Path, said.split("\n"))) == paths


def test_relative_folders_serve_a_command_and_its_workers_alike(tmp_path):
    (tmp_path / "specs.json").write_text(f"[{student().model_dump_json()}, {student(fresh=5).model_dump_json()}]")
    code = "import sys; sys.argv = ['kdlib', *sys.argv[1:]]; from kdlib.cli import main; main()"
    for trained in ("4 runs trained, 0 reused", "0 runs trained, 4 reused"):
        done = subprocess.run([sys.executable, "-c", code, "run", "specs.json", "--workers", "2"], cwd=tmp_path,
                              env=os.environ | {"KDLIB_STORE": "store", "KDLIB_DATA": "data"},
                              capture_output=True, text=True)
        assert done.returncode == 0 and trained in done.stdout, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "specs.json", "store"]
