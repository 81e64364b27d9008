"""torch.func, tracing, fake and meta tensors, autocast: tensors that have no values to ask."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import (
    ANYWHERE,
    BACKWARD,
    CLEARED,
    END,
    START,
    Ingredient,
    fill,
)

LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
SIDE = """
side = nn.Linear(4, 1)
points, marks = torch.randn(6, 4), torch.randn(6)
"""
PER_SAMPLE = """
def of_one(parameters, point, mark):
    guess = torch.func.functional_call(side, parameters, (point.unsqueeze(0),))
    return F.{loss}(guess, mark.unsqueeze(0))
"""
DETACHED = "weights = {name: p.detach() for name, p in side.named_parameters()}"
QUIETLY = """
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    <body>
"""


def _quietly(body: str) -> str:
    """The same lines, without their warnings."""
    return fill(QUIETLY, body=body)


def _side(name: str, body: str, setup: str = "", slow: bool = False) -> Ingredient:
    """Something with a small network beside the one that is trained."""
    return Ingredient(name, body, (START, CLEARED, BACKWARD, END), setup=SIDE + setup, slow=slow)


TRANSFORMS = [
    *(
        _side(
            f"vmap(grad({loss}))",
            _quietly(
                f"""
{DETACHED}
each = torch.func.vmap(torch.func.grad(of_one), (None, 0, 0))
print(digest(*each(weights, points, marks).values()))
"""
            ),
            PER_SAMPLE.format(loss=loss),
        )
        for loss in LOSSES
    ),
    *(
        _side(
            f"vmap of {loss} alone",
            _quietly(
                f"each = torch.func.vmap(lambda a, b: F.{loss}(a, b))\n"
                "print(digest(each(points.unsqueeze(2), marks.unsqueeze(1))))"
            ),
        )
        for loss in LOSSES[:2]
    ),
    *(
        _side(
            f"{loss} of (N, 1) and (N)",
            _quietly(f"print(F.{loss}(side(points), marks).item())"),
        )
        for loss in LOSSES
    ),
    _side(
        "mse_loss of equal targets", _quietly("print(F.mse_loss(side(points), marks * 0).item())")
    ),
    _side(
        "mse_loss of a scalar",
        _quietly("print(F.mse_loss(side(points), torch.tensor(0.5)).item() > 0)"),
    ),
    _side(
        "mse_loss warned as an error",
        """
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        F.mse_loss(side(points), marks)
    except UserWarning:
        print(traceback.format_exc())
""",
    ),
    _side(
        "mse_loss under inference_mode",
        _quietly(
            """
with torch.inference_mode():
    print(F.mse_loss(side(points), marks).item())
"""
        ),
    ),
    _side(
        "mse_loss of integers",
        _quietly("print(F.l1_loss(side(points).round(), torch.arange(6)).item() > 0)"),
    ),
    _side(
        "jacrev",
        "print(digest(torch.func.jacrev(side)(points[0]), torch.func.jacfwd(side)(points[0])))",
    ),
    _side(
        "hessian",
        "print(digest(torch.func.hessian(lambda w: (w * points[0]).pow(3).sum())(points[1])))",
    ),
    _side(
        "functional_call",
        f"{DETACHED}\nprint(digest(torch.func.functional_call(side, weights, (points,))))",
    ),
    _side("jvp", "print(digest(*torch.func.jvp(side, (points,), (points * 2,))))"),
    _side(
        "linearize and vjp",
        """
value, pull = torch.func.vjp(side, points)
print(digest(value, *pull(value)))
""",
    ),
    _side(
        "grad of a backward inside vmap",
        """
each = torch.func.vmap(torch.func.grad(lambda w: F.mse_loss(w.view(1, 1), w.view(1))))
print(digest(each(marks)))
""",
    ),
    _side(
        "functionalize",
        _quietly(
            "print(digest(torch.func.functionalize(lambda a: F.mse_loss(side(a), marks))(points)))"
        ),
    ),
    _side(
        "ensemble by stack_module_state",
        """
sides = [copy.deepcopy(side) for _ in range(3)]
stacked, no_buffers = torch.func.stack_module_state(sides)
def of_model(p, b, inputs):
    return torch.func.functional_call(side, (p, b), (inputs,))
print(digest(torch.func.vmap(of_model, (0, 0, None))(stacked, no_buffers, points)))
""",
    ),
    _side(
        "jit.trace of a loss",
        _quietly(
            """
traced = torch.jit.trace(lambda a, b: F.mse_loss(side(a), b), (points, marks))
print(traced(points, marks).item(), [n.kind() for n in traced.graph.nodes()])
"""
        ),
        slow=True,
    ),
    _side(
        "jit.trace of the network",
        _quietly(
            """
traced = torch.jit.trace(side, points)
print(digest(traced(points)))
"""
        ),
        slow=True,
    ),
    _side(
        "FakeTensorMode",
        """
from torch._subclasses.fake_tensor import FakeTensorMode
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with FakeTensorMode(allow_non_fake_inputs=True):
        guess = torch.empty(6, 1)
        print(tuple(F.mse_loss(guess, torch.empty(6)).shape))
""",
    ),
    _side(
        "a network trained under FakeTensorMode",
        """
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():
    fake = nn.Linear(4, 1)
    fake_sgd = torch.optim.SGD(fake.parameters(), lr=0.1)
    fake(torch.empty(2, 4)).sum().backward()
    fake_sgd.step()
    print(tuple(fake.weight.grad.shape))
""",
    ),
    _side(
        "meta device",
        """
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with torch.device("meta"):
        empty = nn.Linear(4, 1)
        print(F.mse_loss(empty(torch.empty(6, 4)), torch.empty(6)).device)
""",
    ),
    _side(
        "a part on meta",
        "print(F.l1_loss(aside_meta(points.to('meta')), points.to('meta')).shape)",
        "aside_meta = nn.Linear(4, 4, device='meta')\n",
    ),
    _side(
        "make_fx",
        _quietly(
            """
from torch.fx.experimental.proxy_tensor import make_fx
graph = make_fx(lambda a, b: F.mse_loss(a, b))(points[:, :1], marks)
print([node.name for node in graph.graph.nodes])
"""
        ),
    ),
    _side(
        "fx.symbolic_trace", "print([n.name for n in torch.fx.symbolic_trace(side).graph.nodes])"
    ),
    Ingredient(
        "compiled, eager",
        "print(digest(fast(torch.ones(2, 4))))",
        (START, END),
        ready='fast = torch.compile(nn.Linear(4, 1), backend="eager")\n',
        slow=True,
    ),
    Ingredient(
        "autocast around the loop",
        around="""
with torch.autocast('cpu', dtype=torch.bfloat16):
    ...
""",
    ),
    Ingredient(
        "autocast around the forward",
        forward="""
with torch.autocast('cpu', dtype=torch.bfloat16):
    outputs = net(x)
loss = criterion(outputs.float(), y if not y.is_floating_point() else y.float())
""",
    ),
    Ingredient(
        "inference_mode",
        """
with torch.inference_mode():
    seen = net(x)
print(digest(seen))
""",
    ),
    Ingredient(
        "a parameter made in inference_mode",
        ready="""
with torch.inference_mode():
    made = torch.ones(40, 40)
net.register_buffer('made', made)
""",
        body="print(digest(net.made))",
    ),
    Ingredient(
        "evaluation",
        """
net.eval()
with torch.no_grad():
    print(digest(net(x)))
net.train()
""",
        (START, END),
    ),
    Ingredient(
        "another default dtype and device",
        around="""
torch.set_default_dtype(torch.float64)
with torch.device('cpu'):
    torch.set_default_dtype(torch.float32)
    ...
""",
    ),
    Ingredient(
        "deterministic algorithms",
        around="""
torch.use_deterministic_algorithms(True)
...
""",
    ),
    Ingredient(
        "grad disabled between",
        """
torch.set_grad_enabled(False)
seen = net(x)
torch.set_grad_enabled(True)
print(seen.requires_grad)
""",
        ANYWHERE,
    ),
]
