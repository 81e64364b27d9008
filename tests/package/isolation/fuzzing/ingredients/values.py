"""What lines bind, buffers that move, tensors that an optimizer holds beside the network."""

from __future__ import annotations

from tests.package.isolation.fuzzing.parts import ANYWHERE, END, LOSS, START, Ingredient

VALUES = [
    Ingredient(
        "values of many kinds",
        """
a, (b, *c) = x.unbind(1)[0], x.unbind(1)
half, whole, meta = x.half() * torch.inf, x.long(), torch.empty(3, device='meta') + 0
sparse, nested = x.to_sparse(), torch.nested.nested_tensor([x[0], x[1]])
z, empty, number, large = torch.complex(x, x), x[:0], x.sum().item(), 10**400
holder.seen = x * 2
""",
        (START, END),
    ),
    Ingredient(
        "a value that answers every question itself",
        """
class Loud(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        count('__torch_function__')
        return super().__torch_function__(function, types, args, kwargs or {})
loud = x.as_subclass(Loud)
same = loud
""",
        (START, LOSS),
    ),
    Ingredient(
        "a graph of a function of one's own",
        setup="""
class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        count('backward')
        return grad * 2
""",
        body="extra = Twice.apply(loss)\ndeep = sum((extra * i for i in range(40)), loss)",
        at=(LOSS,),
    ),
    Ingredient(
        "statistics by hand",
        ready="""
mean, var = torch.zeros(4), torch.ones(4)
net.register_buffer('mean_of_inputs', mean)
net.register_buffer('var_of_inputs', var)
""",
        body="""
normed = F.batch_norm(torch.randn(8, 4), mean, var, training=True)
print(digest(net.mean_of_inputs), digest(var))
""",
        at=(START, END),
    ),
    Ingredient(
        "a moving average made anew",
        ready="net.register_buffer('shadow', torch.zeros(1))",
        body="net.shadow = 0.9 * net.shadow + 0.1 * loss.detach()\nprint(digest(net.shadow))",
        at=(LOSS,),
    ),
    Ingredient(
        "a buffer that comes and goes",
        """
if 'late' in dict(net.named_buffers()):
    del net.late
else:
    net.register_buffer('late', torch.ones(2000) * step)
""",
        (START, END),
    ),
    Ingredient(
        "a temperature beside the network",
        ready="""
log_alpha = torch.zeros(1, requires_grad=True)
try:
    optimizer.add_param_group({'params': [log_alpha]})
except Exception as error:
    print(type(error).__name__)
""",
        body="loss = loss + log_alpha.exp().sum()\nprint(digest(log_alpha))",
        at=(LOSS,),
    ),
    Ingredient(
        "a variable that dies of being bound",
        """
class Last:
    def __init__(self, kept):
        self.kept = kept
    def __del__(self):
        count('freed')
last = Last(x * 2)
last = None
kept = x * 3
del kept
""",
        ANYWHERE,
    ),
]
