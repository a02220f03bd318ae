"""The page of a run: one HTML file that asks nothing of a network."""

from __future__ import annotations

import base64
import functools
from typing import Any

import numpy as np

from adgm_tf.analysis import page_sections, plots
from adgm_tf.analysis.page_content import PageContent


def page(content: PageContent) -> str:
    """Returns the page as HTML in ASCII: pictures are inside, whatever comes from data is escaped."""
    html = _template().render(content=content, tiles=page_sections.tiles(content),
                              sections=page_sections.sections(content))
    # Any reader of the file, whatever its encoding, shows the same.
    return html.encode("ascii", "xmlcharrefreplace").decode()


@functools.cache
def _template() -> Any:
    import jinja2
    environment = jinja2.Environment(loader=jinja2.PackageLoader("adgm_tf.analysis", "."), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"text": page_sections.text, "uri": _uri}
    return environment.get_template("page.html.jinja")


def _uri(picture: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(plots.png(picture)).decode()
