"""Answers to the exercises of chapter 1."""

from tests.chapters.answers import Answers

ZERO, FORWARD, LOSS, BACKWARD, STEP = (
    "optimizer.zero_grad()",
    "outputs = net(inputs)",
    "loss = criterion(outputs, labels)",
    "loss.backward()",
    "optimizer.step()",
)


def traced(*lines: str) -> str:
    """These lines in a traced block."""
    return "with trace(net, optimizer) as answer_3:\n" + "".join(f"    {line}\n" for line in lines)


def epoch(
    *,
    mode: str = "net.train()",
    loader: str = "loader",
    clear: str = "optimizer.zero_grad()",
    back: str = "loss.backward()",
    step: str = "optimizer.step()",
    end: str = "return total / len(loader)",
) -> str:
    """A function that runs an epoch, right unless something is replaced."""
    return (
        "def answer_4(net, loader, optimizer):\n"
        f"    {mode}\n"
        "    total = 0\n"
        f"    for inputs, labels in {loader}:\n"
        "        loss = criterion(net(inputs), labels)\n"
        f"        {clear}\n"
        f"        {back}\n"
        f"        {step}\n"
        "        total += loss.item()\n"
        f"    {end}\n"
    )


def evaluation(
    *,
    around: str = "with torch.inference_mode():",
    mode: str = "net.eval()",
    take: str = "(loss * len(labels)).item()",
    more: str = "pass",
    back: str = "net.train(before)",
    end: str = "return total / len(dataset)",
) -> str:
    """A function that computes a loss without training, right unless something is replaced."""
    return (
        "def answer_5(net, dataset):\n"
        "    before, total = net.training, 0\n"
        f"    {mode}\n"
        f"    {around}\n"
        "        for images, labels in DataLoader(dataset, batch_size=16):\n"
        "            loss = criterion(net(images), labels)\n"
        f"            total += {take}\n"
        f"            {more}\n"
        f"    {back}\n"
        f"    {end}\n"
    )


ANSWERS = [
    Answers(
        right=[
            "answer_1 = [45, 44.0]",
            "answer_1 = torch.tensor([45, 44])",
            "import numpy; answer_1 = tuple(numpy.ceil([1437 / 32, 43.5]))",
            "answer_1 = tuple(len(DataLoader(train_set, 32, drop_last=d)) for d in (False, True))",
        ],
        wrong={
            "answer_1 = 45": "give two numbers",
            "answer_1 = '45, 44'": "give two numbers, in",
            "answer_1 = {45: 44}": "give two numbers, in brackets",
            "answer_1 = (90, 89)": "that is for batches of 16",
            "answer_1 = (12, 11)": "those are the test images",
            "answer_1 = (45, 45)": "the last batch is not full",
            "answer_1 = [44, 45]": "which of the two is larger?",
            "answer_1 = (None, '44')": "give two numbers, and nothing",
            "answer_1 = (True, 44)": "one step for each batch",
        },
    ),
    Answers(
        right=[
            "import math; answer_2 = math.log(1 + 9 / math.exp(3))",
            "answer_2 = F.cross_entropy(3 * F.one_hot(labels, 10).float(), labels).item()",
            "import numpy; answer_2 = numpy.float32(0.36994)",
            "answer_2 = criterion(torch.eye(10, requires_grad=True) * 3, torch.arange(10))",
        ],
        wrong={
            "answer_2 = '0.37'": "give one number,",
            "answer_2 = True": "give one number, or",
            "answer_2 = [0.3703]": "give one number, or the tensor",
            "answer_2 = criterion(torch.zeros(1, 10), torch.tensor([0]))": "that is the loss of",
            "answer_2 = criterion(3 * torch.eye(10)[:1], torch.tensor([4]))": (
                "that is the loss if a wrong"
            ),
            "answer_2 = (3 * torch.eye(10)).softmax(1)[0, 0]": "that is a probability",
            "answer_2 = -0.3703": "a cross-entropy is never",
            "answer_2 = criterion((3 * torch.eye(10)).softmax(1), torch.arange(10))": (
                "give criterion the scores"
            ),
            "answer_2 = float('nan')": "one row of ten scores",
        },
    ),
    Answers(
        right=[
            traced(FORWARD, LOSS, BACKWARD, STEP, "net.zero_grad()"),
            traced(
                "scores = net(inputs)",
                "mean = criterion(scores, labels)",
                "mean.backward()",
                STEP,
                ZERO,
            ),
        ],
        wrong={
            "answer_3 = 5": "the answer is",
            "answer_3 = [0, 0, 10, 0, 10]": "the answer is the name",
            "answer_3 = routine.records": "the answer is the name after",
            traced(FORWARD, LOSS, BACKWARD, STEP): "five lines in the block, not 4",
            traced(FORWARD, LOSS, BACKWARD, STEP, "print(end='')"): "there is no zero_grad",
            "answer_3 = routine": "the last of the five",
            traced(ZERO, FORWARD, "criterion(outputs, labels).backward()", STEP, "x = 1"): (
                "the last of the five lines"
            ),
            traced(FORWARD, ZERO, "criterion(outputs, labels).backward()", STEP, "x = 1"): (
                "the last of the five lines is"
            ),
            "criterion(net(inputs), labels).backward()\n"
            + traced("x = 1", "x = 2", "x = 3", STEP, ZERO): "before zero_grad the",
            traced(FORWARD, LOSS, STEP, BACKWARD, ZERO): "before zero_grad the other",
            traced(FORWARD, "loss = outputs.sum()", BACKWARD, STEP, ZERO): "the second of the",
            "kept, optimizer = optimizer, optim.Adam(net.parameters(), lr=0.0)\n"
            + traced(FORWARD, LOSS, BACKWARD, STEP, ZERO)
            + "optimizer = kept": "in a fresh network",
        },
    ),
    Answers(
        right=[
            epoch(),
            epoch(mode="for part in net.modules(): part.training = True"),
            epoch().replace("net(inputs)", "net.forward(inputs)"),
            epoch(end="import numpy; return numpy.float32(total / len(loader))"),
        ],
        wrong={
            "answer_4 = 0.5": "the answer is a",
            "answer_4 = net": "the answer is a function",
            epoch().replace("optimizer):", "optimizer, bar):"): "it ends with TypeError",
            epoch(loader="[*loader][:1]"): "of 3 batches 1",
            epoch().replace("net(inputs)", "Net()(inputs)"): "of 3 batches 0",
            epoch(mode="pass"): "the network that it was given",
            epoch(step="pass"): "no parameter of the",
            epoch(clear="pass"): "the gradients of the batches",
            epoch(step="optimizer.step(); optimizer.step()"): "the parameters do not end",
            epoch(end="pass"): "it returns no plain number, but NoneType",
            epoch(end="return loss"): "it returns no plain number, but Tensor",
            epoch(end="return loss.item()"): "it returns the loss of",
            epoch(end="return total"): "it returns the sum",
            epoch(end="return total / 20"): "the mean loss is",
        },
    ),
    Answers(
        right=[
            evaluation(),
            evaluation(around="with torch.no_grad():", back="net.train(mode=before)"),
            evaluation(around="net.requires_grad_(False)\n    if True:", back="net.train(before)")
            .replace("net(images)", "net.forward(images)")
            .replace("    return", "    net.requires_grad_()\n    return"),
        ],
        wrong={
            "answer_5 = mean_loss = 2.3": "the answer is a",
            "answer_5 = accuracy": "the network was in train mode before",
            "answer_5 = lambda: 1.0": "it ends with TypeError",
            "answer_5 = lambda net, dataset: 2.3": "no image went through",
            evaluation(mode="pass"): "an image went through",
            evaluation(around="if True:"): "the forward pass was recorded",
            evaluation(more="net.zero_grad()"): "it changed gradients that",
            evaluation(back="net.train()"): "the network was in eval mode before",
            evaluation(end="return torch.tensor(total / len(dataset))"): "it returns no plain",
            evaluation(around="torch.set_grad_enabled(False)\n    if True:"): "after it nothing is",
            evaluation(take="loss.item()", end="return total / (i + 1)")
            .replace("for images", "for i, (images")
            .replace("labels in DataLoader(dataset, batch_size=16)", "labels) in B")
            .replace("B:", "enumerate(DataLoader(dataset, batch_size=128)):"): "the last batch is",
            evaluation(take="loss.item() - total").replace("batch_size=16", "batch_size=100"): (
                "the mean loss is another"
            ),
            evaluation(end="return total"): "it returns the sum",
            evaluation(take="loss.item()", end="return total / 23"): "the last batch is smaller",
            evaluation(end="return total / 49"): "the mean loss is",
            evaluation(end="return float('nan')"): "the mean loss is another number",
        },
    ),
]
