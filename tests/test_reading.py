"""What is recorded, as tables, single records and nets; and all of it as a data set in files."""

import csv
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlcroissant
import numpy as np
import pandas
import pytest
import torch
from conftest import defects, student, surface, teacher

import kdlib as package
from kdlib import export, reading
from kdlib.compute import compute
from kdlib.experiments import CHAPTERS, so_far
from kdlib.experiments.design import PROFILES, Design
from kdlib.experiments.profile import Profile
from kdlib.experiments.profiles import VERDICTS
from kdlib.reading import DERIVED, FIRST, LAST
from kdlib.results import Record, Recorded, StoreError
from kdlib.spec import RUNS, Training
from kdlib.store import Store, commit_weights
from kdlib.train import logits_of

CHAPTER = "01_fidelity_gap"


@pytest.fixture
def lacking(tmp_path, monkeypatch):
    """Committed records as if more were still to train: no last trial of chapter 1's tenfold students at workstation,
    at halves one teacher only. Whatever is recorded later, this is not."""
    there, fewer = Recorded("workstation"), Recorded("workstation", within=tmp_path / "lacking")
    row = CHAPTERS[CHAPTER].runs(Design("workstation"))["longer"]
    for name, keys in there.files.items():
        fewer.write(name, [there.records[key] for key in keys if key != row[-1].key])
    [first, *_] = Recorded("halves").records.values()
    Recorded("halves", within=tmp_path / "lacking").write("10_halves.jsonl", [first])
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "lacking"))
    return row


@pytest.fixture(scope="module")
def table():
    return package.records("workstation", CHAPTER)


# --- tables

def test_a_chapters_table_has_all_runs_of_its_complete_conditions_whichever_file_holds_them():
    table, there = package.records("laptop", chapter="04_paradox"), so_far("04_paradox", "laptop")
    assert len(Recorded("laptop").files["04_paradox.jsonl"]) == 155
    assert len(table) == table.key.nunique() == 350 and set(table.key) == {record.key for record in there.needed}
    assert table.attrs == {"profile": "laptop", "incomplete": []}
    for name in (("size", 1, 1), ("alpha", 3, 0.3), ("policy", 5, "mixup", 4.0)):
        rows = table[[reading.in_words(name) in where.split("; ") for where in table.condition]]
        assert np.array_equal(rows.agreement, there(name, "agreement"))
        assert np.allclose(rows.unseen_agreement, there.unseen(name)) and len(rows) == 5
        assert np.allclose(rows.specific_agreement, there.specific(name))


def test_an_incomplete_condition_is_named_and_there_only_if_asked_for(lacking, kdlib, tmp_path):
    table, all_of_it = package.records("workstation", CHAPTER), package.records("workstation", CHAPTER, complete=False)
    assert f"{CHAPTER}: longer" in table.attrs["incomplete"] and not set(table.key) & {s.key for s in lacking}
    assert {s.key for s in lacking[:-1]} <= set(all_of_it.key) and lacking[-1].key not in set(all_of_it.key)
    assert kdlib("export", tmp_path / "new", "--profile", "workstation", "--chapter", CHAPTER)[0] == 0
    assert f"- workstation: {CHAPTER}: longer" in (tmp_path / "new" / "README.md").read_text()


def test_a_profile_without_a_whole_condition_says_so(lacking, kdlib, tmp_path):
    with pytest.warns(UserWarning, match="no condition of halves is recorded whole yet: complete=False gives"):
        halves = package.records("halves")
    assert list(halves[:0]) == list(halves) and {"key", "agreement", "seconds"} - set(halves) <= {"agreement"}
    code, _, error = kdlib("export", tmp_path / "new", "--profile", "halves")
    assert code == 2 and "no condition is recorded whole at profile halves" in error
    assert not (tmp_path / "new").exists()


def test_what_is_recorded_of_an_incomplete_condition_is_there_if_asked_for(tmp_path, monkeypatch, store_here):
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(CHAPTERS, CHAPTER, replace(CHAPTERS[CHAPTER], plan=lambda d: {
        "row": [teacher(0), teacher(1)], "other": [teacher(0)]}))
    Recorded("smoke").write(f"{CHAPTER}.jsonl", compute([teacher(0)], workers=1).values())
    assert package.records("smoke", CHAPTER).condition.tolist() == ["other"]
    assert package.records("smoke", CHAPTER, complete=False).condition.tolist() == ["row; other"]


def test_of_trials_that_are_recorded_one_after_another_those_that_are_there_are_complete(
        tmp_path, monkeypatch, store_here):
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(CHAPTERS, CHAPTER, SimpleNamespace(
        stem="x", runs=lambda d: {"row": [teacher(trial=t) for t in d.trials]}))
    trials = Design(VERDICTS).trials[:2]
    records = compute([teacher(trial=t) for t in trials], workers=1).values()
    Recorded(VERDICTS).write("trials.jsonl.xz", records)
    table = package.records(VERDICTS, CHAPTER)
    assert table.trial.tolist() == [*trials] and table.attrs["incomplete"] == []


def test_every_field_of_every_spec_is_a_column():
    known = {column.name for column in FIRST}
    for design in map(Design, PROFILES):
        for specs in (row for page in CHAPTERS.values() for row in page.runs(design).values()):
            assert reading.described(specs[0]).keys() <= known
    alone = {"data", "training", "kind"}
    for run in RUNS:
        for name in run.model_fields.keys() - alone:
            kind = run.model_fields["kind"].default
            assert {reading.NAMES.get(name, name), f"{kind}_{name}"} & known, f"{kind}.{name} has no column"
    assert set(Training.model_fields) <= known


def test_two_specs_that_differ_have_rows_that_differ():
    specs = [teacher(), teacher(1), teacher(model="mlp"), student(), student(3), student(policy="mixup"),
             student(alpha=0.5), student(inputs="D1"), student(foil=()), student(foils=((teacher(21),),)), surface(),
             surface(5), defects()]
    rows = [tuple(sorted((name, str(value)) for name, value in reading.described(spec).items())) for spec in specs]
    assert len(set(rows)) == len(specs)
    assert reading.described(surface())["student"] == surface().student.key
    assert reading.described(student(2))["teachers"] == f"{teacher(0).key} {teacher(1).key}"


def test_whole_numbers_with_gaps_stay_whole(table):
    assert str(table.m.dtype) == "Int64" and table.m.isna().sum() == (table.kind != "student").sum() > 0
    assert table.accuracy.dtype == float and table.trial.dtype == int


def test_a_table_needs_pandas_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(StoreError, match="needs pandas: pip install"):
        package.records("smoke")


@pytest.mark.parametrize("asked", [("huge",), ("laptop", "99_nothing")])
def test_an_unknown_profile_or_chapter_is_named(asked):
    with pytest.raises(package.errors.KdlibError, match=f"unknown (profile|chapter) {asked[-1]!r}"):
        package.records(*asked)


# --- single records

@pytest.fixture
def recorded(tmp_path, monkeypatch, store_here):
    """Teachers of two trials, two each, recorded at a profile of their own with the first trial's weights."""
    specs = [teacher(member, trial) for trial in (5, 6) for member in (0, 1)]
    profile = Profile("mine", "check", "made up", 2, "mnist1d", 50, 60, "cnn1d", specs[0].training, specs[0].training)
    monkeypatch.setitem(PROFILES, "mine", profile)
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    made = compute(specs, workers=1)
    source = Recorded("mine")
    source.write("x.jsonl", [made[spec] for spec in specs])
    commit_weights(source, specs[:2], Store())
    return specs


def test_a_record_is_found_by_the_beginning_of_its_key_and_trains_again(recorded):
    found = package.record(recorded[0].key[:10])
    assert isinstance(found, Record) and found.planned == recorded[0]
    assert found.difference(found.rerun()) == (0, 0)


@pytest.mark.parametrize("key", ["", "zzz"])
def test_a_key_of_no_record_is_named(recorded, key):
    with pytest.raises(StoreError, match=f"begins with {key!r}"):
        package.record(key)


def test_a_key_of_several_records_is_an_error(recorded, monkeypatch):
    records = [Record(key, {}, {}, {}, 0, "", {}, "") for key in ("a1", "a2")]
    monkeypatch.setattr(reading, "committed", lambda: {"mine": records})
    with pytest.raises(StoreError, match="2 committed records"):
        package.record("a")
    assert package.record("a2").key == "a2"


def test_recorded_runs_are_listed_and_shown_and_audited_by_key(kdlib, recorded):
    code, out, _ = kdlib("runs", "--recorded", "--kind", "teacher")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == [spec.key for spec in recorded] + ["4"]
    assert [" ".join(line.split()[2:5]) for line in out.splitlines()[:-1]] == [
        f"{spec.data.name} trial {spec.data.trial}" for spec in recorded]
    key = recorded[2].key
    assert kdlib("runs", "--recorded", key[:12])[1] == package.record(key).line() + "\n"
    code, out, error = kdlib("audit", "--key", key[:12])
    assert code == 2 and f"{key}.safetensors is missing beside its record: restore it" in error
    key = recorded[0].key
    code, out, _ = kdlib("audit", "--key", key[:12], "--weights")
    assert code == 0 and out == f"{key} teacher   its committed weights differ from its record by 0\n"
    code, out, _ = kdlib("audit", "--key", key[:12])
    weights, trained = out.splitlines()
    assert code == 0 and weights.endswith("its committed weights differ from its record by 0")
    assert trained.startswith(f"{key} teacher") and "largest difference of metrics 0, of curves 0" in trained
    assert kdlib("runs", "--recorded", "zzz")[2] == "kdlib: no run recorded has a key that begins with 'zzz'\n"


def test_a_recorded_teacher_predicts_as_its_record_says(recorded):
    from kdlib import data, metrics

    for member, spec in enumerate(recorded[:2]):
        net, splits = package.teacher("mine", trial=0, member=member), data.load(**dict(spec.data))
        assert not net.training
        logits = logits_of(net, splits.test_x)
        assert metrics.accuracy(logits, splits.test_y) == package.record(spec.key).metrics["accuracy"]


def test_a_recorded_teacher_comes_from_the_run_store_where_its_weights_are_not_committed(recorded, store_here,
                                                                                         tmp_path):
    assert isinstance(package.teacher("mine", trial=1), torch.nn.Module)
    store_here.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=f"weights of teacher {recorded[2].key} are not committed, nor in the run"):
        package.teacher("mine", trial=1)
    assert isinstance(package.teacher("mine", trial=0), torch.nn.Module)


def test_a_teacher_is_found_by_its_place_in_the_pool_whatever_others_lie_beside_it(recorded):
    others = [recorded[0].but(draw="he-fan-out"), recorded[0].but(training=recorded[0].training.but(steps=6))]
    made = compute([*recorded, *others], workers=1)
    source = Recorded("mine")
    source.write("x.jsonl", [made[spec] for spec in [*others, *recorded[1:]]])  # the first one is not recorded
    commit_weights(source, recorded[1:2], Store())
    net = package.teacher("mine", trial=0, member=1)
    weights = Store().weights(recorded[1])
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    with pytest.raises(StoreError, match=r"of trial 0 of profile mine the teachers 1 are recorded \(got 0\)"):
        package.teacher("mine")


@pytest.mark.parametrize(("place", "says"), [
    ({"trial": 5}, r"has 2 trials, counted from 0 \(got 5\)"), ({"member": 2}, r"teachers 0, 1 are recorded \(got 2\)"),
    ({"trial": -1}, "counted from 0")])
def test_a_teacher_that_is_not_recorded_is_named(recorded, place, says):
    with pytest.raises(StoreError, match=says):
        package.teacher("mine", **place)


def test_a_profile_without_recorded_teachers_says_so():
    with pytest.raises(StoreError, match="no teachers are recorded at profile smoke"):
        package.teacher("smoke")


# --- files

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "new"
    export.export(folder, ["workstation"], CHAPTER)
    return folder


def test_both_forms_have_the_same_rows(table, folder):
    from_csv = pandas.read_csv(folder / "workstation.csv")
    from_parquet = pandas.read_parquet(folder / "workstation.parquet")
    assert from_csv.shape == from_parquet.shape == table.shape and list(from_csv) == list(table)
    pandas.testing.assert_frame_equal(from_parquet, table)
    for name in ("key", "agreement", "trial", "policy", "kl"):
        assert from_csv[name].equals(table[name].astype(from_csv[name].dtype)), name


def test_every_column_is_described_in_the_dictionary_and_on_the_card(table, folder):
    with open(folder / "columns.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["column"] for row in rows] == list(table)
    assert all(row["what"] and row["type"] in export.TYPES for row in rows)
    card = (folder / "README.md").read_text()
    assert all(f"| `{name}` |" in card for name in table)


def test_every_metric_that_is_recorded_has_a_description_and_a_name_of_its_own():
    names = {(r.spec["kind"], name) for group in reading.committed().values() for r in group for name in r.metrics}
    for kind, name in names:
        assert kind in export._metric(name), name
    others = [column.name for column in (*FIRST, *DERIVED, *LAST)]
    assert len(others) == len(set(others)) and not set(others) & {name for _, name in names}


def test_mlcroissant_reads_the_metadata_and_the_rows_behind_it(table, folder):
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    first = next(iter(dataset.records("workstation")))
    assert first["workstation/key"].decode() == table.key[0]
    assert first["workstation/accuracy"] == pytest.approx(table.accuracy[0])
    assert [field.name for field in dataset.metadata.record_sets[0].fields] == list(table)


def test_the_metadata_name_every_file_with_its_checksum(folder):
    told = json.loads((folder / "croissant.json").read_text())["distribution"]
    assert {part["contentUrl"]: part["sha256"] for part in told} == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("workstation.csv", "workstation.parquet", "columns.csv")}
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    root = next(part for part in graph if part["@id"] == "./")
    described = {part["@id"] for part in graph} - {"ro-crate-metadata.json", "./"}
    assert {part["@id"] for part in root["hasPart"]} == described == {
        p.name for p in folder.iterdir()} - {"ro-crate-metadata.json"}
    for part in graph[2:]:
        assert (folder / part["@id"]).stat().st_size == int(part["contentSize"])


def test_equal_records_give_equal_bytes_and_other_files_stay(kdlib, folder, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    code, out, _ = kdlib("export", tmp_path, "--profile", "workstation", "--chapter", CHAPTER)
    assert code == 0 and out.splitlines() == [str(tmp_path / name) for name in (
        "workstation.csv", "workstation.parquet", "columns.csv", "README.md", "croissant.json",
        "ro-crate-metadata.json")]
    assert all((tmp_path / p.name).read_bytes() == p.read_bytes() for p in folder.iterdir())
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(("args", "says"), [
    (("--profile", "smoke"), "nothing is recorded at profile smoke"), (("--profile", "huge"), "unknown profile 'huge'"),
    (("--profile", "laptop", "--chapter", "10_halves"), "nothing is recorded at profile laptop of 10_halves"),
    (("--chapter", "x"), "unknown chapter 'x'")])
def test_what_cannot_be_exported_is_named_and_nothing_is_written(kdlib, tmp_path, args, says):
    code, out, error = kdlib("export", tmp_path / "new", *args)
    assert code == 2 and says in error and error.count("\n") == 1 and not out and not (tmp_path / "new").exists()


def test_an_export_without_pyarrow_says_what_to_install(kdlib, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "Parquet needs pyarrow: pip install" in kdlib("export", tmp_path)[2]


def test_all_profiles_are_exported_that_have_whole_conditions_compressed_ones_too(kdlib, tmp_path):
    code, out, _ = kdlib("export", tmp_path, "--chapter", "04_paradox")
    there = {Path(line).stem for line in out.splitlines() if line.endswith(".csv")} - {"columns"}
    assert code == 0 and there == {"laptop", "signals", "workstation"}
