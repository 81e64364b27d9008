"""Answers to the exercises of chapter 2."""

from tests.chapters.answers import Answers


def both(*lines: str, end: str = "Both()") -> str:
    """A class `Both` with these lines in its `__init__`."""
    body = "".join(f"        {line}\n" for line in ("super().__init__()", *lines))
    return f"class Both(nn.Module):\n    def __init__(self):\n{body}\nanswer_3 = {end}\n"


def scaled(
    *,
    factor: str = "nn.Parameter(torch.ones(()))",
    calls: str = "self.register_buffer('calls', torch.zeros(1))",
    count: str = "self.calls = self.calls + 1",
    result: str = "self.factor * x",
    outside: str = "pass",
) -> str:
    """A class that scales and counts, right unless something is replaced."""
    return (
        "class answer_4(nn.Module):\n"
        f"    {outside}\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        f"        self.factor = {factor}\n"
        f"        {calls}\n"
        "    def forward(self, x):\n"
        f"        {count}\n"
        f"        return {result}\n"
    )


ANSWERS = [
    Answers(
        right=[
            "answer_1 = ['fc2.weight', 'fc2.bias']",
            "part = Net(); part.fc2.weight.requires_grad = part.fc2.bias.requires_grad = False\n"
            "criterion(part(inputs), labels).backward()\n"
            "answer_1 = frozenset(k for k, total in gradient_sums(part).items() if total is None)",
        ],
        wrong={
            "answer_1 = 2": "give a set",
            "answer_1 = 'fc2.weight, fc2.bias'": "give a set of",
            "answer_1 = {'fc2.weight': None, 'fc2.bias': None}": "give a set of names",
            "answer_1 = set()": "take a fresh `Net()`",
            "answer_1 = ['fc2']": "that is the layer",
            "answer_1 = {'fc2.weight'}": "not only this one",
            "answer_1 = {k for k, _ in net.named_parameters() if 'fc3' not in k}": (
                "a gradient passes through"
            ),
            "answer_1 = {k for k, _ in net.named_parameters()}": "that is so before a backward",
            "answer_1 = [None, [2], net.fc2.weight]": "look at `grad`",
            "answer_1 = ('fc3.weight', 'fc3.bias')": "look at `grad` of",
        },
    ),
    Answers(
        right=[
            "answer_2 = lambda x: 2 * x[0] + 4 * x[1] + 6 * x[2] - 5",
            "answer_2 = lambda x: x @ torch.arange(2.0, 8.0, 2)",
            "answer_2 = nn.Linear(3, 1)\n"
            "answer_2.weight = nn.Parameter(torch.tensor([[2.0, 4.0, 6.0]]))",
        ],
        wrong={
            "answer_2 = [2.0, 4.0, 6.0]": "the answer is a",
            "answer_2 = True": "the answer is a function",
            "answer_2 = lambda: 2": "it ends with TypeError",
            "answer_2 = lambda x: (x * x).sum().item()": "it returns no tensor, but float",
            "answer_2 = lambda x: torch.tensor([2.0, 4.0, 6.0]) * x": "it returns several numbers",
            "answer_2 = lambda x: (x.detach() * torch.tensor([2.0, 4.0, 6.0])).sum()": (
                "what it returns has"
            ),
            "answer_2 = lambda x: x.detach().requires_grad_().sum()": "the graph of what",
            "answer_2 = lambda x: (x * x).sum()": "at x = [0.5, -4.0, 9.0] the gradient is [1.0",
            "answer_2 = lambda x: x.sum() * 2": "at x = [0.5, -4.0, 9.0] the gradient is [2.0",
            "def answer_2(x):\n"
            "    x.grad = torch.tensor([2.0, 4.0, 6.0])\n"
            "    return (x * 0).sum()": ("at x = [0.5, -4.0, 9.0] the gradient is [0.0"),
        },
    ),
    Answers(
        right=[
            both(
                "self.register_parameter('parameter', nn.Parameter(torch.tensor([1.0, 1.0, 1.0])))",
                "self.register_parameter('tensor', nn.Parameter(torch.full((3,), 1.0)))",
            ),
            "class Both(Two):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        old = self.tensor\n"
            "        del self.tensor\n"
            "        self.tensor = nn.Parameter(old)\n"
            "answer_3 = Both()",
        ],
        wrong={
            both("pass", end="Both"): "that is the class",
            "answer_3 = 'Both()'": "the answer is a",
            "answer_3 = [nn.Parameter(torch.ones(3)), None]": "the answer is a module",
            "answer_3 = Two()": "the answer is of a class Two",
            "answer_3 = nn.ParameterDict({'tensor': torch.ones(3), 'parameter': torch.ones(3)})": (
                "the answer is of a class ParameterDict"
            ),
            both(
                "self.tensor = torch.ones(3, requires_grad=True)",
                "self.parameter = nn.Parameter(torch.ones(3))",
            ): "it lists ['parameter']",
            both("self.tensor = self.parameter = nn.Parameter(torch.ones(3))"): (
                "one Parameter under two"
            ),
            both(
                "self.tensor = nn.Parameter(torch.ones(1))",
                "self.parameter = nn.Parameter(torch.ones(7, 7))",
            ): "their shapes are not",
            both(
                "self.tensor = nn.Parameter(torch.ones(3), requires_grad=False)",
                "self.parameter = nn.Parameter(torch.ones(3), requires_grad=False)",
            ): "listed are both",
            both(
                "self.tensor = nn.Parameter(torch.zeros(3))",
                "self.parameter = nn.Parameter(torch.ones(3))",
            ): "their numbers are not",
            "class Both(Two):\n"
            "    def named_parameters(self):\n"
            "        yield from [('tensor', self.tensor), ('parameter', self.parameter)]\n"
            "answer_3 = Both()": "its state dict has ['parameter']",
        },
    ),
    Answers(
        right=[
            scaled(),
            scaled(
                factor="nn.Parameter(torch.tensor([1.0]))",
                calls="self.calls = nn.Buffer(torch.tensor(0))",
                count="self.calls.add_(1)",
            ),
        ],
        wrong={
            "answer_4 = nn.Linear(1, 1)": "the answer is a class",
            "answer_4 = 'Scaled'": "the answer is a class,",
            "class answer_4:\n    factor, calls = 1, 0": "the answer is a class, itself",
            scaled(factor="torch.tensor(1.0, requires_grad=True)"): "the parameters are []",
            scaled(calls="self.calls = nn.Parameter(torch.zeros(()))"): (
                "the parameters are ['factor', 'calls']"
            ),
            scaled(calls="self.calls = 0"): "calls is not registered",
            scaled(calls="self.register_buffer('calls', torch.zeros(1), persistent=False)"): (
                "calls is a buffer"
            ),
            scaled(factor="nn.Parameter(torch.ones(()) * 5)"): "at first it should",
            scaled(result="x"): "with a factor of 3",
            scaled(result="(self.factor * x).detach()"): "what it returns has",
            scaled(count="pass"): "after three calls, the last in eval mode, calls is",
            scaled(count="self.calls = self.calls + self.training"): "after three calls",
            scaled(factor="nn.Parameter(torch.ones(2))"): "it ends with RuntimeError",
            scaled(
                outside="shared = torch.zeros(1)",
                calls="self.register_buffer('calls', self.shared)",
                count="self.calls.add_(1)",
            ): "a new one does",
            scaled(
                calls="self.register_buffer('calls', torch.zeros(1)); self.count = 0",
                count="self.count += 1; self.calls = torch.tensor([float(self.count)])",
            ): "it does not go",
            scaled(result="factor * x"): "it ends with NameError",
        },
    ),
]
