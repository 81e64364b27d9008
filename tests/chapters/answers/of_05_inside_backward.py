"""Answers to the exercises of the chapter on the inside of backward."""

from tests.chapters.answers import Answers

# A Function whose forward is right; what its backward returns comes behind it.
BEGUN = """
class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, arrived):
        x, weight = ctx.saved_tensors
"""

ANSWERS = [
    Answers(
        right=[
            "answer_1 = torch.tensor(13)",
            """
w = torch.tensor(2.0, requires_grad=True)
(w * (w * 3 + 1)).backward()
answer_1 = w.grad
""",
        ],
        wrong={
            "answer_1 = 'thirteen'": "give one number",
            "answer_1 = 7": "that is what arrives from the last use",
            "answer_1 = 6": "that is what arrives from the first use",
            "answer_1 = (7 + 6) / 2": "shares of two uses are added",
            "answer_1 = 7 * 6": "along one way slopes are multiplied",
            "answer_1 = 2 * 7": "that is z itself",
            "answer_1 = 9": "h arrives from the one use",
        },
    ),
    Answers(
        right=[
            """
def arriving(losses, real):
    return torch.where(real, 1 / real.sum(), 0.0)
""",
            """
def arriving(losses, real):
    losses = losses.detach().requires_grad_()
    losses[real].mean().backward()
    return losses.grad
""",
        ],
        wrong={
            "arriving = 1 / 5": "give a function",
            "arriving = lambda losses: losses.mean()": "it raised TypeError",
            "arriving = lambda losses, real: 1 / 5": "return a tensor, not float",
            "arriving = lambda losses, real: losses[real].mean()": "its shape is ()",
            "arriving = lambda losses, real: torch.ones_like(losses)": "ones give a sum",
            "arriving = lambda losses, real: torch.ones_like(losses) / real.sum()": (
                "something arrives at the padding"
            ),
            "arriving = lambda losses, real: real.float()": "that is the sum over the real words",
            "arriving = lambda losses, real: real / real.numel()": "it divides by the padding",
            """
def arriving(losses, real):
    return real / real.sum(dim=1, keepdim=True) / len(real)
""": "does each real word count alike",
        },
    ),
    Answers(
        right=[
            """
def teach(generator, critic, noise):
    asked = [p.requires_grad for p in critic.parameters()]
    critic.requires_grad_(False)
    critic(generator(noise)).mean().backward()
    for p, before in zip(critic.parameters(), asked):
        p.requires_grad_(before)
""",
            """
def teach(generator, critic, noise):
    own = list(generator.parameters())
    found = torch.autograd.grad(critic(generator(noise)).mean(), own)
    for p, gradient in zip(own, found):
        p.grad = gradient
""",
        ],
        wrong={
            "teach = True": "give a function",
            "teach = lambda generator, critic: None": "it raised TypeError",
            """
def teach(generator, critic, noise):
    made = generator(noise)
    with torch.no_grad():
        score = critic(made).mean()
    score.backward()
""": "nothing leads back. What does no_grad cut",
            """
def teach(generator, critic, noise):
    critic(generator(noise).detach()).mean().backward()
""": "the generator has no gradient",
            """
def teach(generator, critic, noise):
    critic.eval()
    critic(generator(noise)).mean().backward()
""": "the critic's gradients have changed",
            """
def teach(generator, critic, noise):
    critic(generator(noise)).mean().backward()
    critic.zero_grad()
""": "what stood in the critic's .grad is gone",
            """
def teach(generator, critic, noise):
    critic.requires_grad_(False)
    critic(generator(noise)).mean().backward()
""": "the critic is frozen afterwards",
            """
def teach(generator, critic, noise):
    critic.requires_grad_(False)
    critic(generator(noise)).mean().backward()
    critic.requires_grad_(True)
""": "one of the critic's parameters was frozen before",
            """
def teach(generator, critic, noise):
    before = [(p, p.requires_grad, p.grad) for p in critic.parameters()]
    for p, _, _ in before:
        p.requires_grad, p.grad = True, None
    critic(generator(noise)).mean().backward()
    for p, asked, grad in before:
        p.requires_grad_(asked)
        if asked:
            p.grad = grad
""": "the critic's frozen bias had no gradient",
            """
def teach(generator, critic, noise):
    critic(generator(noise)).sum().backward(inputs=[*generator.parameters()])
""": "the generator has another gradient",
        },
    ),
    Answers(
        right=[
            """
class Product(torch.autograd.Function):
    @staticmethod
    def forward(x, weight):
        return x @ weight.T

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, arrived):
        x, weight = ctx.saved_tensors
        by_x = torch.einsum("ik,kj->ij", arrived, weight)
        return by_x, torch.einsum("ik,ij->kj", arrived, x)
""",
            """
class Mine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(weight, x)
        return nn.functional.linear(x, weight)

    @staticmethod
    def backward(ctx, arrived):
        weight, x = ctx.saved_tensors
        return (weight.T @ arrived.T).T, (x.T @ arrived).T


Product = Mine
""",
            BEGUN.replace("x @ weight.T", "torch.einsum('ik,jk->ij', x, weight)")
            + "        return arrived @ weight, arrived.T @ x",
            BEGUN.replace("x @ weight.T", "(x[:, None] * weight).sum(dim=2)")
            + "        return arrived @ weight, arrived.T @ x",
        ],
        wrong={
            "Product = nn.Linear": "give a class made from torch.autograd.Function",
            """
class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        return x @ weight
""": "it raised RuntimeError",
            """
class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        return 2 * (x @ weight.T)
""": "forward is to return",
            BEGUN.replace("x @ weight.T", "(x @ weight.T)[None]"): "forward is to return x @",
            """
class Product(torch.autograd.Function):
    @classmethod
    def apply(cls, x, weight):
        return x @ weight.T
""": "PyTorch has made the node",
            """
class Product(torch.autograd.Function):
    @classmethod
    def apply(cls, x, weight):
        with torch.no_grad():
            return x @ weight.T
""": "the result has no node",
            BEGUN + "        return arrived @ weight": "forward has two arguments",
            BEGUN + "        return arrived @ weight, x.T @ arrived": (
                "a gradient has the shape of what it belongs to"
            ),
            BEGUN + "        return arrived @ weight, arrived.T @ x / len(x)": (
                "the gradient of weight has other numbers"
            ),
            BEGUN + "        return 0 * x, arrived.T @ x": "the gradient of x has other numbers",
            f"""{BEGUN}        ones = torch.ones_like(arrived)
        return ones @ weight, ones.T @ x
""": "right for a plain sum",
        },
    ),
]
