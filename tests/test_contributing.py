"""The recipes of CONTRIBUTING.md, each applied to a copy of the code and run there."""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kdlib.experiments import PAGES
from kdlib.experiments.claims import CLAIMS
from kdlib.paths import project_root

LAST = list(PAGES)[-1]
NEXT = f"{int(LAST[:2]) + 1:02d}"
PAGE = (project_root() / "CONTRIBUTING.md").read_text()
for word, meant in (("LAST", LAST), ("NN_", f"{NEXT}_"), ("NUMBER", NEXT)):
    PAGE = PAGE.replace(word, meant)
RECIPES = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+?)(?:: (in|after|instead of) \"?(.*?)\"?)?\n(.*?)^```", re.M | re.S)
COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)


def put(file: Path, how: str, where: str, text: str) -> None:
    """Write a new file, or put the text at the end of a table, after a line or in its place."""
    if not how:
        assert not file.exists()
        file.write_text(text)
        return
    lines = file.read_text().splitlines(keepends=True)
    if how == "in":
        start = next(i for i, line in enumerate(lines) if re.match(rf"{where}\b.*[(\[{{]$", line))
        before = after = next(i for i, line in enumerate(lines) if i > start and re.match(r"[)\]}]", line))
    else:
        after = 1 + next(i for i, line in enumerate(lines) if where in line)
        before = after if how == "after" else after - 1
    file.write_text("".join(lines[:before]) + text + "".join(lines[after:]))


def copied(root: Path, *folders: str) -> Path:
    for folder in folders:
        shutil.copytree(project_root() / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("_toc.yml", "pyproject.toml"):
        shutil.copy(project_root() / file, root)
    return root


def follow(name: str, root: Path) -> None:
    """Put every block of a recipe where it belongs."""
    for path, *where, text in BLOCK.findall(RECIPES[name]):
        put(root / path, *where, text)


@pytest.fixture
def done(tmp_path):
    """Apply a recipe to a copy, run its commands there, and give the copy's folder and what they printed."""
    root = copied(tmp_path / "copy", "kdlib", "notebooks", "results")

    def apply(name, first=""):
        follow(name, root)
        (commands,) = COMMANDS.findall(RECIPES[name])
        environment = os.environ | {"PYTHONPATH": str(root), "KDLIB_STORE": str(tmp_path / "store"),
                                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment.pop("KDLIB_FROM_RECORDS", None)
        ran = subprocess.run(["bash", "-euc", first + commands], cwd=root, env=environment, capture_output=True,
                             text=True)
        assert ran.returncode == 0, ran.stderr[-2000:]
        return root, ran.stdout

    return apply


def test_every_block_of_every_recipe_is_applied():
    for text in RECIPES.values():
        assert len(BLOCK.findall(text)) == len(re.findall(r"^```(?:python|yaml)$", text, re.M)) > 0
    assert len(RECIPES) == PAGE.count("\n## ")


def test_what_the_recipes_add_is_in_the_style_of_the_house(tmp_path):
    root = copied(tmp_path / "copy", "kdlib", "notebooks")
    for name in RECIPES:
        follow(name, root)
    check = [sys.executable, "-m", "ruff", "check", "--fix", "--no-cache", "."]
    ran = subprocess.run(check, cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_every_recipe_touches_one_module_and_a_chapter_its_notebook_too():
    touched = {name: {path for path, *_ in BLOCK.findall(text)} for name, text in RECIPES.items()}
    assert touched.pop("A chapter") == {"kdlib/experiments/width.py", f"notebooks/{NEXT}_width.py"}
    assert all(len(paths) == 1 for paths in touched.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A net", "A policy of augmentation"])
def test_a_net_or_a_policy_is_one_file(done, name):
    _, out = done(name)
    first, second = map(float, re.findall(r"[\d.]+", out))  # two trials
    assert 0 < first < 1 and 0 < second < 1


@pytest.mark.slow
def test_a_data_set_is_one_entry_and_its_files(done):
    root, out = done("A data set", first="kdlib data fetch stripes 2>&1 || true\n")
    assert "stripes is stored" in out and "1 runs trained" in out and (root / "stripes.png").is_file()
    assert "without ood (the catalog knows no set whose images are unlike stripes's)" in out
    assert "nobody knows where stripes is to be downloaded" in out


@pytest.mark.slow
def test_a_loss_is_one_file(done):
    _, out = done("A loss")
    assert len([change for change in out.strip().strip("[]").split() if float(change)]) == 2  # in both trials


@pytest.mark.slow
def test_an_optimizer_is_one_file(done):
    _, out = done("An optimizer")
    assert out.count(" student ") == 2 and "6 runs trained" in out


@pytest.mark.slow
def test_a_claim_is_one_entry(done):
    _, out = done("A claim")
    assert re.search(r"^F6  (holds|does not hold|undecided) ", out, re.M) and f"{len(CLAIMS) + 1} claims" in out


@pytest.mark.slow
def test_a_chapter_is_its_module_and_its_notebook(done):
    root, _ = done("A chapter")
    page = (root / "out.ipynb").read_text()
    assert "<td>96</td>" in page and f"papermill notebooks/{NEXT}_width.ipynb" in page


def test_the_way_of_a_run_names_what_there_is():
    names = re.findall(r"`([a-zA-Z_.]+)`", PAGE.split("### The way of a run")[1].split("\n## ")[0])
    assert len(names) > 12
    for name in names:
        assert pkgutil.resolve_name(f"kdlib.{name}".replace("kdlib.Design", "kdlib.experiments.design.Design"))
