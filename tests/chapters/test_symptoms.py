"""The page that leads from what a reader sees to the section that explains it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import companion
from companion.diagnosis.ranks.rules import RANK_RULES
from companion.diagnosis.rules import RULES
from tests.chapters.glossary import grads, values
from tests.chapters.symptoms import (
    PAGE,
    SECTIONS,
    Case,
    Seen,
    TwoHeads,
    alone,
    cases,
    names,
    run,
    script,
    script_of_two,
    see,
    understood,
)
from tests.package.command.launched import launch
from tests.package.running import forks, write

CASES = cases()
NO_GRAPH = "element 0 of tensors does not require grad and does not have a grad_fn"


def test_every_rule_is_reached_and_leads_to_its_section() -> None:
    found = re.findall(r"\[`([\w-]+)`\]\((\d\d_\w+|rules)\.(?:ipynb|md)(#[\w-]+)\)", PAGE)
    leads = {(name, f"{page}.html{section}") for name, page, section in found}
    sections = {rule.name: rule.section for rule in RULES}
    of_ranks = {rule.name: rule.section for rule in RANK_RULES}
    assert leads == {*sections.items(), *of_ranks.items()}
    named = {case.finding for case in CASES} | {case.whole for case in CASES}
    assert named == {*sections, None}
    assert {case.two for case in CASES} == {*of_ranks, None}


# The code of the page.


def test_all_code_is_a_case() -> None:
    assert len(CASES) == PAGE.count("```python") == PAGE.count("\nFinding: ") >= 50
    assert max(len(line) for case in CASES for line in case.code.splitlines()) <= 70


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("none", (None, None, False, None)),
        ("[`a-b`](r.md#a-b)", ("a-b", None, False, None)),
        ("none here; of a whole script [`a-b`](r.md#a-b)", (None, "a-b", False, None)),
        ("none here; of a whole script [`a-b`](r.md#a-b), at its end", (None, "a-b", True, None)),
        ("none here; of two processes [`a-b`](r.md#a-b)", (None, None, False, "a-b")),
    ],
)
def test_what_may_be_said_of_a_case(said: str, meant: tuple[object, ...]) -> None:
    assert understood(said) == meant
    with pytest.raises(AssertionError):
        understood(f"{said}, perhaps")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section[:30]} {case.finding}")
def test_the_diagnosis_finds_what_the_page_says_and_nothing_else(
    case: Case, tmp_path: Path
) -> None:
    seen = see(case.code, tmp_path)
    assert seen.rules == ({case.finding} if case.finding else set())
    quoted = re.findall(r"`([^`\n]+)`", SECTIONS[case.section].split("**")[0])
    if case.section.startswith(("Error", "Warning")):
        heading = case.section.partition(": ")[2]
        assert any(message in plain(said) for said in seen.said for message in [*quoted, heading])
    elif seen.said:
        known = [*quoted, "The .grad attribute of a Tensor that is not a leaf Tensor"]
        assert all(any(message in plain(said) for message in known) for said in seen.said)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.whole], ids=lambda case: str(case.whole)
)
def test_the_command_finds_in_a_whole_script_what_the_page_says(case: Case, tmp_path: Path) -> None:
    write(tmp_path, script(case.code))
    ran = forks().run(tmp_path, "--json", "found.json", "script.py", how="command")
    found = json.loads((tmp_path / "found.json").read_text())["findings"]
    assert {finding["rule"] for finding in found} == {case.whole}, ran.err
    first, _, _ = ran.err.partition("now that the script is over")
    late = f"{case.whole}, line" not in first or "no step was seen" in first
    assert late == case.late, ran.err


def test_two_processes_find_what_the_page_says(tmp_path: Path) -> None:
    scripts = {case.two: script_of_two(case.code) for case in CASES if case.two is not None}
    ran = launch(tmp_path, scripts, "--json", "found.json")
    for rule, one in ran.items():
        assert one.codes == [0, 0], one.report
        told = json.loads((one.folder / "found.json").read_text())
        found = [*told["findings"], *told["between_ranks"]["findings"]]
        assert [finding["rule"] for finding in found] == [rule], one.report


def plain(said: str) -> str:
    """A message without shapes and quotes."""
    return re.sub(r" \(torch\.Size\(\[[\d, ]*\]\)\)|`", "", said)


def losses(seen: Seen) -> list[float]:
    """On all batches, in the end and with the network as it was at first."""
    both = []
    for net in (seen.names["net"], names()["net"]):
        with torch.no_grad():
            each = [nn.functional.cross_entropy(net(x), y).item() for x, y in names()["batches"]]
        both.append(sum(each))
    return both


# What the page says of them.


def test_where_nothing_was_trained_no_line_has_moved_a_parameter(tmp_path: Path) -> None:
    section = SECTIONS["The loss does not decrease (is not going down)"]
    still = section.partition("**They change")[0].count("```python")
    moved = [
        any(record.changed_parameters for record in see(case.code, tmp_path).routine.records)
        for case in CASES
        if case.section.startswith("The loss does not")
    ]
    assert moved == [False] * still + [True] * (len(moved) - still)
    scale = run("leaves out every step", tmp_path).names["scaler"].get_scale()
    assert scale == 65536 / 2**6
    one, other = names(), names()
    with pytest.raises(ValueError, match="holds none of"):
        companion.trace(one["net"], other["optimizer"])


def test_a_loss_without_zero_grad_can_go_back_to_a_guess() -> None:
    """The course's network: the mean loss in each quarter of 88 steps."""
    images = companion.digits()
    quarters = []
    for seed in (1, 3, 4):
        torch.manual_seed(seed)
        net, seen = companion.Net(), []
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for start in range(0, 88 * 16, 16):
            outputs = net(images.images[start : start + 16])
            loss = nn.functional.cross_entropy(outputs, images.targets[start : start + 16])
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        quarters.append(torch.tensor(seen).view(4, 22).mean(dim=1))
    assert all(means[-1] > 2 for means in quarters)
    assert min(means.max() for means in quarters) < 3


def test_a_large_step_makes_the_loss_rise(tmp_path: Path) -> None:
    after, before = losses(run("**The learning rate is too large.** The", tmp_path))
    assert math.isfinite(after)
    assert after > 2 * before


def test_slopes_that_are_infinite(tmp_path: Path) -> None:
    x = torch.zeros(2, requires_grad=True)
    loss = x.square().sum().sqrt()
    loss.backward()
    assert loss == 0
    assert x.grad is not None
    assert x.grad.isnan().all()
    x.grad = None
    torch.linalg.vector_norm(x).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0]
    x.grad = None
    (x.square().sum() + 1e-12).sqrt().backward()
    assert x.grad.isfinite().all()
    with torch.autograd.set_detect_anomaly(True):
        seen = run("**A root at 0.**", tmp_path)
    assert "Function 'PowBackward0' returned nan values" in seen.said[0]

    scores = torch.tensor([[0.0, 1000.0]], requires_grad=True)
    assert scores.softmax(dim=1)[0, 0] == 0
    scores.log_softmax(dim=1)[0, 0].backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert nn.functional.cross_entropy(scores, torch.tensor([0])).isfinite()


def test_when_grad_is_none() -> None:
    net = names()["net"]
    inputs, labels = names()["batches"][0]
    net[0].requires_grad_(False)
    nn.functional.cross_entropy(net(inputs), labels).backward()
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    net = names()["net"]
    loss = nn.functional.cross_entropy(net(inputs), labels)
    assert len(torch.autograd.grad(loss, [*net.parameters()])) == 4
    assert grads(net) == []


def test_the_sum_is_0_whatever_the_weights() -> None:
    inputs, labels = names()["batches"][0]
    kinds: list[dict[str, Any]] = [
        {},
        {"weight": torch.tensor([1.0, 2.0, 5.0])},
        {"label_smoothing": 0.2},
    ]
    for options in kinds:
        net = names()["net"]
        scores = net(inputs)
        criterion = nn.CrossEntropyLoss(**options)
        torch.testing.assert_close(criterion(scores + 7, labels), criterion(scores, labels))
        criterion(scores, labels).backward()
        assert abs(net[2].weight.grad.sum()) < 1e-5 < net[2].weight.grad.norm()


def test_what_a_layer_that_does_not_train_looks_like(tmp_path: Path) -> None:
    net = run("**The optimizer does not hold their parameters.**", tmp_path).names["net"]
    assert net[2].weight.grad.norm() > 0
    net = run("**The graph is cut above them,**", tmp_path).names["net"]
    assert [p.grad is None for p in net.parameters()] == [True, True, False, False]
    net = run("gives 0 for every sample.**", tmp_path).names["net"]
    assert [bool(p.grad.any()) for p in net.parameters()] == [False, False, False, True]
    net = run("on its way through many layers", tmp_path).names["net"]
    norms = [p.grad.norm() for p in net.parameters()]
    assert norms[0] < 1e-6 * norms[-1]

    layer = nn.Linear(2, 2)
    held = layer.weight
    assert layer.to(torch.float64).weight is held
    assert layer.to("meta").weight is not held
    back = layer.weight
    assert layer.to_empty(device="cpu").weight is not back


def test_what_a_graph_holds_before_and_after_its_backward(tmp_path: Path) -> None:
    def saved(total: Tensor) -> Any:
        node: Any = total.grad_fn
        while "LogSoftmax" not in node.name():
            node = next(one for one, _ in reversed(node.next_functions) if one is not None)
        return node._saved_result

    total = run("**A graph without a backward**", tmp_path).names["total"]
    assert saved(total).shape == (8, 3)
    total = run("**A graph after its backward**", tmp_path).names["total"]
    with pytest.raises(RuntimeError, match="already been freed"):
        saved(total)


def test_outputs_in_a_list_are_found(tmp_path: Path) -> None:
    code = """outputs = []
for inputs, labels in batches:
    optimizer.zero_grad()
    outputs.append(net(inputs))
    loss = criterion(outputs[-1], labels)
    loss.backward()
    optimizer.step()
"""
    assert see(code, tmp_path).rules == {"graph-kept"}


def test_modes(tmp_path: Path) -> None:
    seen = run("First rule out the mode.", tmp_path)
    net, (inputs, _) = seen.names["net"], seen.names["batches"][0]
    assert not torch.equal(net(inputs), net(inputs))

    for steps, share in ((6, 0.47), (30, 0.96)):
        seen = run("## Good in train mode, bad in eval mode", tmp_path, steps=steps // 6)
        net, batches = seen.names["net"], [(x * 5 + 50, y) for x, y in seen.names["batches"]]
        whole = torch.cat([x for x, _ in batches]).mean(dim=0)
        assert (net[0].running_mean / whole).tolist() == pytest.approx([share] * 4, abs=0.02)
        assert 1 - 0.9**steps == pytest.approx(share, abs=0.005)
    fresh = nn.BatchNorm1d(4)
    assert (fresh.running_mean, fresh.running_var) != (None, None)
    assert cast(Tensor, fresh.running_mean).tolist() == [0] * 4
    assert cast(Tensor, fresh.running_var).tolist() == [1] * 4

    seen = run("## Good in train mode, bad in eval mode", tmp_path)
    net, batches = seen.names["net"], [(x * 5 + 50, y) for x, y in seen.names["batches"]]

    def loss(mode: bool) -> float:
        net.train(mode)
        with torch.no_grad():
            return sum(nn.functional.cross_entropy(net(x), y).item() for x, y in batches)

    kept = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    behind = loss(False)
    train = loss(True)
    assert behind > 2 * train
    net.load_state_dict(kept)
    for _ in range(10):
        loss(True)
    assert loss(False) < 1.1 * train


# Errors and warnings that the code of no case raises.


def outputs() -> Tensor:
    return cast(Tensor, nn.Linear(2, 2)(torch.ones(1, 2)))


def argmax() -> None:
    outputs().argmax(dim=1).float().mean().backward()


def detach() -> None:
    outputs().detach().mean().backward()


def data() -> None:
    outputs().data.mean().backward()


def rebuilt() -> None:
    torch.tensor(outputs().mean().item()).backward()


def no_grad() -> None:
    with torch.no_grad():
        loss = outputs().mean()
    loss.backward()


def numpy() -> None:
    outputs().numpy()


def item() -> None:
    outputs().mean().item().backward()  # type: ignore[union-attr]


def no_gradient_to_subtract() -> None:
    nn.Linear(2, 1).weight.grad * 0.1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        *((cut, NO_GRAPH) for cut in (argmax, detach, data, rebuilt, no_grad)),
        (numpy, "Can't call numpy() on Tensor that requires grad"),
        (item, "'float' object has no attribute 'backward'"),
        (no_gradient_to_subtract, "unsupported operand type(s)"),
    ],
)
def test_what_pytorch_says(code: Callable[[], None], message: str) -> None:
    """Word for word, so that a reader who searches for it arrives."""
    assert f"`{message}`" in PAGE
    with pytest.raises((RuntimeError, TypeError, AttributeError)) as raised:
        code()
    assert message in str(raised.value)


# The cures.


def test_two_losses_are_added_or_the_graph_is_kept() -> None:
    results = []
    for cure in ("added", "retained"):
        given = names()
        net, (inputs, labels) = given["net"], given["batches"][0]
        features = net[:2](inputs)
        loss_a, loss_b = given["criterion"](net[2](features), labels), features.square().mean()
        if cure == "added":
            (loss_a + loss_b).backward()
        else:
            loss_a.backward(retain_graph=True)
            loss_b.backward()
        results.append(grads(net))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("cure", ["find_unused_parameters", "freeze", "use"])
def test_every_parameter_is_reduced(cure: str) -> None:
    net = TwoHeads()
    if cure == "freeze":
        net.second.requires_grad_(False)
    net.both = cure == "use"
    with alone():
        wrapped = nn.parallel.DistributedDataParallel(
            net, find_unused_parameters=cure == "find_unused_parameters"
        )
        for _ in range(3):
            wrapped(torch.ones(2, 4)).sum().backward()


def test_cures_of_the_other_errors(tmp_path: Path) -> None:
    for words, wrong, right in (
        ("**The network itself writes into", "h += 1", "h = h + 1"),
        ("this batch has one sample.", "for", "net.eval()\nfor"),
        ("`unscale_` stands in each of them.", "    scaler.unscale_(optimizer)\n", ""),
    ):
        code = PAGE.partition(words)[2].partition("```python\n")[2].partition("```")[0]
        assert wrong in code
        assert see(code.replace(wrong, right, 1), tmp_path).said == []
    loader: DataLoader[int] = DataLoader(range(9), batch_size=4, drop_last=True)  # type: ignore[arg-type]
    assert [len(batch) for batch in loader] == [4, 4]
    seen = run("**A tensor of an earlier step", tmp_path)
    assert seen.said


def test_a_skipped_first_step_costs_one_learning_rate(tmp_path: Path) -> None:
    seen = run("left out the first step,**", tmp_path)
    assert seen.names["scaler"].get_scale() == 65536 / 2
    alone = names()  # without the first batch, and from the second learning rate on
    optimizer, net = alone["optimizer"], alone["net"]
    for i, (inputs, labels) in enumerate(alone["batches"][1:]):
        optimizer.param_groups[0]["lr"] = 0.1 ** (2 + i)
        optimizer.zero_grad()
        alone["criterion"](net(inputs), labels).backward()
        optimizer.step()
    for mine, theirs in zip(values(net), values(seen.names["net"]), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_network_that_knows_nothing() -> None:
    """Ten classes, equal scores: what the loss is stuck at."""
    loss = nn.functional.cross_entropy(torch.zeros(1, 10), torch.tensor([3]))
    assert f"{loss:.3f}" == "2.303"
    assert "2.303 for ten classes" in PAGE


@pytest.mark.parametrize(
    ("cleared", "options", "moves"),
    [
        (None, {}, True),
        ("zeros", {}, False),
        ("zeros", {"momentum": 0.9}, True),
        ("zeros", {"weight_decay": 0.1}, True),
        ("None", {"momentum": 0.9}, False),
        ("None", {"weight_decay": 0.1}, False),
    ],
)
def test_when_a_frozen_parameter_moves(
    cleared: str | None, options: dict[str, Any], moves: bool
) -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, **options)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    net.weight.requires_grad_(False)
    if cleared is not None:
        optimizer.zero_grad(set_to_none=cleared == "None")
    before = net.weight.clone()
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.equal(net.weight, before) != moves
