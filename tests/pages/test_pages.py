"""Every page escapes names, loads no other file, and has the disclaimer in its footer."""

from __future__ import annotations

import base64
import gzip
import re
from html.parser import HTMLParser

import pytest
from plotly.graph_objects import Bar, Figure
from plotly.offline import get_plotlyjs
from sample_pages import PAGES

from spondylo_ml.pages.plotly_library import CHART_TYPE, chart_html, plotly_library

NAME = "<script>alert('name')</script><b>"


class TagCollector(HTMLParser):
    """Collects the start tags of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("kind", PAGES)
def test_a_name_with_markup_is_shown_as_text(kind: str) -> None:
    page = PAGES[kind](NAME)
    assert NAME not in page
    assert "alert('name')" not in page.replace("\\u003c", "<").replace("\\u003e", ">").split("</script>")[-1]
    assert "&lt;script&gt;alert(&#39;name&#39;)&lt;/script&gt;&lt;b&gt;" in page
    without_charts = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert "<b>" not in re.sub(r"<b>[^<]*</b>", "", without_charts)


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_loads_no_other_file(kind: str) -> None:
    collector = TagCollector()
    collector.feed(PAGES[kind]("plain"))
    assert {tag for tag, _ in collector.tags} >= {"html", "title", "style", "main", "footer"}
    sources = [
        attributes.get(name) for _, attributes in collector.tags for name in ("src", "href") if name in attributes
    ]
    assert all(source is not None and source.startswith(("data:", "#")) for source in sources)
    assert "link" not in {tag for tag, _ in collector.tags}


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_has_the_disclaimer_in_its_footer(kind: str) -> None:
    (footer,) = re.findall(r"<footer>(.*?)</footer>", PAGES[kind]("plain"), re.S)
    assert "ot a medical device" in footer


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_is_small(kind: str) -> None:
    assert len(PAGES[kind]("plain").encode()) < 3_000_000


def test_the_library_of_charts_is_packed_without_loss() -> None:
    (packed,) = re.findall(r'atob\("(.*?)"\)', plotly_library())
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()


def test_charts_wait_for_their_library() -> None:
    chart = chart_html(Figure(Bar(x=[1], y=[2])))
    assert re.findall(r"<script[^>]*>", chart) == [f'<script type="{CHART_TYPE}">']
    assert f'script[type="{CHART_TYPE}"]' in plotly_library()
