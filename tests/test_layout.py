"""The package's own promises: floors, extras, names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import companion

PACKAGE = Path(companion.__file__).parent
FLOORS = [
    {
        *("_extras", "_libraries", "_objects", "_raised", "_visible"),
        *("budget", "memory", "wall", "writes"),
    },
    {"_frames", "_parse", "findings", "graphs", "modules", "optim", "models", "data", "steps"},
    {"probes", "source", "syntax"},
    {"packs", "records", "watched"},
    {"events", "ledger", "render", "saving", "seen", "structure", "tree", "variables"},
    {"calls", "measure", "place", "rules"},
    {"diagnosis", "follow"},
    {"trace"},
    {"scout"},
    {"starting"},
    {"__init__", "__main__"},
]


def module(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if name in names)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_imports_go_only_downward(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        imported = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            imported = [node.module or ""]
        elif isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        for name in imported:
            if name.startswith("companion."):
                other = name.split(".")[1]
                within = module(path) == other and other in ("render", "optim", "rules")
                assert within or floor(other) < floor(module(path)), f"{path.name} imports {name}"


def test_every_module_has_a_floor() -> None:
    assert {module(path) for path in PACKAGE.rglob("*.py")} == set().union(*FLOORS)


def test_public_names_are_documented() -> None:
    for name in companion.__all__:
        assert getattr(companion, name).__doc__, name


def test_importing_needs_torch_alone() -> None:
    code = (
        "import sys, companion\n"
        "optional = {'matplotlib', 'torchvision', 'sklearn', 'IPython'} & set(sys.modules)\n"
        "assert not optional, optional"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


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
    from companion._extras import require

    (tmp_path / "broken_module.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        require("broken_module", extra="plot", purpose="a test")
