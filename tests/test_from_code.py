"""The pages that are made of the code: the commands, and the docstrings with their examples."""

import doctest
import importlib
import re
import sys

import typer.main

import kdlib
import kdlib.results
import kdlib.spec
import kdlib.stats
from kdlib.cli import app
from kdlib.paths import project_root

sys.path.insert(0, str(project_root() / "book" / "_ext"))
import from_code

PAGE = (project_root() / "book" / "api.md").read_text()
SHOWN = re.findall(r"^\.\. auto(module|function|class):: (\S+)", PAGE, re.M)
MODULES = sorted({name if what == "module" else name.rpartition(".")[0] for what, name in SHOWN})


def commands_of(command, name):
    """Every command that can be called, with its parameters."""
    if hasattr(command, "commands"):
        for under, one in command.commands.items():
            yield from commands_of(one, f"{name} {under}")
    else:
        yield name, command.params


def test_the_page_of_commands_has_every_command_argument_and_option():
    sections = {part.split("`")[1]: part for part in re.split(r"^#+ (?=`)", from_code.commands(), flags=re.M)[1:]}
    there = dict(commands_of(typer.main.get_command(app), "kdlib"))
    assert len(there) >= 15 and there.keys() <= sections.keys()
    for name, parameters in there.items():
        for parameter in parameters:
            spelled = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
            assert f"* `{spelled}" in sections[name], f"{name} {spelled}"


def test_what_import_kdlib_gives_is_on_the_page():
    for name, module in kdlib._PUBLIC.items():
        members = re.search(rf"auto\w+:: {re.escape(module)}\n   :members:(.*)", PAGE)
        assert f"{module}.{name}" in [n for _, n in SHOWN] or (members and name in re.split(r"[ ,]+", members[1]))


def test_the_examples_on_the_page_are_true():
    found = {module: doctest.testmod(importlib.import_module(module)) for module in MODULES}
    assert not any(failed for failed, _ in found.values())
    assert {m for m, (_, tried) in found.items() if tried} >= {"kdlib.losses", "kdlib.metrics", "kdlib.reading",
                                                              "kdlib.spec", "kdlib.stats"}


def test_a_docstring_of_the_library_becomes_restructured_text():
    def distil(teacher, factor):
        pass

    lines = ["|a - b| of `Claim`, `Part`s and *what* `|a|` is.", "", "teacher: a_net", "    or *two*",
             "factor: 2", "other: no", ">>> 2 * 3"]
    from_code.restructured(None, "function", "distil", distil, None, lines)
    assert lines == [r"\|a - b\| of `Claim`, `Part`\ s and \*what\* `|a|` is.", "", r":param teacher: a\_net",
                     r"    or \*two\*", ":param factor: 2", "other: no", ">>> 2 * 3"]


def test_a_signature_names_fields_and_defaults_and_no_bounds():
    def shown(thing):
        return from_code.signature(None, "class", thing.__name__, thing, None, "", None)[0]

    assert re.fullmatch(r"\(key, spec, metrics, .*, weights=None\)", shown(kdlib.results.Record))
    assert shown(kdlib.spec.Data) == "(*, name='mnist1d', trial, train, test, split=None)"
    assert from_code.signature(None, "class", "Estimate", kdlib.stats.Estimate, None, "", None) is None
