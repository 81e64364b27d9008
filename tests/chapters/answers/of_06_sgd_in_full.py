"""Answers to the exercises of chapter 6."""

from tests.chapters.answers import Answers


def my_sgd(
    body: str,
    more: str = "",
    *,
    state: str = "self.state[p]",
    options: str = "group",
    groups: str = "self.param_groups",
) -> str:
    """A class whose `step` moves each parameter by lines that are given.

    They know `p`, its `state`, its `group` with its number `i` in it, and the group's options.
    """
    indented = body.replace("\n", "\n                ")
    return f"""
class MySGD(optim.Optimizer):
    def __init__(self, params, **options):
        super().__init__(params, {{**OPTIONS, **options}})

    {more}

    @torch.no_grad()
    def step(self):
        for group in {groups}:
            now = {options}
            lr, momentum, dampening = now["lr"], now["momentum"], now["dampening"]
            decay, nesterov = now["weight_decay"], now["nesterov"]
            for i, p in enumerate(group["params"]):
                state = {state}
                {indented}
"""


def groups(body: str) -> str:
    """A function that makes parameter groups, of lines that are given."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def groups(net):\n{lines}"


# A right step, in parts, so that a wrong one can leave out or change one of them.
SKIP = "if p.grad is None: continue\n"
GRAD = "grad = -p.grad if group['maximize'] else p.grad\n"
DECAY = "if decay: grad = grad.add(p, alpha=decay)\n"
BUFFER = (
    "if momentum:\n"
    "    if 'momentum_buffer' in state:\n"
    "        state['momentum_buffer'].mul_(momentum).add_(grad, alpha=1 - dampening)\n"
    "    else:\n"
    "        state['momentum_buffer'] = grad.clone()\n"
    "    buf = state['momentum_buffer']\n"
)
AHEAD = "    grad = grad.add(buf, alpha=momentum) if nesterov else buf\n"
MOVE = "p.add_(grad, alpha=-lr)"
BEFORE = SKIP + GRAD + DECAY
RIGHT = BEFORE + BUFFER + AHEAD + MOVE


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
            "answer_3 = dict(lr=0.12, momentum=0.5)",
            "answer_3 = {'lr': 0.13, 'momentum': 0.4}",
        ],
        wrong={
            "answer_3 = {'lr': 0.09}": "it ends 0.75",
            "answer_3 = {'lr': 0.09, 'momentum': 0.5}": "it ends 0.018",
            "answer_3 = {'lr': 0.2, 'momentum': 0.6}": "it leaves the valley",
            "answer_3 = {'lr': 0.1, 'momentum': 0.5, 'steps': 200}": "only options of SGD",
            "answer_3 = {'lr': -0.1}": "SGD says ValueError",
            "answer_3 = (0.1, 0.5)": "a dict of options",
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
    Answers(
        right=[
            my_sgd(RIGHT),
            # all parameters of a group at once; new tensors, so that no gradient is written to
            """
class MySGD(optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False,
                 *, maximize=False):
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening,
                         weight_decay=weight_decay, nesterov=nesterov, maximize=maximize))

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                self.move([p for p in group["params"] if p.grad is not None], **group)

    def move(self, ps, lr, momentum, dampening, weight_decay, nesterov, maximize, **others):
        if not ps:
            return
        grads = [p.grad for p in ps]
        if maximize:
            grads = torch._foreach_neg(grads)
        if weight_decay:
            grads = torch._foreach_add(grads, ps, alpha=weight_decay)
        if momentum:
            seen = [p for p, grad in zip(ps, grads) if "momentum_buffer" in self.state[p]]
            fed = [grad for p, grad in zip(ps, grads) if "momentum_buffer" in self.state[p]]
            if seen:
                kept = [self.state[p]["momentum_buffer"] for p in seen]
                torch._foreach_mul_(kept, momentum)
                torch._foreach_add_(kept, fed, alpha=1 - dampening)
            for p, grad in zip(ps, grads):
                self.state[p].setdefault("momentum_buffer", grad.clone())
            bufs = [self.state[p]["momentum_buffer"] for p in ps]
            grads = torch._foreach_add(grads, bufs, alpha=momentum) if nesterov else bufs
        torch._foreach_add_(ps, grads, alpha=-float(lr))
""",
            # through .data, without no_grad; zeros as the first buffer, which is not dampened
            """
class MySGD(optim.Optimizer):
    def __init__(self, params, **options):
        super().__init__(params, {**OPTIONS, **options})

    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                if p.grad is None:
                    continue
                d = p.grad.data
                if g["maximize"]:
                    d = d * -1
                d = torch.add(d, p.data, alpha=g["weight_decay"])
                if g["momentum"] > 0:
                    first = "momentum_buffer" not in self.state[p]
                    old = torch.zeros_like(p.data) if first else self.state[p]["momentum_buffer"]
                    new = g["momentum"] * old
                    new = torch.add(new, d, alpha=1 if first else 1 - g["dampening"])
                    self.state[p]["momentum_buffer"] = new
                    d = torch.add(d, new, alpha=g["momentum"]) if g["nesterov"] else new
                p.data = p.data.sub_(d, alpha=g["lr"])
""",
        ],
        wrong={
            "MySGD = 'momentum'": "a class, please",
            "class MySGD(optim.SGD):\n    def step(self): super().step()": "that is SGD already",
            my_sgd(RIGHT.replace(MOVE, "p.add_(grad, alpha=lr)")): "each step goes uphill",
            my_sgd(BEFORE + MOVE): "p moves by the newest gradient alone",
            my_sgd(
                BEFORE
                + "if momentum:\n"
                + "    buf = state.setdefault('momentum_buffer', torch.zeros_like(p))\n"
                + "    buf.mul_(momentum).add_(grad, alpha=1 - dampening)\n"
                + AHEAD
                + MOVE
            ): "the first gradient enters the buffer as it is",
            my_sgd(RIGHT.replace("1 - dampening", "1")): "dampening changes nothing",
            my_sgd(RIGHT.replace("1 - dampening", "dampening or 1")): "a gradient enters",
            my_sgd(RIGHT.replace("1 - dampening", "1 - momentum")): "that buffer is a running",
            my_sgd(
                BEFORE
                + "if momentum: grad = lr * grad\n"
                + BUFFER
                + AHEAD
                + "p.add_(grad, alpha=-1 if momentum else -lr)"
            ): "the learning rate stays out",
            my_sgd(SKIP + GRAD + BUFFER + AHEAD + DECAY + MOVE): "weight decay comes before",
            my_sgd(SKIP + GRAD + BUFFER + AHEAD + MOVE): "weight decay changes nothing",
            my_sgd(BEFORE + BUFFER + "    grad = buf\n" + MOVE): "nesterov: after the buffer",
            my_sgd(RIGHT.replace("grad.add(buf", "(0 * p).add(buf")): "nesterov: the gradient",
            my_sgd(RIGHT.replace("grad.add(buf", "p.grad.add(buf")): "Nesterov adds the buffer",
            my_sgd(RIGHT.replace("if nesterov else buf", "")): "that is Nesterov's step",
            my_sgd(RIGHT.replace(GRAD, "grad = p.grad\n")): "maximize turns the sign",
            my_sgd(
                RIGHT.replace(GRAD, "grad = p.grad\n").replace(
                    "=-lr", "=lr if group['maximize'] else -lr"
                )
            ): "maximize turns the gradient only",
            my_sgd(RIGHT.replace("is None", "is None or not p.grad.any()")): "a gradient of zeros",
            my_sgd(
                RIGHT.replace(
                    GRAD,
                    "grad = p.grad if p.grad is not None else torch.zeros_like(p)\n"
                    "if group['maximize']: grad = -grad\n",
                ).replace(SKIP, "if p.grad is None and not state: continue\n")
            ): "a parameter whose gradient is None",
            my_sgd(RIGHT.replace(SKIP, "")): "a gradient can be None",
            my_sgd(RIGHT, state="vars(self).setdefault('kept', {})"): "alone, a parameter moves",
            my_sgd(
                RIGHT, state="vars(self).setdefault('kept', {}).setdefault(p, {})"
            ): "where is the",
            my_sgd(RIGHT, groups="self.param_groups[:1]"): "with two groups it goes wrong",
            my_sgd(RIGHT, options="self.defaults"): "each group has its own options",
            my_sgd(f"lr = group.setdefault('first', lr)\n{RIGHT}"): "a scheduler changes",
            my_sgd(
                RIGHT.replace("'momentum_buffer' in state", "p in seen")
                .replace("grad.clone()", "grad.clone(); seen.add(p)")
                .replace(SKIP, SKIP + "seen = vars(self).setdefault('seen', set())\n")
            ): "after load_state_dict it goes on",
            my_sgd(RIGHT.replace(MOVE, "p.data = p - lr * grad")): "in place, please: a parameter",
            my_sgd(
                RIGHT.replace(MOVE, "group['params'][i] = nn.Parameter(p - lr * grad)")
            ): "in place, please: a group",
            my_sgd(RIGHT.replace("grad.clone()", "grad")): "the first buffer is",
            my_sgd(RIGHT.replace("grad.add(buf", "grad.add_(buf")): "a gradient has changed",
            my_sgd(RIGHT + "\np.grad = None"): "a gradient is gone",
            my_sgd(
                RIGHT.replace(SKIP, "if p.grad is None: p.grad = torch.zeros_like(p)\n")
            ): "a gradient of None is no longer",
            my_sgd(RIGHT).replace("    @torch.no_grad()\n", ""): "autograd must not follow",
            my_sgd(RIGHT.replace(MOVE, "p.sub_(lr * grad)")): "in the case 'default' right but",
            my_sgd(RIGHT.replace("=momentum", "=momentum / 2")): "in the case 'nesterov', {",
            my_sgd("p.add_(q.grad)"): "it raises NameError",
            my_sgd(RIGHT, "def zero_grad(self): super().zero_grad(set_to_none=False)"): (
                "all cases are right, but the traces part at optimizer.zero_grad(): the gradients"
            ),
            my_sgd(RIGHT, "def zero_grad(self): raise OSError"): "under trace it raises OSError",
        },
    ),
]
