"""Steps that move nothing, or the wrong thing."""

from __future__ import annotations

from companion.command.explaining.example import Example

EXAMPLES = {
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
    "frozen-by-hand": Example(
        """\
net[0].requires_grad_(False)
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    for p in net.parameters():
        p.data.mul_(0.99)  # <-
    optimizer.step()
""",
        {"        p.data.mul_(0.99)": "        if p.requires_grad:\n            p.data.mul_(0.99)"},
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
