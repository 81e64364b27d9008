"""Answers to the exercises of the chapter about two processes."""

from tests.chapters.answers import Answers


def accumulating(
    clear: str = "net.zero_grad()",
    forward: str = "net.no_sync() if number < len(batches) else contextlib.nullcontext()",
    backward: str = "contextlib.nullcontext()",
    share: str = "/ len(batches)",
    end: str = "pass",
) -> str:
    """An accumulation, with some of its lines changed."""
    return f"""
def accumulate(net, batches):
    {clear}
    for number, (inputs, labels) in enumerate(batches, 1):
        with {forward}:
            outputs = net(inputs)
            loss = criterion(outputs, labels) {share}
            with {backward}:
                loss.backward()
    {end}
"""


LAST = "if number < len(batches) else contextlib.nullcontext()"


def validating(
    mine: str = "range(dist.get_rank(), len(dataset), dist.get_world_size())",
    send: str = "dist.all_reduce(total)",
    end: str = "return (total[0] / total[2]).item(), (total[1] / total[2]).item()",
) -> str:
    """A validation that sends sums, with some of its lines changed."""
    return f"""
def validate(net, dataset):
    inputs, labels = dataset[list({mine})]
    with torch.no_grad():
        scores = net.module(inputs)
    each = criterion(scores, labels, reduction="none")
    hits = (scores.argmax(dim=1) == labels).double()
    total = torch.stack([each.sum(), hits.sum(), torch.ones_like(hits).sum()])
    {send}
    {end}
"""


MEANS = """
def validate(net, dataset):
    inputs, labels = dataset[list({mine})]
    with torch.no_grad():
        scores = net.module(inputs)
    hits = (scores.argmax(dim=1) == labels).double()
    means = torch.stack([criterion(scores, labels), hits.mean()])
    dist.all_reduce(means)
    return tuple((means / 2).tolist())
"""

ANSWERS = [
    Answers(
        right=["answer_1 = 'f, e, c'", "answer_1 = ['C', 'E', 'F']"],
        wrong={
            "answer_1 = 3": "give letters as text",
            "answer_1 = 'CEFG'": "the letters are A to F",
            "answer_1 = 'ACEF'": "A divides once more",
            "answer_1 = 'BCEF'": "B steps N times too far",
            "answer_1 = 'CDEF'": "D: nobody sends",
            "answer_1 = 'EF'": "one of them stops nothing",
            "answer_1 = 'CF'": "one adds up N equal means",
            "answer_1 = 'CE'": "one goes past DDP",
        },
    ),
    Answers(
        right=[
            accumulating(),
            accumulating(
                clear="for p in net.parameters(): p.grad = None",
                share="",
                end="for p in net.parameters(): p.grad /= len(batches)",
            ),
            """
def accumulate(net, batches):
    net.zero_grad(set_to_none=False)
    with net.no_sync():
        for inputs, labels in batches[:-1]:
            (criterion(net(inputs), labels) / len(batches)).backward()
    inputs, labels = batches[-1]
    (criterion(net(inputs), labels) / len(batches)).backward()
""",
        ],
        wrong={
            "accumulate = 3": "a function of two arguments",
            "accumulate = lambda net: 3": "it raises on rank 0: TypeError",
            accumulating(forward="contextlib.nullcontext()"): "the gradient is right, and was sent",
            accumulating(
                forward="contextlib.nullcontext()", backward=f"net.no_sync() {LAST}"
            ): "the gradient is right, and was sent 3",
            accumulating(forward="net.no_sync()"): "each rank has its own gradient",
            accumulating(share=""): "that is a sum over the small batches",
            accumulating(
                end="for p in net.parameters(): p.grad /= dist.get_world_size()"
            ): "that is half of it",
            accumulating(share="/ len(batches) * dist.get_world_size()"): "that is twice as much",
            accumulating(clear="pass"): "what was in .grad before",
            accumulating(
                clear="pass", forward=f"(net.zero_grad(), net.no_sync() {LAST})[1]"
            ): "that is the gradient of the last",
            "accumulate = lambda net, batches: net.zero_grad()": "a parameter has no gradient",
            accumulating(
                forward="net.no_sync()",
                end="for p in net.parameters(): dist.all_reduce(p.grad); p.grad /= 2",
            ): "right, by hand; let DDP send",
            """
def accumulate(net, batches):
    net.zero_grad()
    inputs, labels = map(torch.cat, zip(*batches))
    criterion(net(inputs), labels).backward()
""": "right, but several batches went through",
        },
    ),
    Answers(
        right=[
            "@torch.no_grad()" + validating(),
            validating().replace(  # in float32
                "torch.stack([each.sum(), hits.sum(), torch.ones_like(hits).sum()])",
                "torch.tensor([each.sum().item(), hits.sum().item(), len(hits)])",
            ),
            validating(  # whole batches of 32 are dealt, and of five samples rank 1 has none
                mine="i for i in range(len(dataset)) if i // 32 % 2 == dist.get_rank()"
            ),
            """
def validate(net, dataset):
    net.eval()
    total = torch.zeros(2, dtype=torch.float64)
    for index in range(dist.get_rank(), len(dataset), 2):
        inputs, labels = dataset[[index]]
        scores = net.module(inputs).detach()
        total[0] += criterion(scores, labels)
        total[1] += (scores.argmax() == labels[0]).item()
    every = [torch.zeros_like(total) for _ in range(2)]
    dist.all_gather(every, total)
    return tuple((sum(every) / len(dataset)).tolist())
""",
            """
def validate(net, dataset):
    half = (len(dataset) + 1) // 2
    begin = half * dist.get_rank()
    inputs, labels = dataset[begin:begin + half]
    with torch.no_grad():
        scores = net.module(inputs)
        loss = criterion(scores, labels, reduction="sum").item()
    sums = [None, None]
    dist.all_gather_object(sums, (loss, (scores.argmax(1) == labels).sum().item()))
    return tuple(sum(one) / len(dataset) for one in zip(*sums))
""",
        ],
        wrong={
            "validate = 0.3": "a function of two arguments",
            "validate = lambda net: (0.3, 0.3)": "it raises on rank 0: TypeError",
            "validate = lambda net, dataset: 0.3": "return two numbers",
            "validate = lambda net, dataset: (0.3, 0.3)": "no sample went through",
            validating(send="pass"): "the ranks return different numbers",
            validating(
                mine="DistributedSampler(range(len(dataset)), shuffle=False)"
            ): "a padded sample counts",
            MEANS.format(
                mine="DistributedSampler(range(len(dataset)), shuffle=False)"
            ): "a padded sample counts twice",
            MEANS.format(
                mine="range(dist.get_rank(), len(dataset), 2)"
            ): "a mean of means, and one rank",
            validating(end="return total[0].item(), total[1].item()"): "of 5 samples, the loss is",
            validating(mine="range(len(dataset))"): "right, but some samples went through",
            validating(
                mine="range(len(dataset) if dist.get_rank() == 0 else 0)"
            ): "right, but one rank does the work of both",
            validating(
                end="return total[0] / total[2], total[1] / total[2]"
            ): "plain numbers, please",
            validating(
                end="return (total[0] / total[2]).item(), (total[1] / len(labels)).item()"
            ): "the ranks return different numbers: each",
            validating(
                end="return (total[0] / total[2]).item(), total[1].item()"
            ): "one of the two numbers",
            validating(
                end="return (2 * total[0] / total[2]).item(), (2 * total[1] / total[2]).item()"
            ): "added up over the ranks",
        },
    ),
    Answers(
        right=[
            """
def wrap(net):
    del net.second
    return DistributedDataParallel(net)
""",
            """
def wrap(net):
    for p in net.second.parameters():
        p.requires_grad = False
    return DistributedDataParallel(net)
""",
            "wrap = lambda net: DistributedDataParallel(net, static_graph=True)",
        ],
        wrong={
            "wrap = 4": "a function of one argument",
            "wrap = lambda: 4": "it raises on rank 0: TypeError",
            "wrap = lambda net: net": "return the network in DDP",
            "wrap = lambda net: DistributedDataParallel(net)": "the second step raises",
            "wrap = lambda net: DistributedDataParallel(net, find_unused_parameters=True)": (
                "it runs, and each step searches"
            ),
            """
def wrap(net):
    net = DistributedDataParallel(net)
    net.module.second.requires_grad_(False)
    return net
""": "the second step raises: DDP still waits",
            """
def wrap(net):
    net.second = net.first
    return DistributedDataParallel(net)
""": "the second head is the first one now",
            """
def wrap(net):
    net.body.requires_grad_(False)
    net.second.requires_grad_(False)
    return DistributedDataParallel(net)
""": "something that is used does not learn",
            "wrap = lambda net: DistributedDataParallel(two_heads().float().double().apply("
            "lambda m: hasattr(m, 'reset_parameters') and m.reset_parameters()))": (
                "the network that it returns has begun"
            ),
        },
    ),
]
