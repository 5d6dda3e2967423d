import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kdlib import __version__
from kdlib.paths import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDS = {need.name: need for needs in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
         for need in map(Requirement, needs)}
LOCK = {canonicalize_name(line.split("==")[0]): line.split("==")[1].split(" ")[0]
        for line in (ROOT / "requirements.lock").read_text().splitlines()}


@pytest.mark.parametrize("name", NEEDS)
def test_what_is_needed_says_from_which_version_on_and_the_lock_has_one_exactly(name):
    need = NEEDS[name]
    assert {"==", ">="} & {part.operator for part in need.specifier}, f"{need} has no lower end"
    assert LOCK[canonicalize_name(name)] in need.specifier


def test_the_lock_has_no_addresses():
    assert not re.search(r"https?:|file:| @ ", (ROOT / "requirements.lock").read_text())


def test_the_conda_environment_pins_what_is_needed_as_the_lock_does_and_nothing_else():
    conda = re.findall(r"^ +- ([\w.-]+==\S+)$", (ROOT / "environment.yml").read_text(), re.M)
    assert sorted(conda) == sorted(f"{name}=={LOCK[canonicalize_name(name)]}" for name in NEEDS)


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


def test_imports_point_one_way_as_the_readme_says():
    """Every module is in the README's line, and none imports what stands behind it."""
    line = (project_root() / "README.md").read_text().split("imports point one way, ")[1].split("\n\n")[0]
    place = {name: i for i, name in enumerate(re.findall(r"`(\w+)/?`", re.sub(r"\(.*?\)", "", line, flags=re.S)))}
    folder, modules = project_root() / "kdlib", set()
    for file in folder.rglob("*.py"):
        module = file.relative_to(folder).parts[0].removesuffix(".py")
        modules.add(module)
        for node in ast.parse(file.read_text()).body:
            if module != "__init__" and isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "kdlib":
                names = node.module.split(".")[1:2] or [a.name for a in node.names if a.name != "__version__"]
                assert all(place[name] <= place[module] for name in names), f"{module} imports {names}"
    assert modules - {"__init__"} == set(place)


def test_every_commit_is_checked_by_what_make_lint_runs_and_downloads_nothing():
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook for repository in repositories for hook in repository["hooks"]]
    assert {repository["repo"] for repository in repositories} == {"local"}
    assert [(hook["entry"], hook["language"]) for hook in hooks] == [("make lint", "system")]


# --- as a package of its own

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment in which the built wheel is installed and no checkout is known; the folder to call it from."""
    folder = tmp_path_factory.mktemp("wheel")
    source, clean = folder / "source", folder / "clean"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "kdlib", source / "kdlib", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clean], check=True)
    (site,) = clean.glob("lib/python*/site-packages")
    (site / "what_it_needs.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", clean / "bin" / "python", "install", "--no-deps", "--no-index", wheel],
                   check=True)
    (folder / "elsewhere").mkdir()
    return folder / "elsewhere"


def call(installed, *command, **settings):
    """(exit code, output, errors) of a program of the clean environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KDLIB_", "PYTHON"))}
    environment |= settings
    program, *rest = command
    done = subprocess.run([installed.parent / "clean" / "bin" / program, *rest], cwd=installed, env=environment,
                          capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_wheel_is_the_whole_library_under_a_name_that_a_registry_takes(installed):
    (wheel,) = installed.parent.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {n for n in names if n.endswith(".py")} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "kdlib").rglob("*.py")}
    assert wheel.name == f"kd_fidelity-{__version__}-py3-none-any.whl"
    # a registry compares names without dashes, dots and case: of kd-lib's another could not be
    assert re.sub("[-_.]", "", PROJECT["name"]) != "kdlib"


def test_an_installed_library_compares_nets_from_anywhere(installed):
    code, out, error = call(installed, "python", "-c", "import kdlib, numpy as np; print(kdlib.__file__); "
                            "draws = np.random.default_rng(0); np.savez('t.npz', logits=draws.normal(size=(50, 3))); "
                            "np.savez('s.npz', logits=draws.normal(size=(50, 3)))")
    assert code == 0 and out.startswith(str(installed.parent / "clean")), error
    code, out, error = call(installed, "kdlib", "compare", "t.npz", "s.npz")
    assert code == 0 and "1 student and its teacher" in out and not error


@pytest.mark.parametrize("command", [("claims",), ("runs", "--recorded"), ("export", "new")])
def test_an_installed_library_says_where_records_would_be(installed, command):
    code, out, error = call(installed, "kdlib", *command)
    assert (code, out) == (2, "") and error == (
        f"kdlib: there is no folder of records {installed / 'results'}: set KDLIB_RESULTS to `results` of a checkout\n")


def test_an_installed_library_reads_the_records_of_a_checkout(installed):
    code, out, _ = call(installed, "kdlib", "claims", "F2", KDLIB_RESULTS=str(ROOT / "results"))
    assert code == 0 and out.startswith("F2 ")


def test_metrics_and_losses_need_torch_alone():
    code = ("import sys, torch; before = set(sys.modules); import kdlib.metrics, kdlib.losses; "
            "print({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "{'kdlib'}\n"
