from kdlib import catalog
from kdlib.catalog import SIGNAL


def test_only_inputs_that_never_change_keep_their_labels():
    assert [kind for kind in catalog.INPUTS if kind.fixed("baseline")] == [SIGNAL, catalog.DIGIT, catalog.TEXT]
    assert not any(kind.fixed("mixup") for kind in catalog.INPUTS)
