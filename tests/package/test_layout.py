"""The package's own promises: rooms, extras, names."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import companion
from companion.records.kinds import KINDS
from tests.package.running import python

PACKAGE = Path(companion.__file__).parent
ROOMS = {
    name: int(floor)
    for floor, name in re.findall(r"^(\d)\. `([\w/]+)`: ", companion.__doc__ or "", re.M)
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The room that a file is in, or its own name on top of the package."""
    return room_of(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(parts: Sequence[str]) -> str:
    """The innermost room on the way to a module."""
    inner = "/".join(parts[:2])
    return inner if inner in ROOMS else parts[0]


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            one = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            one = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in one if name.partition(".")[0] == "companion")


def test_the_rooms_are_those_that_the_docstring_names() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    rooms = {name for name in ROOMS if "/" not in name}
    assert entries == {*rooms, "__init__.py", "__main__.py", "py.typed"}
    assert all((PACKAGE / name).is_dir() for name in ROOMS)
    assert len(entries) <= 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_only_downward(path: Path) -> None:
    mine = room(path)
    for name in imported(path):
        other = room_of(name.split(".")[1:]) if "." in name else ""
        if mine in ROOMS and other != mine:
            assert other in ROOMS, f"{path.name} imports {name}"
            assert ROOMS[other] < ROOMS[mine], f"{path.name} imports {name}"


def test_there_are_no_circles() -> None:
    names = {
        ".".join(("companion", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in FILES
    }
    order = TopologicalSorter(
        {
            name: {other for other in imported(path) if other in names and other != name}
            for name, path in names.items()
        }
    )
    order.prepare()  # raises CycleError


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_trace_is_the_function() -> None:
    assert importlib.util.find_spec("companion.trace") is None
    assert callable(companion.trace)


def test_public_names_are_documented() -> None:
    for name in companion.__all__:
        assert getattr(companion, name).__doc__, name


def test_the_docstring_of_event_names_every_kind() -> None:
    attributes = inspect.cleandoc(companion.Event.__doc__ or "").partition("name: ")[0]
    assert set(re.findall(r'"([a-z -]+)"', attributes)) == {*KINDS}


def test_importing_needs_torch_alone(tmp_path: Path) -> None:
    code = (
        "import sys, companion\n"
        "optional = {'matplotlib', 'torchvision', 'sklearn', 'IPython'} & set(sys.modules)\n"
        "assert not optional, optional"
    )
    python(tmp_path, "-c", code).well()


@pytest.mark.parametrize(
    ("missing", "call", "message"),
    [
        ("sklearn", "digits()", 'digits() needs sklearn: pip install "training-routine[data]"'),
        ("torchvision", "digits()", "digits() needs torchvision: pip install"),
        ("torchvision", "cifar10('x')", "cifar10() needs torchvision: pip install"),
        ("matplotlib", "course_style()", "course_style() needs matplotlib: pip install"),
        ("matplotlib", "Trace('n').plot()", 'plot() needs matplotlib: pip install "training-r'),
    ],
)
def test_a_missing_extra_is_named(
    missing: str, call: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)  # Python's own way to say "not installed"
    with pytest.raises(ImportError) as caught:
        eval(call, vars(companion).copy())
    assert message in str(caught.value)


def test_a_broken_module_raises_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from companion.course.extras import require

    (tmp_path / "broken_module.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        require("broken_module", extra="plot", purpose="a test")
