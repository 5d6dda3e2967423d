"""What other services read: it parses, names what exists, and the address stands in one place."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sphinx.util.matching import Matcher

from kdlib import launch
from kdlib.cli import app
from kdlib.launch import Address
from kdlib.paths import project_root

ROOT = project_root()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
LOCK = {canonicalize_name(name): version for name, version in re.findall(
    r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M)}
GITHUB = Address("https://github.com/someone/a-book.git", "main")


def check(command: str) -> None:
    """Fail unless a line of a workflow is a target of the Makefile, or a command of kdlib with options that it has."""
    program, *words = re.sub(r"\${{.*?}}", "1", command).split()
    if program == "make":
        assert set(words) <= TARGETS, command
    else:
        assert program == ".venv/bin/kdlib", command
        group = typer.main.get_command(app)
        name, called, rest = group.resolve_command(group.make_context("kdlib", words, resilient_parsing=True), words)
        assert called, command
        try:
            called.make_context(name, rest)
        except Exception as error:  # an option that it does not have, of whichever class typer's is
            raise AssertionError(command) from error


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_parses_and_its_commands_exist(file):
    said = yaml.safe_load(file.read_text())
    assert said.get("on", said.get(True)) and said["permissions"]["contents"] == "read"  # YAML 1.1 reads "on" as true
    for job in said["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"] <= 90
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands[0] == "make setup"
        for command in commands:
            check(command)


def test_the_workflows_test_publish_and_audit():
    assert [file.stem for file in WORKFLOWS] == ["audit", "publish", "test"]


@pytest.mark.parametrize("wrong", ["make nothing", ".venv/bin/kdlib nothing", ".venv/bin/kdlib audit --no", "rm x"])
def test_a_command_that_does_not_exist_is_found(wrong):
    with pytest.raises(AssertionError):
        check(wrong)


def test_the_small_environment_has_the_locks_versions_and_no_torch():
    needs = [Requirement(line) for line in (ROOT / ".binder" / "requirements.txt").read_text().splitlines()]
    assert all(str(need.specifier) == f"=={LOCK[canonicalize_name(need.name)]}" for need in needs)
    assert not {need.name for need in needs} & {"torch", "torchvision"}


def test_the_dev_container_has_the_environments_packages_but_torch_for_cpus():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert ".devcontainer/environment.yml" in container["onCreateCommand"]
    there = yaml.safe_load((ROOT / ".devcontainer" / "environment.yml").read_text())["dependencies"]
    whole = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert there[-1]["pip"] == [pin for pin in whole if pin.split("==")[0] not in ("torch", "torchvision", "-e .")]
    assert any(need.startswith("pytorch-cpu>=") for need in there[:-1])


@pytest.mark.parametrize("code", [
    "import kdlib.explorer, kdlib.report, kdlib.reading, kdlib.figures",
    "import kdlib.chapter; from kdlib.experiments import trained; from kdlib.experiments.design import Design; "
    "assert trained('04_paradox', Design('laptop')).rows"])
def test_records_chapters_and_the_explorer_need_no_torch(code):
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.modules['torch'] = None; {code}"],
                          env=os.environ | {"KDLIB_FROM_RECORDS": "1"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_copy_without_an_address_links_nowhere():
    assert launch.links(Address()) == {} and "no public address" in launch.markdown(Address())


def test_links_lead_to_the_address_that_is_set():
    on_github = launch.links(GITHUB)
    assert list(on_github) == ["Binder", "Colab", "Codespaces", "the code"]
    assert all("someone/a-book" in link for link in on_github.values())
    assert on_github["Colab"].endswith(f"/someone/a-book/blob/main/{launch.COLAB}") and (ROOT / launch.COLAB).exists()
    assert (ROOT / launch.FIRST).exists() and launch.FIRST in on_github["Binder"]
    elsewhere = launch.links(Address("https://git.example.org/a book", "dev"))
    assert list(elsewhere) == ["Binder", "the code"]
    assert "/git/https%3A%2F%2Fgit.example.org%2Fa%20book/dev" in elsewhere["Binder"]


def test_the_files_that_repeat_the_address_have_the_one_that_is_set():
    for name, text in launch.written().items():
        assert (ROOT / name).read_text() == text


def test_an_address_is_set_in_one_place_and_taken_away_again(tmp_path):
    for name in ("_config.yml", launch.CITATION, launch.COLAB):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before, config = launch.written(tmp_path), (tmp_path / "_config.yml").read_text()
    (tmp_path / "_config.yml").write_text(f"{config}\nrepository: {{url: {GITHUB.url}, branch: main}}\n")
    assert launch.address(tmp_path) == GITHUB
    for name, text in launch.written(tmp_path).items():
        assert GITHUB.url in text
        (tmp_path / name).write_text(text)
    assert yaml.safe_load((tmp_path / launch.CITATION).read_text())["repository-code"] == GITHUB.url
    (tmp_path / "_config.yml").write_text(config)
    assert launch.written(tmp_path) == before


def test_colabs_notebook_shows_the_records():
    notebook = nbformat.read(ROOT / launch.COLAB, 4)
    nbformat.validate(notebook)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    told: dict = {}
    for source in code[2:4]:  # the first two fetch and set up, the last starts papermill
        *lines, last = source.strip().split("\n")
        exec("\n".join(lines), told)
        told["last"] = eval(last, told)
        assert len(told["last"]) > 2 if "groupby" in last else told["last"].to_dict()["datasets"]["runs"]
    assert code[-1].split()[1] in (path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_no_file_of_a_hidden_folder_is_taken_for_a_page_of_the_book():
    excluded = Matcher(yaml.safe_load((ROOT / "_config.yml").read_text())["exclude_patterns"])
    assert excluded(launch.COLAB) and excluded(".venv/lib/package/README.md")
    assert not excluded("book/launch.md") and not excluded("book/executed/00_answer.ipynb")
