"""The picture of inputs on the first page."""

import re

import numpy as np
import pytest

from kdlib import examples
from kdlib.catalog import data_set
from kdlib.data import DataError


def test_the_signals_of_the_first_page_are_those_that_the_generator_draws():
    picture = examples.PICTURE.read_text(encoding="utf-8")
    for digit, signal in zip(examples.DIGITS, examples.first_of("mnist1d", examples.DIGITS, 1000)[:, 0], strict=True):
        [path] = re.findall(rf'<g id="signal-{digit}">\s*<path d="([^"]*)"', picture)
        x, y = np.array(re.findall(r"-?[0-9.]+", path), dtype=float).reshape(-1, 2).T
        assert len(x) == data_set("mnist1d").inputs.shape[-1] and (np.diff(x) > 0).all()
        np.testing.assert_allclose((y.mean() - y) / y.std(), (signal - signal.mean()) / signal.std(), atol=1e-3)


def test_the_photographs_of_the_first_page_have_the_names_of_their_classes():
    names = re.findall("<!-- (.*?) -->", examples.PICTURE.read_text(encoding="utf-8"))
    shown = [name.replace("_", " ") for name in examples.THINGS]
    assert [name for name in names if name in shown] == shown
    assert set(examples.THINGS) <= set(data_set("cifar100").names)


def test_a_machine_without_the_photographs_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match="cifar100"):
        examples.draw()
