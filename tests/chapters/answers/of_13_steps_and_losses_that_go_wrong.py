"""Answers to the exercises of chapter 13."""

from tests.chapters.answers import Answers

MY_EPOCH = """
def my_epoch(net, optimizer, batches, limit):
    total, seen = 0.0, 0
    optimizer.zero_grad()
    for i, (inputs, labels) in enumerate(batches):
        first = i - i % 2
        samples = sum(len(y) for _, y in batches[first : first + 2])
        loss = criterion(net(inputs), labels)
        (SCALED).backward()
        total += loss.item() * len(labels)
        seen += len(labels)
        if i % 2 == 1 or i == len(batches) - 1:
            clip_grad_norm_(net.parameters(), limit)
            optimizer.step()
            optimizer.zero_grad()
    return total / seen
"""
RIGHT = MY_EPOCH.replace("SCALED", "loss * len(labels) / samples")
CLIP = "            clip_grad_norm_(net.parameters(), limit)\n"

NAMES = "[n for n, p in net.named_parameters() if not {}]"
NOT_HELD = "not_held = lambda net, optimizer: "

ANSWERS = [
    Answers(
        right=[
            'answer_1 = {"BatchNorm1d", "Dropout"}',
            "answer_1 = (nn.Dropout, nn.BatchNorm1d)",
        ],
        wrong={
            "answer_1 = False": "give the names of layers",
            "answer_1 = [1, None]": "each name is one of",
            'answer_1 = ["Dropout", "BatchNorm1d", "Linear"]': "one of these has no use",
            'answer_1 = ["Dropout", "BatchNorm1d", "LayerNorm"]': "LayerNorm takes its mean",
            'answer_1 = "BatchNorm1d"': "one is missing that draws random",
            'answer_1 = "Dropout"': "one is missing that keeps a running",
        },
    ),
    Answers(
        right=[
            NOT_HELD
            + NAMES.format(
                "any(p is q for group in optimizer.param_groups for q in group['params'])"
            ),
            """
def not_held(net, optimizer):
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name for name, p in net.named_parameters() if id(p) not in held}
""",
        ],
        wrong={
            NOT_HELD
            + NAMES.format(
                "p.data_ptr() in [q.data_ptr() for g in optimizer.param_groups "
                "for q in g['params']]"
            ): "shared numbers are not one object",
            "not_held = ['0.weight']": "not_held is a function",
            NOT_HELD + "None": "it raised TypeError",
            NOT_HELD + "[]": "the first layer was replaced",
            NOT_HELD + "['0.bias', '0.weight']": "an optimizer that holds all",
            NOT_HELD + NAMES.format("any(p is q for q in optimizer.param_groups[0]['params'])"): (
                "there may be several groups"
            ),
            NOT_HELD
            + NAMES.format(
                "any(torch.equal(p, q) for g in optimizer.param_groups for q in g['params'])"
            ): "equal numbers are not one",
            NOT_HELD
            + NAMES.format(
                "(p.requires_grad and any(p is q for g in G for q in g['params']))"
            ).replace(
                "G ", "optimizer.param_groups "
            ): "an optimizer can hold a parameter that is frozen",
            NOT_HELD
            + NAMES.format(
                "(not p.requires_grad or any(p is q for g in G for q in g['params']))"
            ).replace("G ", "optimizer.param_groups "): "the frozen ones count",
            """
def not_held(net, optimizer):
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return [
        f"{name}.{own}"
        for name, layer in net.named_children()
        for own, p in layer.named_parameters(recurse=False)
        if id(p) not in held
    ]
""": "parameters stand at every depth",
            """
def not_held(net, optimizer):
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    with torch.no_grad():
        [p.add_(1) for p in net.parameters()]
    return [name for name, p in net.named_parameters() if id(p) not in held]
""": "it moved parameters",
        },
    ),
    Answers(
        right=[
            RIGHT,
            """
def my_epoch(net, optimizer, batches, limit):
    losses = []
    for first in range(0, len(batches), 2):
        inputs, labels = map(torch.cat, zip(*batches[first : first + 2]))
        optimizer.zero_grad()
        each = nn.functional.cross_entropy(net(inputs), labels, reduction="none")
        each.mean().backward()
        clip_grad_norm_(net.parameters(), limit)
        optimizer.step()
        losses += each.tolist()
    return sum(losses) / len(losses)
""",
        ],
        wrong={
            "my_epoch = 0.0": "my_epoch is a function",
            "my_epoch = lambda net, optimizer, batches, limit: 0.0": "the parameters are where",
            MY_EPOCH.replace("SCALED", "loss"): "a limit of 100 is never reached",
            MY_EPOCH.replace("SCALED", "loss * 7"): "a limit of 100 is never reached: is",
            MY_EPOCH.replace("SCALED", "loss / 4"): "a limit of 100 is never reached: is the",
            MY_EPOCH.replace("SCALED", "loss / 2"): "batches of 16 and 4",
            RIGHT.replace(CLIP, ""): "a limit of 0.1: clip",
            RIGHT.replace(CLIP, "").replace(
                ".backward()", ".backward()\n        clip_grad_norm_(net.parameters(), limit)"
            ): "a limit of 0.1: clip once",
            RIGHT.replace(" or i == len(batches) - 1", ""): "the fifth batch",
            RIGHT.replace("return total / seen", "return torch.tensor(total)"): "that is a tensor",
            RIGHT.replace("return total / seen", "pass"): "the steps are right; what",
            RIGHT.replace("return total / seen", "return float('nan')"): (
                "the steps are right, the mean loss is"
            ),
            RIGHT.replace("return total / seen", "net.eval()\n    return total / seen"): (
                "the network was in train mode"
            ),
            RIGHT.replace(
                "optimizer.step()",
                "[p.data.sub_(0.1 * p.grad) for p in net.parameters()]",
            ): "0 steps for 4 batches",
            RIGHT + "\nimport functools\nmy_epoch = functools.partial(my_epoch)": (
                "my_epoch is a function of four arguments, to be traced"
            ),
            RIGHT.replace("return total / seen", "return total"): "the steps are right, the mean",
        },
    ),
]
