"""Records: what they hold, how a line is read, and the committed files of them."""

import gc
import hashlib
import json
import math
import shutil
import subprocess
import types
from contextlib import contextmanager

import pytest
from conftest import Killed, on_images, result, student, teacher

from kdlib.compute import compute
from kdlib.experiments.design import PROFILES
from kdlib.experiments.standings import ELSEWHERE
from kdlib.paths import atomic, project_root
from kdlib.results import Damaged, Foreign, Recorded, StoreError, checksum, parse


def test_checksums_see_every_change():
    body = json.loads(result(teacher()).line())
    body.pop("checksum")
    before = checksum(body)
    body["metrics"]["nll"] += 1e-12
    assert checksum(body) != before


@pytest.mark.parametrize("change", [
    lambda body: body["metrics"].update(nll=math.nan), lambda body: body["metrics"].update(nll=-math.inf),
    lambda body: body["metrics"].update(nll=10**400), lambda body: body.update(seconds=math.nan),
    lambda body: body["curves"].update(loss=[1.0, math.inf]),
    lambda body: body["spec"]["training"].update(lr=math.nan)])
def test_a_record_with_a_number_that_is_none_is_refused_whatever_its_checksum(change):
    body = json.loads(result(teacher()).line())
    body.pop("checksum")
    change(body)
    with pytest.raises(Foreign, match="it was made by another version of kdlib, or by hand"):
        parse(json.dumps(body | {"checksum": checksum(body)}), "it")


def test_a_record_that_says_a_thing_twice_is_refused():
    line = result(teacher()).line()
    parse(line + "\n", "it")
    for twice in ('{"device": "another", ' + line[1:], line.replace('"metrics": {', '"metrics": {"nll": 0, ')):
        assert json.loads(twice) == json.loads(line)
        with pytest.raises(Damaged, match="it was changed after it was written"):
            parse(twice, "it")


def test_finding_records_leaves_the_collector_of_garbage_as_it_was():
    source = Recorded("laptop")
    some = {record.planned: record for record in (source.records[key] for key in list(source.records)[:2])}
    for switch, runs in ((gc.enable, True), (gc.disable, False)):
        switch()
        try:
            with pytest.raises(AttributeError):
                source.find([*some, "no spec"])
            assert source.find([*some, student()]) == some
            assert gc.isenabled() is runs
        finally:
            gc.enable()


def test_recorded_runs_and_new_ones_are_of_the_same_data(kdlib, store_here, stored_images, chapter):
    first = stored_images(80)
    compute([on_images()], workers=1)
    assert kdlib("record", "--profile", "smoke", "--stored")[:2] == (0, "01_x.jsonl: 1 of 2 runs\n")
    written, other = (chapter / "01_x.jsonl").read_bytes(), stored_images(100)
    shutil.rmtree(store_here)
    for command in (("record", "--workers", 1), ("audit", "--sample", 1)):
        code, out, error = kdlib(*command, "--profile", "smoke")
        assert code == 2 and not out and f"mnist {first}, and here is mnist {other}" in error
    assert (chapter / "01_x.jsonl").read_bytes() == written and not (store_here / "runs").exists()
    stored_images(80)
    assert kdlib("record", "--profile", "smoke", "--workers", 1)[0] == 0
    assert (chapter / "01_x.jsonl").read_bytes().startswith(written) and len(Recorded("smoke").records) == 2


def test_a_recorded_run_that_the_plan_no_longer_asks_for_is_kept_and_counted(
        kdlib, stored_images, chapter, monkeypatch):
    stored_images(80)
    assert kdlib("record", "--profile", "smoke", "--workers", 1)[0] == 0
    before = (chapter / "01_x.jsonl").read_bytes().splitlines()
    made_up = types.SimpleNamespace(stem="x", runs=lambda design: {"row": [on_images(member=1)]})
    monkeypatch.setattr("kdlib.experiments.CHAPTERS", {"01_x": made_up})
    code, out, _ = kdlib("record", "--profile", "smoke", "--stored")
    assert (code, out) == (0, "01_x.jsonl: 1 of 1 runs; 1 more that the plan no longer asks for stay\n")
    assert (chapter / "01_x.jsonl").read_bytes().splitlines() == before[::-1] and len(Recorded("smoke").records) == 2


@pytest.mark.parametrize("change", [
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(path.read_bytes().splitlines(True)[0]),
    lambda path: path.unlink(), lambda path: path.with_name("SHA256SUMS").write_bytes(b""),
    lambda path: path.with_name("SHA256SUMS").write_text("12 01_x.jsonl")],
    ids=["emptied", "a line less", "missing", "empty list", "damaged list"])
def test_a_file_of_records_that_was_emptied_or_cut_or_lost_is_named(kdlib, stored_images, chapter, change):
    stored_images(80)
    assert kdlib("record", "--profile", "smoke", "--workers", 1)[0] == 0
    assert subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=chapter).returncode == 0
    change(chapter / "01_x.jsonl")
    for command in ("audit", "record", "claims"):
        code, _, error = kdlib(command, "--profile", "smoke")
        assert code == 2 and str(chapter) in error and "restore it" in error and error.count("\n") == 1


def test_an_emptied_file_of_records_is_named_without_the_list_of_checksums_too(kdlib, chapter):
    chapter.mkdir(parents=True, exist_ok=True)
    (chapter / "01_x.jsonl").touch()
    code, _, error = kdlib("claims", "--profile", "smoke")
    assert code == 2 and "01_x.jsonl is empty: restore it, or remove it" in error and error.count("\n") == 1


def test_a_record_by_hand_in_a_listed_file_is_named_when_it_is_asked_for(kdlib, stored_images, chapter):
    """Whoever changes a record and lists the file anew."""
    stored_images(80)
    assert kdlib("record", "--profile", "smoke", "--workers", 1)[0] == 0
    path, good = chapter / "01_x.jsonl", Recorded("smoke").records[on_images().key]
    for change, says in ((lambda body: body["metrics"].update(nll=0.0), "was changed after it was written"),
                         (lambda body: body["spec"]["training"].update(steps=6), "its key is not that of its spec"),
                         (lambda body: body.update(mood="good"), "another version of kdlib")):
        body = json.loads(good.line())
        given = body.pop("checksum")
        change(body)
        line = json.dumps(body | {"checksum": given if "changed" in says else checksum(body)})
        path.write_text(line + "\n")
        (chapter / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  01_x.jsonl\n")
        source = Recorded("smoke")
        with pytest.raises(StoreError, match=f"01_x.jsonl, line 1, .*{says}"):
            source.get(on_images())


def test_writing_records_may_be_interrupted_anywhere(kdlib, stored_images, chapter, monkeypatch):
    stored_images(80)
    compute([on_images()], workers=1)
    assert kdlib("record", "--profile", "smoke", "--stored")[0] == 0
    old, new = (chapter / "01_x.jsonl").read_bytes(), compute([on_images(member=1)], workers=1)
    for at in range(3):
        count = iter(range(10))

        @contextmanager
        def dying(path, at=at, count=count):
            if next(count) == at:
                raise Killed
            with atomic(path) as file:
                yield file

        monkeypatch.setattr("kdlib.results.atomic", dying)
        with pytest.raises(Killed):
            Recorded("smoke").write("01_x.jsonl", [*Recorded("smoke").records.values(), *new.values()][:2])
        monkeypatch.setattr("kdlib.results.atomic", atomic)
        assert (chapter / "01_x.jsonl").read_bytes().startswith(old)
        assert len(Recorded("smoke").records) == 1 + (at == 2)


def test_all_committed_records_are_listed():
    folders = [folder for name in PROFILES for within in (".", ELSEWHERE)
               if (folder := project_root() / "results" / within / name).exists()]
    assert folders
    for folder in folders:
        listed = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
        assert listed == sorted(path.name for path in folder.glob("*.jsonl*")) and Recorded(folder.name).records
