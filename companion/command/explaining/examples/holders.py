"""Who holds what: the parameters of the network, and those that an optimizer was given."""

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
    "in-no-optimizer": Example(
        """\
net[0].requires_grad_(False)
learning = [p for p in net.parameters() if p.requires_grad]
optimizer = torch.optim.SGD(learning, lr=0.1)
for number, (inputs, labels) in enumerate(batches):
    if number == 2:
        net[0].requires_grad_(True)
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()  # <-
""",
        {
            "requires_grad_(True)\n": "requires_grad_(True)\n"
            '        optimizer.add_param_group({"params": net[0].parameters()})\n'
        },
    ),
    "made-in-forward": Example(
        """\
class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        mix = nn.Linear(8, 8)
        return self.last(mix(self.first(x).relu()))


net = Mixing()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""
        + _ROUTINE,
        {
            "nn.Linear(8, 3)\n": "nn.Linear(8, 3)\n        self.mix = nn.Linear(8, 8)\n",
            "        mix = nn.Linear(8, 8)\n": "",
            "(mix(": "(self.mix(",
        },
    ),
    "steps-twice": Example(
        """\
scaler = torch.amp.GradScaler("cpu")
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.step()  # <-
""",
        {"    optimizer.step()  # <-\n": ""},
    ),
}
