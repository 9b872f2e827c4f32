"""Plotly charts in a page: the library once, compressed, and the charts, which start when it is there.

The library has almost 5 MB, too much to send with every page; compressed it has less than 2 MB.
"""

from __future__ import annotations

import base64
import gzip
from functools import cache
from typing import Any

from markupsafe import Markup

CHART_TYPE = "text/plotly-chart"
_LOADER = """<script>
(async () => {
  if (document.readyState === "loading") await new Promise(ready => addEventListener("DOMContentLoaded", ready));
  // Text and pictures first: compiling the library takes up to a second.
  await new Promise(shown => requestAnimationFrame(() => setTimeout(shown)));
  const packed = atob("%s");
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const library = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const run = code => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
  };
  run(library);
  document.querySelectorAll('script[type="%s"]').forEach(chart => run(chart.textContent));
})();
</script>"""


@cache
def plotly_library() -> Markup:
    """The script that loads the library and then draws the charts of the page."""
    from plotly.offline import get_plotlyjs

    packed = gzip.compress(get_plotlyjs().encode(), mtime=0)
    return Markup(_LOADER % (base64.b64encode(packed).decode(), CHART_TYPE))


def chart_html(figure: Any) -> Markup:
    """A Plotly figure as HTML for a page with the library; Plotly escapes the text in it."""
    options = {"displayModeBar": False, "responsive": True}
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=options)
    return Markup(html.replace("<script>", f'<script type="{CHART_TYPE}">'))
