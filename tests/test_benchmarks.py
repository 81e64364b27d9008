"""The benchmarks run, their tables are whole, and the README says what the tables say."""

from __future__ import annotations

import re
import runpy
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OPTIM = ROOT / "benchmarks/optim.py"


def rows(table: str) -> list[list[str]]:
    cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines() if "|" in line]
    return cells[2:]


def test_the_optimizer_benchmark_runs(tmp_path: Path) -> None:
    """On one network and for a moment: that it works, not what it says."""
    out = tmp_path / "optim.md"
    command = [sys.executable, str(OPTIM), "Net", "--seconds", "0.01", "--output", str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    found = rows(out.read_text(encoding="utf-8"))
    assert len(found) == 10
    for network, *_, theirs, ours, ratio, quartiles, memory in found:
        assert network == "Net"
        assert min(map(float, (theirs, ours, ratio, memory, *quartiles.split(" to ")))) > 0
    assert found == rows(done.stdout)


def test_an_unknown_network_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(OPTIM), "resnet19", "--output", str(tmp_path / "optim.md")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "no such network: resnet19; there are Net, " in done.stderr


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
