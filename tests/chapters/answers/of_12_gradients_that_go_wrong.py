"""Answers to the exercises of chapter 12."""

from tests.chapters.answers import Answers

BY_TWOS = """
def by_twos(net, optimizer, batches):
    optimizer.zero_grad()
    for i, (inputs, labels) in enumerate(batches):
        first = i - i % 2
        samples = sum(len(y) for _, y in batches[first : first + 2])
        (SCALED).backward()
        if i % 2 == 1 or i == len(batches) - 1:
            optimizer.step()
            optimizer.zero_grad()
"""
LOSS = "criterion(net(inputs), labels)"

MEAN_LOSS = """
def mean_loss(net, batches):
    total, samples = 0.0, 0
    for inputs, labels in batches:
        loss = criterion(net(inputs), labels)
        total += loss.item() * len(labels)
        samples += len(labels)
    return total / samples
"""

ANSWERS = [
    Answers(
        right=["answer_1 = (2, 5)", "answer_1 = torch.tensor([5, 2])", "answer_1 = {2, 5}"],
        wrong={
            "answer_1 = 2": "give the numbers of the batches",
            "answer_1 = True": "give the numbers of the batches, as",
            "answer_1 = [None]": "give the numbers of the batches, as a",
            "answer_1 = '25'": "give whole numbers",
            "answer_1 = [2.9, 5.7]": "give whole numbers, each once",
            "answer_1 = [float('inf')]": "give the numbers of the batches, as a list",
            "answer_1 = [3, 6]": "the six batches have the numbers 0 to 5",
            "answer_1 = range(6)": "which of these gradients are there",
            "answer_1 = [0, 3]": "what does zero_grad clear in the second round",
            "answer_1 = [2]": "go through all six rounds",
        },
    ),
    Answers(
        right=[
            BY_TWOS.replace("SCALED", f"{LOSS} * len(labels) / samples"),
            """
def by_twos(net, optimizer, batches):
    for first in range(0, len(batches), 2):
        inputs, labels = map(torch.cat, zip(*batches[first : first + 2]))
        optimizer.zero_grad()
        criterion(net(inputs), labels).backward()
        optimizer.step()
""",
        ],
        wrong={
            "by_twos = 2": "by_twos is a function",
            "by_twos = lambda net, optimizer, batches: None": "the parameters are where they were",
            "by_twos = lambda net, optimizer: None": "it raised TypeError",
            BY_TWOS.replace("SCALED", LOSS): "two batches of 16 each",
            BY_TWOS.replace("SCALED", f"7 * {LOSS}"): "two batches of 16 each: is the step",
            BY_TWOS.replace("SCALED", f"{LOSS} / 4"): "two batches of 16 each: is the step along",
            BY_TWOS.replace("SCALED", f"{LOSS} / 2"): "with batches of 16 and 4",
            BY_TWOS.replace("SCALED", f"{LOSS} * len(labels) / samples").replace(
                " or i == len(batches) - 1", ""
            ): "the fifth batch",
            BY_TWOS.replace("SCALED", LOSS).replace("i % 2 == 1", "True"): "4 steps for 4 batches",
            BY_TWOS.replace("SCALED", f"{LOSS} * len(labels) / samples").replace(
                "optimizer.step()",
                "[p.data.sub_(0.1 * p.grad) for p in net.parameters()]",
            ): "0 steps for 4 batches",
        },
    ),
    Answers(
        right=[
            MEAN_LOSS.replace("\ndef", "\n@torch.no_grad()\ndef"),
            """
def mean_loss(net, batches):
    with torch.inference_mode():
        inputs, labels = map(torch.cat, zip(*batches))
        return criterion(net(inputs), labels).item()
""",
        ],
        wrong={
            "mean_loss = 1.1": "mean_loss is a function",
            "mean_loss = lambda net, batches: None": "return a number, not NoneType",
            "mean_loss = lambda net, batches: float('nan')": "the batches have different",
            MEAN_LOSS.replace("\ndef", "\n@torch.no_grad()\ndef").replace(
                "    total,", "    net.eval()\n    total,"
            ): "the network was in train mode before",
            MEAN_LOSS.replace("    total,", "    net.requires_grad_(False)\n    total,"): (
                "it was not frozen before"
            ),
            MEAN_LOSS.replace("\ndef", "\n@torch.no_grad()\ndef").replace("(net, b", "(model, b"): (
                "the batches have different sizes; does each"
            ),
            MEAN_LOSS.replace("\ndef", "\n@torch.no_grad()\ndef").replace(
                ", batches)", ", data)"
            ): ("the batches have different sizes; does each sample"),
            MEAN_LOSS.replace("\ndef", "\n@torch.no_grad()\ndef")
            .replace("    total,", "    net.eval()\n    total,")
            .replace(
                "    return", "    net.train()\n    return"
            ): "a network that was in eval mode",
            "mean_loss = lambda net, batches: True": "return a number, not bool",
            MEAN_LOSS: "the number is right, but",
            MEAN_LOSS.replace("loss.item()", "loss"): "that is a tensor",
            MEAN_LOSS.replace(" * len(labels)", "").replace(
                "len(labels)", "1"
            ): "the batches have different sizes",
            MEAN_LOSS.replace(
                "        total", "        loss.backward()\n        total"
            ): "a validation leaves no gradients",
        },
    ),
]
