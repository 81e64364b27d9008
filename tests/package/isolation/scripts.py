"""Scripts that were changed, killed or hung by being watched once: what they ask and read."""

from __future__ import annotations

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
