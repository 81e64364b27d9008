"""Answers to the exercises of chapter 3."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[
            "answer_1 = torch.tensor([3.0, 1.0]) / 4",
            "answer_1 = 0.75, torch.tensor(0.25, requires_grad=True)",
        ],
        wrong={
            "answer_1 = 1 / 2": "give two numbers, in a list",
            "answer_1 = 'half'": "give two numbers, not a word",
            "answer_1 = [3 / 4]": "give two numbers, not 1",
            "answer_1 = [1 / 2, 1 / 2]": "one image would count as much",
            "answer_1 = [3, 1]": "the direction is right",
            "answer_1 = [1 / 4, 3 / 4]": "which of the two parts",
            "answer_1 = [0.751, 0.249]": "the loss of each part is a mean",
        },
    ),
    Answers(
        right=[
            "answer_2 = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0]",
            "answer_2 = 4 * nn.functional.one_hot(torch.tensor(3), 10)",
        ],
        wrong={
            "answer_2 = 4": "give a list of numbers",
            "answer_2 = [0, 0, 0, 4]": "4 numbers, and fc3 has ten",
            "answer_2 = [4.0] * 10": "how many of the ten scores",
            "answer_2 = [0, 0, 4] + [0] * 7": "which bias is added to score 3",
            "answer_2 = [0, 0, 0, 1] + [0] * 6": "the place is right; how often",
            """
criterion(net(inputs), labels).backward()
net(inputs)[:, 3].sum().backward()
answer_2 = net.fc3.bias.grad
""": "were the gradients cleared",
        },
    ),
    Answers(
        right=[
            """
def linear_backward(delta, x, weight):
    by_weight = torch.einsum("ik,ij->kj", delta, x)
    return [by_weight, torch.ones(len(x), dtype=x.dtype) @ delta, (weight.T @ delta.T).T]
""",
            """
def linear_backward(delta, x, weight):
    x, weight = x.requires_grad_(), weight.requires_grad_()
    bias = torch.zeros(len(weight), dtype=x.dtype, requires_grad=True)
    return torch.autograd.grad(x @ weight.T + bias, (weight, bias, x), delta)
""",
        ],
        wrong={
            "linear_backward = 'delta.T @ x'": "give a function",
            "linear_backward = lambda delta, x, weight: None": "it is to return three tensors",
            "linear_backward = lambda delta, x, weight: (delta.T @ x, None, None)": (
                "the gradient of the bias is to be a tensor"
            ),
            "linear_backward = lambda delta, x, weight: (delta.T @ x, delta.sum(0), x)": (
                "the gradient of x has other numbers"
            ),
            "linear_backward = lambda d, x, w: (d.T @ x / len(x), d.mean(0), d @ w)": (
                "the gradient of weight has other numbers"
            ),
            "linear_backward = lambda d, x, w: (d.T @ x, d.sum(), d @ w)": (
                "the shape of the gradient of the bias is"
            ),
            "linear_backward = lambda d, x, w: (d.T @ x, d.sum(0), d @ w.T)": (
                "it raises RuntimeError"
            ),
            "linear_backward = lambda d, x, w: (d.T @ x, d.sum(0), d @ w.mul_(1.5))": (
                "it has changed what it was given"
            ),
        },
    ),
    Answers(
        right=[
            """
def accumulate(net, inputs, labels, sizes):
    for p in net.parameters():
        p.grad = None
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) * (len(x) / len(inputs))).backward()
""",
            """
def accumulate(net, inputs, labels, sizes):
    optim.SGD(net.parameters(), lr=0.1).zero_grad(set_to_none=False)
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        nn.functional.cross_entropy(net(x), y, reduction="sum").backward()
    for p in net.parameters():
        p.grad /= len(inputs)
""",
        ],
        wrong={
            "accumulate = 0.25": "give a function",
            "accumulate = lambda net: net.zero_grad()": "it raises TypeError",
            "accumulate = lambda net, x, y, sizes: criterion(net(x), y).backward()": (
                "for the sizes [3, 1, 2] the network saw parts of [6]"
            ),
            """
def accumulate(net, inputs, labels, sizes):
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) * len(x) / len(inputs)).backward()
""": "what .grad held before is still in it",
            """
def accumulate(net, inputs, labels, sizes):
    net.zero_grad()
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        criterion(net(x), y).backward()
""": "a sum of means is no mean",
            """
def accumulate(net, inputs, labels, sizes):
    net.zero_grad()
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) / len(sizes)).backward()
""": "a small part counts as much",
            """
def accumulate(net, inputs, labels, sizes):
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        net.zero_grad()
        (criterion(net(x), y) * len(x) / len(inputs)).backward()
""": "only the last part is left",
            """
def accumulate(net, inputs, labels, sizes):
    net.zero_grad()
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        net(x)
""": "there is no gradient afterwards",
            """
def accumulate(net, inputs, labels, sizes):
    net.zero_grad()
    loss = 0
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        loss = loss + criterion(net(x), y) * len(x) / len(inputs)
    loss.backward()
""": "3 parts, and backwards: 1",
            """
def accumulate(net, inputs, labels, sizes):
    net.zero_grad()
    net.weight = nn.Parameter(net.weight.detach())
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) * len(x) / len(inputs)).backward()
""": "the network has another parameter now",
            """
def accumulate(net, inputs, labels, sizes):
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    optimizer.zero_grad()
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) * len(x) / len(inputs)).backward()
    optimizer.step()
""": "it has moved a parameter",
            """
def accumulate(net, inputs, labels, sizes):
    net.weight.grad = None
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) * (len(x) / len(inputs))).backward()
""": "the weight's gradient is right",
            """
def accumulate(net, inputs, labels, sizes):
    net.zero_grad()
    for x, y in zip(inputs.split(sizes), labels.split(sizes)):
        (criterion(net(x), y) * len(x)).backward()
""": "for the sizes [3, 1, 2] it is another gradient",
        },
    ),
]
