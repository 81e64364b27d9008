"""A trace from a stranger: whatever `Trace.load` takes, every view can show, and shows harmlessly.

What it refuses, and how files are damaged at random, stands in `test_saving.py`. The cases here
were found by fuzzing: each of them once raised in a view, or reached the reader's terminal.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib import pyplot
from torch import nn

from companion import Trace, trace
from companion.records.parse import DEEPEST, LONGEST
from companion.records.syntax import added_to, read_grads, rebound_with_grad
from companion.records.visible import visible
from companion.render.figure import LARGEST
from companion.render.text import text
from tests.package.records.test_saving import same

ESCAPE = "\x1b[2J\x1b]0;owned\x07"  # clears a terminal, and renames its window
CONTROLS = "".join(map(chr, (*range(32), 0x7F, 0x85, 0x9B, 0x61C, 0x200F, 0x202E, 0x2028, 0x2066)))
NAMES = {
    "terminal": ESCAPE, "eight bits": "\x9b31m", "every control": CONTROLS, "line": "a\nno finding",
    "order": "\u202eevil\u2066", "surrogate": "\ud800", "null": "a\x00b", "mathematics": r"$\frac{",
    "dollars": "$$", "backslash": "\\", "script": "_^{}", "braces": "{0} %s {", "empty": "",
    "markup": "</code></script><script>alert(1)</script>", "comment": "<!--", "cdata": "]]>",
    "entity": "&lt;b&gt;", "quotes": "\"'` onload=x", "formula": "=1+1", "long": "a" * 20_000,
    "wide": "\U0001f600\u4e00", "tags": "\U000e0041", "private": "\ue000\U0010ffff",
}  # fmt: skip
SOURCES = {
    "brackets": "(" * 5000, "calls": "f(" * 150 + ")" * 150, "minus": "x = " + "-" * 3000 + "1",
    "dots": "x = x - a" + ".b" * 3000 + ".grad", "sum": "total += " + "+".join("a" * 3000),
    "not": "not " * 3000 + "x", "lambda": "lambda:" * 900 + "1", "if": "a if b else " * 900 + "c",
    "hexadecimal": "w = w - 0x" + "f" * 6000 + " * w.grad", "decimal": "w = w - " + "9" * 5000,
    "null": "w = w - \x00 * w.grad", "surrogate": "w = w - '\ud800' * w.grad", "string": "'''",
    "escape": "w = w - '\\d' * w.grad", "string in a string": "f'{f\"{w.grad}\"}'",
    "long": "x+" * 9999,
    "lines": "a\n" * 3000, "separators": "a\x0bb\x0cc\x1cd\x85e\u2028f", "match": "match x:",
    "indented": "  x\n y", "async": "await x", "stray": "return", "backslash": "\\",
}  # fmt: skip


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A saved trace with findings, a line that raised, and complex numbers."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    waves: Any = nn.Linear(1, 1, dtype=torch.complex64)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    path = tmp_path_factory.mktemp("hostile") / "valid.json"
    with contextlib.suppress(RuntimeError), trace(net, waves, optimizer) as routine:
        for _ in range(3):
            loss = net(torch.ones(4, 2)).square().mean()
            loss.backward()
            optimizer.step()
        loss.backward()
    routine.save(path)
    assert {finding.rule for finding in routine.diagnose()} >= {"accumulates", "backward-twice"}
    return json.loads(path.read_text("utf-8"))


def loaded(whole: Any, folder: Path) -> Trace:
    path = folder / "hostile.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    return Trace.load(path)


def shown(routine: Trace, folder: Path) -> str:
    """All views of a trace: none may raise. What is printed comes back."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    print(routine, repr(routine), repr(routine.play()), *routine.diagnose(), file=terminal)
    print(text(routine.records, network=routine.network, as_written=True), file=terminal)
    for predict in False, True:
        player = routine.play(predict=predict)
        player.save(folder / "page.html")  # nothing in it that UTF-8 does not know
        assert player.html.count("<script") == player.html.count("</script") == 1
        assert player.html.count("<!--") == 0
        assert not unseen(player.html)
    rows = routine.to_rows()
    json.dumps([{**row, "gradient_sum": None, "parameter_sum": None} for row in rows])
    json.dumps([finding.to_dict() for finding in routine.diagnose()])
    figure = routine.plot()
    figure.savefig(folder / "figure.svg")
    assert max(figure.get_size_inches()) < LARGEST
    pyplot.close(figure)
    routine.save(folder / "again.json")
    assert same(Trace.load(folder / "again.json").records, routine.records)
    terminal.flush()
    terminal.seek(0)
    return terminal.read()


def unseen(words: str) -> set[str]:
    """Characters that a terminal, or a reader's eye, might take for something else."""
    return {
        character
        for character in set(words)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and character not in "\n\t"
    }


# Names and code


@pytest.mark.filterwarnings("ignore:Glyph")  # of letters that matplotlib's font does not have
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_text_in_every_view(valid: Any, name: str, tmp_path: Path) -> None:
    bad = copy.deepcopy(valid)
    bad["network"] = name
    for state in bad["states"]:
        for part in state.values():
            if isinstance(part, dict):
                for key in list(part):
                    part[f"{name}.{key}"] = part.pop(key)
    for i, record in enumerate(bad["records"]):
        record["file"], record["function"] = name, name * (i % 2)
        record["source"] += f"  # {name}"
        record["raised"] = record["raised"] and f"{name} {record['raised']}"
        for kind in "changed_gradients", "changed_parameters":
            record[kind] = [f"{name}.{key}" for key in record[kind]]
        for event in record["events"]:
            event[1] = name
            if "held" in event[2]:
                event[2]["held"] = [f"{name}.{key}" for key in event[2]["held"]]
    routine = loaded(bad, tmp_path)
    assert {finding.rule for finding in routine.diagnose()} >= {"accumulates", "backward-twice"}
    printed = shown(routine, tmp_path)
    assert not unseen(printed)
    assert "\nno finding" not in printed
    assert f"Trace of {visible(name)}" in printed


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_any_text_may_stand_where_code_should(valid: Any, source: str, tmp_path: Path) -> None:
    bad = copy.deepcopy(valid)
    for record in bad["records"]:
        record["source"] = source
        record["raised"] = "TypeError: NoneType"
        if "step" not in str(record["events"]):  # then rules ask what the statement does
            record["changed_parameters"] = []
    assert not unseen(shown(loaded(bad, tmp_path), tmp_path))


def test_what_is_not_seen_is_written_out() -> None:
    assert visible(ESCAPE) == r"\x1b[2J\x1b]0;owned\x07"
    assert visible("a\nb\rc\x9bd\u202ee\ud800\u2028") == r"a\nb\rc\x9bd\u202ee\ud800\u2028"
    plain = "größer = 'α\\β' + \"é\u0301\"\t# 漢字\u3000\u00a0😀"
    assert visible(plain) == plain
    assert not unseen(visible("".join(map(chr, range(sys.maxunicode + 1)))))


def test_statements_beyond_reading_are_left_unread() -> None:
    assert read_grads("x + " * 20 + "w.grad") == ("w",)
    assert read_grads("x + " * DEEPEST + "w.grad") == ()
    assert read_grads("w.grad" + " " * LONGEST) == ()
    assert rebound_with_grad("w = w - 0x" + "f" * 6000 + " * w.grad") is None
    assert added_to("total += " + "-" * 5000 + "1") == ()


# Numbers


@pytest.mark.parametrize(
    "reading",
    [
        [[8e307, 8e307], 1e308, 0], [1e308, 1e308, 2**62], ["nan", "inf", 1],
        [1e308, 5e-324, 0], [["inf", "nan"], "nan", 0], [-1e308, 0, 0], [0, 1e-320, 0],
    ],
)  # fmt: skip
def test_any_numbers_can_be_shown(valid: Any, reading: Any, tmp_path: Path) -> None:
    bad = copy.deepcopy(valid)
    for state in bad["states"]:
        for part in "gradients", "parameters":
            state[part] = dict.fromkeys(state[part], reading)
        state["learning_rates"] = {"optimizer": [reading[1]]}
    assert shown(loaded(bad, tmp_path), tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        ["backward", "", {"twice": "softmax", "classes": 2**63 - 1}],
        ["backward", "", {"nodes": [2**63 - 1, 0, 0], "twice": "sigmoid"}],
        ["shapes", "mse", {"input": [2**63 - 1] * 64, "target": [1] * 64}],
        ["shapes", "mse", {"input": [0], "target": [2**62, 1]}],
        ["step", "zzz", {"held": ["nothing"], "idle": 2**63 - 1, "unregistered": [ESCAPE]}],
        ["graph kept", ESCAPE, {"length": 2**63 - 1}],
        ["schedule", "zzz", {"scheduler": ESCAPE, "first": True, "stepped": False}],
        ["non-leaf", ESCAPE, {"made_by": ESCAPE}],
        ["later", "", {"x": [1, [{"y": [2]}]]}],
    ],
)  # fmt: skip
def test_any_event_can_stand_on_any_line(valid: Any, event: Any, tmp_path: Path) -> None:
    bad = copy.deepcopy(valid)
    for record in bad["records"]:
        record["events"].append(event)
    assert not unseen(shown(loaded(bad, tmp_path), tmp_path))


@pytest.mark.parametrize(
    "event",
    [
        ["backward", "", {"nodes": 3}],
        ["backward", "", {"nodes": [1, 2]}],
        ["backward", "", {"nodes": [1, 2, "3"]}],
        ["backward", "", {"classes": 10**400}],
        ["shapes", "mse", {"input": [2] * 65, "target": [2]}],
        ["step", "x", {"held": [], "idle": 2**63}],
        ["later", "", {"x": json.loads("[" * 200 + "]" * 200)}],
        ["later", "", {"x": json.loads('{"a":' * 200 + "1" + "}" * 200)}],
    ],
)
def test_events_that_no_rule_could_read(valid: Any, event: Any, tmp_path: Path) -> None:
    bad = copy.deepcopy(valid)
    bad["records"][0]["events"].append(event)
    with pytest.raises(ValueError, match=r"hostile\.json is a damaged trace: ") as caught:
        loaded(bad, tmp_path)
    assert len(str(caught.value)) < len(str(tmp_path)) + 250


# Order and size


def test_records_in_any_order_with_any_states(valid: Any, tmp_path: Path) -> None:
    """Names that come and go between one state and the next, and no two alike."""
    bad = copy.deepcopy(valid)
    count = len(bad["states"])
    for i, state in enumerate(bad["states"]):
        for kind in ("gradients", "parameters", "requires_grad", "training")[: i % 5]:
            state[kind] = {}
        state["learning_rates"] = {f"optimizer{i}": [0.1] * i}
    bad["records"].reverse()
    for i, record in enumerate(bad["records"]):
        record.update(before=i * 7 % count, after=i * 3 % count, depth=i * 5 % 9, step=99 - i)
    assert shown(loaded(bad, tmp_path), tmp_path)


def test_a_listing_is_not_wider_than_it_says(valid: Any, tmp_path: Path) -> None:
    """Indented by thousands of columns, each line deeper than the one before."""
    bad = copy.deepcopy(valid)
    bad["records"] *= 4
    for i, record in enumerate(bad["records"]):
        record.update(depth=i, indent=10_000, function=f"f{i % 3}", source="x\n" * 1000)
    bad["records"][0]["indent"] = 0
    routine = loaded(bad, tmp_path)
    assert max(map(len, str(routine).splitlines())) < 300
    assert len(routine.play().html) < 10_000_000


def test_many_functions_are_listed_in_good_time(valid: Any, tmp_path: Path) -> None:
    """The order of functions was looked up in a list: a minute for these, and hours for more."""
    bad = copy.deepcopy(valid)
    one = {**bad["records"][1], "events": [], "changed_gradients": [], "changed_parameters": []}
    bad["records"] = [{**one, "function": f"f{i}"} for i in range(20_000)]
    routine = loaded(bad, tmp_path)
    started = time.monotonic()
    assert str(routine).count("# f") == 20_000
    assert time.monotonic() - started < 20  # about 1; the list took 60


def test_what_matplotlib_cannot_draw_is_refused(valid: Any, tmp_path: Path) -> None:
    bad = copy.deepcopy(valid)
    bad["records"] = bad["records"][:1] * 5000
    with pytest.raises(ValueError, match=r"5000 lines would be .* inches long.*watch fewer steps"):
        loaded(bad, tmp_path).plot()
    bad["records"] = bad["records"][:1]
    for state in bad["states"]:
        state["parameters"] = {f"layer{i}.weight": None for i in range(5000)}
    routine = loaded(bad, tmp_path)
    with pytest.raises(ValueError, match=r"5000 layers would be .* layers=\[\.\.\.\]"):
        routine.plot()
    pyplot.close(routine.plot(layers=["layer7", "layer8"]))


@pytest.mark.parametrize(
    "raw", [b"[" * 20_000_000, b'{"a":' * 4_000_000, b"1" * 20_000_000, b'"' + b"\\u0" * 6_000_000],
    ids=["lists", "objects", "digits", "escapes"],
)  # fmt: skip
def test_a_large_file_is_refused_in_good_time(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(raw)
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"large\.json is no saved trace: it is not JSON"):
        Trace.load(path)
    assert time.monotonic() - started < 10  # below 1


# Bytes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_of_json(valid: Any, encoding: str, tmp_path: Path) -> None:
    """JSON may be any of these; an editor may have made it so."""
    path = tmp_path / "other.json"
    path.write_text(json.dumps(valid), encoding=encoding)
    assert len(Trace.load(path).records) == len(valid["records"])


@pytest.mark.parametrize(
    "raw",
    [b"\xef\xbb\xbf", b"\xff\xfe", b"\x00" * 64, b"\xed\xa0\x80", b"\xc0\x80", b"\xfe\xff\x00"],
)  # fmt: skip
def test_bytes_that_are_no_text(valid: Any, raw: bytes, tmp_path: Path) -> None:
    whole = json.dumps(valid).encode()
    path = tmp_path / "odd.json"
    for mixed in (raw, raw + whole[1:], whole[:100] + raw + whole[100:], whole + raw):
        path.write_bytes(mixed)
        with pytest.raises(ValueError, match=r"odd\.json is no saved trace"):
            Trace.load(path)


def test_cut_at_every_byte(valid: Any, tmp_path: Path) -> None:
    one = {**valid, "records": valid["records"][:1], "states": valid["states"][:2]}
    one["records"] = [{**one["records"][0], "before": 0, "after": 1}]
    raw = json.dumps(one).encode()
    path = tmp_path / "cut.json"
    path.write_bytes(raw)
    assert len(Trace.load(path).records) == 1
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"cut\.json is no saved trace"):
            Trace.load(path)


def test_the_last_of_two_equal_keys_counts(valid: Any, tmp_path: Path) -> None:
    path = tmp_path / "twice.json"
    whole = json.dumps(valid)
    path.write_text(whole[:-1] + ', "network": "Second"}')
    assert Trace.load(path).network == "Second"
    path.write_text(whole[:-1] + ', "records": [{}]}')
    with pytest.raises(ValueError, match=r"twice\.json is a damaged trace: it lacks"):
        Trace.load(path)


def test_links_to_a_folder_and_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    for name in "folder", "nothing", "itself":
        with pytest.raises(OSError, match=name):
            Trace.load(tmp_path / name)
