"""Answers to the exercises of the chapter about lines that change more than they say."""

from tests.chapters.answers import Answers


def mending(
    before: str = "net.train()",
    momentum: str = "None",
    reset: str = "norm.reset_running_stats()",
    around: str = "with torch.no_grad():",
    loop: str = "net(inputs)",
    after: str = "norm.momentum = 0.001",
) -> str:
    """Forward passes over all batches, with some lines changed."""
    return f"""
def mend(net, data):
    for norm in (net[1], net[4]):
        {reset}
        norm.momentum = {momentum}
    {before}
    {around}
        for inputs, targets in data:
            {loop}
    for norm in (net[1], net[4]):
        {after}
"""


def closing(
    outside: str = "pass",
    clear: str = "optimizer.zero_grad()",
    loss: str = "loss = criterion(net(inputs), targets)",
    backward: str = "loss.backward()",
    after: str = "pass",
    told: str = "return loss",
) -> str:
    """A closure, with some lines changed."""
    return f"""
def closure_for(net, optimizer, inputs, targets):
    {outside}
    def closure():
        {clear}
        {loss}
        {backward}
        {after}
        {told}
    return closure
"""


def hooking(
    clip: str = "clip_grad_norm_(p, limit)",
    step: str = "p.sub_(lr * p.grad)",
    clear: str = "p.grad = None",
    before: str = "pass",
    register: str = "p.register_post_accumulate_grad_hook(hook)",
) -> str:
    """A hook that makes a step, with some lines changed."""
    return f"""
def install(net, lr, limit):
    {before}
    def hook(p):
        {clip}
        with torch.no_grad():
            {step}
        {clear}
    for p in net.parameters():
        {register}
"""


OUTSIDE = "loss = criterion(net(inputs), targets)"

ALL_AT_ONCE = """
def install(net, lr, limit):
    there = []
    def hook(p):
        there.append(p)
        if len(there) == len([*net.parameters()]):
            clip_grad_norm_(there, limit)
            with torch.no_grad():
                for one in there:
                    one.sub_(lr * one.grad)
                    one.grad = None
            there.clear()
    for p in net.parameters():
        p.register_post_accumulate_grad_hook(hook)
"""

ONE_FOR_ALL = """
def install(net, lr, limit):
    for p in net.parameters():
        def hook(_):
            if p.grad is not None:
                clip_grad_norm_(p, limit)
                p.data -= lr * p.grad
                p.grad = None
        p.register_post_accumulate_grad_hook(hook)
"""

ANSWERS = [
    Answers(
        right=["moves, learns = 'a b d', ['A', 'C', 'D']", "moves, learns = {*'ABD'}, 'D, C, A'"],
        wrong={
            "moves = learns = 3": "give letters as text",
            "moves, learns = 'ABX', 'A'": "the letters are A to E",
            "moves, learns = 'BD', 'CD'": "A is a layer that nobody",
            "moves, learns = 'AD', 'ACD'": "requires_grad is about gradients",
            "moves, learns = 'ABD', 'ABCD'": "a weight that asks for no gradient",
            "moves, learns = 'ABCD', 'ACD'": "in eval mode the running mean",
            "moves, learns = 'ABD', 'AD'": "eval mode stops no gradient",
            "moves, learns = 'AB', 'ACD'": "net.train() reaches every module",
            "moves, learns = 'ABD', 'ACDE'": "E switches off both",
        },
    ),
    Answers(
        right=[
            "mend = lambda net, data: update_bn(data, net)",
            mending(after="norm.momentum = 0.001; net.eval()"),
            """
def mend(net, data):
    net.train()
    means, variances = {1: [], 4: []}, {1: [], 4: []}
    for place in means:
        net[place].momentum = 1.0
    with torch.no_grad():
        for inputs, _ in data:
            net(inputs)
            for place in means:
                means[place].append(net[place].running_mean.clone())
                variances[place].append(net[place].running_var.clone())
        for place in means:
            net[place].running_mean.copy_(torch.stack(means[place]).mean(dim=0))
            net[place].running_var.copy_(torch.stack(variances[place]).mean(dim=0))
            net[place].momentum = 0.001
""",
        ],
        wrong={
            "mend = bad": "it raises TypeError",
            "mend = 0.1": "a function of two arguments",
            "mend = lambda net, data: net.eval()": "no running mean has moved",
            mending(reset="pass", momentum="0.001"): "still bad, 2",
            mending(momentum="0.1"): "good, but not the plain mean",
            mending(after="pass"): "the next training has another momentum",
            mending(after="norm.momentum = 0.001; norm.running_var.fill_(1)"): "and the running",
            "def mend(net, data):\n    update_bn(data, net)\n    net[1].running_var.fill_(1)": (
                "and the running variance"
            ),
            mending(
                around="if True:",
                before="net.train(); optimizer = optim.SGD(net.parameters(), lr=0.01)",
                loop="train(net, optimizer, [(inputs, targets)])",
            ): "a parameter has changed",
            """
def mend(net, data):
    for norm in (net[1], net[4]):
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
""": "good only in company",
            """
def mend(net, data):
    update_bn(data, net)
    net[1] = copy.deepcopy(net[1])
""": "the layers of this network",
        },
    ),
    Answers(
        right=[
            closing(told="return loss.item()"),
            closing(clear="net.zero_grad(set_to_none=False)", told="return loss.detach()"),
            """
def closure_for(net, optimizer, inputs, targets):
    def closure():
        loss = nn.functional.cross_entropy(net(inputs), targets)
        grads = torch.autograd.grad(loss, [*net.parameters()])
        for p, grad in zip(net.parameters(), grads):
            p.grad = grad
        return loss
    return closure
""",
        ],
        wrong={
            "closure_for = 4": "a function of four arguments",
            "closure_for = lambda *four: None": "it returns no function",
            closing(clear="pass"): "the gradients pile up",
            closing(outside=OUTSIDE, loss="pass"): "there is no new forward pass",
            closing(
                outside=OUTSIDE, loss="pass", backward="loss.backward(retain_graph=True)"
            ): "this graph is kept",
            closing(outside=f"{OUTSIDE}; first = loss.item()", told="return first"): (
                "the loss is that of an earlier"
            ),
            closing(told="return 2 * loss"): "the loss is that of something",
            closing(told="pass"): "it does not tell the loss",
            closing(after="optimizer.zero_grad()"): "it leaves no gradient",
            closing(clear="pass", backward="pass"): "it computes no gradient",
            closing(backward="(loss / 2).backward()"): "these are not the gradients",
            closing(after="[p.data.sub_(p.grad) for p in net.parameters()]"): (
                "the closure moves parameters"
            ),
            closing(loss=f"with torch.no_grad(): {OUTSIDE}"): "it raises RuntimeError: element 0",
        },
    ),
    Answers(
        right=[
            hooking(),
            hooking(clip="p.grad *= min(1, limit / p.grad.norm())", clear="p.grad.zero_()"),
            """
def install(net, lr, limit):
    optimizers = {p: optim.SGD([p], lr=lr) for p in net.parameters()}

    def hook(p):
        clip_grad_norm_([p], limit)
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in optimizers:
        p.register_post_accumulate_grad_hook(hook)
""",
        ],
        wrong={
            "install = 4": "a function of three arguments",
            "install = lambda net: None": "it raises TypeError",
            "install = lambda net, lr, limit: None": "no parameter has moved",
            ONE_FOR_ALL: "not every parameter has moved",
            hooking(
                clip="pass",
                clear="pass",
                before="def late(p): clip_grad_norm_(p, limit); p.grad = None",
                register="p.register_post_accumulate_grad_hook(hook); "
                "p.register_post_accumulate_grad_hook(late)",
            ): "the gradients were clipped too late",
            hooking(clip="torch.nn.utils.clip_grad_value_(p, limit)"): "clipped number by number",
            ALL_AT_ONCE: "with the norm of all",
            hooking(step="p.sub_(p.grad)"): "the parameters have moved by something",
            hooking(clear="pass"): "a gradient is left",
            hooking(clip="clip_grad_norm_(q, limit)"): "backward raises NameError",
            hooking(register="p.register_hook(hook)"): "where your hook is called",
        },
    ),
]
