"""Scripts that were changed, killed or hung by being watched once, each by name.

Each runs alone, by the command and, where it says `watched(...)`, with trace(): output, exit
status, traceback, and what is left behind in the process, must be the same. `tests.fuzzing` makes
others of their kinds at random.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from tests.fuzzing.running import Runner, runner

HEAD = """
import contextlib, gc, os, signal, sys, threading, traceback, weakref
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
if os.environ["WATCHED"]:
    from companion import trace as watched
else:
    def watched(*things, **options):
        return contextlib.nullcontext()
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
def state():
    tensors = [*net.parameters(), *net.buffers(), torch.get_rng_state().double()]
    return [t.double().sum().item() for t in tensors]
def loss_of(x=None):
    x = torch.randn(16, 4) if x is None else x
    return nn.functional.cross_entropy(net(x), torch.randint(3, (len(x),)))
"""
LOOP = """
with watched(net, optimizer):
    for i in range(6):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        {}
        optimizer.step()
print(state())
"""

# What was consumed, called, compared, printed.
ASKED = {
    "a generator of losses": """
with watched(net, optimizer):
    for i in range(4):
        optimizer.zero_grad()
        losses = [loss_of() for _ in range(2)]
        torch.autograd.backward(l for l in losses)
        optimizer.step()
print(state())
""",
    "losses that count who looks": """
class Losses(list):
    looks = 0
    def __iter__(self):
        Losses.looks += 1
        return super().__iter__()
with watched(net, optimizer):
    for i in range(4):
        optimizer.zero_grad()
        torch.autograd.backward(Losses([loss_of()]))
        optimizer.step()
print(Losses.looks, state())
""",
    "checkpointed, and summed before backward": """
calls = []
def inner(x):
    calls.append(0)
    return net(x)
with watched(net, optimizer, into=[inner]):
    for i in range(4):
        optimizer.zero_grad()
        total = 0
        for k in range(2):
            out = checkpoint(inner, torch.randn(16, 4), use_reentrant=False)
            loss = nn.functional.cross_entropy(out, torch.randint(3, (16,)))
            total += loss
        total.backward()
        optimizer.step()
print(len(calls), state())
""",
    "what is unpacked can be unpacked once": """
stored, counts = {}, [0, 0]
def pack(tensor):
    counts[0] += 1
    stored[counts[0]] = tensor
    return counts[0]
def unpack(number):
    counts[1] += 1
    return stored.pop(number)
kept = []
with watched(net, optimizer):
    for i in range(4):
        optimizer.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            loss = loss_of()
        kept.append(loss)
        loss.backward()
        optimizer.step()
print(counts, state())
""",
    "a proxy whose object is gone": LOOP.format("w = weakref.proxy(type('K', (), {})())"),
    "objects that say more than their type": """
class Loud:
    asked = 0
    @property
    def __class__(self):
        Loud.asked += 1
        return int
    def __getattribute__(self, name):
        Loud.asked += 1
        raise RuntimeError(name)
    def __eq__(self, other):
        Loud.asked += 1
        raise RuntimeError("==")
    __hash__ = None
kept, by_name = [], {}
vars(net)["loud"], net.around = Loud(), []
net.around.append(net.around)
net.around.append(Loud())
with watched(net, optimizer):
    for i in range(4):
        one = Loud()
        kept.append(Loud())
        by_name[i] = Loud()
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
print(Loud.asked, state())
""",
    "networks of their own mind": """
import dataclasses
calls = []
@dataclasses.dataclass(eq=True)
class Own(nn.Module):
    width: int
    def __post_init__(self):
        super().__init__()
        self.fc = nn.Linear(4, self.width)
    def forward(self, x):
        return self.fc(x)
    def parameters(self, recurse=True):
        calls.append("parameters")
        torch.rand(1)
        return super().parameters(recurse)
    def named_parameters(self, *args, **kwargs):
        calls.append("named")
        return super().named_parameters(*args, **kwargs)
    def __bool__(self):
        calls.append("bool")
        return False
net = Own(3)
optimizer = torch.optim.SGD(net.fc.parameters(), lr=0.1)
with watched(net, optimizer):
    for i in range(4):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
print(calls, net.fc.weight.sum().item(), torch.rand(1).item())
""",
    "an optimizer that cannot be hashed": """
class Own(torch.optim.SGD):
    __hash__ = None
    def __eq__(self, other):
        raise RuntimeError("==")
optimizer = Own(net.parameters(), lr=0.1)
"""
    + LOOP.format("pass"),
    "a function mode and a dispatch mode": """
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
counts = [0, 0]
class Functions(TorchFunctionMode):
    def __torch_function__(self, f, types, args=(), kwargs=None):
        counts[0] += 1
        return f(*args, **(kwargs or {}))
class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        counts[1] += 1
        return f(*args, **(kwargs or {}))
with Functions(), Operations():
    with watched(net, optimizer):
        for i in range(4):
            optimizer.zero_grad()
            total = nn.functional.mse_loss(net(torch.ones(5, 4))[:, :1], torch.ones(5))
            total.backward()
            optimizer.step()
print(counts)
""",
    "a parameter that hears every call": """
class Told(torch.Tensor):
    calls = 0
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None):
        Told.calls += 1
        return super().__torch_function__(f, types, args, kwargs or {})
net[0].weight = nn.Parameter(net[0].weight.detach().as_subclass(Told))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
with watched(net, optimizer):
    for i in range(4):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
print(Told.calls)
""",
    "an exception with a text of its own": """
class Own(Exception):
    asked = 0
    def __str__(self):
        Own.asked += 1
        return "own"
try:
    with watched(net, optimizer):
        loss_of().backward()
        raise Own
except Own:
    print(Own.asked)
""",
    "names that are no text": """
globals()[3] = net
vars(net)[4] = 5
"""
    + LOOP.format("pass"),
    "warnings are heard once": """
import warnings
warnings.simplefilter("always")
def speak():
    return "\\d"
"""
    + LOOP.format("speak()"),
}

# What can be read, and when.
READ = {
    "a parameter's memory is freed": LOOP.format(
        """
        weight = net[0].weight
        saved = weight.detach().clone()
        weight.untyped_storage().resize_(0)
        nobody_reads_it = 1
        weight.untyped_storage().resize_(saved.nbytes)
        weight.data.copy_(saved)
        """.strip()
    ),
    "large, frozen, and freed for good": """
net.head = nn.Linear(300, 300).requires_grad_(False)
"""
    + LOOP.format("net.head.weight.untyped_storage().resize_(0)").replace(
        "print(state())", "print(net[0].weight.sum().item())"
    ),
    "a gradient's memory is freed": LOOP.format(
        """
        saved = net[0].weight.grad.clone()
        net[0].weight.grad.untyped_storage().resize_(saved.nbytes // 2)
        nobody_reads_it = 1
        net[0].weight.grad.untyped_storage().resize_(saved.nbytes)
        net[0].weight.grad.copy_(saved)
        """.strip()
    ),
    "gradients of each sample": """
from torch.func import functional_call, grad, vmap
net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
xs, ys = torch.randn(24, 4), torch.randn(24)
def one(p, x, y):
    return nn.functional.mse_loss(functional_call(net, p, (x.unsqueeze(0),)), y.unsqueeze(0))
with watched(net, optimizer, into=[one]):
    for i in range(4):
        params = {k: v.detach() for k, v in net.named_parameters()}
        optimizer.zero_grad()
        each = vmap(grad(one), in_dims=(None, 0, 0))(params, xs, ys)
        for k, p in net.named_parameters():
            p.grad = each[k].mean(0)
        optimizer.step()
print(net.weight.sum().item())
""",
    "fake tensors": """
from torch._subclasses.fake_tensor import FakeTensorMode
def look(a, b):
    return nn.functional.mse_loss(a, b).shape
with watched(net, optimizer, into=[look]):
    for i in range(4):
        optimizer.zero_grad()
        with FakeTensorMode(allow_non_fake_inputs=True):
            print(look(torch.ones(5, 1), torch.ones(5)))
        loss_of().backward()
        optimizer.step()
print(state())
""",
    "traced by torch.jit in the loop": LOOP.format(
        """
        small = nn.Linear(4, 1)
        traced = torch.jit.trace(lambda a, b: nn.functional.l1_loss(a, b), (torch.ones(5, 1), y))
        print(len(list(traced.graph.nodes())))
        """.strip()
    ).replace("for i in", "y = torch.ones(5)\n    for i in"),
    "a step that is compiled": """
graphs = []
def backend(module, inputs):
    graphs.append(len(list(module.graph.nodes)))
    return module.forward
@torch.compile(backend=backend)
def update():
    optimizer.step()
with contextlib.redirect_stderr(None):
    for i in range(5):
        optimizer.zero_grad()
        loss_of().backward()
        update()
print(graphs, state())
""",
    "a callback while a gradient dies": """
import torch.utils.weak
seen = torch.utils.weak.WeakIdKeyDictionary()
class Data:
    def __init__(self):
        self.data = {}
    def drop(self, ref):
        self.data.clear()
holder = Data()
refs = []
with watched(net, optimizer):
    for i in range(5):
        for p in net.parameters():
            p.grad = None
        loss_of().backward()
        for p in net.parameters():
            seen[p.grad] = i
            refs.append(weakref.ref(p.grad, holder.drop))
        optimizer.step()
print(len(seen), state())
""",
}

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
        for i in range(10**5):
            optimizer.zero_grad()
            net(torch.ones(4, 4)).square().mean().backward()
            optimizer.step()
    print("NOT INTERRUPTED")
except {error} as error:
    ended(error)
"""
OUTSIDE = {
    f"{error} after {seconds} s": SIGNALS.format(error=error, seconds=seconds)
    for error in ("TimeoutError", "RuntimeError", "KeyError", "KeyboardInterrupt")
    for seconds in (0.002, 0.05)
} | {
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
    for i in range(10**5):
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
