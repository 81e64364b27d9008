"""Modes, and networks beside the one that learns."""

from __future__ import annotations

from companion.command.explaining.example import Example

_NET = """\
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""

EXAMPLES = {
    "eval-mode": Example(
        _NET
        + """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()  # <-
    net.eval()
    with torch.no_grad():
        correct = (net(inputs).argmax(dim=1) == labels).sum()
""",
        {"for inputs, labels in batches:\n": "for inputs, labels in batches:\n    net.train()\n"},
    ),
    "evaluation-in-train-mode": Example(
        _NET
        + """\
for inputs, labels in batches:
    net.train()
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        correct = (net(inputs).argmax(dim=1) == labels).sum()  # <-
""",
        {"    with torch.no_grad()": "    net.eval()\n    with torch.no_grad()"},
    ),
    "dropout-in-eval": Example(
        """\
class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = nn.functional.dropout(self.first(x).relu(), p=0.5)
        return self.last(x)


net = Dropping()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in batches:
    net.train()
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    net.eval()
    with torch.no_grad():
        correct = (net(inputs).argmax(dim=1) == labels).sum()  # <-
""",
        {"p=0.5)": "p=0.5, training=self.training)"},
    ),
    "frozen-in-train-mode": Example(
        """\
teacher = nn.Sequential(nn.Linear(4, 16), nn.Dropout(), nn.Linear(16, 3))
teacher.requires_grad_(False)
for inputs, _ in batches:
    targets = teacher(inputs).softmax(dim=1)  # <-
    optimizer.zero_grad()
    loss = criterion(net(inputs), targets)
    loss.backward()
    optimizer.step()
""",
        {"requires_grad_(False)\n": "requires_grad_(False)\nteacher.eval()\n"},
    ),
    "average-without-buffers": Example(
        """\
import copy

net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
average = copy.deepcopy(net).eval().requires_grad_(False)
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    for ours, theirs in zip(average.parameters(), net.parameters()):
        ours.data.lerp_(theirs.data, 0.1)  # <-
    correct = (average(inputs).argmax(dim=1) == labels).sum()
""",
        {
            "    correct": "    for ours, theirs in zip(average.buffers(), net.buffers()):\n"
            "        ours.copy_(theirs)\n    correct"
        },
    ),
}
