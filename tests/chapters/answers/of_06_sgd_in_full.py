"""Answers to the exercises of chapter 6."""

from tests.chapters.answers import Answers


def my_step(body: str) -> str:
    """A step with momentum, of lines that are given."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"@torch.no_grad()\ndef my_step(p, buffer, lr, momentum):\n{lines}"


def groups(body: str) -> str:
    """A function that makes parameter groups, of lines that are given."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def groups(net):\n{lines}"


SKIP = "if p.grad is None: return\n"
BUFFER = f"{SKIP}buffer.mul_(momentum).add_(p.grad)\n"

ANSWERS = [
    Answers(
        right=[
            "answer_1 = 0.5",
            "answer_1 = torch.tensor([0.5])",
            "answer_1 = 0.05 * 2 / (1 - 0.8)",
        ],
        wrong={
            "answer_1 = 2": "what does the buffer grow to",
            "answer_1 = 0.05 * 2": "that is the first step",
            "answer_1 = 10": "that is the buffer",
            "answer_1 = -0.5": "a length has no sign",
            "answer_1 = 0.25": "that would be a gradient",
            "answer_1 = True": "one number, please",
        },
    ),
    Answers(
        right=["answer_2 = 3", "answer_2 = torch.tensor(2.9999)", "answer_2 = (2 - 0.5) / 0.5"],
        wrong={
            "answer_2 = 0.5": "it ends at a = 1.333",
            "answer_2 = 1.0": "it ends at a = 1.000",
            "answer_2 = 39": "it ends at a = 0.050",
            "answer_2 = True": "one number, please",
            "answer_2 = -0.75": "a weight decay is 0 or more",
        },
    ),
    Answers(
        right=[
            # without the decorator, in plain operators
            """
def my_step(p, buffer, lr, momentum):
    if p.grad is not None:
        with torch.no_grad():
            buffer *= momentum
            buffer += p.grad
            p -= lr * buffer
""",
            my_step(
                "if p.grad is not None:\n"
                "    buffer.copy_(momentum * buffer + p.grad)\n"
                "    p.copy_(p - lr * buffer)"
            ),
            "def my_step(p, buffer, lr, momentum):\n"
            "    if p.grad is not None:\n"
            "        buffer.mul_(momentum).add_(p.grad)\n"
            "        p.data.sub_(lr * buffer)",
        ],
        wrong={
            "my_step = 'momentum'": "a function, please",
            "my_step = lambda p, buffer, lr, momentum: None": "the buffer is still zeros",
            my_step(f"{BUFFER}p.data = p - lr * buffer"): "in place: the parameter",
            my_step(f"{BUFFER}return p.add_(buffer, alpha=-lr)"): "it returns something",
            my_step(f"{BUFFER}p.add_(buffer[:2], alpha=-lr)"): "it raises RuntimeError",
            my_step(f"{SKIP}p.sub_(lr * buffer)\n{BUFFER}"): "p does not move in the first step",
            my_step(f"{BUFFER}p.sub_(lr * (p.grad + momentum * buffer))"): "that is Nesterov",
            my_step(f"{BUFFER}p.sub_(lr * p.grad)"): "p moves by the newest gradient",
            my_step(f"{BUFFER}p.sub_(buffer)"): "the buffer is right",
            my_step(
                f"{SKIP}buffer.mul_(momentum).add_(lr * p.grad)\np.sub_(buffer)"
            ): "after the first step the buffer",
            my_step(
                f"{SKIP}buffer.mul_(momentum).add_(p.grad, alpha=1 if not buffer.any() else 0.1)\n"
                "p.sub_(lr * buffer)"
            ): "the buffer is not PyTorch's",
            my_step(f"{BUFFER}p.sub_(lr * buffer)\np.grad = None"): "the gradient is gone",
            my_step(f"{BUFFER}p.sub_(lr * buffer)\np.grad.zero_()"): "the gradient has changed",
            my_step("buffer.mul_(momentum).add_(p.grad)\np.sub_(lr * buffer)"): "a gradient can be",
            my_step(
                "if p.grad is not None: buffer.mul_(momentum).add_(p.grad)\np.sub_(lr * buffer)"
            ): "p moves although its gradient is None",
            my_step(
                f"if p.grad is None: p.grad = torch.zeros_like(p); return\n{BUFFER}"
                "p.sub_(lr * buffer)"
            ): "a gradient of None is no longer None",
            "def my_step(p, buffer, lr, momentum):\n"
            "    buffer.mul_(momentum).add_(p.grad)\n"
            "    p.sub_(lr * buffer)": "autograd must not follow",
        },
    ),
    Answers(
        right=[
            "answer_4 = dict(lr=0.12, momentum=0.5)",
            "answer_4 = {'lr': 0.13, 'momentum': 0.4}",
        ],
        wrong={
            "answer_4 = {'lr': 0.09}": "it ends 0.75",
            "answer_4 = {'lr': 0.09, 'momentum': 0.5}": "it ends 0.018",
            "answer_4 = {'lr': 0.2, 'momentum': 0.6}": "it leaves the valley",
            "answer_4 = {'lr': 0.1, 'momentum': 0.5, 'steps': 200}": "only options of SGD",
            "answer_4 = {'lr': -0.1}": "SGD says ValueError",
            "answer_4 = (0.1, 0.5)": "a dict of options",
        },
    ),
    Answers(
        right=[
            groups(
                "decay, bias = {'params': []}, {'params': [], 'weight_decay': 0}\n"
                "for name, p in net.named_parameters():\n"
                "    (bias if name.split('.')[-1] == 'bias' else decay)['params'].append(p)\n"
                "return decay, bias"
            ),
            groups(
                "biases = [m.bias for m in net.modules() if getattr(m, 'bias', None) is not None]\n"
                "held = {id(p) for p in biases}\n"
                "rest = [p for p in net.parameters() if id(p) not in held]\n"
                "return [{'params': biases, 'weight_decay': 0.0}, {'params': rest}]"
            ),
        ],
        wrong={
            "groups = [{'params': []}, {'params': []}]": "a function, please",
            groups("return list(net.parameters())"): "two groups, each a dict",
            groups("return {'params': net.parameters(), 'weight_decay': 0.0}"): "a list of two",
            groups(
                "return [{'params': net.parameters()}, {'params': [net.fc1.bias]}]"
            ): "a parameter is in both groups",
            groups(
                "return [{'params': [p for p in net.parameters() if p.dim() > 1]},\n"
                "        {'params': [p for p in net.parameters() if p.dim() < 2],\n"
                "         'weight_decay': 0.0}]"
            ): "a weight does not decay",
            groups(
                "named = list(net.named_parameters())\n"
                "return [{'params': [p for n, p in named if 'weight' in n]},\n"
                "        {'params': [p for n, p in named if 'bias' in n]}]"
            ): "a bias decays",
            groups(
                "named = list(net.named_parameters())\n"
                "return [{'params': [p for n, p in named if 'weight' in n]},\n"
                "        {'params': [p for n, p in named if 'bias' in n], 'weight_decay': 0.0}]"
            ): "some parameters are in neither",
            groups("return None.parameters()"): "it raises AttributeError",
        },
    ),
]
