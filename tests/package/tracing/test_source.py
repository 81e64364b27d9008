"""Lines of a file, cut into statements."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from companion.tracing.code.source import Source

CODE = '''
    # 2
    x = [
        1,
        2,
    ]  # 6

    for i in range(
        2
    ):
        # about the body
        y = (i
             + 1)

    @staticmethod
    def f(a,
          b):
        """Text."""
        return a

    with open(__file__) as one, \\
            open(__file__) as two:
        pass
    if x: y = 1; z = """
    two lines"""
    match x:
        case [1,
              2]:
            y = 2
        case _:
            pass
    try:
        y = 3
    except (ValueError,
            TypeError) as error:
        raise
    else:
        y = 4
    if x: y = 5
    else:
        y = 6
    def f():
        return \"\"\"
    left
    \"\"\"
'''


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "code.py"
    path.write_text(textwrap.dedent(CODE) + "source = __import__('sys')._getframe()\n")
    namespace = {"__file__": str(path), "__name__": "code"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    return Source(namespace["source"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "first", "last", "text"),
    [
        (4, 3, 6, "x = [\n    1,\n    2,\n]  # 6"),
        (9, 8, 11, "for i in range(\n    2\n):"),
        (13, 12, 13, "y = (i\n     + 1)"),
        (16, 15, 17, "@staticmethod\ndef f(a,\n      b):"),
        (22, 21, 22, "with open(__file__) as one, \\\n        open(__file__) as two:"),
        (25, 24, 25, 'if x: y = 1; z = """\ntwo lines"""'),
        (26, 26, 26, "match x:"),
        (28, 27, 28, "case [1,\n      2]:"),
        (29, 29, 29, "y = 2"),
        (32, 32, 32, "try:"),
        (35, 34, 35, "except (ValueError,\n        TypeError) as error:"),
        (38, 38, 38, "y = 4"),
        (39, 39, 39, "if x: y = 5"),
        (41, 41, 41, "y = 6"),
        (43, 43, 45, 'return """\nleft\n"""'),
    ],
)
def test_statements(source: Source, line: int, first: int, last: int, text: str) -> None:
    statement = source.at(line)
    assert (statement.first, statement.last, statement.text) == (first, last, text)
    assert source.at(first) is source.at(last) is statement


def test_indentation_is_kept_apart(source: Source) -> None:
    assert source.at(12).indent == 4
    assert source.at(3).indent == 0


def test_lines_between_statements(source: Source) -> None:
    assert source.at(37).text == ""  # "else:" never runs by itself
    assert source.at(37) is source.at(37)


def test_no_source() -> None:
    namespace: dict[str, object] = {"sys": sys}
    exec("\nframe = sys._getframe()", namespace)
    source = Source(namespace["frame"])  # type: ignore[arg-type]
    assert source.name == "<string>"
    assert source.at(2).text == ""
    assert (source.at(2).first, source.at(2).last) == (2, 2)


def test_source_that_is_no_python(tmp_path: Path) -> None:
    """A file that was changed while its old code still runs."""
    path = tmp_path / "code.py"
    path.write_text("half a ( statement\n")
    namespace: dict[str, object] = {"sys": sys}
    exec(compile("frame = sys._getframe()", str(path), "exec"), namespace)
    assert Source(namespace["frame"]).at(1).text == "half a ( statement"  # type: ignore[arg-type]
