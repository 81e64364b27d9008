"""The order of the lines around the step."""

from __future__ import annotations

from companion.command.explaining.example import Example

_SCALED = """\
scaler = torch.amp.GradScaler("cpu")
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    scaler.scale(loss).backward()
"""

EXAMPLES = {
    "scheduler-first": Example(
        """\
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    scheduler.step()  # <-
    optimizer.step()
""",
        {
            "    scheduler.step()  # <-\n    optimizer.step()\n": "    optimizer.step()\n"
            "    scheduler.step()\n"
        },
    ),
    "clip-after-step": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(net.parameters(), 0.1)  # <-
""",
        {
            "    optimizer.step()\n    nn.utils.clip_grad_norm_(net.parameters(), 0.1)  # <-\n": ""
            "    nn.utils.clip_grad_norm_(net.parameters(), 0.1)\n    optimizer.step()\n"
        },
    ),
    "clip-before-backward": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    nn.utils.clip_grad_norm_(net.parameters(), 0.1)  # <-
    loss.backward()
    optimizer.step()
""",
        {
            "    nn.utils.clip_grad_norm_(net.parameters(), 0.1)  # <-\n    loss.backward()\n": ""
            "    loss.backward()\n    nn.utils.clip_grad_norm_(net.parameters(), 0.1)\n"
        },
    ),
    "clip-before-unscale": Example(
        _SCALED
        + """\
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)  # <-
    scaler.step(optimizer)
    scaler.update()
""",
        {"    nn.utils": "    scaler.unscale_(optimizer)\n    nn.utils"},
    ),
    "step-without-unscale": Example(
        _SCALED
        + """\
    optimizer.step()  # <-
""",
        {"optimizer.step()": "scaler.step(optimizer)\n    scaler.update()"},
    ),
    "step-before-backward": Example(
        """\
for inputs, labels in batches:
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    other = criterion(net(inputs + 1), labels)
    other.backward()
    optimizer.step()  # <-
    loss.backward()
""",
        {
            "    optimizer.step()  # <-\n    loss.backward()\n": "    loss.backward()\n"
            "    optimizer.step()\n"
        },
    ),
    "step-a-batch-late": Example(
        """\
net = nn.Linear(4, 3)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for inputs, labels in batches:
    loss = criterion(net(inputs), labels)
    optimizer.step()  # <-
    optimizer.zero_grad()
    loss.backward()
""",
        {
            "    optimizer.step()  # <-\n    optimizer.zero_grad()\n    loss.backward()\n": ""
            "    optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n"
        },
    ),
}
