"""Answers to the exercises of chapter 7."""

from tests.chapters.answers import Answers


def my_adamw(body: str, **changed: str) -> str:
    """A step of AdamW, of lines that are given or of its own with some changed."""
    lines = {
        "skip": "if p.grad is None: return",
        "decay": "p.mul_(1 - lr * weight_decay)",
        "m": "m.mul_(0.9).add_(p.grad, alpha=0.1)",
        "v": "v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)",
        "mean": "mean, square = m / (1 - 0.9**t), v / (1 - 0.999**t)",
        "step": "p.sub_(lr * mean / (square.sqrt() + 1e-8))",
        "last": body,
    } | changed
    inner = "\n".join(f"    {line}" for line in "\n".join(lines.values()).splitlines())
    return f"@torch.no_grad()\ndef my_adamw(p, m, v, t, lr, weight_decay):\n{inner}"


ANSWERS = [
    Answers(
        right=["answer_1 = 0.00125", "answer_1 = torch.tensor(0.02) / 16"],
        wrong={
            "answer_1 = 0.02": "every gradient is larger now",
            "answer_1 = 0.02 * 16": "that makes the steps longer",
            "answer_1 = 0.02 / 32": "that is for a batch of 32",
            "answer_1 = 0.01": "how many times as large",
            "answer_1 = '0.00125'": "one number, please",
        },
    ),
    Answers(
        right=[
            "answer_2 = -0.000526",
            "answer_2 = -0.01 * (0.05 / (1 - 0.9**2)) / 5",
            "answer_2 = torch.tensor([-5.26e-4])",
        ],
        wrong={
            "answer_2 = 0.01": "that is the size of the first step",
            "answer_2 = 0.000526": "the size is right",
            "answer_2 = 0": "the newer gradient counts more",
            "answer_2 = 0.009474": "that is where it stands",
            "answer_2 = -0.01 * 0.05 / 5": "are the averages corrected",
            "answer_2 = 5": "write down both averages",
            "answer_2 = [-0.000526, None]": "one number, please",
        },
    ),
    Answers(
        right=["answer_3 = 0.34", "answer_3 = torch.tensor(0.3357)"],
        wrong={
            "answer_3 = True": "one number, please",
            "answer_3 = 0": "what is in exp_avg",
            "answer_3 = 10 * 0.1": "ten steps of the learning rate",
            "answer_3 = 0.44": "that is with the first step",
            "answer_3 = -0.34": "a length has no sign",
            "answer_3 = 0.1": "let the optimizer take",
        },
    ),
    Answers(
        right=[
            my_adamw(""),
            """
def my_adamw(p, m, v, t, lr, weight_decay):
    if p.grad is not None:
        with torch.no_grad():
            g = p.grad
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g * g)
            way = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
            p -= lr * (way + weight_decay * p)
""",
        ],
        wrong={
            "my_adamw = lambda p, m, v, t, lr: None": "it raises TypeError",
            "my_adamw = 0.01": "a function, please",
            "my_adamw = lambda p, m, v, t, lr, weight_decay: None": "m is not PyTorch's",
            my_adamw("", v="v.mul_(0.999).add_(p.grad, alpha=0.001)"): "v is not PyTorch's",
            my_adamw("", decay=""): "the weight decay is missing",
            my_adamw("", decay="p.mul_(1 - weight_decay)"): "by which share does",
            my_adamw("p.mul_(1 - lr * weight_decay)", decay=""): "decay first, then step",
            my_adamw(
                "", decay="", m="m.mul_(0.9).add_(p.grad + weight_decay * p, alpha=0.1)"
            ): "that is Adam's weight decay",
            my_adamw("", mean="mean, square = m, v"): "m and v go in uncorrected",
            my_adamw("", step="p.sub_(lr * mean / (square + 1e-8).sqrt())"): "eps stands outside",
            my_adamw("", step="", decay=""): "p does not move",
            my_adamw("", step="if t < 6: p.sub_(lr * mean / (square.sqrt() + 1e-8))"): "p is not",
            my_adamw(
                "",
                decay="",
                step="p.data = p - lr * mean / (square.sqrt() + 1e-8)",
            ): "in place: the parameter",
            my_adamw("p.grad.zero_()"): "the gradient has changed",
            my_adamw("p.grad = None"): "the gradient is gone",
            my_adamw("return p"): "it returns something",
            my_adamw("", skip=""): "a gradient can be None",
            my_adamw("").replace("@torch.no_grad()\n", ""): "autograd must not follow",
            my_adamw(
                "", skip="if p.grad is None:\n    p.mul_(0.5)\n    return"
            ): "without a gradient",
        },
    ),
]
