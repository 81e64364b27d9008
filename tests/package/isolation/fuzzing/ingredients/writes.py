"""Writes that are counted and not: in place, through .data, numpy, by parameter loops."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import BACKWARD, END, START, Ingredient

BETWEEN = (START, END)

WRITES = [
    Ingredient(
        ".data in place",
        """
for p in net.parameters():
    p.data.mul_(0.999)
""",
        BETWEEN,
    ),
    Ingredient(".numpy() in place", "next(net.parameters()).detach().numpy()[0] *= 0.5", BETWEEN),
    Ingredient("detach() in place", "next(net.parameters()).detach().add_(0.01)", BETWEEN),
    Ingredient(
        "an alias made before",
        "alias.mul_(0.99)",
        BETWEEN,
        ready="alias = next(net.parameters()).data.view(-1)\n",
    ),
    Ingredient(
        "no_grad in place",
        """
with torch.no_grad():
    next(net.parameters()).clamp_(-0.5, 0.5)
""",
        BETWEEN,
    ),
    Ingredient(
        "gradients scaled",
        """
for p in net.parameters():
    if p.grad is not None:
        p.grad.mul_(0.5)
""",
        (BACKWARD,),
    ),
    Ingredient(
        "gradients scaled through .data",
        """
for p in net.parameters():
    if p.grad is not None:
        p.grad.data /= 2
""",
        (BACKWARD,),
    ),
    Ingredient(
        "foreach in place",
        "torch._foreach_mul_([p.grad for p in net.parameters() if p.grad is not None], 0.5)",
        (BACKWARD,),
    ),
    Ingredient(
        "parameters are logged",
        """
for name, p in net.named_parameters():
    weights = p.data.cpu().norm()
    slopes = None if p.grad is None else p.grad.data.norm()
    print(name, weights.item(), slopes)
""",
        (START, BACKWARD),
    ),
    Ingredient(
        "histograms",
        "print({n: p.data.numpy().mean().item() for n, p in net.named_parameters()})",
        BETWEEN,
    ),
    Ingredient(
        "a copy is loaded",
        "net.load_state_dict({k: v.clone() for k, v in net.state_dict().items()})",
        BETWEEN,
    ),
    Ingredient(
        "a state dict assigned",
        "net.load_state_dict({k: v.clone() for k, v in net.state_dict().items()}, assign=True)",
        (START,),
    ),
    Ingredient(
        "an average of weights",
        "averaged.update_parameters(net)",
        BETWEEN,
        ready="averaged = torch.optim.swa_utils.AveragedModel(net)\n",
        after="print(digest(*averaged.parameters()))",
    ),
    Ingredient(
        "vectors of parameters",
        """
whole_vector = nn.utils.parameters_to_vector(net.parameters())
nn.utils.vector_to_parameters(whole_vector * 0.99, net.parameters())
""",
        BETWEEN,
    ),
    Ingredient(
        "a parameter is replaced",
        """
if step == 2:
    for module in net.modules():
        if isinstance(module, nn.Linear):
            module.bias = nn.Parameter(module.bias.detach().clone())
""",
        BETWEEN,
    ),
    Ingredient(
        "a layer is added",
        """
if step == 1:
    net.late = nn.Linear(3, 3)
""",
        BETWEEN,
    ),
    Ingredient(
        "frozen from here",
        """
if step == 2:
    next(net.parameters()).requires_grad_(False)
""",
        (START,),
    ),
    Ingredient(
        "to double and back",
        """
net.double()
net.float()
""",
        (START,),
    ),
    Ingredient(
        "to half and back",
        """
kept_dtype = next(net.parameters()).dtype
net.half()
net.to(kept_dtype)
""",
        (START,),
    ),
    Ingredient(
        "zeroed gradients by None",
        """
for p in net.parameters():
    p.grad = None
""",
        (START,),
    ),
    Ingredient(
        "gradients made by hand",
        """
for p in net.parameters():
    p.grad = torch.ones_like(p)
""",
        (BACKWARD,),
    ),
    Ingredient(
        "sparse gradients",
        "torch.optim.SparseAdam([table.weight]).step() if table(torch.tensor([1]))"
        ".sum().backward() is None else None",
        (START, END),
        setup="table = nn.Embedding(4, 3, sparse=True)\n",
    ),
    Ingredient("random numbers", "print(torch.rand(1).item(), random.random())"),
    Ingredient(
        "NaN",
        """
if step == 3:
    with torch.no_grad():
        next(net.parameters())[0] = float('nan')
""",
        (END,),
    ),
    Ingredient(
        "the version counters",
        "print([p._version for p in net.parameters()],"
        " [p.grad._version for p in net.parameters() if p.grad is not None])",
        (START, BACKWARD, END),
    ),
    Ingredient(
        "the learning rate",
        """
if optimizer is not None:
    optimizer.param_groups[0]['lr'] *= 0.5
""",
        BETWEEN,
    ),
    Ingredient(
        "a group is added",
        """
if step == 1 and isinstance(optimizer, torch.optim.SGD):
    optimizer.add_param_group({'params': [nn.Parameter(torch.ones(3))]})
""",
        BETWEEN,
    ),
]
