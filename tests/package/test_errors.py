"""An error states early what was given, why it is invalid, and what to write."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accelsched
from accelsched import ArgumentError
from accelsched.errors import WIDTH, Reason, shown

#: One of these verbs begins the instruction.
VERBS = """add build call choose compile compose copy create derive do drop export flatten give
install keep leave load make move omit pass plan read remove return rewrite set start step use wait
write"""
VERB = re.compile(rf"\b({'|'.join(VERBS.split())})\b")
#: The last position of that verb; the argument and value may add 40 letters before it.
BEGINS = 60

numbers = st.integers() | st.floats() | st.integers(2**400, 2**410)
values = st.recursive(
    numbers | st.text() | st.none() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(values)
def test_a_value_is_cut_so_that_the_remedy_is_read(value):
    text = str(ArgumentError("schedule", value, "give another"))
    assert len(text) <= len("schedule=: give another") + WIDTH
    assert text.startswith("schedule=") and text.endswith(": give another")
    if len(repr(value)) <= WIDTH and not isinstance(value, (list, dict, tuple)):
        assert text == f"schedule={value!r}: give another"


def test_a_cut_value_has_both_ends():
    assert shown("a" * 50 + "b" * 50) == f"'{'a' * 15}...{'b' * 16}'"
    assert shown(Reason("whole " * 20)) == "whole " * 20


def remedies():
    """Yield each remedy in the source, with its file and line; inserted values become X."""
    for path in sorted(Path(accelsched.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for text in map(_text, _remedies_of(node)):
                if text is not None:
                    yield pytest.param(text, id=f"{path.stem}:{node.lineno}")


def _remedies_of(node):
    called = isinstance(node, ast.Call) and getattr(node.func, "id", None)
    if called in ("require", "ArgumentError"):
        found = node.args[2 + (called == "require") :]
    elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "remedy":
        found = [node.value]
    else:
        found = []
    for each in found:
        yield from (each.body, each.orelse) if isinstance(each, ast.IfExp) else (each,)


def _text(node):
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        # A remedy that is inserted from elsewhere is checked there.
        names = {getattr(getattr(part, "value", None), "id", "") for part in node.values}
        return None if "remedy" in names else "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) else None


@pytest.mark.parametrize("remedy", list(remedies()))
def test_a_remedy_says_soon_what_to_write(remedy):
    found = VERB.search(remedy)
    assert found and found.start() <= BEGINS
