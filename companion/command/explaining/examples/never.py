"""Nothing was trained, or nearly nothing, and no error says so."""

from __future__ import annotations

from companion.command.explaining.example import Example

_CLEAR = "    optimizer.zero_grad()\n"
_LOSS = "    loss = criterion(net(inputs), labels)\n"
_LOOP = f"for inputs, labels in batches:\n{_CLEAR}{_LOSS}"
_BACK = "    loss.backward()\n"
_BACK_AND_STEP = f"{_BACK}    optimizer.step()\n"
_EPOCHS = """\
for epoch in range(3):
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
"""
_SCHEDULED = """\
        loss.backward()
        optimizer.step()
        scheduler.step()  # <-
"""

EXAMPLES = {
    "not-called": Example(
        f"{_LOOP}{_BACK}    optimizer.step  # <-\n",
        {"optimizer.step  # <-": "optimizer.step()"},
    ),
    "never-steps": Example(
        _LOOP
        + """\
    loss.backward()  # <-
    print(loss.item())
""",
        {"backward()  # <-\n": "backward()\n    optimizer.step()\n"},
    ),
    "no-batch": Example(
        """\
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(48, 4), torch.randint(3, (48,)))
loader = DataLoader(data, batch_size=64, drop_last=True)
for inputs, labels in loader:  # <-
"""
        + _CLEAR
        + _LOSS
        + _BACK_AND_STEP,
        {"batch_size=64": "batch_size=16"},
    ),
    "used-up": Example(
        """\
inputs, labels = torch.randn(6, 8, 4), torch.randint(3, (6, 8))
pairs = zip(inputs, labels)
for epoch in range(3):
    for x, y in pairs:  # <-
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
""",
        {"zip(inputs, labels)": "list(zip(inputs, labels))"},
    ),
    "all-skipped": Example(
        """\
scaler = torch.amp.GradScaler("cpu")
for inputs, labels in batches:
    optimizer.zero_grad()
    inputs[:, 3] = 1.0
    scaled = (inputs - inputs.mean(dim=0)) / inputs.std(dim=0)
    loss = criterion(net(scaled), labels)
    scaler.scale(loss).backward()
    scaler.step(optimizer)  # <-
    scaler.update()
""",
        {"/ inputs.std(dim=0)": "/ inputs.std(dim=0).clamp(min=1e-6)"},
    ),
    "no-backward": Example(
        f"{_LOOP}    optimizer.step()  # <-\n",
        {"    optimizer.step()  # <-\n": _BACK_AND_STEP},
    ),
    "clears-and-no-more": Example(
        _LOOP.replace("labels)\n", "labels)  # <-\n") + "    print(loss.item())\n",
        {"labels)  # <-\n": f"labels)\n{_BACK_AND_STEP}"},
    ),
    "step-outside-loop": Example(
        f"{_EPOCHS}        loss.backward()\n    optimizer.step()  # <-\n",
        {"    optimizer.step()": "        optimizer.step()"},
        further=(
            Example(
                """\
for group in (batches[:3], batches[3:]):
    for inputs, labels in group:
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels) / len(group)
        loss.backward()
    optimizer.step()  # <-
""",
                {
                    "    for inputs, labels in group:\n        optimizer.zero_grad()\n": "    "
                    "optimizer.zero_grad()\n    for inputs, labels in group:\n"
                },
            ),
        ),
    ),
    "backward-outside-loop": Example(
        f"{_EPOCHS}    loss.backward()  # <-\n    optimizer.step()\n",
        {
            "    loss.backward()  # <-\n    optimizer.step()\n": "        loss.backward()\n"
            "        optimizer.step()\n"
        },
    ),
    "zero-lr": Example(
        f"""\
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=3)
{_EPOCHS}{_SCHEDULED}""",
        {"        scheduler.step()": "    scheduler.step()"},
    ),
    "short-schedule": Example(
        f"""\
batches = batches * 2
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
{_EPOCHS}{_SCHEDULED}""",
        {"        scheduler.step()": "    scheduler.step()"},
    ),
}
