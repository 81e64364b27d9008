"""Memory that is freed and comes back: offloading, sharding, in-place resizing."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import BACKWARD, CLEARED, END, START, Ingredient

FREE = """
def away(tensor):
    memory = tensor.untyped_storage()
    if memory.nbytes() != tensor.nbytes:  # others have their values there, too
        memory = torch.empty(0).untyped_storage()
    saved = tensor.detach().clone(), memory.nbytes()
    memory.resize_(0)
    return saved
def back(tensor, saved):
    tensor.untyped_storage().resize_(saved[1])
    tensor.data.copy_(saved[0])
"""
PARTLY = """
def cut(tensor):
    memory = tensor.untyped_storage()
    saved = tensor.detach().clone(), memory.nbytes()
    memory.resize_(saved[1] // 2)
    return saved
"""
FLAT = """
whole = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
offset = 0
for p in net.parameters():
    p.data = whole[offset : offset + p.numel()].view_as(p)
    offset += p.numel()
"""
LARGEST = "largest = max(net.parameters(), key=torch.numel)"
QUIET = (START, CLEARED, END)  # not between forward and backward, which needs the values


def _freed(name: str, what: str, between: str, at: tuple[int, ...] = QUIET) -> Ingredient:
    return Ingredient(
        f"{name} is freed and back",
        f"{what}\nsaved = away(it)\n{between}\nback(it, saved)",
        at,
        setup=FREE,
    )


STORAGES = [
    _freed("a parameter", f"{LARGEST}\nit = largest", "between = 1"),
    _freed("a parameter, one line only,", f"{LARGEST}\nit = largest", "pass"),
    _freed(
        "the first parameter",
        "it = next(net.parameters())",
        """
between = 1
between += 1
""",
    ),
    _freed("a parameter, during a call,", "it = next(net.parameters())", "batch()"),
    _freed(
        "a parameter, while another is written,",
        "it, *_, last = net.parameters()",
        """
with torch.no_grad():
    last.add_(0.001)
""",
    ),
    _freed(
        "a gradient",
        "it = next(p.grad for p in net.parameters() if p.grad is not None)",
        "between = 1",
        (BACKWARD,),
    ),
    _freed(
        "the largest gradient",
        "it = max((p.grad for p in net.parameters() if p.grad is not None), key=torch.numel)",
        """
between = 1
number = loss.item()
""",
        (BACKWARD,),
    ),
    _freed("a buffer", "it = next(net.buffers(), torch.ones(3))", "between = 1"),
    Ingredient(
        "all parameters freed and back",
        """
saved_all = [away(p) for p in net.parameters()]
print('away')
for p, saved in zip(net.parameters(), saved_all):
    back(p, saved)
""",
        QUIET,
        setup=FREE,
        slow=True,
    ),
    Ingredient(
        "a frozen weight that stays away",
        ready=FREE
        + """
frozen = nn.Linear(64, 64).requires_grad_(False)
net.aside = frozen
away(frozen.weight)
""",
    ),
    Ingredient(
        "a frozen weight freed in the loop",
        """
if step == 1:
    away(net.aside.weight)
""",
        QUIET,
        setup=FREE,
        ready="net.aside = nn.Linear(64, 64).requires_grad_(False)\n",
    ),
    Ingredient(
        "weights come and go in hooks",
        setup=FREE,
        ready="""
net.aside = nn.Linear(64, 8).requires_grad_(False)
shelf_of = {}
def fetch(module, args):
    back(module.weight, shelf_of.pop(module))
def drop(module, args, result):
    shelf_of[module] = away(module.weight)
shelf_of[net.aside] = away(net.aside.weight)
net.aside.register_forward_pre_hook(fetch)
net.aside.register_forward_hook(drop)
""",
        body="print(digest(net.aside(torch.ones(2, 64))))",
    ),
    Ingredient(
        "a gradient is freed in a hook",
        setup=FREE,
        ready="""
def free(p):
    p.grad.untyped_storage().resize_(0)
    p.grad = None
next(p for p in net.parameters() if p.requires_grad).register_post_accumulate_grad_hook(free)
""",
    ),
    Ingredient(
        "a storage is cut and back",
        f"{LARGEST}\nsaved_cut = cut(largest)\nbetween = 1\nback(largest, saved_cut)",
        QUIET,
        setup=FREE + PARTLY,
    ),
    Ingredient(
        "a storage grows",
        """
p = next(net.parameters())
p.untyped_storage().resize_(p.untyped_storage().nbytes() + 64)
print(p.untyped_storage().nbytes())
""",
        QUIET,
    ),
    Ingredient(
        ".data is empty and back",
        f"""
{LARGEST}
saved_data = largest.data
largest.data = torch.empty(0, dtype=largest.dtype)
print(tuple(largest.shape))
largest.data = saved_data
""",
        (START, END),
    ),
    Ingredient(
        ".data is another tensor",
        """
p = next(net.parameters())
p.data = p.data.clone()
p.data = p.data.t().contiguous().t() if p.dim() == 2 else p.data
""",
        (START, END),
    ),
    Ingredient(
        "set_() to a view and back",
        f"{LARGEST}\nsaved_data = largest.detach().clone()\n"
        "with torch.no_grad():\n    largest.set_(torch.zeros(largest.numel(), dtype=largest.dtype)"
        ".view_as(largest))\n    largest.copy_(saved_data)",
        (START, END),
    ),
    Ingredient(
        "parameters in one flat tensor",
        ready=FLAT,
        body="whole.mul_(0.999)",
        at=(START, END),
    ),
    Ingredient(
        "the flat tensor is freed",
        setup=FREE,
        ready=FLAT,
        body="""
saved_whole = away(whole)
between = 1
back(whole, saved_whole)
""",
        at=(START, END),
    ),
    Ingredient(
        "shared memory",
        ready="net.share_memory()",
        body="print(all(p.is_shared() for p in net.parameters()))",
        at=(START, END),
    ),
]
