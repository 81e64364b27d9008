"""Answers to the exercises of the chapter about what stands between backward and step."""

from tests.chapters.answers import Answers


def clipped(body: str) -> str:
    """A function that shrinks gradients."""
    return f"def shrink(parameters, limit):\n    {body}\n"


def counted(
    clear: str = "if number % every == 1 or every == 1:",
    share: str = "len(labels) / every",
    step: str = "if number % every == 0:",
    before: str = "pass",
    after: str = "scheduler.step()",
    small: str = "pass",
    end: str = "pass",
) -> str:
    """An epoch that counts its batches, as many loops do."""
    return f"""
def one_epoch(net, optimizer, scheduler, batches, every):
    number = 0
    for inputs, labels in batches:
        number += 1
        {clear}
            optimizer.zero_grad()
        loss = criterion(net(inputs), labels) * {share}
        loss.backward()
        {small}
        {step}
            {before}
            optimizer.step()
            {after}
    {end}
"""


def grouped(share: str, size: str = "every", small: str = "pass") -> str:
    """An epoch in groups, as the chapter has it."""
    return f"""
def one_epoch(net, optimizer, scheduler, batches, every):
    for group in groups(batches, {size}):
        total = sum(len(labels) for _, labels in group)
        optimizer.zero_grad()
        for inputs, labels in group:
            loss = criterion(net(inputs), labels) * {share}
            loss.backward()
            {small}
        optimizer.step()
        scheduler.step()
"""


LEFT = "if number % every:\n        optimizer.step()\n        scheduler.step()"

ONLY_FLOAT16 = "torch.amp.GradScaler('cpu', enabled=dtype == torch.float16)"
TOGETHER = "clip_grad_norm_(net.parameters(), limit)"
ASKED = "if scaler.get_scale() >= before:\n        scheduler.step()"


def whole(
    made: str = ONLY_FLOAT16,
    clear: str = "optimizer.zero_grad()",
    cast: str = "dtype=dtype",
    share: str = "len(labels) / total",
    small: str = "pass",
    unscale: str = "scaler.unscale_(optimizer)",
    clip: str = TOGETHER,
    early: str = "pass",
    step: str = "scaler.step(optimizer)",
    update: str = "scaler.update()",
    last: str = ASKED,
) -> str:
    """A step with everything between, some of its lines changed."""
    return f"""
def scaler_for(dtype):
    return {made}


def one_step(net, optimizer, scheduler, scaler, group, dtype, limit):
    total = sum(len(labels) for _, labels in group)
    {clear}
    for inputs, labels in group:
        with torch.autocast("cpu", {cast}):
            loss = criterion(net(inputs), labels) * {share}
        scaler.scale(loss).backward()
        {small}
    {unscale}
    {clip}
    {early}
    {step}
    before = scaler.get_scale()
    {update}
    {last}
"""


ANSWERS = [
    Answers(
        right=["answer_1 = 3 / 11", "answer_1 = round(12 / (32 + 12), 2)"],
        wrong={
            "answer_1 = '12 / 44'": "give a number, such",
            "answer_1 = 1 / 4": "the last group has no four batches",
            "answer_1 = 0.5": "two batches, and they are not equally",
            "answer_1 = 12 / 32": "the share of what?",
            "answer_1 = 32 / 44": "that is the share of the batch before",
            "answer_1 = 12 / 300": "a step is along the mean of its own group",
            "answer_1 = 12 / 108": "four batches and four and two",
            "answer_1 = 12": "that is a sum, and a step",
            "answer_1 = 0.9": "how many images are in the last",
        },
    ),
    Answers(
        right=[
            """
def shrink(parameters, limit):
    grads = [p.grad for p in parameters if p.grad is not None]
    largest = max(grad.abs().max() for grad in grads)
    if largest > limit:
        for grad in grads:
            grad *= limit / largest
""",
            """
def shrink(parameters, limit):
    held = [p for p in parameters if p.grad is not None]
    factor = min(1.0, *(limit / p.grad.abs().max().item() for p in held))
    for p in held:
        p.grad = p.grad * factor
""",
        ],
        wrong={
            "shrink = 0.1": "a function of two arguments",
            clipped("[p.grad.mul_(limit / p.grad.abs().max()) for p in parameters[1:]]"): (
                "a number of 0.200"
            ),
            clipped("pass"): "a number of 0.2",
            clipped("clip_grad_value_(parameters, limit)"): "the direction has turned, the",
            clipped(
                "[clip_grad_norm_([p], limit, math.inf) for p in parameters if p.grad is not None]"
            ): "the direction has turned, the cosine is 0.72",
            clipped("[p.grad.sign_().mul_(limit) for p in parameters]"): (
                "the direction has turned, the cosine is 0.59"
            ),
            clipped("clip_grad_norm_(parameters, limit)"): "the largest is 0.00",
            clipped("[p.grad.zero_() for p in parameters]"): "all gradients are 0",
            clipped("[p.data.mul_(0.5) for p in parameters]"): "it has changed the parameters",
            clipped(
                "m = max(p.grad.abs().max() for p in parameters); "
                "[p.grad.mul_(limit / m) for p in parameters]"
            ): "it raises AttributeError",
            clipped(
                "g = [p.grad for p in parameters if p.grad is not None]; "
                "m = max(x.abs().max() for x in g); [x.mul_(limit / m) for x in g]"
            ): "all were below the limit",
        },
    ),
    Answers(
        right=[
            """
def one_epoch(net, optimizer, scheduler, batches, every):
    def finish():
        for p in net.parameters():
            p.grad /= images
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()

    optimizer.zero_grad()
    number = images = 0
    for number, (inputs, labels) in enumerate(batches, 1):
        nn.CrossEntropyLoss(reduction="sum")(net(inputs), labels).backward()
        images += len(labels)
        if number % every == 0:
            finish()
            images = 0
    if images:
        finish()
""",
            """
def one_epoch(net, optimizer, scheduler, batches, every):
    batches = [*batches]
    for first in range(0, len(batches), every):
        inputs, labels = map(torch.cat, zip(*batches[first : first + every]))
        optimizer.zero_grad()
        criterion(net(inputs), labels).backward()
        optimizer.step()
        scheduler.step()
""",
            grouped("(len(labels) / total)"),
        ],
        wrong={
            "one_epoch = 1": "a function of five arguments",
            "one_epoch = lambda *rest: None": "no step, or one without gradients",
            "one_epoch = lambda net, o, s, batches, e: len(batches)": "it raises TypeError",
            grouped("1 / len(group)"): "48 and 16: does every image",
            counted(share="(1 / every)", end=LEFT): "two are left over: their mean",
            counted(share="(1 / every)"): "what is left over at the end makes no step",
            counted(
                clear="if False:",
                share="(1 / every)",
                after="scheduler.step(); optimizer.zero_grad()",
            ): "what is left over at the end",
            counted(clear="if True:", share="(1 / every)", end=LEFT): (
                "the first step follows its last batch"
            ),
            grouped("1.0"): "eight batches of 16: is each step",
            grouped("len(labels) / total", size="1"): "8 steps, and 2",
            grouped("len(labels) / total", small="scheduler.step()"): (
                "the scheduler was called 10 times for 2"
            ),
            counted(share="(1 / every)", before="scheduler.step()", after="pass", end=LEFT): (
                "the first learning rate is 0.5, and"
            ),
            grouped("len(labels) / total")
            + "\n"
            + (
                "right = one_epoch\n"
                "def one_epoch(net, optimizer, scheduler, batches, every):\n"
                "    right(net, optimizer, scheduler, batches, every)\n"
                "    scheduler.step()\n"
            ): "the scheduler was called 3 times for",
            grouped("len(labels) / total").replace("        scheduler.step()\n", "")
            + "    scheduler.step()\n": "the scheduler was called 1 times",
        },
    ),
    Answers(
        right=[
            whole(),
            # Backward inside autocast does no harm.
            whole(cast="dtype=dtype", small="pass").replace(
                "        scaler.scale(loss).backward()", "            scaler.scale(loss).backward()"
            ),
            """
def scaler_for(dtype):
    if dtype == torch.bfloat16:
        return torch.amp.GradScaler("cpu", enabled=False)
    return torch.amp.GradScaler("cpu", init_scale=1024.0)


def one_step(net, optimizer, scheduler, scaler, group, dtype, limit):
    total, taken = sum(len(labels) for _, labels in group), []
    hook = optimizer.register_step_post_hook(lambda *rest: taken.append(1))
    for inputs, labels in group:
        with torch.autocast("cpu", dtype=dtype):
            scores = net(inputs)
            loss = nn.functional.cross_entropy(scores, labels, reduction="sum") / total
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    clip_grad_norm_(net.parameters(), limit)
    scaler.step(optimizer)
    scaler.update()
    hook.remove()
    optimizer.zero_grad()
    if taken:
        scheduler.step()
""".replace("    for inputs", "    optimizer.zero_grad()\n    for inputs", 1),
        ],
        wrong={
            "scaler_for, one_step = 1, 2": "two functions, please",
            whole(made="None"): "scaler_for raises AttributeError",
            whole(made="torch.amp.GradScaler('cpu')"): "bfloat16 loses no small numbers",
            whole(made="torch.amp.GradScaler('cpu', enabled=False)"): "float16 needs a scaler",
            whole(small="scaler.unscale_(optimizer)", unscale="pass"): (
                "one_step raises RuntimeError: unscale_"
            ),
            whole(unscale="pass"): "it hardly moves. With which",
            whole(share="1 / len(group)"): "is it the mean over 64",
            whole(clear="pass"): "is it the mean over 64 images, and",
            whole(small="optimizer.zero_grad() if inputs is group[0][0] else None"): (
                "is it the mean over 64 images, and of"
            ),
            whole(
                small="clip_grad_norm_(net.parameters(), limit * scaler.get_scale())"
            ): "clip once, when both",
            whole(clip="pass"): "the step is longer than",
            whole(clip="clip_grad_value_(net.parameters(), limit)"): "the step is longer than the",
            whole(cast="dtype=dtype, enabled=False"): "the network computed in torch.float32",
            whole(last="scheduler.step()"): "no step was taken, and the scheduler",
            whole(early="scheduler.step()", last="pass"): "the step used the second",
            whole(small="scheduler.step()", last="pass"): "the step used the second learning",
            whole(last=ASKED + "\n    scheduler.step()"): "one step, and 2 calls",
            whole(step="scaler.step(optimizer); scaler.step(optimizer)"): (
                "one_step raises RuntimeError: step()"
            ),
            whole(step="optimizer.step()"): "2**40 gives infinities",
            whole(last=ASKED.replace(">=", "==")): "the factor grew, and the scheduler stood",
            whole(update="pass"): "the factor was too large",
        },
    ),
]
