"""The site's build catches a schedule without a picture and an undescribed public name."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from generator.docstrings import made

from accelsched.schedules import Constant

reference = pytest.importorskip("generator.reference", reason="Sphinx is not installed")


@dataclass(frozen=True)
class Undescribed(Constant):
    """A constant without an example."""


def test_a_schedule_needs_an_example_to_have_a_picture():
    with pytest.raises(LookupError, match="Undescribed has no example"):
        made(Undescribed)


def environment(names):
    objects = dict.fromkeys(names)
    return SimpleNamespace(domains={"py": SimpleNamespace(objects=objects)})


@pytest.fixture
def warned(monkeypatch):
    """Return the list of public names that the build reports as undescribed."""
    found = []
    log = SimpleNamespace(warning=lambda text, *values: found.append(values[0]))
    monkeypatch.setattr(reference.logging, "getLogger", lambda _: log)
    return found


def test_every_public_name_needs_a_place_and_so_does_each_method(warned):
    reference.require_all_documented(None, environment([]))
    everything = list(warned)
    for name in (
        "accelsched.Scheduler",
        "accelsched.Scheduler.begin_decay",
        "accelsched.check",
        "accelsched.schedules.Linear",
        "accelsched.schedules.Steps",
        "accelsched.lr_scheduler.LinearLR",
        "accelsched.policy.Multiply",
    ):
        assert name in everything
    # A name is described in one place, and an inherited method with its base class.
    assert not {"accelsched.scheduler.Scheduler", "accelsched.lr_scheduler.LinearLR.step"} & {
        *everything
    }
    warned.clear()
    reference.require_all_documented(None, environment(everything[1:]))
    assert warned == everything[:1]
