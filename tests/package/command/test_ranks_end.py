"""Several processes: what the last one of them says when some end early, late, or badly."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest
from torch import distributed

from companion.command.ranks.meeting import Meeting
from companion.command.ranks.place import Place
from tests.package.command.across import LOOP, SHARDED, START, WRAPPED
from tests.package.command.launched import Launched, launch, left
from tests.package.command.running import SETUP, STEP

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="no gloo here"
)
ALONE = SETUP + 'import os, time\nrank = int(os.environ["RANK"])\n'
STEPS = f"for step in range(6 + 2 * rank):\n{STEP}"
DIES = """\
steps = 0
for x, y in loader:
    sgd.zero_grad()
    loss = cross_entropy(model(x), y)
    if rank == 1 and steps == 1:
        raise ValueError("no such sample")
    loss.backward(); sgd.step()
    steps += 1
"""
KILLED = """\
    if rank == 0 and step == 4:
        open("gone", "w").close()
        os._exit(7)
"""
AFTER = """\
while not os.path.exists("gone"):
    time.sleep(0.01)
time.sleep(0.3)
"""
WHOLE = """\
    whole = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).full_tensor()
    if rank == 0:
        print("whole", f"{whole.item():.4g}")
"""
LEAVES = """\
for step, (x, y) in enumerate(loader):
    if rank == 1 and step == 2:
        sys.exit("bad data")
    sgd.zero_grad()
    cross_entropy(model(x), y).backward()
    sgd.step()
"""
UNEVEN = """\
for step in range(6 - rank):
    sgd.zero_grad()
    cross_entropy(model(torch.randn(4, 4)), torch.randint(3, (4,))).backward()
    sgd.step()
if rank == 0:
    dist.destroy_process_group()
"""
# Rank 0 has ended, and waits for rank 1, which ends it as a launcher would.
ENDED = """\
import glob, signal
if rank == 0:
    open("pid", "w").write(str(os.getpid()))
    {}
while not glob.glob(os.environ["TMPDIR"] + "/*/*/0.over"):
    time.sleep(0.001)
os.kill(int(open("pid").read()), signal.SIGTERM)
"""
SCRIPTS = {
    "one leaves": "import sys\n" + START + WRAPPED + LEAVES,
    "one has fewer steps": START + WRAPPED + UNEVEN,
    "one raises": START + WRAPPED + DIES,
    "the first is killed": ALONE + STEPS.replace("    loss.b", KILLED + "    loss.b") + AFTER,
    "the first is killed at once": ALONE + "if rank == 0:\n    os._exit(7)\n" + STEPS,
    "more steps": ALONE + STEPS,
    "late": ALONE + STEPS + "if rank == 1:\n    time.sleep(2.5)\n"
    "    optimizer.param_groups[0]['lr'] = 0.0\n    optimizer.step()\n",
    "one trains": ALONE + "if rank == 1:\n    raise SystemExit\n" + STEPS,
    "uneven shards": START + SHARDED + LOOP.replace("    sgd.step()\n", WHOLE + "    sgd.step()\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Launched]:
    """All scripts, in two processes each."""
    folder = tmp_path_factory.mktemp("ends")
    return launch(folder, SCRIPTS, "--json", "report.json", patience=1)


def test_one_raises(ran: dict[str, Launched]) -> None:
    """It says itself what it saw: the first may be killed before it can."""
    one = ran["one raises"]
    assert one.codes == [1, 1]
    cause = "rank 1 raised ValueError: no such sample, at line 22 of train.py"
    shown, said = one.err[1].split(f"\ncompanion, rank 1 of 2: {cause}\n")
    assert shown.endswith("ValueError: no such sample"), one.report
    assert said.startswith("companion, rank 1 of 2: watched "), one.report
    assert "raised ValueError: no such sample" in said
    assert "Traceback" not in said  # it is shown once


def test_the_cause_comes_before_what_came_of_it(ran: dict[str, Launched]) -> None:
    shown, cause, rest = one_of_three(
        ran["one raises"],
        "rank 1 raised ValueError: no such sample, at line 22 of train.py, before any other rank "
        "had ended",
    )
    assert "[rank0]: RuntimeError: " in shown
    assert "rank 0 then lost its connection to another rank, at line 23 of train.py: " in cause
    assert rest.startswith("2 ranks watched, "), rest
    _, cause, _ = one_of_three(
        ran["one leaves"],
        "rank 1 raised SystemExit: bad data, at line 20 of train.py, before any other rank had "
        "ended",
    )
    assert "rank 0 then lost its connection to another rank, at line 22 of train.py: " in cause
    assert ran["one leaves"].err[1].startswith("bad data\ncompanion, rank 1 of 2: rank 1 raised ")
    assert ran["one leaves"].err[1].count("bad data\n") == 2, ran["one leaves"].report


def test_one_comes_to_its_end_while_another_needs_it(ran: dict[str, Launched]) -> None:
    shown, said = ran["one has fewer steps"].err[0].split("companion: rank 1 came to its end, ")
    assert said.startswith("after 5 steps\ncompanion: rank 0 then lost its connection "), said
    assert "[rank0]: RuntimeError: " in shown


def one_of_three(one: Launched, cause: str) -> tuple[str, str, str]:
    """What the first has said: before a cause, what came of that, and the rest."""
    shown, _, said = one.err[0].partition(f"companion: {cause}\ncompanion: ")
    after, _, rest = said.partition("\ncompanion: ")
    assert after, one.report
    return shown, after, rest


@pytest.mark.parametrize(
    ("how", "words"),
    [('raise ValueError("no such sample")', "ValueError: no such sample\n"),
     ('sys.exit("bad data")', "bad data\n"), ("sys.exit(3)", "")],
)  # fmt: skip
def test_one_that_is_killed_while_it_waits_has_said_its_words(
    tmp_path: Path, how: str, words: str
) -> None:
    """And has written what was printed: alone it would have, before anybody could end it."""
    script = {"ended": "import sys\n" + ALONE + STEPS + ENDED.format(how)}
    one = launch(tmp_path, script)["ended"]
    assert one.codes == [-15, 0], one.report
    assert one.err[0].endswith(words), one.report
    assert "\nstep 5 " in one.out[0]


def test_the_first_is_killed(ran: dict[str, Launched]) -> None:
    one = ran["the first is killed"]
    assert one.codes == [7, 0]
    assert one.report.count("2 ranks watched, 3 steps each, no findings") == 1, one.report
    assert "rank 0 was killed, or left by os._exit(), before the end\n" in one.err[1]
    assert "different numbers of steps" not in one.report
    one = ran["the first is killed at once"]
    assert one.err[0] == ""
    killed = "companion: rank 0 was killed, or left by os._exit(), before the end\n"
    watched = "companion: 1 of 2 ranks watched, 3 steps each"
    assert one.err[1].startswith(killed + watched), one.report
    assert "nothing was heard" not in one.report


def test_a_different_number_of_steps(ran: dict[str, Launched]) -> None:
    said = "companion: the ranks made different numbers of steps: rank 0: 6, rank 1: 8\n"
    assert said in ran["more steps"].err[0], ran["more steps"].report
    assert ran["more steps"].err[1] == ""


def test_nobody_waits_long_for_one_that_is_late(ran: dict[str, Launched]) -> None:
    """What it sees later it says itself."""
    one = ran["late"]
    assert "companion: rank 1 had not ended by then" in one.err[0], one.report
    assert one.err[1].startswith("companion, rank 1 of 2: not watched: SGD.step(), line ")
    assert "Trace of" not in one.err[1]


def test_one_does_not_train(ran: dict[str, Launched]) -> None:
    one = ran["one trains"]
    assert one.err[0].startswith("companion: 1 of 2 ranks watched, 3 steps each"), one.report
    assert "companion: rank 1: no training loop ran in this process" in one.err[0]


def test_the_norm_of_the_whole_is_put_together_of_shards(ran: dict[str, Launched]) -> None:
    one = ran["uneven shards"]
    wanted = re.findall(r"whole (\S+)", one.out[0])[2]
    assert f"of the whole: {wanted}, put together of 2 shards" in one.err[0], one.report
    assert "last gradient norm of its shard after line " in one.err[0]
    assert "numbers are those of this process's shard" in one.err[0]


@pytest.mark.parametrize("name", [name for name in SCRIPTS if "killed" not in name])
def test_each_has_a_file_of_its_own(ran: dict[str, Launched], name: str) -> None:
    if 1 in ran[name].codes:
        return
    first, second = (ran[name].folder / f"report{part}.json" for part in ("", ".rank1"))
    told = json.loads(first.read_text())
    assert (told["rank"], told["world"]) == (0, 2)
    assert len(told["between_ranks"]["ranks"]) == 2
    assert json.loads(second.read_text())["rank"] == 1
    assert not left(ran[name])


def test_stop_waits_for_all(tmp_path: Path) -> None:
    script = {"stopped": START + WRAPPED + LOOP + "dist.destroy_process_group()\n"}
    one = launch(tmp_path, script, "--stop", "--html", "loop.html")["stopped"]
    assert one.codes == [0, 0], one.report
    assert one.err[0].startswith("companion: 2 ranks watched, 3 steps each, no findings")
    assert one.err[1] == ""
    assert (one.folder / "loop.html").exists()
    assert (one.folder / "loop.rank1.html").exists()


def test_where_they_cannot_meet_each_speaks_for_itself(tmp_path: Path) -> None:
    """The folder is taken away while they train."""
    gone = """
import glob, shutil
there = os.environ["TMPDIR"]
while rank == 0 and len(glob.glob(there + "/*/*/*.here")) < 2:
    time.sleep(0.01)
if rank == 0:
    shutil.rmtree(there)
while os.path.exists(there):
    time.sleep(0.01)
"""
    script = {"gone": ALONE + gone + STEPS}
    one = launch(tmp_path, script)["gone"]
    assert one.codes == [0, 0], one.report
    for rank in 0, 1:
        said = f"companion, rank {rank} of 2: watched 3 steps, no findings\nTrace of "
        assert said in one.err[rank]


def test_an_epoch_in_the_order_of_the_one_before(tmp_path: Path) -> None:
    loop = textwrap.indent(LOOP, "    ")
    script = {"epochs": START + WRAPPED + "for epoch in range(3):\n" + loop}
    one = launch(tmp_path, script, "--steps", "10")["epochs"]
    assert "possible: same-data, line 18: for x, y in loader:\n" in one.err[0], one.report
    assert "cure: # the sampler's set_epoch(epoch)" in one.err[0]


def test_one_that_ends_between_two_looks_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves its file, and is gone, right when it is asked whether it lives."""
    first, second = (Meeting(Place(rank, 2, (0, 1), tmp_path / "run")) for rank in range(2))

    def ends(rank: int) -> bool:
        second.leave("over", {})
        return False

    monkeypatch.setattr(first, "is_alive", ends)
    first.leave("over", {})
    assert first.wait("over", 1) == []
