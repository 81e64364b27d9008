"""What goes into the loss."""

from __future__ import annotations

from companion.command.explaining.example import Example

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
    "log-missing": Example(
        """\
criterion = nn.NLLLoss()
for inputs, labels in batches:
    optimizer.zero_grad()
    outputs = net(inputs).softmax(dim=1)
    loss = criterion(outputs, labels)  # <-
    loss.backward()
    optimizer.step()
""",
        {".softmax(": ".log_softmax("},
    ),
    "softmax-across": Example(
        """\
criterion = nn.NLLLoss()
for inputs, labels in batches:
    optimizer.zero_grad()
    outputs = net(inputs).log_softmax(dim=0)
    loss = criterion(outputs, labels)  # <-
    loss.backward()
    optimizer.step()
""",
        {"dim=0": "dim=1"},
    ),
    "targets-outside": Example(
        """\
net = nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
criterion = nn.BCEWithLogitsLoss()
for inputs, _ in batches:
    targets = inputs[:, :1].sign()
    optimizer.zero_grad()
    loss = criterion(net(inputs), targets)  # <-
    loss.backward()
    optimizer.step()
""",
        {"inputs[:, :1].sign()": "(inputs[:, :1] > 0).float()"},
    ),
    "same-batch": Example(
        """\
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(48, 4), torch.randint(3, (48,)))
loader = DataLoader(data, batch_size=8)
for number in range(6):
    inputs, labels = next(iter(loader))  # <-
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
""",
        {
            "for number in range(6):\n    inputs, labels = next(iter(loader))  # <-\n": "for "
            "inputs, labels in loader:\n"
        },
    ),
}
