"""Graphs that are cut, used twice, or live too long."""

from __future__ import annotations

from companion.command.explaining.example import Example

EXAMPLES = {
    "no-gradient": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs).detach(), labels)
    loss.requires_grad_()
    loss.backward()  # <-
    optimizer.step()
""",
        {"net(inputs).detach()": "net(inputs)", "    loss.requires_grad_()\n": ""},
    ),
    "backward-twice": Example(
        """\
rnn = nn.RNN(4, 3)
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
hidden = torch.zeros(1, 8, 3)
for inputs, _ in batches:
    optimizer.zero_grad()
    outputs, hidden = rnn(inputs[None], hidden)
    loss = outputs.square().mean()
    loss.backward()  # <-
    optimizer.step()
""",
        {"rnn(inputs[None], hidden)": "rnn(inputs[None], hidden.detach())"},
    ),
    "graph-grows": Example(
        """\
net = nn.Linear(4, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
average = 0
for inputs, labels in batches:
    optimizer.zero_grad()
    average = 0.9 * average + criterion(net(inputs), labels)
    average.backward(retain_graph=True)  # <-
    optimizer.step()
""",
        {
            "average = 0.9 * average + criterion(net(inputs), labels)": "loss = criterion("
            "net(inputs), labels)\n    average = 0.9 * average + loss.item()",
            "average.backward(retain_graph=True)": "loss.backward()",
        },
    ),
    "graph-kept": Example(
        """\
total = 0
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    total += loss  # <-
""",
        {"total += loss": "total += loss.item()"},
        further=(
            Example(
                """\
features = []
net.register_forward_hook(lambda layer, given, outputs: features.append(outputs))
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)  # <-
    loss.backward()
    optimizer.step()
""",
                {"    optimizer.step()\n": "    optimizer.step()\n    features.clear()\n"},
            ),
        ),
    ),
    "graph-unused": Example(
        """\
for epoch in range(2):
    net.train()
    for inputs, labels in batches[:4]:
        optimizer.zero_grad()
        criterion(net(inputs), labels).backward()
        optimizer.step()
    net.eval()
    for inputs, labels in batches[4:]:
        outputs = net(inputs)  # <-
        print((outputs.argmax(dim=1) == labels).sum().item())
""",
        {
            "        outputs = net(inputs)": "        with torch.no_grad():\n"
            "            outputs = net(inputs)"
        },
    ),
    "constant-term": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    decay = sum(p.data.norm() for p in net.parameters())  # <-
    loss = criterion(net(inputs), labels) + 0.01 * decay
    loss.backward()
    optimizer.step()
""",
        {"p.data.norm()": "p.norm()"},
    ),
    "cut-between": Example(
        """\
first, second = nn.Linear(4, 8), nn.Linear(8, 3)
parameters = [*first.parameters(), *second.parameters()]
optimizer = torch.optim.SGD(parameters, lr=0.1)
for inputs, labels in batches:
    optimizer.zero_grad()
    hidden = first(inputs).relu().detach()  # <-
    loss = criterion(second(hidden), labels)
    loss.backward()
    optimizer.step()
""",
        {".detach()": ""},
    ),
}
