"""What exists, by name, and that only the catalog knows it by its name."""

import ast
import re

from kdlib import catalog
from kdlib.catalog import SIGNAL
from kdlib.paths import project_root

NET = re.compile(r"(cnn1d|mlp|lstm|lenet|(resnet|bottleneck|vgg)\d|resnet1d)[-\w]*")


def test_only_inputs_that_never_change_keep_their_labels():
    assert [kind for kind in catalog.INPUTS if kind.fixed("baseline")] == [SIGNAL, catalog.DIGIT, catalog.TEXT]
    assert not any(kind.fixed("mixup") for kind in catalog.INPUTS)


def test_no_module_names_a_data_set_or_a_net_but_the_catalog_and_the_settings_of_profiles():
    top = project_root() / "kdlib"
    naming = {}
    for path in top.glob("**/*.py"):
        names = [node.value for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        naming[path.relative_to(top)] = {name for name in names if name in catalog.DATA_SETS or NET.fullmatch(name)}
    found = {str(path): names for path, names in naming.items() if names and path.parent.name != "profiles"}
    assert found.pop("catalog.py") >= set(catalog.DATA_SETS) and found == {}
