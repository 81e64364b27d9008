"""Answers to the exercises of chapter 4."""

from tests.chapters.answers import Answers


def sets(moved: str, stood_still: str) -> str:
    """The answer that names these layers, each parameter of theirs."""
    return (
        "answer_1 = tuple(\n"
        "    [name for name, _ in net.named_parameters() if name.split('.')[0] in layers.split()]\n"
        f"    for layers in ({moved!r}, {stood_still!r})\n"
        ")"
    )


def step(line: str) -> str:
    """A function that does this to each parameter that has a gradient."""
    return (
        "@torch.no_grad()\n"
        "def my_step(net, lr):\n"
        "    for name, p in net.named_parameters():\n"
        "        if p.grad is not None:\n"
        f"            {line}"
    )


def speeds(line: str) -> str:
    """A function that builds an optimizer so."""
    return (
        "def two_speeds(net, slow, fast):\n"
        "    first = [*net.conv1.parameters(), *net.conv2.parameters()]\n"
        "    rest = [p for layer in (net.fc1, net.fc2, net.fc3) for p in layer.parameters()]\n"
        "    groups = [{'params': first, 'lr': slow}, {'params': rest, 'lr': fast}]\n"
        f"    {line}"
    )


WATCHED = """
trial = copy.deepcopy(net)
criterion(trial(inputs), labels).backward()
trial.fc1.requires_grad_(False)
trial.fc2.zero_grad()
trial.fc3.zero_grad(set_to_none=False)
trial_optimizer = PlainSGD(trial.parameters(), lr=0.1)
with trace(trial, trial_optimizer) as watched:
    trial_optimizer.step()
moved = watched.records[0].changed_parameters
answer_1 = moved, [name for name, _ in net.named_parameters() if name not in moved]
"""

NEW_PARAMETERS = """
def my_step(net, lr):
    for module in net.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            if p.grad is not None:
                setattr(module, name, nn.Parameter(p.detach() - lr * p.grad))
"""

ANSWERS = [
    Answers(
        right=[WATCHED, sets("conv1 conv2 fc1", "fc2 fc3"), sets("fc1 conv2 conv1", "fc3 fc2")],
        wrong={
            "answer_1 = 4": "two sets of names",
            "answer_1 = ({'conv1', 'conv2', 'fc1'}, {'fc2', 'fc3'})": "each layer has two",
            "answer_1 = ({None}, {torch.ones(1)})": "each of the ten names",
            sets("conv1 conv2 fc1 fc2", "fc2 fc3"): "no name can be in both",
            sets("fc2 fc3", "conv1 conv2 fc1"): "those are the two sets",
            sets("conv1 conv2 fc1 fc3", "fc2"): "what does a step add to fc3.bias",
            sets("conv1 conv2 fc1 fc2", "fc3"): "what does a step add to fc2.bias",
            sets("conv1 conv2", "fc1 fc2 fc3"): "freezing keeps later",
            sets("conv1 fc1", "conv2 fc2 fc3"): "conv2.bias had a gradient",
        },
    ),
    Answers(
        right=[
            step("p.copy_(p - lr * p.grad)"),
            "def my_step(net, lr):\n"
            "    for p in net.parameters():\n"
            "        if p.grad is not None:\n"
            "            p.data = p.data - lr * p.grad",
            "def my_step(net, lr):\n"
            "    having = [p for p in net.parameters() if p.grad is not None]\n"
            "    with torch.no_grad():\n"
            "        torch._foreach_add_(having, [p.grad for p in having], alpha=-lr)",
            step("p -= p.grad * torch.tensor(lr)"),
        ],
        wrong={
            "my_step = 'param.add_(grad, alpha=-lr)'": "write a function of net and lr",
            "my_step = lambda net: None": "my_step(net, lr) raised TypeError",
            "my_step = lambda net, lr: None": "nothing moved. Does it",
            "my_step = lambda net, lr: optim.SGD(net.parameters(), lr).step()": "an optimizer did",
            NEW_PARAMETERS: "the network holds new",
            step("p.sub_(p.grad.mul_(lr))"): ".grad is not as it was",
            step("p.add_(p.grad, alpha=-lr) if p.dim() == 2 else None"): "some parameters that",
            step("p.add_(p.grad, alpha=lr)"): "that is a step up",
            step("p.sub_(p.grad)"): "with lr 0.1, a gradient of 0.5",
            step("p.add_(p.grad, alpha=-(lr if lr in (0.1, 0.03) else 7))"): "right for a learning",
            step("p.add_(p.grad.clamp(-1, 1), alpha=-lr)"): "right for small gradients",
            step("p.add_(p.grad.clamp(-100, 100), alpha=-lr)"): "right for small gradients, not",
            step("p.add_(p.grad, alpha=-lr * 1.00002)"): "nearly, but a hundredth",
            step("p.add_(p.grad + 1e-5 * p, alpha=-lr)"): "the step depends on",
            "@torch.no_grad()\n"
            "def my_step(net, lr):\n"
            "    for p in net.parameters():\n"
            "        p.add_(p.grad, alpha=-lr)": "it fails where .grad is None",
            "@torch.no_grad()\n"
            "def my_step(net, lr):\n"
            "    for p in net.parameters():\n"
            "        p.add_(1e-3 if p.grad is None else p.grad, alpha=-lr)": "what has no gradient",
            step("p.add_(p.grad, alpha=-lr or -1)"): "with a learning rate of 0",
        },
    ),
    Answers(
        right=[
            speeds("return optim.SGD(groups)"),
            speeds("return companion.SGD(groups, lr=7.0, foreach=True)"),
            speeds(
                "made = PlainSGD(first, lr=slow)\n"
                "    made.add_param_group({'params': rest, 'lr': fast})\n"
                "    return made"
            ),
        ],
        wrong={
            "two_speeds = (0.01, 0.1)": "write a function of",
            speeds("pass"): "return an optimizer, not a NoneType",
            speeds("return optim.SGD(groups + groups)"): "two_speeds(net, slow, fast) raised Value",
            speeds("return optim.SGD(groups[:1])"): "fc1.weight stands still",
            speeds("return optim.SGD(groups[1:])"): "conv1.weight stands still",
            speeds("return optim.SGD(first + rest, lr=slow)"): "fc1.weight moves with the other",
            speeds("return optim.SGD(first + rest, lr=fast)"): "conv1.weight moves with the other",
            speeds("return optim.Adam(groups)"): "conv1.weight does not move by",
            speeds("return optim.SGD(groups, momentum=0.9)"): "the second step is another",
            speeds("nn.init.zeros_(net.fc3.bias)\n    return optim.SGD(groups)"): "only build the",
        },
    ),
    Answers(
        right=["answer_4 = [1e-4, -1]", "answer_4 = torch.tensor([1.0, 1e-4])"],
        wrong={
            "answer_4 = 1e-5": "two numbers, (lr, gradient)",
            "answer_4 = (None, 1)": "a number is missing",
            "answer_4 = (0, 1)": "the learning rate is to be",
            "answer_4 = (0.1, 0)": "the gradient is to be",
            "answer_4 = (1000, 1e-8)": "in torch.float16 that gradient itself becomes 0",
            "answer_4 = (1e-9, 1e6)": "in torch.float16 that gradient itself becomes inf",
            "answer_4 = (0.01, 1e-6)": "this step is so short",
            "answer_4 = (0.1, 2.0)": "this step is long enough",
        },
    ),
]
