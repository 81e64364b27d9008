"""Lines that do nothing, though they read as if they did."""

from __future__ import annotations

from companion.command.explaining.example import Example

EXAMPLES = {
    "no-effect": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    for p in net.parameters():
        p.data.clamp(-0.3, 0.3)  # <-
""",
        {"clamp(": "clamp_("},
    ),
    "copies-itself": Example(
        """\
lowest = float("inf")
for inputs, labels in batches:
    loss = criterion(net(inputs), labels)
    if loss.item() < lowest:
        lowest, best = loss.item(), net.state_dict()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
net.load_state_dict(best)  # <-
""",
        {
            "lowest = float": "import copy\n\nlowest = float",
            "net.state_dict()": "copy.deepcopy(net.state_dict())",
        },
    ),
    "misnamed": Example(
        """\
for p in net[0].parameters():
    p.require_grad = False  # <-
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
""",
        {"require_grad": "requires_grad"},
    ),
}
