import re
import tomllib

import pytest

from kdlib.paths import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = PROJECT["dependencies"] + [pin for extra in PROJECT["optional-dependencies"].values() for pin in extra]


@pytest.mark.parametrize("pin", PINS)
def test_pyproject_lock_and_conda_agree(pin):
    assert re.fullmatch(r"[\w-]+==[\w.]+", pin), "direct dependencies have exact versions"
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    lock = {line.split(" ")[0].lower().replace("_", "-") for line in lines}
    assert pin.lower() in lock
    assert f"- {pin}\n" in (ROOT / "environment.yml").read_text()


def test_the_lock_has_no_addresses():
    assert not re.search(r"https?:|file:| @ ", (ROOT / "requirements.lock").read_text())
