"""What goes into the loss, and which mode the network is in."""

from __future__ import annotations

from companion.command.explaining.example import Example

_NET = """\
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""

EXAMPLES = {
    "softmax-twice": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    outputs = net(inputs).softmax(dim=1)
    loss = criterion(outputs, labels)
    loss.backward()  # <-
    optimizer.step()
""",
        {".softmax(dim=1)": ""},
    ),
    "broadcast-loss": Example(
        """\
net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, _ in batches:
    targets = inputs.sum(dim=1)
    optimizer.zero_grad()
    loss = ((net(inputs) - targets) ** 2).mean()  # <-
    loss.backward()
    optimizer.step()
""",
        {"net(inputs) - targets": "net(inputs).squeeze(1) - targets"},
    ),
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
}
