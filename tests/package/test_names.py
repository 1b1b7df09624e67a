"""The names that the gallery lists for other libraries exist in those libraries."""

import inspect
import re

import pytest
from generator.docstrings import CLASSES
from generator.names import LIBRARIES, NAMES

from accelsched import lr_scheduler

#: The module with the names of each library that is installed here.
MODULES = {
    "torch": "torch.optim.lr_scheduler",
    "optax": "optax",
    "transformers": "transformers",
    "Cerebras": "accelsched.lr_scheduler",
}


def test_they_are_of_schedules_and_of_libraries_that_there_are():
    assert set(NAMES) <= {cls.__name__ for cls in CLASSES}
    for names in NAMES.values():
        assert list(names) == [library for library in LIBRARIES if library in names]


@pytest.mark.parametrize("library", MODULES)
def test_a_library_has_the_names_and_the_arguments(library):
    module = pytest.importorskip(MODULES[library], reason="`make test` has all of them")
    given = [names[library] for names in NAMES.values() if library in names]
    assert given
    for text in given:
        name, argument = re.fullmatch(r"(\w+)(?:\((\w+)=.*\))?", text).groups()
        found = getattr(module, name)
        assert argument is None or argument in inspect.signature(found).parameters


def test_every_scheduler_of_cerebras_is_the_nearest_of_a_schedule():
    named = {names["Cerebras"] for names in NAMES.values() if "Cerebras" in names}
    # The base class, and names from torch and transformers.
    others = {"ChainedScheduler", "GreedyLR", "LRScheduler", "ReduceLROnPlateau"}
    assert named | others == set(lr_scheduler.__all__)
