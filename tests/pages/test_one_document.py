"""All pages as one document, for paper: what has the same name on each does not get mixed up."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from bs4.element import Tag

from tools.paper.one_document import document

PAGE = """<html lang="en"><head><meta property="og:site_name" content="Course"></head><body>
<nav class="sidebar-tree"><a href="01_one.html">One</a><a href="02_two.html">Two</a></nav>
<article><section id="top"><h1 id="title">Title<a class="headerlink" href="#top">#</a></h1>
<section id="part"><h2>Part</h2>
<svg><defs><clipPath id="clip"></clipPath></defs><g clip-path="url(#clip)"></g>
<g style="fill: url(#clip)"></g><use href="#clip"></use></svg>
<p aria-labelledby="title part">{text}</p><script>1</script></section></section></article>
<div class="copyright">c</div><p class="licence">l</p></body></html>"""


def joined(folder: Path, text: str = "") -> BeautifulSoup:
    for name in "index", "01_one", "02_two":
        (folder / f"{name}.html").write_text(PAGE.format(text=text))
    return BeautifulSoup(document(folder), "html.parser")


def only(within: Tag, selector: str) -> Tag:
    (found,) = within.select(selector)
    return found


def test_pages_do_not_disturb_each_other(tmp_path: Path) -> None:
    """What has the same name on every page is found on its own page."""
    result = joined(tmp_path)
    for name in "01_one", "02_two":
        section = only(result, f"section.page[id='{name}']")
        assert only(section, "clippath")["id"] == f"{name}--clip"
        first, second = section.select("svg > g")
        assert first["clip-path"] == f"url(#{name}--clip)"
        assert second["style"] == f"fill: url(#{name}--clip)"
        assert only(section, "use")["href"] == f"#{name}--clip"
        assert only(section, "p")["aria-labelledby"] == f"{name}--title {name}--part"
        assert section.select("script, .headerlink") == []
    assert [h1.text for h1 in result.select("h1")] == ["Title", "Title", "Title"]
    assert [a["href"] for a in result.select(".paper-contents a")] == [
        "#index--part",
        "#01_one",
        "#01_one--part",
        "#02_two",
        "#02_two--part",
    ]


def test_links_between_pages(tmp_path: Path) -> None:
    links = {
        "#part": "#02_two--part",
        "01_one.html": "#01_one",
        "01_one.html#part": "#01_one--part",
        "https://example.org/01_one.html#part": "https://example.org/01_one.html#part",
        "_modules/one.html#part": None,
        "genindex.html": None,
    }
    result = joined(tmp_path, "".join(f'<a href="{href}">{href}</a>' for href in links))
    last = result.select("section.page p")[-1]
    assert [a["href"] for a in last.select("a")] == [to for to in links.values() if to]
    assert last.text == "".join(links)  # what leads out of the document is still to be read


@pytest.mark.parametrize(
    "text",
    ['<a href="01_one.html#no">x</a>', '<i id="part">x</i>', '<i aria-labelledby="no">x</i>'],
)
def test_an_id_that_is_not_there_or_twice_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"--(no|part)"):
        joined(tmp_path, text)


def test_a_line_too_long_for_any_size_is_folded(tmp_path: Path) -> None:
    """It alone, and not a letter of it is lost."""
    long = "<b>word</b> " * 40
    result = joined(tmp_path, f"<pre>first\n{long}\n<i>third</i>\n</pre><pre>{'x' * 90}</pre>")
    code, other = result.select("section.page pre")[-2:]
    assert [line.text for line in code.select(".folded")] == ["word " * 40]
    assert code.text.split() == ["first", *["word"] * 40, "third"]
    assert (code["style"], other["style"]) == ("--columns: 5", "--columns: 90")
