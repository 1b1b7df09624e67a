"""The interactive page computes what the reference does, in a real browser."""

import html
import json
import math
import re
import shutil
from pathlib import Path

import pytest
from browser import content
from generator import interactive, javascript
from generator.docstrings import formula, made
from variants import VARIANTS

from accelsched import reference

STATIC = Path(__file__).parents[2] / "docs" / "_static"
CASES = [made(cls) for cls in interactive.CLASSES]
CASES += [schedule for schedule in VARIANTS if type(schedule) in interactive.CLASSES]
STEPS = [*range(130), *range(130, 400, 7), 1000]
PAGE = """<!doctype html><script src="schedules.js"></script><script src="formulas.js"></script>
<pre></pre><script>
const values = %s.map((schedule) => %s.map(evaluated(schedule)));
document.querySelector("pre").textContent = JSON.stringify(values);
</script>"""


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Return, for each case, the values that a browser computes at the steps."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in interactive.scripts():
        (folder / name).write_text(text)
    shutil.copy(STATIC / "formulas.js", folder)
    data = json.dumps([interactive.as_data(schedule) for schedule in CASES])
    (folder / "page.html").write_text(PAGE % (data, STEPS))
    found = re.search(r"<pre>(.*?)</pre>", content((folder / "page.html").as_uri()), re.DOTALL)
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: repr(CASES[case])[:60])
def test_a_browser_computes_the_reference(computed, case):
    want = [reference.value(CASES[case], step) for step in STEPS]
    # The formula of a docstring cancels where a value nears 0, so test_docstrings.py allows 16 ulps
    # of the largest value. JavaScript's cosines, logarithms and powers are each off by one more.
    allowed = 20 * math.ulp(max(map(abs, want)))
    assert computed[case] == pytest.approx(want, rel=0, abs=allowed)


def test_every_schedule_without_a_function_is_on_the_page():
    names = {cls.__name__ for cls in interactive.ALL} - {
        cls.__name__ for cls in interactive.CLASSES
    }
    assert names == {"Lambda", "Tabulated"}


@pytest.mark.parametrize(
    "text", ["value = [*t][0:1]", "value = t @ t", "assert t", "value = t.x(y=1)"]
)
def test_what_is_not_translated_is_refused(text):
    with pytest.raises((javascript.Untranslated, KeyError)):
        javascript.function(text, ["t"])


def test_a_name_that_javascript_reserves_is_another():
    made = javascript.function("value = sum(new(t) for new in default)", ["default"])
    assert made == (
        "(t, {default_}) => { let value; "
        "value = python.sum(default_.map((new_) => new_(t))); return value; }"
    )


def test_division_is_that_of_python():
    text = javascript.function("k = t // n\nvalue = k % 2 - -t ** 2", ["n"])
    assert "python.quotient(t, n)" in text and "(-Math.pow(t, 2))" in text
    assert formula(interactive.CLASSES[0]) not in text
