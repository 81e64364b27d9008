"""Scripts that were changed, killed or hung by being watched once, each by name.

Each runs alone, by the command and, where it says `watched(...)`, with trace(): output, exit
status, traceback, and what is left behind in the process, must be the same. `fuzzing` makes others
of their kinds at random."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from tests.package.isolation.fuzzing.running import Runner, runner
from tests.package.isolation.scripts import ASKED, HEAD, READ

# What comes from outside.
SIGNALS = """
def handler(number, frame):
    raise {error}("deadline")
signal.signal(signal.SIGALRM, handler)
def ended(error):
    walk = traceback.walk_tb(error.__traceback__)
    # Before its first instruction no function can catch anything, not even what has come earlier.
    frames = [frame for frame, line in walk if line != frame.f_code.co_firstlineno]
    ours = [f for f in frames if "companion" in f.f_code.co_filename]
    print(type(error).__name__, ours[sys.version_info < (3, 11):])  # Python 3.10 keeps one
try:
    with watched(net, optimizer):
        signal.setitimer(signal.ITIMER_REAL, {seconds})
        for i in range(10**4):
            optimizer.zero_grad()
            net(torch.ones(4, 4)).square().mean().backward()
            optimizer.step()
    print("NOT INTERRUPTED")
except {error} as error:
    ended(error)
"""
OUTSIDE = (
    {
        f"{error} after {seconds} s": SIGNALS.format(error=error, seconds=seconds)
        for error in ("TimeoutError", "RuntimeError", "KeyError", "KeyboardInterrupt")
        for seconds in (0.002, 0.05)
    }
    | {
        f"an exception in a step's hook, call {call}": f"""
def handler(number, frame):
    raise TimeoutError("deadline")
signal.signal(signal.SIGUSR1, handler)
original, calls = torch.compiler.is_compiling, []
def asked():
    if sys._getframe(1).f_globals["__name__"].startswith("companion"):
        calls.append(1)
        if len(calls) == {call}:
            signal.raise_signal(signal.SIGUSR1)
    return original()
torch.compiler.is_compiling = asked
try:
    with watched(net, optimizer):
        for i in range(9):
            optimizer.zero_grad()
            net(torch.ones(4, 4)).square().mean().backward()
            optimizer.step()
            if i == 3:
                signal.raise_signal(signal.SIGUSR1)  # alone nobody asks
except TimeoutError as error:
    frames = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [name for name in frames if "companion" in name]
    print("ended", ours[sys.version_info < (3, 11):])  # Python 3.10 keeps one
"""
        for call in (1, 2, 3)
    }
    | {
        "an exception set by another thread": """
import ctypes
class Late(Exception):
    pass
def later(target):
    import time
    time.sleep(0.05)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(target), ctypes.py_object(Late))
threading.Thread(target=later, args=(threading.get_ident(),)).start()
try:
    for i in range(10**4):
        optimizer.zero_grad()
        net(torch.ones(4, 4)).square().mean().backward()
        optimizer.step()
    print("NOT INTERRUPTED")
except Late:
    print("late")
""",
        "a generator that ends in another thread": """
def steps():
    with watched(net, optimizer):
        for i in range(4):
            optimizer.zero_grad()
            loss_of().backward()
            optimizer.step()
            yield i
it = steps()
next(it)
thread = threading.Thread(target=lambda: list(it))
thread.start()
thread.join()
def any_call():
    return state()
any_call()
print(any_call())
""",
        "an exit code of a class of its own": """
class Code(int):
    def __bool__(self):
        return False
optimizer.zero_grad()
sys.exit(Code(5))
""",
        "a deep recursion": """
def deep(n):
    return deep(n + 1)
with watched(net, optimizer):
    for i in range(4):
        optimizer.zero_grad()
        try:
            deep(0)
        except RecursionError:
            print("too deep")
        loss_of().backward()
        optimizer.step()
print(state())
""",
        "annotations at module level": "print(__annotations__)\n",
    }
)

# What stays as it was: variables, lifetimes.
KEPT = {
    "variables that the script keeps": """
def train(rate=0.1, epochs=4):
    settings = locals()
    with watched(net, optimizer):
        for i in range(epochs):
            optimizer.zero_grad()
            loss = loss_of()
            loss.backward()
            optimizer.step()
    print(settings)
train()
""",
    "a variable is gone with its last name": """
class Big:
    pass
def train():
    with watched(net, optimizer):
        for i in range(6):
            big = Big()
            ref = weakref.ref(big)
            total = 0
            optimizer.zero_grad()
            loss = loss_of()
            loss.backward()
            total += loss
            optimizer.step()
            del big; print(ref() is None, sys.getrefcount(loss))
train()
""",
    "networks of one fold after the other": """
refs = []
def fold():
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    refs.append((weakref.ref(net), weakref.ref(optimizer), weakref.ref(net.weight)))
    optimizer.zero_grad()
    net(torch.ones(2, 4)).square().mean().backward()
    optimizer.step()
for k in range(5):
    fold()
    print([[ref() is None for ref in three] for three in refs])
""",
    "a closure counts": """
def main():
    calls = 0
    def count():
        nonlocal calls
        calls += 1
    with watched(net, optimizer, into=[count]):
        for i in range(4):
            optimizer.zero_grad()
            loss = loss_of(
                torch.ones(16, 4) if count() is None else None
            )
            loss.backward()
            count()
            optimizer.step()
    print(calls, state())
main()
""",
}
SCRIPTS = ASKED | READ | OUTSIDE | KEPT
# There a trace function, whatever it does, renews and keeps the variables of what it follows.
NOT_ON_3_10 = ("variables that the script keeps", "a variable is gone with its last name")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    with runner(tmp_path_factory.mktemp("scripts")) as started:
        yield started


@pytest.mark.parametrize("name", SCRIPTS)
def test_ends_as_it_does_alone(name: str, runs: Runner) -> None:
    if sys.version_info < (3, 11) and name in NOT_ON_3_10:
        pytest.skip("Python 3.10 itself does otherwise under a trace function")
    differences = runs.differences(HEAD + SCRIPTS[name])
    assert not differences, "\n".join(f"{mode}: {words}" for mode, words in differences.items())


# It still sees what it can see.


def report_of(runs: Runner, script: str) -> str:
    ran = runs.run(HEAD + script, "command")
    assert ran.code in (0, 3), ran.err
    return runs.report()


def test_a_warm_up_is_not_all_that_is_seen(runs: Runner) -> None:
    """An agent acts for thousands of steps before it learns."""
    script = """
net, seen = nn.Linear(4, 2), []
optimizer = torch.optim.Adam(net.parameters())
for t in range(3020):
    values = net(torch.randn(4))
    seen.append(int(values.argmax()))
    if t > 3000:
        loss = net(torch.randn(8, 4)).square().mean()
        loss.backward()
        optimizer.step()  # and no zero_grad
"""
    said = report_of(runs, script)
    assert "watched 3 steps, 1 finding" in said
    assert "accumulates, line" in said


def test_an_optimizer_made_anew_each_time_ends_the_watching(runs: Runner) -> None:
    script = """
for epoch in range(60):
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    sgd.zero_grad()
    loss_of().backward()
    sgd.step()
"""
    said = report_of(runs, script)
    runs_of_lines = [int(line.split("x")[0]) for line in said.splitlines() if "x   " in line[:8]]
    assert max(runs_of_lines) < 20


def test_writes_through_data_are_seen_where_they_are(runs: Runner) -> None:
    """Only what a line reaches for is compared: a loop over all parameters stays quick."""
    script = """
net = nn.Sequential(*[nn.Linear(256, 256) for _ in range(30)])
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for step in range(3):
    optimizer.zero_grad()
    net(torch.randn(4, 256)).square().mean().backward()
    optimizer.step()
    for p in net.parameters():
        norm = p.data.norm()
        q = p.grad.data.norm()
    for p in net.parameters():
        p.data.mul_(0.99)
"""
    began = time.monotonic()
    alone = runs.run(HEAD + script, "alone")
    between = time.monotonic()
    said = report_of(runs, script)
    watched = time.monotonic() - between
    assert alone.code == 0
    assert [
        line for line in said.splitlines() if "p.data.mul_(0.99)" in line and "1 changed" in line
    ]
    assert not [line for line in said.splitlines() if "norm()" in line and "changed" in line]
    assert watched < 20 + 20 * (between - began)  # it was 100 times and more
