"""The site that `make docs` builds: pictures, links, and the interactive page in a real browser."""

import html
import json
import re
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urlsplit

import pytest
import torch
from browser import content
from generator import interactive
from generator.docstrings import CLASSES

from accelsched.schedules import CosineDecay, Cyclic, Linear, MultiStep


class Page(HTMLParser):
    """The addresses that a page links to or loads, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.anchors = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        self.addresses |= {given[name] for name in ("href", "src") if given.get(name)}


def html_of(site):
    """Return all pages, but not the HTML template among the theme's static files."""
    return [path for path in site.rglob("*.html") if "_static" not in path.parts]


def test_every_schedule_has_a_picture_on_its_page_and_in_the_gallery(site):
    gallery = (site / "gallery" / "index.html").read_text()
    for cls in CLASSES:
        page = (site / "gallery" / f"{cls.__name__}.html").read_text()
        assert re.search(r'<polyline points="[^"]+ [^"]+"', page), cls
        link = re.search(rf'<a href="{cls.__name__}.html"><svg.*?</svg>', gallery)
        assert link and "<polyline" in link[0], cls


def test_no_page_shows_an_address_in_memory(site):
    for path in (site / "gallery").glob("*.html"):
        assert " at 0x" not in path.read_text(), path


def test_no_link_inside_of_the_site_is_broken(site):
    pages = {path: Page(path.read_text()) for path in html_of(site)}
    assert len(pages) > len(CLASSES)
    broken = []
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {parts.fragment}
            # The interactive page parses its fragment as data.
            known = not parts.fragment or parts.fragment in anchors or target.stem == "interactive"
            if not target.exists() or not known:
                broken.append(f"{path.relative_to(site)}: {address}")
    assert not broken


def test_nothing_is_fetched_from_elsewhere(site):
    """A link may lead out of the site; a script, a style sheet, a font or a picture may not."""
    for path in html_of(site):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', path.read_text())
        loaded += re.findall(
            r'<link[^>]* rel="(?:stylesheet|preload)"[^>]* href="([^"]+)"', path.read_text()
        )
        assert not [address for address in loaded if urlsplit(address).netloc], path


def test_a_method_is_described_once_with_the_class_that_has_it(site):
    pages = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    assert re.findall(r'<dt [^>]*id="([\w.]+\.begin_decay)"', pages) == [
        "accelsched.Scheduler.begin_decay"
    ]


def test_no_sentence_is_taken_for_a_type(site):
    """Our docstrings name no types, but Sphinx takes text before a colon for one."""
    for folder in ("reference", "gallery"):
        for path in (site / folder).glob("*.html"):
            assert not re.search(r">(Return type|Type)<", path.read_text()), path


WIDTHS = """<!doctype html><pre></pre><script>
const pages = %s, widths = [390, 1280], wide = [];
const frame = document.createElement("iframe");
frame.style.height = "900px";
async function look(page, width) {
  frame.style.width = `${width}px`;
  await new Promise((done) => { frame.onload = done; frame.src = page; });
  const { scrollWidth, clientWidth } = frame.contentDocument.documentElement;
  if (scrollWidth > clientWidth) wide.push(`${page} is ${scrollWidth} wide at ${width}`);
}
(async () => {
  document.body.append(frame);
  for (const page of pages) for (const width of widths) await look(page, width);
  document.querySelector("pre").textContent = JSON.stringify({ looked: pages.length, wide });
})();
</script>"""


def test_no_page_is_wider_than_the_screen_of_a_telephone(site, tmp_path):
    """A wider element, such as a table or a line of code, scrolls within the page."""
    pages = [path.as_uri() for path in html_of(site)]
    probe = tmp_path / "probe.html"
    probe.write_text(WIDTHS % json.dumps(pages))
    found = re.search(r"<pre>(.*?)</pre>", content(probe.as_uri()), re.DOTALL)
    assert json.loads(html.unescape(found[1])) == {"looked": len(pages), "wide": []}


# The interactive page.

SHOWN = [
    Linear(0.0, 0.25, 40),
    Cyclic(0.01, 0.1, 50, 30, "triangular2"),
    MultiStep(0.5, gamma=0.25, milestones=[10, 20, 30]),
    Linear(0.0, 0.1, 8).then(CosineDecay(0.1, 0.0, 92) * 0.5, at=8),
]


@pytest.mark.parametrize("schedule", SHOWN, ids=lambda schedule: type(schedule).__name__)
def test_the_page_shows_the_python_and_the_values_of_its_address(site, schedule):
    state = {"steps": 100, "schedule": interactive.as_data(schedule)}
    page = content(f"{(site / 'interactive.html').as_uri()}#{quote(json.dumps(state))}")
    shown = html.unescape(re.search(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)[1])
    names = {"optimizer": torch.optim.SGD([torch.zeros(1)], lr=1.0)}
    exec(shown, names)
    assert names["schedule"] == schedule and names["scheduler"].schedule == schedule
    cells = re.findall(r"<tr><td>([\d,]+)</td><td>([-\de.]+)</td></tr>", page)
    assert [int(step) for step, _ in cells] == [0, 25, 50, 75, 100]
    for step, value in cells:
        assert float(value) == pytest.approx(schedule(int(step)), rel=5e-6, abs=1e-17)


PROBE = """<!doctype html><iframe id="page" src="%s#Linear"></iframe><pre></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const inner = frame.contentDocument;
  const before = inner.querySelector("polyline").getAttribute("points");
  const [initial, slider] = inner.querySelectorAll("fieldset input");
  initial.value = "0.05";
  initial.dispatchEvent(new Event("input"));
  const after = inner.querySelector("polyline").getAttribute("points");
  const python = inner.querySelector("pre code").textContent;
  const shown = { moved: before !== after, slider: slider.value, python };
  document.querySelector("pre").textContent = JSON.stringify(shown);
};
</script>"""


def test_the_curve_and_the_python_follow_a_number(site, tmp_path):
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE % (site / "interactive.html").as_uri())
    found = re.search(r"<pre>(.*?)</pre>", content(probe.as_uri()), re.DOTALL)
    shown = json.loads(html.unescape(found[1]))
    assert shown["moved"] and float(shown["slider"]) == 0.05
    assert "schedule = Linear(initial=0.05, end=0.1, total_iters=100)" in shown["python"]
