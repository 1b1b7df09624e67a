"""Any invalid spec raises one ArgumentError, quickly."""

import difflib

import pytest
import yaml
from binding import optimizer
from spec_fuzz import TEXTS, VALID, broken_specs, broken_texts

from accelsched import ArgumentError, from_spec
from accelsched._interop.bounds import MAX_DEPTH, MAX_NODES
from accelsched.schedules import Constant

CHUNKS = pytest.mark.parametrize("seed", range(4))

# An int above 1 for a learning rate causes a warning; some broken specs contain one.
pytestmark = pytest.mark.filterwarnings("ignore:.*a learning rate of")


def outcome(given, opt=None):
    """Return whether a spec is accepted; if not, check that the ArgumentError is short."""
    try:
        from_spec(given, opt)
    except ArgumentError as error:
        assert 20 < len(str(error)) < 700
        return False
    return True


@CHUNKS
def test_a_broken_spec_is_taken_or_refused(seed):
    taken = [outcome(spec) for spec in broken_specs(1500, seed)]
    assert 20 < sum(taken) < 1000  # some of the changes leave a spec valid


@CHUNKS
def test_a_broken_expression_is_taken_or_refused(seed):
    taken = [outcome(text) for text in broken_texts(1000, seed)]
    assert 20 < sum(taken) < 800


def test_a_broken_spec_of_an_optimizer_is_taken_or_refused():
    taken = [outcome(spec, optimizer()) for spec in broken_specs(300, 9)]
    assert sum(taken) > 5


def test_what_the_strategies_break_is_valid():
    assert all(outcome(given) for given in (*VALID, *TEXTS))


# Data that is larger than its file.

BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + below] * 9)}]\n"
    for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_an_anchor_bomb_is_refused():
    """387 million numbers in 600 bytes."""
    bomb = yaml.safe_load(BOMB)["i"]
    for spec in (bomb, {"Sequential": {"schedules": bomb, "milestones": []}}, {"Linear": bomb}):
        with pytest.raises(ArgumentError, match=rf"more than {MAX_NODES:,} nodes"):
            from_spec(spec)


def test_a_spec_within_itself_is_refused():
    spec = yaml.safe_load("&a {Scaled: {schedule: *a, factor: 2.0}}")
    with pytest.raises(ArgumentError, match="nested deeper"):
        from_spec(spec)
    spec = yaml.safe_load("&a {Sum: {schedules: [*a, *a]}}")
    with pytest.raises(ArgumentError, match="nodes"):
        from_spec(spec)


def scaled(times):
    spec = {"Constant": {"value": 0.5}}
    for _ in range(times):
        spec = {"Scaled": {"schedule": spec, "factor": 1.0}}
    return spec


def test_depth_is_bounded():
    assert from_spec(scaled(MAX_DEPTH // 2 - 2))(0) == 0.5
    for times in (MAX_DEPTH, 5000):
        with pytest.raises(ArgumentError, match=f"nested deeper than {MAX_DEPTH} levels"):
            from_spec(scaled(times))


@pytest.mark.parametrize(
    "text",
    [
        "Constant(1)" + ".then(Constant(1), at=5)" * 5000,
        "Constant(1)" + " + 1" * 50_000,
        "-" * 100_000 + "1",
        "[" * 150 + "]" * 150,
    ],
    ids=lambda text: text[:20],
)
def test_a_deep_expression_is_refused(text):
    with pytest.raises(ArgumentError, match=r"nested too deeply|give a schedule"):
        from_spec(text)


def test_many_right_names_look_for_no_nearest(monkeypatch):
    def fails(*_, **__):
        raise AssertionError("asked for the nearest name of a right one")

    monkeypatch.setattr(difflib, "get_close_matches", fails)
    for given in (*VALID, *TEXTS):
        from_spec(given)


# What the error says.


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (10**400, r"value=2\*\*1328 and more: give a finite number"),
        (-(10**5000), r"value=-2\*\*16609 and more: give"),
        ("x" * 10_000, r"value='x{15}\.\.\.x{16}': give a number"),
        ([[[[[[1]]]]]], r"value=\[\[\[\[\[\.\.\.\]\]\]\]\]: give a number"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) else "int",
)
def test_a_long_value_is_cut(value, shown):
    with pytest.raises(ArgumentError, match=shown):
        Constant(value)
