"""Answers to the exercises of the chapter about a whole script."""

from tests.chapters.answers import Answers

PUT_BACK = "[part.train(mode) for part, mode in modes.items()]"


def validation(
    mode: str = "net.eval()",
    around: str = "with torch.no_grad():",
    loader: str = "batches(dataset, epoch=0)",
    take: str = "loss.item() * len(labels)",
    back: str = PUT_BACK,
    end: str = "return total / len(dataset)",
) -> str:
    """A validation of its own lines, some of them changed."""
    return f"""
def validate(net, dataset):
    modes = {{part: part.training for part in net.modules()}}
    {mode}
    total = 0.0
    {around}
        for inputs, labels in {loader}:
            loss = criterion(net(inputs.to(DEVICE)), labels.to(DEVICE))
            total += {take}
    {back}
    {end}
"""


NAMES = '"net", "optimizer", "scheduler"'


def two(kept: str = "", restored: str = "", names: str = NAMES, copied: bool = True) -> str:
    """keep and restore, with other lines at the end of either."""
    how = "copy.deepcopy(kept)" if copied else "kept"
    return f"""
def keep(run):
    kept = {{name: getattr(run, name).state_dict() for name in [{names}]}}
    kept["step"], kept["order"] = run.step, run.order
    kept["generator"], kept["random"] = run.generator.get_state(), torch.get_rng_state()
    {kept}
    return {how}


def restore(run, kept):
    for name in [{names}]:
        getattr(run, name).load_state_dict(kept[name])
    run.step, run.order = kept["step"], kept["order"]
    run.generator.set_state(kept["generator"])
    torch.set_rng_state(kept["random"])
    {restored}
"""


ANSWERS = [
    Answers(
        right=["answer_1 = 'e, c, b'", "answer_1 = ['B', 'C', 'E']"],
        wrong={
            "answer_1 = 3": "give letters as text",
            "answer_1 = 'BCF'": "the letters are A to E",
            "answer_1 = 'ABCE'": "A writes into the parameters",
            "answer_1 = 'BCDE'": "D: neither of the two",
            "answer_1 = 'CE'": "one script has a layer",
            "answer_1 = 'BE'": "in one script the learning rate",
            "answer_1 = 'BC'": "in one script the best weights",
        },
    ),
    Answers(
        right=[
            "remember = lambda net: {k: v.clone() for k, v in net.state_dict().items()}",
            """
def remember(net):
    return copy.deepcopy(net).state_dict()
""",
            """
def remember(net):
    path = Path(tempfile.mkdtemp(), "best.pt")
    torch.save(net.state_dict(), path)
    return torch.load(path)
""",
        ],
        wrong={
            "remember = 5": "a function of one argument",
            "remember = lambda: 0": "it raises TypeError",
            "remember = copy.deepcopy": "load_state_dict wants a state dict",
            "remember = lambda net: net.state_dict()": "what it returned has moved along",
            "remember = lambda net: dict(net.state_dict())": "a new dict, and the tensors",
            "remember = lambda net: {n: p.detach().clone() for n, p in net.named_parameters()}": (
                "a network has more than"
            ),
            "remember = lambda net: {n: t.half() for n, t in net.state_dict().items()}": (
                "some numbers are near"
            ),
            "remember = lambda net: {k: +t for k, t in net.state_dict().items() if t.dim()}": (
                "a number of the network is missing"
            ),
            "remember = lambda net: None": "it does not load: TypeError",
            "remember = lambda net: net.append(nn.Identity()).float().state_dict()": (
                "remember has changed the network"
            ),
        },
    ),
    Answers(
        right=[
            validation(),
            validation(
                loader="[tensors[:2] for tensors in DataLoader(dataset, 50,"
                " generator=torch.Generator())]"
            ),
            """
def validate(net, dataset):
    random, trained = torch.get_rng_state(), [m for m in net.modules() if m.training]
    net.train(False)
    losses = []
    with torch.inference_mode():
        for inputs, labels in DataLoader(dataset, batch_size=100, shuffle=True):
            outputs = net(inputs.to(DEVICE))
            losses.append(
                nn.functional.cross_entropy(outputs, labels.to(DEVICE), reduction="none")
            )
    for part in trained:
        part.training = True
    torch.set_rng_state(random)
    return torch.cat(losses).mean().item()
""",
        ],
        wrong={
            "validate = 0.3": "a function of two arguments",
            "validate = lambda net: 0.3": "it raises TypeError",
            "validate = lambda net, dataset: 0.3": "no image went through",
            validation(mode="pass"): "with dropout on, and BatchNorm",
            validation(around="if True:"): "a graph was built",
            validation(back="pass"): "the network was in train mode",
            validation(back="net.train()"): "the network was in eval mode",
            validation(back="net.train(modes[net])"): "only one of its parts was in eval",
            validation(back=f"{PUT_BACK}; net.zero_grad()"): "the gradients were not",
            validation(back=f"{PUT_BACK}; net[1].reset_running_stats()"): "a number of the",
            validation(
                around="torch.set_grad_enabled(False)\n    if True:"
            ): "after it nothing is recorded",
            validation(end="return torch.tensor(total / len(dataset))"): "a plain number, not",
            validation(take="loss.item()", end="return total / 11"): "the last batch is smaller",
            validation(take="loss.item()", end="return total"): "the mean over all images",
            validation(loader="DataLoader(dataset, batch_size=32)"): "the next random number",
        },
    ),
    Answers(
        right=[
            two(),
            """
def keep(run):
    path = Path(tempfile.mkdtemp(), "kept.pt")
    torch.save(
        {
            "parts": [run.net.state_dict(), run.optimizer.state_dict()],
            "scheduler": run.scheduler.state_dict(),
            "run": [run.step, run.order, run.generator.get_state()],
            "random": torch.get_rng_state(),
        },
        path,
    )
    return path


def restore(run, kept):
    state = torch.load(kept)
    # An optimizer that is built before the weights are loaded holds the right ones.
    run.optimizer = optim.AdamW(groups(run.net), lr=LR)
    run.scheduler = optim.lr_scheduler.CosineAnnealingLR(run.optimizer, T_max=STEPS)
    run.net.load_state_dict(state["parts"][0])
    run.optimizer.load_state_dict(state["parts"][1])
    run.scheduler.load_state_dict(state["scheduler"])
    run.step, run.order, drawn = state["run"]
    run.generator.set_state(drawn)
    torch.set_rng_state(state["random"])
""",
        ],
        wrong={
            "keep, restore = 1, 2": "two functions, please",
            "keep, restore = lambda: 0, lambda: 0": "keep raises TypeError",
            "keep, restore = lambda run: {}, lambda run: 0": "restore raises TypeError",
            "keep, restore = lambda run: {}, lambda run, kept: None": "the network has other",
            two(kept="torch.manual_seed(0)"): "keep has changed the training",
            two(copied=False): "what you kept has moved along",
            two(names='"net"'): "Adam's averages begin at 0",
            two(names='"net", "optimizer"'): "the scheduler counts from",
            two(restored="run.optimizer.state[run.net[0].weight]['exp_avg'].zero_()"): (
                "Adam's averages are those of another"
            ),
            two(
                restored="run.optimizer.param_groups[0]['lr'] = LR"
            ): "the learning rate is another",
            two(restored="run.step = 45"): "which step is the next",
            two(
                restored="run.order = torch.randperm(len(train_set), generator=run.generator)"
                ".split(BATCH)"
            ): "the rest of this epoch",
            two(restored="run.generator.manual_seed(SEED)"): "the next epoch will be shuffled",
            two(restored="torch.manual_seed(SEED)"): "dropout draws other numbers",
            two(
                restored="run.optimizer = copy.deepcopy(run.optimizer); "
                "run.scheduler = copy.deepcopy(run.scheduler)"
            ): "after 50 more steps",
        },
    ),
]
