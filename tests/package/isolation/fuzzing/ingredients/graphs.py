"""Graphs with hooks, checkpoints and functions of the user's: what runs when a graph is read."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import BACKWARD, END, LOSS, START, Ingredient

PENALTY = "loss += 0.01 * sum(p.square().sum() for p in net.parameters())"
PACKING = """
def pack(tensor):
    count("packed")
    return tensor.detach().clone()
def unpack(packed):
    count("unpacked")
    return packed
"""


def _checkpoint(options: str, more: str = "") -> Ingredient:
    words = " and more" if more else ""
    return Ingredient(
        f"checkpoint {options}{words}",
        forward=f"x = x.requires_grad_() if x.is_floating_point() else x\n"
        f"outputs = checkpoint(net, x, {options})\nloss = criterion(outputs, y)\n{more}",
    )


def _hooks(name: str, around: str, **fields: str) -> Ingredient:
    """A context manager around the forward."""
    forward = f"with {around}:\n    outputs = net(x)\n    loss = criterion(outputs, y)\n"
    return Ingredient(name, forward=forward + fields.pop("more", ""), **fields)  # type: ignore[arg-type]


GRAPHS = [
    _checkpoint("use_reentrant=False"),
    _checkpoint("use_reentrant=False", PENALTY),
    _checkpoint("use_reentrant=False, preserve_rng_state=False", PENALTY),
    _checkpoint("use_reentrant=False, preserve_rng_state=False"),
    _checkpoint("use_reentrant=True"),
    _checkpoint("use_reentrant=True", PENALTY),
    _checkpoint("use_reentrant=True, preserve_rng_state=False", PENALTY),
    _checkpoint("use_reentrant=False", "loss = loss - 0.1 * outputs.mean()"),
    Ingredient(
        "checkpoint of a sum over two batches",
        forward="""
loss = 0
for _ in range(2):
    outputs = checkpoint(net, batch()[0], use_reentrant=False)
    loss += outputs.square().mean()
""",
    ),
    _hooks(
        "packing counted", "torch.autograd.graph.saved_tensors_hooks(pack, unpack)", setup=PACKING
    ),
    _hooks(
        "packing counted, losses summed",
        "torch.autograd.graph.saved_tensors_hooks(pack, unpack)",
        setup=PACKING,
        more=PENALTY,
    ),
    _hooks(
        "packing counted, losses kept",
        "torch.autograd.graph.saved_tensors_hooks(pack, unpack)",
        setup=PACKING,
        before="kept_graphs = []",
        more="kept_graphs.append(loss)",
    ),
    _hooks("save_on_cpu", "torch.autograd.graph.save_on_cpu()", more=PENALTY),
    _hooks(
        "unpacking raises when the tensor is gone",
        "torch.autograd.graph.saved_tensors_hooks(put, take)",
        setup="""
shelf = {}
def put(tensor):
    shelf[len(shelf)] = tensor.detach()
    return len(shelf) - 1
def take(number):
    count("taken")
    return shelf[number]
""",
        more=PENALTY,
    ),
    Ingredient(
        "double backward",
        forward="""
outputs = net(x)
loss = criterion(outputs, y)
weights = [p for p in net.parameters() if p.requires_grad]
slopes = torch.autograd.grad(loss, weights, create_graph=True)
loss = loss + sum(slope.square().sum() for slope in slopes)
""",
    ),
    Ingredient("backward with create_graph", backward="loss.backward(create_graph=True)"),
    Ingredient(
        "retain_graph twice",
        backward="""
loss.backward(retain_graph=True)
loss.backward()
""",
    ),
    Ingredient(
        "backward twice fails",
        backward="""
loss.backward()
loss.backward()
""",
    ),
    Ingredient(
        "backward twice, caught",
        backward="""
loss.backward()
try:
    loss.backward()
except RuntimeError:
    print(traceback.format_exc())
""",
    ),
    Ingredient(
        "tensor hooks",
        "outputs.register_hook(lambda grad: count('hook') or grad * 1.01)",
        (LOSS,),
    ),
    Ingredient(
        "parameter hooks",
        ready="""
for p in net.parameters():
    if p.requires_grad:
        p.register_hook(lambda grad: count("grad hook") or grad * 0.9)
        p.register_post_accumulate_grad_hook(lambda p: count("accumulated"))
""",
    ),
    Ingredient(
        "module hooks",
        ready="""
for module in net.modules():
    module.register_forward_pre_hook(lambda *_: count("before forward"))
    module.register_full_backward_hook(lambda *_: count("backward"))
net.register_state_dict_pre_hook(lambda *_: count("state dict"))
""",
    ),
    Ingredient(
        "optimizer hooks",
        ready="""
if optimizer is not None:
    optimizer.register_step_pre_hook(lambda *_: count("before step"))
    optimizer.register_step_post_hook(lambda *_: count("after step"))
""",
    ),
    Ingredient(
        "a step in the parameter's hook",
        ready="""
inside = {p: torch.optim.SGD([p], lr=0.01) for p in net.parameters() if p.requires_grad}
def fused_backward(p):
    inside[p].step()
    inside[p].zero_grad()
for p in inside:
    p.register_post_accumulate_grad_hook(fused_backward)
""",
    ),
    Ingredient(
        "a function of its own",
        setup="""
class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        count("function forward")
        ctx.save_for_backward(value)
        return value / 2
    @staticmethod
    def backward(ctx, grad):
        count("function backward")
        ctx.saved_tensors
        return grad / 2
""",
        forward="""
outputs = net(x)
loss = Halved.apply(criterion(outputs, y))
"""
        + PENALTY,
    ),
    Ingredient(
        "hooks of graph nodes",
        """
loss.grad_fn.register_hook(lambda *_: count('node'))
loss.grad_fn.register_prehook(lambda *_: count('before node'))
""",
        (LOSS,),
    ),
    Ingredient(
        "names of the graph",
        "print(loss.grad_fn.name(), loss.grad_fn.next_functions[0][1])",
        (LOSS,),
    ),
    Ingredient(
        "a gradient of what is no leaf",
        """
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter('always')
    there = outputs.grad
print([str(w.message)[:40] for w in seen], there is None)
""",
        (LOSS, BACKWARD, END),
    ),
    Ingredient(
        "a gradient of what is no leaf, warned",
        """
if outputs.grad is not None:
    print('kept')
""",
        (LOSS, BACKWARD, END),
    ),
    Ingredient(
        "anomaly detection",
        around="""
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    with torch.autograd.detect_anomaly():
        ...
""",
    ),
    Ingredient(
        "no graph at all",
        """
with torch.no_grad():
    print(net(x).sum().item() > 0)
""",
        (START, END),
    ),
    Ingredient(
        "saved tensors disabled",
        """
with torch.autograd.graph.disable_saved_tensors_hooks('not here'):
    net(x).sum().backward()
""",
        (BACKWARD,),
    ),
]
