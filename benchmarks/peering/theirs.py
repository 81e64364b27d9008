"""Mistakes that a peer says it finds and that no rule of ours is about, written anew, one a script.

They are what makes the comparison less one-sided: the other loops were written for our rules.
"""

from __future__ import annotations

_HEAD = """\
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

x, y = torch.randn(64, 6), torch.randint(3, (64,))
"""
_TAIL = """\
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in zip(x.split(16), y.split(16)):
    optimizer.zero_grad()
    loss = F.cross_entropy(net(inputs), labels)
    loss.backward()
    optimizer.step()
"""
_NET = "net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))\n"
_NORMED = "net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))\n"


def _module(forward: str, made: str = "self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)") -> str:
    return f"""\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {made}

    def forward(self, x):
        {forward}


net = Net()
"""


THEIRS = {
    "layer-unused": _HEAD
    + _module(
        "return self.b(self.a(x).relu())",
        "self.a, self.b, self.norm = nn.Linear(6, 8), nn.Linear(8, 3), nn.LayerNorm(8)",
    )
    + _TAIL,
    "input-ignored": _HEAD + _module("return self.b(self.a(x[:, :3].repeat(1, 2)).relu())") + _TAIL,
    "batch-mixed": _HEAD
    + _module("h = self.a(x).relu()\n        return self.b(h - h.mean(dim=0))")
    + _TAIL,
    "too-sure-at-first": _HEAD + _NET + "nn.init.normal_(net[2].weight, std=20.0)\n" + _TAIL,
    "data-not-scaled": _HEAD.replace("torch.randn(64, 6)", "torch.rand(64, 6) * 255")
    + _NET
    + _TAIL,
    "data-blank": _HEAD.replace("torch.randn(64, 6)", "torch.zeros(64, 6)") + _NET + _TAIL,
    "batch-too-small": _HEAD + _NORMED + _TAIL.replace("split(16)", "split(2)"),
    "decay-of-norms": _HEAD + _NORMED + _TAIL.replace("lr=0.1", "lr=0.1, weight_decay=0.01"),
    "bias-before-norm": _HEAD + _NORMED + _TAIL,
    "not-seeded": _HEAD.replace("x, y", "import random\n\nshift = random.random()\nx, y")
    + _NET
    + _TAIL,
    "no-validation-guard": _HEAD
    + _NET
    + _TAIL
    + "def evaluate(model, loader):\n"
    + "    model.eval()\n"
    + "    return [model(inputs).argmax(1) for inputs in loader]\n\n\n"
    + "evaluate(net, x.split(16))\n",
    "loader-alone": _HEAD
    + _NET
    + _TAIL.replace(
        "for inputs, labels in zip(x.split(16), y.split(16)):",
        "loader = DataLoader(TensorDataset(x, y), batch_size=16)\nfor inputs, labels in loader:",
    ),
    "load-unsafe": _HEAD
    + _NET
    + "import io\n\nfile = io.BytesIO()\ntorch.save(net.state_dict(), file)\nfile.seek(0)\n"
    + "net.load_state_dict(torch.load(file))\n"
    + _TAIL,
    "function-deprecated": _HEAD + "scale = torch.range(1, 6)\n" + _NET + _TAIL,
    "backward-wrong": _HEAD
    + """\
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return x * grad


"""
    + _module("return self.b(Square.apply(self.a(x)))")
    + _TAIL,
}
"""By the name of the mistake."""
