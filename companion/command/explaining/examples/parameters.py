"""Steps that move nothing, or the wrong thing."""

from __future__ import annotations

from companion.command.explaining.example import Example

_ROUTINE = """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()  # <-
"""

EXAMPLES = {
    "other-parameters": Example(
        "net[2] = nn.Linear(8, 3)\n" + _ROUTINE,
        {
            "net[2] = nn.Linear(8, 3)\n": "net[2] = nn.Linear(8, 3)\n"
            "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        },
    ),
    "unregistered": Example(
        """\
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(4, 4), nn.Linear(4, 4)]
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.last(x)


net = Deep()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""
        + _ROUTINE,
        {"[nn.Linear(4, 4), nn.Linear(4, 4)]": "nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])"},
    ),
    "never-moves": Example(
        """\
for inputs, labels in batches:
    net.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    for p in net.parameters():
        p = p - 0.1 * p.grad  # <-
""",
        {
            "    for p in net.parameters():\n        p = p - 0.1 * p.grad": "    with torch."
            "no_grad():\n        for p in net.parameters():\n            p -= 0.1 * p.grad"
        },
    ),
    "frozen-moves": Example(
        """\
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for number, (inputs, labels) in enumerate(batches):
    if number == 2:
        net[0].requires_grad_(False)
    optimizer.zero_grad(set_to_none=False)
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()  # <-
""",
        {"set_to_none=False": ""},
    ),
    "not-finite": Example(
        """\
optimizer = torch.optim.SGD(net.parameters(), lr=1e4)
for inputs, _ in batches:
    optimizer.zero_grad()
    loss = net(inputs).square().mean()
    loss.backward()
    optimizer.step()  # <-
""",
        {"lr=1e4": "lr=0.01"},
    ),
}
