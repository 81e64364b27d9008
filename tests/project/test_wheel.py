"""What `pip install` brings: the wheel, its metadata, and how it behaves with PyTorch alone."""

from __future__ import annotations

import email
import re
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from tests import ROOT
from tests.package.running import python as ours
from tests.project.environments import clean, run
from tools.matrix import copy_tests


def build(target: Path, source: Path, *options: str) -> Path:
    ours(source, "-m", "build", *options, "--outdir", str(target), str(source)).well()
    return target


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    return build(tmp_path_factory.mktemp("dist"), ROOT)


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def torch_alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with PyTorch, into which the wheel was installed."""
    python = clean(tmp_path_factory.mktemp("alone") / "venv", "torch")
    run(python, "-m", "pip", "install", "-qq", "--no-index", str(wheel)).well()
    return python


def test_a_clean_environment_leaves_ours_alone(tmp_path: Path) -> None:
    python = clean(tmp_path / "venv", "tqdm")
    listed = run(python, "-m", "pip", "list", "--format=freeze").well().out
    assert {line.partition("=")[0] for line in listed.split()} <= {"pip", "setuptools", "tqdm"}
    run(python, "-m", "pip", "uninstall", "-qq", "--yes", "tqdm").well()
    run(python, "-c", "import importlib.util as u; assert u.find_spec('tqdm') is None").well()
    run(Path(sys.executable), "-c", "import tqdm").well()


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in names:
            archive.read(name).decode()  # text, all of it
    own = {name for name in names if ".dist-info/" not in name}
    source = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "companion").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert own == source | {"pytest_companion.py"}
    assert {"companion/py.typed", "companion/render/player/player.js"} <= own
    assert {name.partition("/")[2] for name in names - own} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    assert wheel.stat().st_size < 540_000


def test_the_sdist_builds_the_same_wheel(wheel: Path, dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert {"conftest.py", "companion/__init__.py", "tools/matrix.py", "book/_toc.yml"} <= {
        name.partition("/")[2] for name in names
    }
    assert not [
        name for name in names if re.search(r"/(\.venv|_build|dist|__pycache__)(/|$)", name)
    ]
    # What its README links to, and what `make book` and `make test` start from.
    there = {name.partition("/")[2] for name in names}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\((?!https://|#)([^)]+)\)", readme))
    assert len(links) > 10
    assert links | {"Makefile", "_config.yml", "constraints.txt", "SECURITY.md"} <= there
    (direct,) = build(tmp_path, ROOT, "--wheel").iterdir()
    assert direct.name == wheel.name
    assert direct.read_bytes() == wheel.read_bytes()


def test_the_index_would_take_both(dist: Path) -> None:
    files = [str(path) for path in dist.iterdir()]
    assert len(files) == 2
    done = ours(dist, "-m", "twine", "check", "--strict", *files).well()
    assert done.out.count("PASSED") == 2


def test_metadata(wheel: Path) -> None:
    about = metadata(wheel)
    assert about["Name"] == "training-routine"
    assert about["Requires-Python"] == ">=3.10"
    needs = [line for line in about.get_all("Requires-Dist", []) if "extra" not in line]
    assert len(needs) == 1
    assert needs[0].startswith("torch>=")
    extras = about.get_all("Provides-Extra", [])
    assert set(extras) == {"plot", "data", "lightning", "transformers", "course", "book", "test"}


def test_the_long_description_has_no_dead_link(wheel: Path) -> None:
    """The README links into the repository; on a page of the index that would lead nowhere."""
    text = str(metadata(wheel).get_payload())
    assert text.startswith("# The PyTorch Training Routine")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"\]\((?!https://)", readme)) > 10
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)
    assert "the training routine" in text  # the words of a link stay


LIGHT = """\
import sys
import torch
before = set(sys.modules)
import companion
new = {name.partition(".")[0] for name in set(sys.modules) - before}
assert new - set(sys.stdlib_module_names) == {"companion"}, new
assert "site-packages" in companion.__file__
"""
MISSING = """\
from companion import Trace, cifar10, course_style, digits
for call in Trace("n").plot, course_style, digits, lambda: cifar10("x"):
    try:
        call()
    except ImportError as error:
        print(error)
"""
LOOP = """\
import torch
import companion
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
optimizer = companion.SGD(net.parameters(), lr=0.1)
with companion.trace(net, optimizer) as routine:
    for x in torch.randn(3, 16, 4):
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
print(routine)
assert [f.rule for f in routine.diagnose()] == ["accumulates"], routine.diagnose()
routine.to_rows()
routine.play().save("loop.html")
routine.save("run.json")
assert companion.Trace.load("run.json").records == routine.records
print(companion.gradient_sums(net, by="layer"), companion.Net())
"""


def test_with_torch_alone_all_works_but_what_needs_an_extra(
    torch_alone: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    *printed, plot, style, digits, cifar10 = (
        run(torch_alone, "-c", f"{LIGHT}import loop\n{MISSING}", folder=tmp_path)
        .well()
        .out.splitlines()
    )
    assert any("loss.backward()" in line for line in printed)
    assert plot == 'routine.plot() needs matplotlib: pip install "training-routine[plot]"'
    assert style == 'course_style() needs matplotlib: pip install "training-routine[plot]"'
    assert digits == 'digits() needs sklearn: pip install "training-routine[data]"'
    assert cifar10 == 'cifar10() needs torchvision: pip install "training-routine[data]"'
    assert (tmp_path / "loop.html").read_text().startswith("<!doctype html>")
    done = run(torch_alone, "-m", "companion", "loop.py", folder=tmp_path)
    assert done.code == 3  # what it says of a loop that is certainly wrong
    assert "accumulates" in done.err


def test_the_packages_tests_need_nothing_else_of_the_repository() -> None:
    """`make matrix` copies `tests/package` and runs it beside the wheel."""
    files = sorted((ROOT / "tests/package").rglob("*.py"))
    assert len(files) > 100
    for path in files:
        text = path.read_text(encoding="utf-8")
        foreign = r"from (tests|tools)( |\.(?!package))|import (tests|tools)\b|\] / \"book"
        assert not re.search(foreign, text), path


@pytest.mark.weekly  # CI's job `package` does the same on four Pythons, at every push
def test_its_tests_pass_against_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The quick ones: all of them, on all Pythons, are `make matrix`."""
    needs = ["torch", "torchvision", "scikit-learn", "matplotlib", "pytest", "hypothesis", "pandas"]
    python = clean(tmp_path / "venv", *needs)
    run(python, "-m", "pip", "install", "-qq", "--no-index", str(wheel)).well()
    folder = tmp_path / "empty"
    folder.mkdir()
    copy_tests(folder)
    quick = ["test_layout.py", "course", "tracing/measure/test_probes.py", "render"]
    files = [f"tests/package/{name}" for name in quick]
    done = run(python, "-m", "pytest", "-q", *files, "--pyargs", "companion", folder=folder).well()
    assert re.search(r"\n\d{3} passed", done.out), done.out
    where = run(python, "-c", "import companion; print(companion.__file__)", folder=folder)
    assert "site-packages" in where.out
