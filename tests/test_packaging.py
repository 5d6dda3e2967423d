import ast
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

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
