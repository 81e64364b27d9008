"""The benchmarks run, their tables are whole, and the README says what the tables say."""

from __future__ import annotations

import importlib
import re
import runpy
import statistics
import sys
from pathlib import Path

import pytest

import companion
from companion.command.explaining.explain import EVERY
from tests import ROOT
from tests.package.running import Ran, forks

OPTIM = ROOT / "benchmarks/optim.py"
TRACE = ROOT / "benchmarks/trace.py"
TRACE_TABLE = TRACE.with_suffix(".md")
BY_MONITORING = TRACE.with_name("trace_3_13.md")  # what Python 3.12 and newer tell of lines with
PEERS = ROOT / "benchmarks/peers.py"


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python does for a script: the scripts beside it can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def run(script: Path, folder: Path, *arguments: str) -> Ran:
    return forks().run(folder, str(script), *arguments)


def rows(table: str) -> list[list[str]]:
    cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines() if "|" in line]
    return cells[2:]


def test_the_optimizer_benchmark_runs(tmp_path: Path) -> None:
    """On one network and for a moment: that it works, not what it says."""
    out = tmp_path / "optim.md"
    ran = run(OPTIM, tmp_path, "Net", "--seconds", "0.01", "--output", str(out)).well()
    found = rows(out.read_text(encoding="utf-8"))
    assert len(found) == 10
    for network, *_, theirs, ours, ratio, quartiles, memory in found:
        assert network == "Net"
        assert min(map(float, (theirs, ours, ratio, memory, *quartiles.split(" to ")))) > 0
    assert found == rows(ran.out)


@pytest.mark.parametrize("script", [OPTIM, TRACE])
def test_an_unknown_network_is_named(script: Path, tmp_path: Path) -> None:
    ran = run(script, tmp_path, "resnet19", "--output", str(tmp_path / "table.md"))
    assert ran.code == 2
    assert "no such network: resnet19; there are Net, " in ran.err


@pytest.mark.usefixtures("beside")
def test_the_optimizer_table_is_whole_and_the_readme_quotes_it() -> None:
    benchmark = runpy.run_path(str(OPTIM))
    found = rows((ROOT / "benchmarks/optim.md").read_text(encoding="utf-8"))
    expected = [
        [network, rule.label, path]
        for network in benchmark["NETWORKS"]
        for rule in benchmark["RULES"]
        for path in ("loop", "foreach")
    ]
    assert [row[:3] for row in found] == expected
    ratios = [float(row[5]) for row in found]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = re.search(
        r"in (\d+) cases.* between (\d\.\d+) and (\d\.\d+), median (\d\.\d+)", readme
    )
    assert quoted is not None
    middle = statistics.median(ratios)
    assert quoted.groups() == (
        str(len(ratios)),
        f"{min(ratios):.2f}",
        f"{max(ratios):.2f}",
        f"{middle:.2f}",
    )


def trace_tables(text: str) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """Of a way of watching, of a number of tensors, and of a part of the trace."""
    ways, rest = text.split("## More and more tensors")
    tensors, parts = rest.split("## Where the time goes")
    return rows(ways), rows(tensors), rows(parts)


def check_way(numbers: list[str]) -> None:
    bare, watched, ratio, quartiles, once = numbers
    low, high = map(float, quartiles.split(" to "))
    assert min(float(bare), float(watched)) > 0
    assert 0 < low <= float(ratio) <= high
    float(once)  # of what costs nothing it is noise about 0


def check_tensors(numbers: list[str]) -> None:
    bare, traced, step, tensor, quartiles = numbers
    low, high = map(float, quartiles.split(" to "))
    assert min(float(bare), float(traced)) > 0
    assert low <= float(tensor) <= high
    float(step)


@pytest.mark.weekly  # daily it begins, below, and its tables are whole
@pytest.mark.usefixtures("beside")
def test_the_trace_benchmark_runs(tmp_path: Path) -> None:
    """On one network and for a moment: that it works, not what it says."""
    ways = runpy.run_path(str(TRACE))["WAYS"]
    out = tmp_path / "trace.md"
    tiny = ["--rounds", "3", "--steps", "1", "--tensors", "10", "20"]
    run(TRACE, tmp_path, "Net", *tiny, "--output", str(out)).well()
    watched, tensors, parts = trace_tables(out.read_text(encoding="utf-8"))
    assert [row[:2] for row in watched] == [["Net", way.label] for way in ways]
    for way, (_, _, *numbers) in zip(ways, watched, strict=True):
        if way.installed:
            check_way(numbers)
        else:
            assert numbers == ["not installed"]
    assert [row[0] for row in tensors] == ["10", "20"]
    for _, *numbers in tensors:
        check_tensors(numbers)
    assert all(float(spent) > 0 for _, spent in parts)
    assert {path.name for path in tmp_path.iterdir()} == {"trace.md", "stdout", "stderr"}


@pytest.mark.usefixtures("beside")
def test_the_trace_benchmark_needs_every(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(companion, "trace", lambda net, optimizer: None)
    monkeypatch.setattr(sys, "argv", [str(TRACE), "--output", str(tmp_path / "trace.md")])
    with pytest.raises(SystemExit):
        runpy.run_path(str(TRACE), run_name="__main__")
    assert "this companion.trace takes no every=" in capsys.readouterr().err


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize(("table", "python"), [(TRACE_TABLE, "3.11"), (BY_MONITORING, "3.13")])
def test_the_trace_tables_are_whole(table: Path, python: str) -> None:
    """Of a run with every network, every package and every number of tensors."""
    benchmark = runpy.run_path(str(TRACE))
    text = table.read_text(encoding="utf-8")
    watched, tensors, parts = trace_tables(text)
    assert [row[0] for row in parts] == [*runpy.run_path(str(TRACE.with_name("parts.py")))["PARTS"]]
    assert [row[:2] for row in watched] == [
        [network, way.label] for network in benchmark["NETWORKS"] for way in benchmark["WAYS"]
    ]
    for _, _, *numbers in watched:
        check_way(numbers)
    assert [row[0] for row in tensors] == [str(number) for number in benchmark["TENSORS"]]
    for _, *numbers in tensors:
        check_tensors(numbers)
    number = re.search(r"; Python ([\d.]+), torch [\d.]+, .*wandb [\d.]+, lightning [\d.]+\.", text)
    assert number is not None
    assert number[1].startswith(f"{python}.")


def test_the_readme_quotes_the_trace_table() -> None:
    watched, *_ = trace_tables(TRACE_TABLE.read_text(encoding="utf-8"))
    medians = {(row[0], row[1]): row[4] for row in watched}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for way in ("trace, every line", "trace, every=100", 'wandb.watch, log="all", log_freq=1'):
        for network in ("Net", "resnet18"):
            assert f"{medians[network, way]} " in readme, (network, way)


def peer_tables(text: str) -> tuple[list[list[str]], list[list[str]], str]:
    """Of the packages, of the mistakes, and the list of what others find alone."""
    before, _, after = text.partition("## Where another is better")
    alone, _, mistakes = after.partition("## Mistake by mistake")
    return rows(before), rows(mistakes), alone.partition("## Found by others")[2]


def check_count(cell: str) -> None:
    found, total = map(int, cell.split(" of "))
    assert 0 <= found <= total


@pytest.mark.usefixtures("beside")
def test_the_peers_benchmark_runs(tmp_path: Path) -> None:
    """On a broken loop and its twin; packages that are not installed here are said to be not."""
    out = tmp_path / "peers.md"
    tiny = ["--only", "no-backward", "--rounds", "2", "--steps", "5", "--output", str(out)]
    run(PEERS, tmp_path, *tiny).well()
    packages, mistakes, alone = peer_tables(out.read_text(encoding="utf-8"))
    names = [peer.name for peer in runpy.run_path(str(PEERS))["PEERS"]]
    assert [row[0].split()[0] for row in packages] == names
    (_, tests, explain, folder, peers, noise, edits, cost), *others = packages
    assert [tests, explain, folder, peers, noise, edits] == [
        *("not run", "1 of 1", "not run", "not run", "0 of 1", "0")
    ]
    assert float(cost.split()[0]) > 0
    for name, found, *_ in others:
        assert " " in name or found == "not installed"
    assert [row[:3] for row in mistakes] == [["no-backward", "1", "1"]]
    assert alone.strip().endswith("None.")
    assert {path.name for path in tmp_path.iterdir()} == {"peers.md", "stdout", "stderr"}


@pytest.mark.usefixtures("beside")
def test_the_peers_table_is_whole_and_the_readme_counts_the_packages() -> None:
    """Of a run with every package and every group of loops."""
    benchmark = runpy.run_path(str(PEERS))
    text = PEERS.with_suffix(".md").read_text(encoding="utf-8")
    packages, mistakes, alone = peer_tables(text)
    names = [peer.name for peer in benchmark["PEERS"]]
    assert [row[0].split()[0] for row in packages] == names
    for peer, (name, *counts, edits, cost) in zip(benchmark["PEERS"], packages, strict=True):
        assert name in text.partition("\n\n")[2].partition("\n\n")[0]  # with its version
        assert len(counts) == 5
        for count in counts:
            check_count(count)
        assert edits == str(len(peer.edits.splitlines()))
        assert re.match(r"none; \d+\.\d s a file|\d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\)", cost)
    for _, loops, *found in mistakes:
        assert len(found) == len(names)
        assert all(int(count) <= int(loops) for count in found)
    finders = re.findall(r"^- .* \(\w+\): (.*)$", alone, flags=re.M)
    assert finders
    assert {name for line in finders for name in line.split(", ")} <= {*names[1:]}
    words = {6: "six", 7: "seven", 8: "eight"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"has {words[len(names) - 1]} other packages" in readme


@pytest.mark.usefixtures("beside")
def test_the_peers_benchmark_knows_its_mistakes() -> None:
    kinds, theirs, loops = (
        importlib.import_module(f"peering.{name}") for name in ("kinds", "theirs", "loops")
    )
    known = {rule.name for rule in EVERY} | theirs.THEIRS.keys()
    assert {*" ".join(kinds.FOLDER.values()).split()} <= known
    for messages in kinds.KINDS.values():
        assert {word for _, about in messages for word in about.split()} <= known
    assert not theirs.THEIRS.keys() & {rule.name for rule in EVERY}

    found = loops.every()
    assert {kind for one in found for kind in one.kinds} <= known
    assert len({one.file for one in found}) == len(found)
    for one in found:
        assert loops.WATCH not in one.script
        assert f"{loops.WATCH}(" in one.edited
        assert not re.search(r"\btrace\b|# <-|tests\.", one.script), one.name
