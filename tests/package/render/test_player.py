"""The player's HTML, as text: complete without a script, the same every time, and harmless."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

from companion import Trace, trace
from companion.records.reading import by_layer
from companion.render.layers import number
from companion.render.player import fragment as module
from tests.package.render.played import HOSTILE, loop


class Table(HTMLParser):
    """The fragment's table: one list of rows for each tbody, a row the texts of its cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.bodies: list[list[list[str]]] = []
        self.bold: list[set[tuple[str, int]]] = []  # (layer, column) by tbody
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tbody":
            self.bodies.append([])
            self.bold.append(set())
        elif tag == "tr" and self.bodies:
            self.bodies[-1].append([])
        elif tag in ("td", "th") and self.bodies:
            self.bodies[-1][-1].append("")
            self._inside = True
        elif tag == "b":
            row = self.bodies[-1][-1]
            self.bold[-1].add((row[0], len(row) - 1))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.bodies[-1][-1][-1] += data


def flat(layers: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 4), *(nn.Linear(4, 4) for _ in range(layers))
    )


def test_the_table_holds_every_state() -> None:
    """Replayed from the top, it gives each line's state as the records have it."""
    routine = loop(steps=2, clear=False)
    table = Table(routine.play().html)
    records = routine.records
    states = [records[0].before, *(record.after for record in records)]
    assert len(table.bodies) == len(states)
    held: dict[str, list[str]] = {}
    for i, (body, state) in enumerate(zip(table.bodies, states, strict=True)):
        if i:
            record = records[i - 1]
            assert body[0] == [str(record.line), record.source.rjust(len(body[0][1]))]
            for column, names in ((1, record.changed_gradients), (3, record.changed_parameters)):
                layers = {name.rpartition(".")[0] for name in names}
                assert {layer for layer, c in table.bold[i] if c == column} == layers
        held.update({row[0]: row[1:] for row in body if len(row) == 5})
        gradients, parameters = by_layer(state.gradients), by_layer(state.parameters)
        assert held == {
            layer: [
                number(readings[layer], value)
                for readings in (gradients, parameters)
                for value in ("sum", "norm")
            ]
            for layer in parameters
        }
    assert len(held) == 5
    assert "None" in table.bodies[0][1]


def test_findings_are_said_where_they_belong() -> None:
    routine = loop(steps=3, clear=False)
    (finding,) = routine.diagnose()
    table = Table(routine.play().html)
    (place,) = [i for i, body in enumerate(table.bodies) if "accumulates" in str(body)]
    assert routine.records[place - 1].index == finding.index
    said = str(table.bodies[place])
    for words in (
        finding.observed,
        finding.why,
        finding.cure,
        "companion explain accumulates",
        "2 times",
    ):
        assert words in said


def test_the_same_trace_is_the_same_text() -> None:
    assert loop()._repr_html_() == loop()._repr_html_()


def test_script_and_style_are_small() -> None:
    html = loop()._repr_html_()
    own = re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", html, flags=re.S)
    assert len(own) == 2
    assert sum(len(text.encode()) for text in own) < 20_000
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bsrc=|\bimport\b|fetch", "".join(own))


def test_nothing_is_hidden_where_scripts_and_styles_are_stripped() -> None:
    html = re.sub(r"<(style|script)>.*?</\1>", "", loop()._repr_html_(), flags=re.S)
    table = Table(html)
    assert ("details", {"open": None}) in table.tags
    assert "button" not in [tag for tag, _ in table.tags]
    assert "hidden" not in html
    assert not any({"id", "onclick", "onload"} & set(attributes) for _, attributes in table.tags)


def test_predict_first_keeps_the_table_closed() -> None:
    html = loop().play(predict=True).html
    tags = Table(html).tags
    assert ("details", {}) in tags
    assert any("data-predict" in attributes for _, attributes in tags)
    assert "every line as a table, with the answers</summary>" in html


@pytest.mark.parametrize("layers", [None, ["conv1"]])
def test_what_a_line_changes_is_told_whichever_layers_are_shown(layers: list[str] | None) -> None:
    routine = loop(steps=2, clear=False)
    told = re.findall(r'data-changes="(\d)"', routine.play(layers=layers).html)
    assert told == [
        str(bool(record.changed_gradients) + 2 * bool(record.changed_parameters))
        for record in routine.records
    ]
    assert set(told) == {"0", "1", "2"}


def test_hostile_names_are_text() -> None:
    net = nn.Module()
    net.add_module(HOSTILE.replace(".", ""), nn.Linear(2, 1))
    layer = next(net.children())
    code = f"with trace(net) as routine:\n    layer.weight.data.add_(1)  # {HOSTILE} & <b>"
    scope = {"trace": trace, "net": net, "layer": layer}
    exec(compile(code, HOSTILE, "exec"), scope)
    routine = scope["routine"]
    assert isinstance(routine, Trace)
    html = routine.play().html
    assert "<img" not in html
    assert html.count("<script>") == html.count("</script>") == 1
    assert "&lt;img src=x onerror=alert(2)&gt;" in html


def test_a_zero_grad_that_has_nothing_to_clear_says_why() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        net.bias.grad = torch.zeros(1)
        optimizer.zero_grad(set_to_none=False)
        net.weight.grad = torch.ones(1, 2)
        torch.optim.SGD([net.bias]).zero_grad(set_to_none=False)
        optimizer.zero_grad()
    table = Table(routine.play().html)
    said = [*map(str.split, str(routine).splitlines()[2:])]
    assert [" ".join(words[2:]) for words in said if "zero_grad" in words[1]] == [
        "2 None already",
        "1 None already, 1 zero already",
        "",  # the weight's was not to be cleared
        "2 value → None",
    ]
    assert [body[1][0] for body in table.bodies if "zero_grad" in str(body)] == [
        "changes neither gradients nor parameters; gradients: 2 None already",
        "changes neither gradients nor parameters; gradients: 1 None already, 1 zero already",
        "changes neither gradients nor parameters",
        "gradients: 2 value → None",
    ]


def test_a_long_trace_is_cut_and_says_so() -> None:
    net, inputs = flat(3), torch.ones(1, 3072)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with trace(net, optimizer) as routine:
        for _ in range(40):
            optimizer.zero_grad()
            loss = net(inputs).square().mean()
            loss.backward()
            optimizer.step()
        done = True
    assert done
    after = routine.records[-20]  # the first one that is shown after the gap
    assert (after.changed_gradients, after.changed_parameters) == ((), ())
    html = routine.play().html
    table = Table(html)
    gaps = [body[0][0] for body in table.bodies if "not shown" in str(body)]
    assert gaps == [f"{len(routine.records) + 1 - (len(table.bodies) - len(gaps))} lines not shown"]
    first = table.bodies[[("not shown" in str(body)) for body in table.bodies].index(True) + 1]
    assert len([row for row in first if len(row) == 5]) == 4  # everything is said anew
    assert len(html) < 60_000


def test_lines_around_a_finding_stay() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        for i in range(60):
            if i != 30:
                optimizer.zero_grad()
            net(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    (finding,) = routine.diagnose()
    assert 140 < finding.index < 160
    table = Table(routine.play().html)
    assert len([body for body in table.bodies if "lines not shown" in str(body)]) == 2
    assert "accumulates" in str(table.bodies)


def test_no_finding_is_cut_away() -> None:
    """However many there are, and wherever they stand."""
    routine = loop(steps=40)
    (one,) = loop(steps=3, clear=False).diagnose()
    lines = range(5, len(routine.records), 11)
    findings = [replace(one, index=index) for index in lines]
    played = module.player(routine.records, network="Net", findings=findings)
    assert "lines not shown" in played.html
    assert played.html.count('<tr class="rp-finding"') == len(lines)
    assert played.findings.count("<blockquote>") == len(lines)


def test_many_layers_are_cut_and_can_be_chosen() -> None:
    routine = loop(network=flat(40))
    table = Table(routine.play().html)
    assert len([row for row in table.bodies[0] if len(row) == 5]) == module.LAYERS
    assert "9 more layers are not shown; name them with layers=[...]" in routine.play().html
    chosen = Table(routine.play(layers=["41", "1"]).html)
    assert [row[0] for row in chosen.bodies[0] if len(row) == 5] == ["41", "1"]
    with pytest.raises(ValueError, match="no layer 'head' in this trace; the trace has 1, 2"):
        routine.play(layers=["head"])


def test_an_empty_trace() -> None:
    assert Trace("Net")._repr_html_() == "<p>Trace of Net: no line ran</p>\n"
    assert repr(Trace("Net").play()) == "<Player: Trace of Net>"


def test_a_line_that_raises() -> None:
    net = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="<no>"), trace(net) as routine:  # noqa: PT012
        net.weight.data.zero_()
        raise ValueError("<no>")
    assert "raised ValueError: &lt;no&gt;" in routine.play().html


def test_save_writes_a_page(tmp_path: Path) -> None:
    routine = loop()
    path = tmp_path / "loop.html"
    routine.play().save(path)
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<title>Trace of Net, 10 parameters</title>" in page
    assert routine._repr_html_() in page
    with pytest.raises(OSError, match="nowhere"):
        routine.play().save(tmp_path / "nowhere" / "loop.html")
