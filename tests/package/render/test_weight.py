"""The grids of a parameter, without a browser: torch's numbers, whole without scripts, stable."""

from __future__ import annotations

import json
import math
import re
from html import unescape

import pytest
import torch
from torch import nn

from companion.render.operate import weight
from companion.render.operate.weight import WORDS
from companion.render.page import asset


def layer() -> nn.Linear:
    """Of 3 rows and 5 columns, with a gradient whose second column is 0."""
    torch.manual_seed(0)
    one = nn.Linear(5, 3)
    inputs = torch.rand(4, 5)
    inputs[:, 1] = 0
    one(inputs).square().sum().backward()
    return one


def numbers(html: str) -> list[list[str]]:
    found = re.search(r'data-numbers="([^"]*)"', html)
    assert found is not None
    return [text.split(" ") for text in json.loads(unescape(found[1]))]


def test_the_numbers_are_those_of_the_tensors() -> None:
    one = layer()
    assert one.weight.grad is not None
    kept = numbers(weight(one.weight, "one.weight").html)
    for texts, tensor in zip(kept, (one.weight, one.weight.grad), strict=True):
        expected = tensor.detach().flatten().tolist()
        assert [float(text) for text in texts] == pytest.approx(expected, rel=5e-4)
    assert kept[1][1] == kept[1][6] == kept[1][11] == "0"


def test_an_entry_that_is_zero_has_no_colour() -> None:
    """Each other entry lies under one stroke, of the colour of its sign."""
    one = layer()
    assert one.weight.grad is not None
    second = weight(one.weight, "w").html.split("<svg")[2].split("</svg>")[0]
    painted = torch.zeros(3, 5)
    for sign, d in re.findall(r'<path class="ro-(below|above) ro-level-\d" d="([^"]*)"', second):
        for start, row, length in re.findall(r"M(\d+) (\d+)\.5h(\d+)", d):
            here = painted[int(row), int(start) : int(start) + int(length)]
            assert (here == 0).all()
            here += 1 if sign == "above" else -1
    assert torch.equal(painted, one.weight.grad.sign())
    assert f"<span>±{one.weight.grad.abs().max().item():.2g}</span>" in weight(one.weight, "w").html


def test_it_is_whole_without_scripts() -> None:
    one = layer()
    html = weight(one.weight, "one.weight").html
    assert f">one.weight[0, 0] = {one.weight[0, 0].item():.4g}<" in html
    assert html.count('role="img" aria-label="Grid of the numbers of one.weight') == 2
    assert '<div class="ro-sliders" hidden>' in html
    assert html == weight(one.weight, "one.weight")._repr_html_()
    assert " id=" not in html
    assert "http" not in html


def test_no_gradient_is_none_and_not_zero() -> None:
    one = nn.Linear(2, 2)
    html = weight(one.weight, "w").html
    assert ">w.grad = None<" in html
    assert 'aria-label="Grid of w.grad, which is None"' in html
    one.weight.grad = torch.zeros(2, 2)
    html = weight(one.weight, "w").html
    assert ">w.grad[0, 0] = 0<" in html
    assert "None" not in html.split("<script>")[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_and_odd_numbers(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[math.inf, math.nan], [-math.inf, 2.0]], dtype=dtype)
    html = weight(tensor, "t").html
    assert numbers(html)[0] == ["inf", "nan", "-inf", "2"]
    assert 'ro-odd" d="M0 0.5h2M0 1.5h1"' in html


def test_it_only_reads() -> None:
    one = layer()
    before = one.weight.detach().clone()
    weight(one.weight, "w")
    assert torch.equal(one.weight, before)
    assert one.weight.requires_grad
    assert one.weight.grad is not None


def test_names_and_words_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "<b>\"'&"
    monkeypatch.setitem(WORDS, "picture", bad)
    monkeypatch.setitem(WORDS, "row", bad)
    assert "<b>" not in weight(layer().weight, bad).html


def test_script_and_style_are_small() -> None:
    assert sum(len(asset(path)) for path in weight(layer().weight, "w").assets) < 10_000


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(3), r"w has shape \(3,\) and dtype torch.float32, not two dimensions"),
        (torch.ones(2, 2, dtype=torch.int64), "and dtype torch.int64, not"),
        (torch.ones(0, 4), "w has 0 entries, not 1 to 4096"),
        (torch.ones(65, 64), "w has 4160 entries, not 1 to 4096"),
    ],
)
def test_what_is_refused(tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weight(tensor, "w")
