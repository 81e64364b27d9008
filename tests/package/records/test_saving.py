"""A trace as a file: it comes back equal, and a damaged or hostile file does no harm."""

from __future__ import annotations

import base64
import contextlib
import copy
import csv
import dataclasses
import io
import itertools
import json
import math
import pickle
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from torch import nn

from companion import Event, LineRecord, Reading, State, Trace, trace
from companion.records.kinds import KINDS
from companion.records.saving import FORMAT


def run() -> Trace:
    """A trace with something of everything."""
    torch.manual_seed(0)
    net: Any = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.1), nn.Linear(3, 1))
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    schedule = torch.optim.lr_scheduler.StepLR(sgd, 1)
    other = torch.optim.Adam([nn.Parameter(torch.ones(2))])
    waves: Any = nn.Linear(1, 2, dtype=torch.complex64)

    def update() -> None:
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(sgd)
        scaler.update()

    with (
        contextlib.suppress(ZeroDivisionError),
        trace(net, waves, sgd, scaler, into=[update]) as routine,
    ):
        total = torch.zeros(())
        for _ in range(2):
            sgd.zero_grad()
            loss = nn.functional.mse_loss(net(torch.ones(4, 2)), torch.zeros(4, 1))
            total = total + loss
            scaler.scale(loss).backward()
            update()
            schedule.step()
            other.step()
        with torch.no_grad():
            waves.weight.fill_(complex(math.nan, math.inf))
            net[0].weight[0, 0] = -math.inf
            net[3].weight.grad = None
        net.eval()
        _ = 1 / 0
    return routine


@pytest.fixture(scope="module")
def routine() -> Trace:
    return run()


@pytest.fixture(scope="module")
def valid(routine: Trace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("saved") / "routine.json"
    routine.save(path)
    return json.loads(path.read_text("utf-8"))


def same(one: Any, two: Any) -> bool:
    """Equal, a NaN to a NaN."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(two) and all(
            same(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one)
        )
    if hasattr(one, "items"):
        return list(one) == list(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, (tuple, list)):
        return type(one) is type(two) and len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, complex):
        return same(one.real, two.real) and same(one.imag, two.imag)
    if isinstance(one, float):
        return type(two) is float and (one == two or (math.isnan(one) and math.isnan(two)))
    return type(one) is type(two) and bool(one == two)


# There and back


def test_round_trip(routine: Trace, tmp_path: Path) -> None:
    routine.save(tmp_path / "one.json")
    again = Trace.load(tmp_path / "one.json")
    assert again.network == routine.network
    assert same(again.records, routine.records)
    again.save(str(tmp_path / "two.json"))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_it_covers_everything(routine: Trace) -> None:
    """What `test_round_trip` compares."""
    kinds = {event.kind for record in routine.records for event in record.events}
    assert kinds >= {"forward", "backward", "step", "clear", "clip", "scale", "schedule"}
    assert kinds >= {"unscale", "scaler step", "graph kept"}
    readings = [r for one in routine.records for r in one.after.parameters.values() if r]
    sums = [r.sum for r in readings]
    assert any(isinstance(s, complex) and s != s for s in sums)
    assert any(s == -math.inf for s in sums)
    assert any(r.nonfinite for r in readings)
    assert any(record.depth for record in routine.records)
    assert routine.records[-1].raised == "ZeroDivisionError: division by zero"
    assert routine.records[-1].after.scale is not None
    assert None in routine.records[0].after.gradients.values()


def test_states_are_shared(routine: Trace, tmp_path: Path) -> None:
    routine.save(tmp_path / "routine.json")
    again = Trace.load(tmp_path / "routine.json").records
    for one, two in itertools.pairwise(again):
        assert one.after is two.before
    whole = json.loads((tmp_path / "routine.json").read_text())
    assert len(whole["states"]) == len({id(s) for r in again for s in (r.before, r.after)})


def test_rows_text_and_findings_are_the_same(routine: Trace, tmp_path: Path) -> None:
    routine.save(tmp_path / "routine.json")
    again = Trace.load(tmp_path / "routine.json")
    assert same(again.to_rows(), routine.to_rows())
    assert str(again) == str(routine)
    assert again.diagnose() == routine.diagnose()


def test_the_file_is_plain_json(routine: Trace, tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    routine.save(tmp_path / "routine.json")
    raw = (tmp_path / "routine.json").read_bytes()
    assert raw.isascii()
    whole = json.loads(raw, parse_constant=refuse)  # no NaN, no Infinity
    assert list(whole) == ["format", "version", "network", "states", "records"]
    assert (whole["format"], whole["version"]) == (FORMAT, 1)


def test_an_empty_trace_and_one_with_strange_names(tmp_path: Path) -> None:
    path = tmp_path / "weg ü.json"
    Trace("Netz\nä\ud800").save(path)
    assert Trace.load(path).network == "Netz\nä\ud800"
    assert Trace.load(path).records == ()


def test_rows_go_into_csv_and_json(routine: Trace) -> None:
    rows = routine.to_rows()
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    again = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(again) == len(rows)
    assert [row["parameter"] for row in again] == [row["parameter"] for row in rows]
    for row in rows:
        assert list(row) == list(rows[0])
        assert all(type(v) in (int, float, complex, str, bool, type(None)) for v in row.values())
    plain = [{k: str(v) if isinstance(v, complex) else v for k, v in row.items()} for row in rows]
    assert same(json.loads(json.dumps(plain)), plain)


def test_rows_go_into_pandas(routine: Trace) -> None:
    frame = pd.DataFrame(routine.to_rows())
    assert len(frame) == len(routine.to_rows())
    assert frame["gradient_changed"].dtype == bool


def test_saving_into_a_folder_that_is_not_there(routine: Trace, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        routine.save(tmp_path / "missing" / "routine.json")


# Pickles name modules, and these have moved.

BEFORE_THE_ROOMS = (
    "c-n1M&vV;E6m}dZv7HuZAV3MwrD;K?iJKpkH0h57Nb9yLDyX4V3&N45wO3S@{3JOh1=F;U;0$L5%BlYb12eh80fs"
    "AZ=}ZQ=aA1ZL7lyYh*>Q$uCNpnW-@f;~@7sM|OG>8cRcnT8dv4yRrsrEh_M+`lRm53H<ZeTc4oOK)Xak8v!tuOXz"
    "P1Xz@_>fR1f=A|15#WLjgV%cPijKHr1c}PLG20)VL;JRxGLF30BNP(gp9-nx)RiUuSA2aN)5|)D_O{5{Xre}NQL>"
    "o?q<HkqlNiD?wmNX{n_Vof|gjCal~F79+C=MKYV{_K_KFQBe2B7Sfa(!Ees!FsaDX0eOd-Td$rK6+Bc~WLxuUT@A"
    "AK|*5T1W3E?pnhS_i~r{owmC@OI!9@pUsN$z32a+>e6Va7Xr67vfh`*nCqDlBBSw$?a}h2*h)zkD;Y(M5Dbho`ZX"
    "e_}*Ch>1SK6AdDCFD{<lVSONCP1q0<?4DEMAR^NnFq%^yp#GT^>V{c3BpfSye#7uBIIQ*J%B3MZ--H(=VME0?ERb"
    "4S8spG6Y!@|$TubZ2b=9*B2VTt8KZPSIjIl!kRWi&QBHcJkH6b6RsZzs*qnqMb*sx6s6N;#9Iz|xC045bt+^mN%6"
    "~SE3!u@GQ+zs2U)x!W@+QeGNRCsv<W_HPbT!&dnPNM7?A^Slg`y5wmKdLo?5}jy!a8id;sPON<El&uA@1Oef=7oF"
    "PT^^j)VID8b&y&~h2}B&k9xUw0{z@eKt8Lj|Q(-X|>3&8*J$UOuNNaGG4K<+<X~C#t!MO-^UhLSGL*W9xpFOy!yF"
    "RVhc*>_1$XwiuD!jf9%C3el>F|am_hQ2XqTxlh*tv^6G3HGjR7p;C?&6{l<#JnxB^}<vyExQ8E1twcrg@7x*S_u2"
    ";ffAd5s_>o;vm*R<B3ip^fWH6?TB(c66Ni-DDSACN8P@gLs8gahS#eoF{#CJEhetdvI+)%5jUnJv7?)8LSd5%o7!"
    "a43KOoIDp(spcQshnp(4qB9oKcyAmhB2kk=I?W4F6~Plp@m`cHrVyDU8YuGPEb{i=0!>*!EL*SCMv?+Zj6#NE0(4"
    "SG?7wRVG`f*-pc@CJq1p~TLy^9)@@@^uwf)}gVB{QEkrN^*b4L7({@2a~iE!c84M=z6+k+vNi<$exXYEPRMrnmT+"
    "WX@khqFwJ_k?%-4n;8rU#UHhWzK}tDdSQfQN=n?*`Z5#ms37HX+&YUC6u!!OKI9yjrJ)qVc0;ug1*Ym5SfhS1W_o"
    "`$nKXZJBCz{UBPE3sv!?lQmKMG`)@cUlFDh)ei{4fdXRpOP&6loJ7rr|gNtZ7&O$1dPG^PJsWbQY75vgbHnBj`?s"
    "2{2t~G8&M;c1<ci;w%Y?=}^PZ!)<N8dw}Qh-z)OOScr@gkDtN8N9YRmS4EvMQlhv+$qpsBqi8djW@4t;VAL(PCt$"
    "JS(V*DyJ-3o)VbvM!=sC{y9Ix399k18mV>!kBHa6gs{C_uaNu~"
)


def test_a_pickle_of_records_from_before_the_rooms() -> None:
    records, findings = pickle.loads(zlib.decompress(base64.b85decode(BEFORE_THE_ROOMS)))
    assert {type(record) for record in records} == {LineRecord}
    assert {type(one) for record in records for one in record.events} == {Event}
    assert {type(record.after) for record in records} == {State}
    assert type(records[-1].after.parameters["weight"]) is Reading
    assert [finding.rule for finding in findings] == ["accumulates"]
    assert pickle.loads(pickle.dumps(records)) == records


# What is no trace, and what once was one


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b"\x80\x04\x95pickle", b"PK\x03\x04", b"\xff\xfe\x00", b"null", b"[]",
        b"3",
        b'"training-routine trace"', b"{}", b'{"format": "other"}', b"[" * 100_000,
        b'{"a":' * 100_000, b"1" * 5000, "ä".encode("latin-1"),
    ],
)  # fmt: skip
def test_what_is_no_trace(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"odd\.json is no saved trace"):
        Trace.load(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Trace.load(tmp_path / "nowhere.json")
    with pytest.raises(OSError, match=tmp_path.name):
        Trace.load(tmp_path)


@pytest.mark.parametrize("version", [2, 0, "1", None, [], "[" * 90, {"a": 1}, 10**4000, [[[1]]]])
def test_another_version(valid: Any, version: Any, tmp_path: Path) -> None:
    path = tmp_path / "later.json"
    path.write_text(json.dumps({**valid, "version": version}))
    with pytest.raises(ValueError, match=r"later\.json is a trace of version .* reads version 1"):
        Trace.load(path)


def test_a_version_nested_deeply(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    for depth in (500, 900, 960, 985, 990, 995, 2000):
        path.write_text(f'{{"format": "{FORMAT}", "version": {"[" * depth}{"]" * depth}}}')
        with pytest.raises(ValueError, match=r"deep\.json is "):
            Trace.load(path)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_truncated_file(valid: Any, cut: int, tmp_path: Path) -> None:
    whole = json.dumps(valid)
    (tmp_path / "cut.json").write_text(whole[: len(whole) * cut // 12])
    with pytest.raises(ValueError, match=r"cut\.json is no saved trace: it is not JSON"):
        Trace.load(tmp_path / "cut.json")


@pytest.mark.parametrize("key", ["network", "states", "records"])
def test_a_missing_part_is_named(valid: Any, key: str, tmp_path: Path) -> None:
    (tmp_path / "part.json").write_text(json.dumps({k: v for k, v in valid.items() if k != key}))
    with pytest.raises(ValueError, match=rf"part\.json is a damaged trace: it lacks '{key}'"):
        Trace.load(tmp_path / "part.json")


RECORD: dict[str, Any] = {
    "file": 3, "line": -1, "source": None, "indent": 10**12, "before": 10**30, "after": -1,
    "changed_gradients": "ab", "changed_parameters": [3], "raised": 3, "events": [[]],
    "function": None, "depth": 10**9, "step": True,
}  # fmt: skip
STATE: dict[str, Any] = {
    "gradients": {"x": [1, 2]}, "parameters": {"x": [1, 2, -1]}, "requires_grad": {"x": 1},
    "training": [], "learning_rates": {"sgd": 0.1}, "scale": "big",
}  # fmt: skip


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("records", *item) for item in RECORD.items()] + [("states", *item) for item in STATE.items()],
)
def test_a_damaged_part(valid: Any, part: str, key: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    for one in {key: value}, {}:  # another value, and none
        bad = copy.deepcopy(valid)
        del bad[part][-1][key]
        bad[part][-1] |= one
        path.write_text(json.dumps(bad))
        with pytest.raises(ValueError, match=r"damaged\.json is a damaged trace: "):
            Trace.load(path)


@pytest.mark.parametrize(
    "event",
    [
        ["step", "sgd", {}], ["step", "sgd", {"held": 3}], ["step", "sgd", {"held": [{}]}],
        ["step", "sgd", {"held": [], "idle": "x"}], ["step", "sgd"], ["step", 3, {"held": []}],
        [3, "sgd", {}], ["forward", "net", {"grad": True}], ["graph kept", "x", {"length": "1"}],
        ["backward", "", {"nodes": 1.5}], ["shapes", "", {"input": 3, "target": []}], {}, "step",
    ],
)  # fmt: skip
def test_a_damaged_event(valid: Any, event: Any, tmp_path: Path) -> None:
    """A rule would trip over it."""
    bad = copy.deepcopy(valid)
    bad["records"][0]["events"] = [event]
    (tmp_path / "damaged.json").write_text(json.dumps(bad))
    with pytest.raises(ValueError, match=r"damaged\.json is a damaged trace: "):
        Trace.load(tmp_path / "damaged.json")


def test_events_of_a_later_release_are_kept(valid: Any, tmp_path: Path) -> None:
    new = copy.deepcopy(valid)
    new["records"][0]["events"] = [["compile", "net", {"guards": [1, [2]], "held": ["x"]}]]
    (tmp_path / "new.json").write_text(json.dumps(new))
    routine = Trace.load(tmp_path / "new.json")
    (event,) = routine.records[0].events
    assert (event.kind, dict(event.details)) == ("compile", {"guards": (1, (2,)), "held": ("x",)})
    look(routine)


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 3, 10**12, 10**30, 10**400, 0.5, -0.5, 1e308, "", "x", "nan",
    "inf", "-inf", "__import__('os').system('false')", "\ud800", "\x1b[2J", "a" * 5000, [], {},
    [[]], [None], [1, 2, 3], [[1, 2], 3, 0], ["step", "sgd", {}], [["step", "sgd", {}]],
    [[[[[[]]]]]],
    [["backward", "", {"mean": 3}]], {"x": None}, {"0.weight": [1, 1, 0]}, {"": []},
    {"__class__": "os.system"},
]  # fmt: skip


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as its container and its key."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, one in pairs:
        yield value, key
        if isinstance(one, (dict, list)):
            yield from spots(one)


def mutate(valid: Any, chance: random.Random, times: int) -> Any:
    bad = copy.deepcopy(valid)
    for _ in range(times):
        part = chance.choice(["states", "records", "records", None])
        places = list(spots(bad.get(part, bad) if isinstance(bad.get(part), list) else bad))
        if not places:
            break
        container, key = chance.choice(places)
        kind = chance.randrange(5)
        if kind == 0:
            del container[key]
        elif kind == 1 and isinstance(container, dict):
            container[chance.choice(["x", "", key + " "])] = container.pop(key)
        elif kind == 2:
            other, theirs = chance.choice(places)
            with contextlib.suppress(KeyError, IndexError):
                container[key] = copy.deepcopy(other[theirs])
        else:
            container[key] = chance.choice(HOSTILE)
    return bad


def look(routine: Trace) -> None:
    """All views of it: none fails."""
    for view in (
        lambda: str(routine),
        lambda: repr(routine),
        routine.to_rows,
        routine.diagnose,
    ):
        view()


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_file_damaged_anywhere(valid: Any, tmp_path: Path, data: st.DataObject) -> None:
    seed, times = data.draw(st.integers(0, 2**32)), data.draw(st.integers(1, 4))
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(mutate(valid, random.Random(seed), times)))
    try:
        loaded = Trace.load(path)
    except ValueError as error:
        words = str(error)
    else:
        words = str(path)
        look(loaded)
    assert str(path) in words
    assert len(words) < len(str(path)) + 400


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_file_with_one_byte_changed(
    tmp_path_factory: pytest.TempPathFactory, valid: Any, data: st.DataObject
) -> None:
    position, byte = data.draw(st.integers(0, 10**9)), data.draw(st.integers(0, 255))
    raw = bytearray(json.dumps(valid).encode())
    raw[position % len(raw)] = byte
    path = tmp_path_factory.getbasetemp() / "byte.json"
    path.write_bytes(raw)
    with contextlib.suppress(ValueError):
        look(Trace.load(path))


def test_numbers_that_json_does_not_know(valid: Any, tmp_path: Path) -> None:
    """Python's reader takes NaN and Infinity, and 1e999."""
    text = json.dumps(valid)
    name, reading = next(iter(valid["states"][0]["parameters"].items()))
    old = json.dumps(reading)
    assert old in text
    for new in "[NaN, Infinity, 1]", "[1e999, 1e999, 0]":
        path = tmp_path / "odd.json"
        path.write_text(text.replace(old, new, 1))
        got = Trace.load(path).records[0].before.parameters[name]
        assert got is not None
        assert got.norm == math.inf


def test_a_plot_of_a_damaged_trace(valid: Any, tmp_path: Path) -> None:
    path, drawn = tmp_path / "damaged.json", 0
    for seed in range(40):
        path.write_text(json.dumps(mutate(valid, random.Random(seed), 1)))
        with contextlib.suppress(ValueError):
            Trace.load(path).plot()
            drawn += 1
        pyplot.close("all")
    assert drawn > 3


def test_a_detail_has_one_type_in_all_kinds() -> None:
    """The loader checks it by its name, in whatever kind a file has it."""
    types: dict[str, set[str]] = {}
    for kind in KINDS.values():
        for name, detail in kind.details.items():
            types.setdefault(name, set()).add(detail.type)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
