import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from conftest import made_up, student, surface

from kdlib import audit, cli, experiments
from kdlib.cli import ProfileOption, read_specs
from kdlib.compute import levels
from kdlib.devices import processor
from kdlib.experiments.claims import CLAIMS
from kdlib.experiments.design import Design
from kdlib.experiments.profiles import LIVE, PROFILES
from kdlib.results import Record, StoreError


@pytest.mark.parametrize(("args", "says"), [
    (("run", "all", "--profile", "huge"), "unknown profile 'huge'"),
    (("run", "05_nothing"), "unknown chapter '05_nothing'"),
    (("run", "nowhere.json"), "nowhere.json cannot be read (No such file"),
    (("run", "all", "--seeds", "0"), "seeds must be a whole number"),
    (("data", "import", "cifar", "/nowhere"), "there is no data set 'cifar'"),
    (("data", "import", "mnist", "/nowhere"), "does not exist"),
    (("data", "show", "cifar"), "there is no data set 'cifar'"),
    (("audit", "--profile", "smoke"), "there are no records"),
    (("runs", "zzz"), "begins with 'zzz'"),
    (("runs", "--kind", "banana"), "unknown kind 'banana'"),
    (("audit", "--profile", "huge"), "unknown profile 'huge'"),
    (("run", "04_paradox", "--workers", "-1"), "workers must be a whole number from 1 to 1,024 (got -1)"),
    (("plan", "04_paradox", "--workers", "0"), "workers must be a whole number from 1 to 1,024 (got 0)"),
    (("plan", "all", "--seeds", "100000"), "seeds must be a whole number from 1 to 1,000 (got 100000)"),
    (("claims", "F99"), "unknown claim or chapter 'F99'; there are 01_fidelity_gap"),
    (("data", "show", "mnist1d", "--out", "x.webm"), "--out must end in .png, .pdf, .svg (got x.webm)"),
    (("plan", "all", "--gpu", "abacus"), "unknown GPU 'abacus'"),
])
def test_bad_input_gets_one_sentence(kdlib, args, says):
    code, _, error = kdlib(*args)
    assert code == 2 and says in error and error.count("\n") == 1


@pytest.mark.parametrize(("change", "says"), [
    ({"policy": "flip"}, "policy: there is no policy 'flip'; there are baseline"),
    ({"colour": "red"}, "colour: there is no such key"),
    ({"temperature": "4"}, "temperature: Input should be a valid number"), ({"temperature": -1.0}, "greater than or"),
    ({"alpha": 1.5}, "alpha: Input should be less than or equal to 1"), ({"fresh": -3}, "fresh: Input should be gr"),
    ({"toward_teacher": 0.5, "model": "mlp"}, "one teacher of the student's own architecture"),
    ({"model": "lenet5"}, "lenet5 takes images [1, 28, 28], and mnist1d has signals [1, 40]"),
    ({"policy": "vflip"}, "policy vflip is not one for signals"),
    ({"model": "resnet9-bn"}, "there is no net"), ({"copies": 2}, "affine copies are"),
    ({"fresh": 10**12}, "less than or equal to 10000000"), ({"kind": "pupil"}, "kind")])
def test_a_wrong_spec_in_a_file_gets_one_sentence(kdlib, change, says, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([student().model_dump(mode="json") | change]))
    code, _, error = kdlib("run", file)
    assert code == 2 and says in error and error.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_a_key_that_is_twice_in_a_spec_is_an_error(kdlib, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([student().model_dump(mode="json")]).replace('"fresh": 0', '"fresh": 0, "fresh": 5'))
    code, _, error = kdlib("run", file)
    assert code == 2 and "mine.json has a spec with 2 values of 'fresh': leave one" in error and error.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("field", ["fresh", "temperature", "policy"])
@pytest.mark.parametrize("number", ["9" * 4000, "-" + "9" * 5000, "1e999"])
def test_a_number_of_thousands_of_digits_in_a_file_gets_one_sentence(kdlib, field, number, tmp_path):
    text = json.dumps([student().model_dump(mode="json") | {field: "HERE"}]).replace('"HERE"', number)
    (tmp_path / "mine.json").write_text(text)
    code, _, error = kdlib("run", tmp_path / "mine.json")
    assert code == 2 and "is not a list of specs: " in error and error.count("\n") == 1 and len(error) < 500


def test_specs_of_a_file_are_trained(kdlib, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([student().model_dump(mode="json")]))
    code, out, _ = kdlib("run", file)
    assert code == 0 and student().key in out and "3 runs trained" in out


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_file_of_specs_may_come_from_any_editor(encoding, tmp_path):
    (tmp_path / "OK.JSON").write_bytes(json.dumps([student().model_dump(mode="json")]).encode(encoding))
    assert read_specs(tmp_path / "OK.JSON") == [student()]


def test_a_file_is_known_as_one_whatever_the_case_of_its_name(kdlib, tmp_path):
    (tmp_path / "OK.JSON").write_text("[]")
    assert "OK.JSON has no specs in it" in kdlib("run", tmp_path / "OK.JSON")[2]


def test_equal_specs_of_a_file_are_one_and_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps([student().model_dump(mode="json")] * 1000))
    assert read_specs(file) == [student()]
    monkeypatch.setattr("kdlib.cli.SPECS", 1 << 20)
    for path in (file, Path("/dev/zero")):
        with file.open("ab") as more:
            more.truncate(2 << 20)
        with pytest.raises(StoreError, match="is larger than 1 MB"):
            read_specs(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'["\xe9"]', b"9" * 5000, b"[" * 5000])
def test_what_is_no_text_or_no_list_is_named(content, tmp_path, kdlib):
    (tmp_path / "mine.json").write_bytes(content)
    code, _, error = kdlib("run", tmp_path / "mine.json")
    assert code == 2 and "mine.json is not" in error and error.count("\n") == 1


@pytest.mark.parametrize("content", ["[]", "{}", "[1, 2", '[{"kind": "pupil"}]', "[{}]"])
def test_a_file_without_specs_is_named(kdlib, content, tmp_path):
    (tmp_path / "mine.json").write_text(content)
    code, _, error = kdlib("run", tmp_path / "mine.json")
    assert code == 2 and "mine.json" in error and error.count("\n") == 1


@pytest.mark.parametrize(("name", "value", "says"), [
    ("KDLIB_DATA", "/proc/nowhere", "/proc/nowhere"), ("KDLIB_STORE", "/proc/nowhere", "KDLIB_STORE"),
    ("KDLIB_DEVICE", "gpu", "KDLIB_DEVICE: Input should be 'auto', 'cpu' or 'cuda' (got 'gpu')"),
    ("KDLIB_DEVICES", "two", "KDLIB_DEVICES: Input should be a valid integer"),
    ("KDLIB_DEVICES", "9" * 5000, "KDLIB_DEVICES: Unable to parse input string as an integer, exceeded maximum size"),
    ("KDLIB_DEVICES", "0", "KDLIB_DEVICES: Input should be greater than or equal to 1 (got '0')"),
    ("KDLIB_FROM_RECORDS", "maybe", "KDLIB_FROM_RECORDS: Input should be a valid boolean"),
    ("KDLIB_CHECKPOINT_SECONDS", "2m", "KDLIB_CHECKPOINT_SECONDS: Input should be a valid number"),
    ("KDLIB_CHECKPOINT_SECONDS", "nan", "KDLIB_CHECKPOINT_SECONDS: Input should be a finite number (got 'nan')"),
    ("KDLIB_RESULTS", "~nobody-here/results", "KDLIB_RESULTS: there is no home folder for ~nobody-here/results"),
    ("KDLIB_STROE", "store", "there is no setting KDLIB_STROE; did you mean KDLIB_STORE?"),
    ("KDLIB_BANANA", "1", "there is no setting KDLIB_BANANA; there are KDLIB_STORE, KDLIB_DATA")])
def test_a_wrong_environment_gets_one_sentence(kdlib, monkeypatch, tmp_path, name, value, says):
    monkeypatch.setenv(name, value)
    code, _, error = kdlib("run", "04_paradox", "--profile", "smoke", "--seeds", "1", "--workers", "1")
    assert code == 2 and says in error and not list((tmp_path / "store").glob("runs/*"))
    assert "Traceback" not in error and error.strip().splitlines()[-1].startswith("kdlib: ")


def test_a_damaged_record_is_named_by_the_list_of_runs_and_left(kdlib, tmp_path):
    bad = tmp_path / "store" / "runs" / f"{'a' * 24}.json"
    bad.parent.mkdir(parents=True)
    bad.write_text("{")
    for _ in range(2):
        code, out, error = kdlib("runs")
        assert code == 2 and bad.name in error and error.count("\n") == 1 and out == "0 runs\n"
    assert bad.read_text() == "{" and list((tmp_path / "store").iterdir()) == [bad.parent]


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    """In a process of its own: nothing on the way there may print a traceback either."""
    (tmp_path / "file").write_text("")
    code = "import sys; sys.argv = ['kdlib', 'runs']; from kdlib.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ | {"KDLIB_STORE": str(tmp_path / "file")})
    assert done.returncode == 2 and "KDLIB_STORE" in done.stderr and done.stderr.count("\n") == 1


READS = "import sys; sys.argv = ['kdlib', 'claims', 'F4']; from kdlib.cli import main; main()"


def test_letters_that_the_output_cannot_show_are_spelled_out():
    done = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True,
                          env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and "within \\xb1 20 points" in done.stdout and not done.stderr


def test_output_that_cannot_be_written_is_not_the_stores_fault():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", READS], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "kdlib: standard output cannot be used: No space left on device\n"


def test_a_reader_that_has_seen_enough_ends_the_command_in_silence():
    process = subprocess.Popen([sys.executable, "-c", READS], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == ("", 1)


def test_claims_are_told_by_name_or_chapter(kdlib):
    def told(*names):
        return [line.split()[0] for line in kdlib("claims", *names)[1].splitlines()[:-1] if line[0] != " "]

    assert told("F4") == ["F4"] and told("P2", "F1") == ["F1", "P2"]
    assert told("04_paradox") == [claim.id for claim in CLAIMS.values() if claim.chapter == "paradox"]
    assert told() == list(CLAIMS)


def test_a_claim_that_is_named_stands_as_it_does_among_all(kdlib):
    def block(out, name):
        return re.search(rf"^{name} .*\n( .*\n)*", out, re.M)[0]

    whole = kdlib("claims", "--profile", "workstation")[1]
    for name in ("F2", "F4", "A3"):
        assert block(kdlib("claims", name, "--profile", "workstation")[1], name) == block(whole, name)
    assert "(Fig 1); beside all others undecided\n" in block(whole, "F2")
    assert "\n      Of 6 statistics 2 fail by themselves; but each" in block(whole, "F4")


def test_a_claim_without_a_verdict_is_told_with_its_rule_and_the_reason(kdlib):
    assert kdlib("claims", "F1", "--profile", "halves")[1].startswith(
        "F1  not tested     On an easy task distillation works (Fig 2, easy MNIST-1D)\n"
        "      paper: above 99 % agreement, student as accurate as its teacher (Fig 2)\n"
        "      test agreement, largest set: > 99 points: not tested\n"
        "      student - teacher accuracy, largest set: within ± 1 points: not tested\n"
        "      profile halves does not have chapter 01_fidelity_gap\n")
    assert kdlib("claims", "A3", "--profile", "workstation")[1].startswith(
        "A3  not tested     Nor does scale: the gap is there in photographs (Table 2, ImageNet)\n"
        "      paper: ImageNet, ResNet-50: .855 at m = 1, .884 at m = 5 (Table 2)\n"
        "      share of the room above unseen agreement, ImageNet, m = 5: < 0.5: not tested\n"
        "      needs ImageNet: only the profile paper has it\n")


def test_a_claim_that_was_added_is_called_new_and_names_its_place_in_the_paper_once(kdlib):
    out = kdlib("claims", "--profile", "signals")[1]
    assert re.findall(r"^(\S+) .*\n(?: .*\n)*?      new: ", out, re.M) == [
        name for name, claim in CLAIMS.items() if claim.why.startswith("new: ")]
    assert out.count("(B.1)") == 1


def test_claims_say_what_they_train_and_train_only_that(kdlib, monkeypatch, tmp_path):
    monkeypatch.setattr("kdlib.store.execute", made_up)
    code, out, error = kdlib("claims", "O1", "--no-recorded", "--profile", "smoke", "--workers", 1)
    runs = experiments.CHAPTERS["02_optimization"].runs(Design("smoke"))  # O1: train agreement over sizes, at m = 1
    count = sum(map(len, levels({s for (kind, m, *_), row in runs.items() if (kind, m) == ("size", 1) for s in row})))
    assert count < sum(map(len, levels({s for row in runs.values() for s in row})))
    assert code == 0 and out.startswith("O1 ") and "1 claims: " in out
    assert f"{count} of the {count} runs that decide O1 are not in the store and are trained now, by 1" in error
    assert len(list((tmp_path / "store" / "runs").iterdir())) == count
    code, again, error = kdlib("claims", "O1", "--no-recorded", "--profile", "smoke")
    assert (code, again, error) == (0, out, "")


def test_the_help_names_every_profile():
    assert cli.LIVE == LIVE
    assert get_args(ProfileOption)[1].help == re.sub(r", (?=\w+$)", " or ", ", ".join(PROFILES))


def test_claims_are_told_without_torch():
    code = "import sys; sys.argv = ['kdlib', 'claims']; from kdlib.cli import main\ntry: main()\n" \
           "except SystemExit: pass\nfinally: print({'torch', 'scipy.stats', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert " claims: " in done.stdout and done.stdout.endswith("\nset()\n")


def test_the_help_is_there_without_torch():
    code = "import sys; sys.argv = ['kdlib', '--help']; from kdlib.cli import main\ntry: main()\n" \
           "except SystemExit: print({'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "claims" in done.stdout and done.stdout.splitlines()[-1] == "set()", done.stderr


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Write records of specs as the only ones of profile smoke, changed by `changes` (`metrics`: one for each, or the
    same for all); the first one as it is."""
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path))
    made = {}

    def write(*specs, metrics=None, **changes):
        for spec in specs[:1]:
            if spec not in made:
                made[spec] = audit.retrained(Record(spec.key, spec.model_dump(mode="json"), {}, {}, 0.0, "", {}, ""))
        lines = []
        for i, spec in enumerate(specs):
            own = {} if metrics is None else {"metrics": metrics[i] if isinstance(metrics, list) else metrics}
            same = {"key": spec.key, "spec": spec.model_dump(mode="json")}
            lines.append(dataclasses.replace(made[specs[0]], **same | own | changes).line())
        (tmp_path / "smoke").mkdir(exist_ok=True)
        (tmp_path / "smoke" / "x.jsonl").write_text("\n".join(lines) + "\n")
        return made[specs[0]]

    return write


def test_an_audit_compares_metrics_and_curves_to_the_bit_on_the_processor_of_the_record(kdlib, recorded):
    record = recorded(surface())
    code, out, _ = kdlib("audit", "--profile", "smoke")
    assert code == 0 and "the same device and versions" in out and "metrics 0, of curves 0" in out
    plane = record.curves["plane"]
    changed = record.curves | {"plane": plane | {"loss": [[2 * value for value in row] for row in plane["loss"]]}}
    recorded(surface(), curves=changed)
    code, out, _ = kdlib("audit", "--profile", "smoke", "--tolerance", "0.1")
    assert code == 1 and "metrics 0, of curves 0.5" in out and "more than the tolerance of 0.1" in out
    assert kdlib("audit", "--profile", "smoke", "--tolerance", "0.6")[0] == 0


@pytest.mark.parametrize("change, code", [({"distance": float("nan")}, 2), ({"other": 1.0}, 1), ({"distance": 1e9}, 1)])
def test_an_audit_finds_a_metric_that_is_none_another_or_far_off(kdlib, recorded, change, code):
    recorded(surface(), metrics=recorded(surface()).metrics | change)
    assert kdlib("audit", "--profile", "smoke", "--tolerance", "0.9")[0] == code


def test_an_audit_on_another_processor_compares_references_and_estimates(kdlib, recorded, monkeypatch):
    def elsewhere(*distances):
        specs = [surface(trial=trial) for trial in range(len(distances))]
        recorded(*specs, processor="Other AVX9", versions=recorded(specs[0]).versions | {"torch": "1"},
                 metrics=[{"barrier": d, "distance": d} for d in distances])
        return kdlib("audit", "--profile", "smoke", "--sample", "1")

    true = recorded(surface()).metrics["distance"]
    monkeypatch.setattr(audit, "references", lambda: "")
    code, out, _ = elsewhere(1.2 * true, 0.8 * true, 1.1 * true)
    assert code == 0 and "processor Other AVX9 (here" in out and "torch 1 (here" in out
    assert "reference runs of this code agree" in out
    code, out, _ = elsewhere(9.0 * true, 9.01 * true, 8.99 * true)
    assert code == 1 and "outside the recorded interval" in out and "distance" in out
    monkeypatch.setattr(audit, "references", lambda: "3 numbers differ, the first: teacher cnn1d: loss")
    code, out, _ = elsewhere(1.2 * true, 0.8 * true, 1.1 * true)
    assert code == 1 and "reference runs of this code differ: 3 numbers" in out


def test_a_record_says_which_processor_made_it(recorded):
    assert recorded(surface()).processor == processor()


def test_a_record_that_does_not_say_its_processor_may_be_anothers(kdlib, recorded, monkeypatch):
    monkeypatch.setattr(audit, "references", lambda: "")
    recorded(surface(), processor=None)
    code, out, _ = kdlib("audit", "--profile", "smoke")
    assert code == 0 and "processor not said (here" in out and "metrics 0, of curves 0" in out


def test_the_processor_names_the_instructions_it_is_held_to():
    code, said = "from kdlib.devices import processor; print(processor())", {}
    for isa, capability in (("SSE41", "default"), ("AVX2", "avx2")):
        said[isa] = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": capability}).stdout.strip()
    assert said["SSE41"].endswith(" DEFAULT, oneDNN SSE41") and said["AVX2"].endswith(" AVX2, oneDNN AVX2")


def test_a_picture_needs_no_backend_of_the_user(tmp_path):
    environment = os.environ | {"MPLBACKEND": "nosuch", "KDLIB_DATA": str(tmp_path / "data")}
    code = "import sys; from kdlib.cli import main; sys.argv = ['kdlib', *sys.argv[1:]]; main()"
    done = subprocess.run([sys.executable, "-c", code, "data", "show", "mnist1d", "--policy", "shift", "--out",
                           tmp_path / "x.png"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.png").stat().st_size > 1000


@pytest.mark.parametrize(("args", "says"), [
    ((), None), (("data",), None), (("nosuch",), "no such command 'nosuch'; see `kdlib --help`"),
    (("plan",), "missing argument 'chapter'; see `kdlib plan --help`"),
    (("plan", "all", "--nosuch"), "no such option: --nosuch; see `kdlib plan --help`"),
    (("plan", "all", "--seeds", "x"), "invalid value for '--seeds': .*; see `kdlib plan --help`"),
    (("claims", "--json"), "option '--json' requires an argument; see `kdlib COMMAND --help`"),
    (("data", "import", "x"), "missing argument 'path'; see `kdlib data import --help`"),
    (("audit", "--sample", "0"), "invalid value for '--sample': .*; see `kdlib audit --help`"),
    (("plan", "all", "--seeds", "2", "--seeds=3"), "--seeds is given 2 times: give it once"),
    *(((*command, "--seeds", n), f"seeds must be a whole number from 1 to 1,000 .got {n}.")
      for command in (("run", "all"), ("plan", "all"), ("record", "all")) for n in ("-1", "0", "1001", "9" * 20))])
def test_a_wrong_command_line_is_one_sentence(kdlib, args, says):
    code, out, error = kdlib(*args)
    assert code == 2
    if says:
        assert re.fullmatch(f"kdlib: {says}\n", error) and not out
    else:
        assert "Usage: kdlib" in out + error


def test_options_that_take_several_may_be_given_again(kdlib, tmp_path):
    code, _, error = kdlib("export", tmp_path / "x", "--profile", "laptop", "--profile", "nosuch")
    assert code == 2 and "unknown profile 'nosuch'" in error


@pytest.mark.parametrize("named", [".", "", "link.json", "/dev/null"])
def test_claims_are_written_to_files_alone(kdlib, tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("mine")
    (tmp_path / "link.json").symlink_to("mine.json")
    code, _, error = kdlib("claims", "F2", "--json", named)
    assert code == 2 and "name a file to write" in error and error.count("\n") == 1
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "mine.json").read_text() == "mine"
