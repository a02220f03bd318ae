import base64
import dataclasses
import html.parser
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from adgm_tf.analysis import calibration, metrics, page_sections, uncertainty
from adgm_tf.analysis.page import page
from adgm_tf.analysis.page_content import AnsweredRows, PageContent

NASTY = "<script>alert('1')</script> & \"$x$\" {{ 7 * 7 }} https://example.org/a.png"
SECTIONS = ["data", "learning", "errors", "confusion", "calibration", "abstention", "samples", "uncertain", "novel",
            "usage", "options", "circumstances"]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(html.parser.HTMLParser):
    """Checks that elements close, and keeps elements, their attributes and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.words = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(" ".join(data.split()))

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self):
        return " ".join(word for word in self.words if word)


def rows_of(probs, y, **options):
    found = uncertainty.of_samples(probs[None])
    return AnsweredRows(found, novelty=np.linspace(0, 1, len(y)), y=y, **options)


def content(num_classes=3, num=200, images=False, **options):
    random = np.random.default_rng(0)
    names = [NASTY, "$5 or $6", "b" * 300, *(f"class {i}" for i in range(3, num_classes))][:num_classes]
    probs, y = random.dirichlet(np.full(num_classes, 0.3), num), random.integers(0, num_classes, num)
    cells = pd.DataFrame({NASTY: [NASTY] * num, "text": ["word " * 1000] * num, "a hole": [np.nan] * num})
    fields = dict(
        title=NASTY, subtitle=NASTY, class_names=names, data={NASTY: NASTY, "rows": num}, remarks=[NASTY],
        columns=[{"column": NASTY, "kind": "text"}, {"column": "b", "missing": 3}], options={NASTY: (NASTY, None)},
        history=[{"step": s, "set": "train", "loss": 1.0 / s, NASTY: 0.5} for s in (1, 2, 3)],
        errors={NASTY: metrics.summary(probs, y, names)}, counts=metrics.confusion(probs, y),
        calibration=calibration.calibrate(probs, y), calibrated_on=NASTY,
        risk_coverage=uncertainty.risk_coverage(probs, y), abstention=uncertainty.abstention(probs, y, 0.2),
        target_accuracy=0.2, samples={name: random.random((4, 5, 6, 1)) for name in names} if images else {},
        typical=None if images else cells.head(2).set_axis([NASTY, "b"]),
        figures={NASTY: np.zeros((4, 4, 3), np.uint8)},
        rows=rows_of(probs, y, names=[NASTY] * num, images=random.random((num, 5, 6, 1)) if images else None,
                     cells=None if images else cells),
        usage={NASTY: f"adgm.load('{NASTY}')"}, circumstances={"seed": 0, "versions": {NASTY: NASTY}, "gpus": []})
    return PageContent(**{**fields, **options})


@pytest.fixture(scope="module", params=[(3, False), (3, True), (26, False), (26, True), (2, True)])
def whole(request):
    num_classes, images = request.param
    text = page(content(num_classes, images=images))
    return text, Reader(text)


def test_every_section_is_there_and_linked(whole):
    _, read = whole
    assert [s["id"] for s in read.all("section")] == SECTIONS
    assert [a["href"] for a in read.all("a")] == [f"#{name}" for name in SECTIONS]


def test_names_are_text_and_never_markup(whole):
    text, read = whole
    assert not read.all("script")
    assert "<script" not in text
    assert "alert('1')" in read.text
    assert "{{ 7 * 7 }}" in read.text, "what looks like a template is none"


def test_nothing_is_asked_of_a_network(whole):
    text, read = whole
    for _, attributes in read.found:
        for name in ("src", "href", "srcset", "action", "data", "background", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
        assert "url(" not in attributes.get("style", "")
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert not re.search(r"url\(|@import|https?:", styles)
    assert not read.all("link")
    policy, = (m["content"] for m in read.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_pictures_are_pngs_with_words_for_who_cannot_see_them(whole):
    _, read = whole
    images = read.all("img")
    assert len(images) > 5
    for image in images:
        assert image["alt"]
        picture = Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))
        assert picture.format == "PNG"
        assert min(picture.size) >= 4


def test_the_page_is_ascii_and_does_not_depend_on_an_encoding(whole):
    text, _ = whole
    assert text.isascii()
    assert text.startswith("<!DOCTYPE html>")
    assert '<meta charset="utf-8">' in text


def test_an_empty_page_has_no_section_and_no_link():
    read = Reader(page(PageContent("nothing yet")))
    assert read.all("section") == read.all("a") == read.all("img") == []
    assert "nothing yet" in read.text


EMPTY = {f.name: f.default if f.default is not dataclasses.MISSING else f.default_factory()
         for f in dataclasses.fields(PageContent) if f.name != "title"}
FILLS = {"data": ["data", "remarks", "columns"], "learning": ["history"], "errors": ["errors"], "confusion": ["counts"],
         "calibration": ["calibration"], "abstention": ["risk_coverage", "abstention"],
         "samples": ["samples", "typical", "figures"], "uncertain": ["rows"], "novel": ["rows"], "usage": ["usage"],
         "options": ["options"], "circumstances": ["circumstances"]}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_without_content_is_left_out(section):
    without = content(**{name: EMPTY[name] for name in FILLS[section]})
    gone = {other for other, fields in FILLS.items() if set(fields) <= set(FILLS[section])}
    found = [s.name for s in page_sections.sections(without)]
    assert found == [name for name in SECTIONS if name not in gone]
    Reader(page(without))


def test_the_most_uncertain_and_the_most_novel_rows_are_shown():
    probs = np.tile([0.98, 0.02], (50, 1))
    probs[[7, 31]] = [[0.5, 0.5], [0.6, 0.4]]
    y = np.zeros(50, int)
    y[7] = -1
    rows = rows_of(probs, y, names=[f"<{i}>" for i in range(50)])
    sections = {s.name: s.blocks[-1].value["rows"] for s in page_sections.sections(
        PageContent("t", class_names=["yes", "no"], rows=rows))}
    assert [answer["name"] for answer, _ in sections["uncertain"]][:2] == ["<7>", "<31>"]
    assert [answer["name"] for answer, _ in sections["novel"]] == [f"<{i}>" for i in range(49, 39, -1)]
    first, second = (answer for answer, _ in sections["uncertain"][:2])
    assert "true class" not in first["facts"]
    assert second["facts"]["true class"] == "yes"
    assert second["probs"] == [("yes", 0.6), ("no", 0.4)]


def test_bounds_order_rows_of_one_novelty():
    rows = AnsweredRows(uncertainty.of_samples(np.full((1, 4, 2), 0.5)), novelty=np.ones(4),
                bounds=np.array([-5.0, np.nan, -9.0, -1.0]))
    novel = page_sections.sections(PageContent("t", class_names=["a", "b"], rows=rows))[-1].blocks[-1].value["rows"]
    assert [answer["name"] for answer, _ in novel] == ["row 1", "row 2", "row 0", "row 3"]


def test_rows_without_novelty_labels_cells_or_numbers_are_shown():
    found = uncertainty.of_samples(np.array([[[np.nan, np.nan], [0.5, 0.5]]]))
    read = Reader(page(PageContent("t", class_names=["a", "b"], rows=AnsweredRows(found))))
    assert [s["id"] for s in read.all("section")] == ["uncertain"]
    assert "row 1" in read.text
    nothing = AnsweredRows(uncertainty.of_samples(np.ones((1, 0, 2))), novelty=np.ones(0))
    assert page_sections.sections(PageContent("t", class_names=["a", "b"], rows=nothing)) == []


def test_many_columns_and_long_texts_are_cut():
    table = pd.DataFrame(np.arange(300).reshape(2, 150), index=["a", "b"]).add_prefix("column ")
    read = Reader(page(PageContent("t", typical=table)))
    assert "and 138 more" in read.text
    assert "column 11" in read.text
    assert "column 12 " not in read.text
    assert len(page_sections.text("x" * 10**6)) == page_sections.MOST_TEXT


@pytest.mark.parametrize(("value", "shown"), [
    (None, "-"), (np.nan, "-"), (np.float32(np.nan), "-"), ("", "-"), (pd.NA, "-"), (0, "0"), (-3, "-3"),
    (123456, "123,456"), (0.000012345, "1.234e-05"), (np.float32(1.5), "1.5"), (np.int64(7), "7"), (True, "yes"),
    (np.bool_(False), "no"), ([1, 2.5, None], "1, 2.5, -"), ({"a": 1}, "a 1"), ("two\nlines", "two lines"),
    (float("inf"), "inf"), (pd.Timestamp("2020-01-02"), "2020-01-02 00:00:00")])
def test_values_are_shown_as_a_person_writes_them(value, shown):
    assert page_sections.text(value) == shown


def test_abstention_that_keeps_nothing_says_so():
    nothing = uncertainty.Abstention(float("inf"), 0.0, float("nan"), 20)
    read = Reader(page(PageContent("t", abstention=nothing, target_accuracy=0.99)))
    assert "no threshold is high enough on 20 labelled rows" in read.text


def test_a_page_needs_no_tensorflow():
    code = ("import sys\nfrom adgm_tf.analysis import page, page_content\n"
            "page.page(page_content.PageContent('t', data={'a': 1}))\n"
            "print([m for m in ('tensorflow', 'matplotlib.pyplot', 'torch') if m in sys.modules])")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout.strip() == "[]"
