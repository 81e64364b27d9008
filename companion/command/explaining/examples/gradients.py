"""Gradients that pile up, or are lost."""

from __future__ import annotations

from companion.command.explaining.example import Example

EXAMPLES = {
    "accumulates": Example(
        """\
for inputs, labels in batches:
    loss = criterion(net(inputs), labels)
    loss.backward()  # <-
    optimizer.step()
""",
        {"    loss = ": "    optimizer.zero_grad()\n    loss = "},
    ),
    "polluted": Example(
        """\
critic = nn.Linear(3, 1)
optimizer_c = torch.optim.SGD(critic.parameters(), lr=0.1)
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = -critic(net(inputs)).mean()
    loss.backward()
    optimizer.step()

    loss_c = critic(net(inputs).detach()).square().mean()
    loss_c.backward()
    optimizer_c.step()  # <-
    optimizer_c.zero_grad()
""",
        {"\n    loss_c = ": "\n    optimizer_c.zero_grad()\n    loss_c = "},
    ),
    "discarded": Example(
        """\
for inputs, labels in batches:
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.zero_grad()  # <-
    optimizer.step()
""",
        {
            "    loss = ": "    optimizer.zero_grad()\n    loss = ",
            "    optimizer.zero_grad()  # <-\n": "",
        },
    ),
    "accumulation-not-divided": Example(
        """\
for number, (inputs, labels) in enumerate(batches, 1):
    loss = criterion(net(inputs), labels)
    loss.backward()  # <-
    if number % 3 == 0:
        optimizer.step()
        optimizer.zero_grad()
""",
        {"net(inputs), labels)": "net(inputs), labels) / 3"},
    ),
    "none-gradient": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    size = net[0].weight.grad.abs().max()  # <-
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    print(size)
""",
        {
            "    size = net[0].weight.grad.abs().max()  # <-\n": "",
            "    print(size)\n": "    print(net[0].weight.grad.abs().max())\n",
        },
    ),
    "non-leaf-grad": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    outputs = net(inputs)
    loss = criterion(outputs, labels)
    loss.backward()
    print(outputs.grad is None)  # <-
    optimizer.step()
""",
        {"outputs = net(inputs)\n": "outputs = net(inputs)\n    outputs.retain_grad()\n"},
    ),
    "dead-layer": Example(
        """\
for p in net.parameters():
    nn.init.zeros_(p)
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)  # <-
    loss.backward()
    optimizer.step()
""",
        {"zeros_(p)": "normal_(p, std=0.3)"},
    ),
}
