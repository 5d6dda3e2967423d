"""kdlib benchmark: what is refused, what a card holds, how the page is made."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import teacher

from kdlib import benchmark, catalog, own
from kdlib import compute as compute_module
from kdlib.benchmark import BenchmarkError, Meter, Refused, budget, entry_of, judge, ranked, table, task
from kdlib.compute import compute
from kdlib.experiments.design import Design, Results
from kdlib.paths import project_root
from kdlib.results import Recorded
from kdlib.runs import cost
from kdlib.stats import estimate

HEAD = "import copy\nimport torch\nimport kdlib\nfrom kdlib import data as kdata\n\n"


@pytest.fixture(autouse=True)
def tables_as_they_were(monkeypatch):
    for where, name in ((catalog, "OBJECTIVES"), (catalog, "OPTIMIZERS"), (own, "METHODS"), (own, "USED")):
        monkeypatch.setattr(where, name, dict(getattr(where, name)))


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A trial of ten steps, whose teachers are in a store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_STORE", str(tmp_path_factory.mktemp("store")))
        patch.delenv("KDLIB_FROM_RECORDS", raising=False)
        (spec,) = task("smoke", 1)
        compute(spec.needs, 1)
        yield spec


@pytest.fixture
def tried(spec, tmp_path):
    """Judge a method of that body."""
    def judged(body, decorator="@kdlib.method", before=""):
        file = tmp_path / "mine.py"
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        file.write_text(f"{HEAD}{before}\n{decorator}\ndef mine(teacher, data):\n{lines}")
        return judge(entry_of(file)[0], spec, own.USED)

    return judged


def test_a_method_gets_numbers_of_test_and_train_beside_an_unseen_teacher(tried):
    found = tried("return data.distil(teacher)")
    assert set(found["test"]) == set(found["train"]) >= {"accuracy", "agreement", "kl"}
    agreement = found["test"]["agreement"]
    assert agreement["specific"] == pytest.approx(agreement["own"] - agreement["unseen"], abs=2e-6)
    assert set(found["test"]["accuracy"]) == {"teacher", "student", "unseen teachers"} and 0 < found["cost"] < 1


def test_any_loop_that_stays_within_the_cost_is_a_method(tried, spec):
    """One step on one batch of 50 is 1/10 of the steps, with a label for each example."""
    body = ("student = data.student().train()\noptimizer = torch.optim.SGD(student.parameters(), lr=0.1)\n"
            "with torch.no_grad():\n    z = teacher(data.x[:50])\n"
            "(student(data.x[:50]) - z).square().mean().backward()\noptimizer.step()\nreturn student")
    assert tried(body)["cost"] == pytest.approx(1 / spec.training.steps, rel=0.01)


COPY = "student = data.student()\nstudent.load_state_dict(teacher.state_dict())\n"


@pytest.mark.parametrize("body, why", [
    ("kdata.load('mnist1d', trial=5, train=1000, test=2000)\nreturn data.distil(teacher)", "test labels"),
    ("try:\n    kdata.load('mnist1d', trial=5, train=1000, test=2000)\nexcept BaseException:\n    pass\n"
     "return data.distil(teacher)", "test labels"),
    ("from kdlib.data.signals import generate\ngenerate('mnist1d', 3, 1000)\nreturn data.distil(teacher)",
     "test labels"),
    ("return data.distil(teacher, steps=2 * data.steps)", r"exceeds the cost of 1, .* FLOPs"),
    ("for _ in range(10**6):\n    teacher(data.x)", "exceeds the cost"),
    ("big = torch.randn(2000, 2000)\nfor _ in range(10**6):\n    big @ big", "exceeds the cost"),
    ("try:\n    data.distil(teacher, steps=100 * data.steps)\nexcept BaseException:\n    return data.student()",
     "exceeds the cost"),
    ("with torch.no_grad():\n    next(teacher.parameters()).mul_(2)\nreturn data.distil(teacher)",
     "changes the teacher"),
    ("return teacher", "returns the teacher"), ("return copy.deepcopy(teacher)", "returns the teacher, or a net next"),
    (COPY + "return student", "returns the teacher, or a net next"),
    (COPY + "with torch.no_grad():\n    for p in student.parameters():\n        p += 0.01 * torch.randn_like(p)\n"
     "return student", "returns the teacher, or a net next"),
    ("return torch.nn.Sequential(teacher)", "another architecture"),
    ("return lambda x: teacher(x)", "returns function"),
    ("return None", "returns NoneType"),
    ("student = data.student()\nstudent.head.weight.data[0] = float('nan')\nreturn student", "no logits")])
def test_what_is_no_fair_distillation_is_refused_and_named(tried, body, why):
    with pytest.raises(Refused, match=f"method mine is refused, in trial 5: it .*{why}"):
        tried(body)


def test_a_file_that_reads_test_labels_before_it_is_asked_is_refused(tried):
    with pytest.raises(Refused, match=r"mine.py is refused: it reads .*mnist1d.*before it is asked"):
        tried("return data.distil(teacher)", before="Y = kdata.load('mnist1d', 5, 1000, 2000).test_y\n")


def test_a_method_that_draws_from_torchs_own_stream_is_judged_alike_each_time(tried):
    body = "return data.distil(teacher, augment=None, student=data.student(), steps=1 + int(torch.randint(9, ())))"
    torch.manual_seed(1)
    first = tried(body)
    torch.manual_seed(2)
    assert {**tried(body), "seconds": 0} == {**first, "seconds": 0}


def test_a_method_may_declare_a_higher_cost(tried):
    assert tried("return data.distil(teacher, steps=2 * data.steps)", "@kdlib.method(cost=2)")["cost"] > 1


@pytest.mark.parametrize("body, says", [
    ("1 / 0", "ZeroDivisionError: division by zero"), ("data.distil(teacher, lr=-1)", "DistilError: lr: "),
    ("data.distil(teacher, objective=lambda s, t: s.nothing)", "Unusable: the objective fails .*nothing")])
def test_an_error_of_a_method_is_a_sentence_that_names_its_line(tried, tmp_path, body, says):
    with pytest.raises(BenchmarkError, match=f"method mine fails at .*mine.py, line 9: {says}") as error:
        tried(body)
    assert "\n" not in str(error.value)


def test_an_error_of_an_objective_is_a_sentence_that_names_its_line(spec, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import kdlib\n@kdlib.objective\ndef mine(s, t):\n    return s.nothing\n")
    with pytest.raises(BenchmarkError, match="method mine fails at .*mine.py, line 4: AttributeError: "):
        benchmark.judge_recipe(*entry_of(file), [spec], 1, False)


def test_a_student_that_answers_by_its_teacher_is_judged_by_its_weights(tried):
    hooked = ("student = data.student()\n"
              "student.register_forward_hook(lambda module, given, out: teacher(given[0]))\nreturn student")
    assert tried(hooked)["test"]["agreement"] == tried("return data.student()")["test"]["agreement"]


def test_the_budget_is_the_steps_and_a_label_for_every_example(spec):
    """Multiply-adds of the 3-layer net by hand, 2 FLOPs each; no gradient of the inputs is needed."""
    convolutions, rest = 20 * 5 * 24, 10 * 72 * 24 + 5 * 72 * 24 + 120 * 10
    label = 2 * (convolutions + rest)
    step = 50 * 2 * (2 * convolutions + 3 * rest)
    assert budget(spec) == spec.training.steps * (step + 50 * label)
    assert cost.of_run(teacher()).cost().label_flops == label


def test_the_meter_counts_what_is_computed_forward_and_backward():
    w, x = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    with Meter(1e9) as meter:
        (x @ w.T).sum().backward()
    assert meter.total == 2 * (2 * 5 * 4 * 3)


@pytest.mark.parametrize("text, expected", [
    ("@kdlib.objective\ndef mine(s, t):\n    'Of mine.'\n    return (s - t).square().mean(-1)\n", ("mine", "Of mine.")),
    ("@kdlib.optimizer\ndef plain(net, lr, weight_decay):\n    return torch.optim.SGD(net.parameters(), lr=lr)\n",
     ("plain", "")),
    ("@kdlib.objective\ndef mine(s, t):\n    return (s - t).square().mean(-1)\n\n@kdlib.optimizer\n"
     "def plain(net, lr, weight_decay):\n    return torch.optim.SGD(net.parameters(), lr=lr)\n", ("mine + plain", ""))])
def test_an_objective_or_an_optimizer_is_a_recipe(spec, tmp_path, text, expected):
    file = tmp_path / "mine.py"
    file.write_text(HEAD + text)
    name, method = entry_of(file)
    assert (name, method.about) == expected
    (found,) = benchmark.judge_recipe(name, method, [spec], 1, False)
    assert 0 < found["test"]["agreement"]["own"] <= 1 and 0 < found["cost"] < 1


def test_a_recipe_is_the_usual_student_but_for_what_it_says(spec, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import kdlib\nkdlib.recipe('hot', 'Hot.', temperature=4.0, policy='mixup', times=2, cost=2)\n")
    _, method = entry_of(file)
    made = benchmark.recipe_of(method, spec)
    assert made == spec.but(temperature=4.0, policy="mixup", training=spec.training.but(steps=2 * spec.training.steps))
    # every example labelled anew: twice the usual steps are twice the budget
    assert benchmark.recipe_cost(made) == 2 * budget(spec)
    usual = benchmark.recipe_cost(spec)  # each input is labelled once
    labels = spec.training.steps * spec.training.batch - spec.data.train
    assert budget(spec) - usual == labels * cost.of_run(spec).cost().label_flops


@pytest.mark.parametrize("text, why", [
    ("kdlib.recipe('mine', 'Long.', times=2)", "method mine is refused: it exceeds the cost of 1"),
    ("@kdlib.objective\ndef mine(s, t):\n    kdata.load('mnist1d', 5, 1000, 2000)\n"
     "    return (s - t).square().mean(-1)", "objective mine@.* is refused: it reads .*test labels")])
def test_a_recipe_that_is_no_fair_distillation_is_refused_and_named(spec, tmp_path, text, why):
    file = tmp_path / "mine.py"
    file.write_text(HEAD + text + "\n")
    with pytest.raises(Refused, match=why):
        benchmark.judge_recipe(*entry_of(file), [spec], 1, False)


def test_a_recipe_brings_no_inputs_of_its_own(tmp_path):
    (tmp_path / "mine.py").write_text("import kdlib\nkdlib.recipe('mine', 'More.', policy='fresh')\n")
    with pytest.raises(own.OwnError, match="no policy 'fresh'"):
        entry_of(tmp_path / "mine.py")


def test_of_several_one_must_be_named(tmp_path):
    file = tmp_path / "mine.py"
    two = "".join(f"@kdlib.method\ndef {name}(teacher, data):\n    return None\n" for name in ("one", "two"))
    file.write_text(HEAD + two)
    with pytest.raises(BenchmarkError, match="defines one, two: say which by --name"):
        entry_of(file)
    assert entry_of(file, "two")[0] == "two"
    with pytest.raises(BenchmarkError, match="defines no 'three'"):
        entry_of(file, "three")
    with pytest.raises(BenchmarkError, match="no benchmark on 'paper'; there are smoke, laptop, halves"):
        task("paper")
    with pytest.raises(BenchmarkError, match="halves has 3 trials; of the teachers of 4 1 are not committed"):
        task("halves", 4)


def test_the_command_writes_a_card_that_the_page_can_trust(kdlib, tmp_path):
    file, card = tmp_path / "mine.py", tmp_path / "mine.json"
    file.write_text(HEAD + "@kdlib.method\ndef mine(teacher, data):\n    'Mine.'\n    return data.distil(teacher)\n")
    code, out, err = kdlib("benchmark", file, "--profile", "smoke", "--trials", 2, "--workers", 2)
    assert code == 0, err
    assert "mine on MNIST-1D, ten steps: 2 trials" in out and str(card) in out
    found = benchmark.read(card)
    (folder := tmp_path / "results" / "benchmark").mkdir(parents=True)
    for path in (file, card):
        shutil.copy(path, folder)
    assert benchmark.page(tmp_path) == ""  # where methods are tried, none is ranked
    assert found["about"] == "Mine." and [t["trial"] for t in found["trials"]] == [5, 6]
    e = estimate([t["test"]["agreement"]["specific"] for t in found["trials"]])
    assert found["summary"]["test"]["agreement"]["specific"] == {
        "mean": round(e.mean, 6), "low": round(e.low, 6), "high": round(e.high, 6), "n": 2}
    whole = card.read_text()
    card.write_text(whole.replace('"declared_cost": 1', '"declared_cost": 0,\n "declared_cost": 1'))
    with pytest.raises(BenchmarkError, match="changed after it was written"):
        benchmark.read(card)
    card.write_text(whole)
    file.write_text(file.read_text() + "# better\n")
    with pytest.raises(BenchmarkError, match="is not the code of"):
        benchmark.read(card)
    card.write_text(card.read_text().replace('"declared_cost": 1', '"declared_cost": 0'))
    with pytest.raises(BenchmarkError, match="changed after it was written"):
        benchmark.read(card)
    bad = tmp_path / "bad.py"
    bad.write_text("import kdlib\n@kdlib.method\ndef bad(teacher, data):\n    raise LookupError('no')\n")
    code, out, err = kdlib("benchmark", bad, "--profile", "smoke", "--trials", 2, "--workers", 2)
    assert code == 2 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == f"kdlib: method bad fails at {bad}, line 4: LookupError: no"
    assert not bad.with_suffix(".json").exists()
    code, _, err = kdlib("benchmark", bad, "--json", bad)
    assert code == 2 and "bad.py is an input, which would be written over" in err
    code, _, err = kdlib("benchmark", tmp_path / "none.py")
    assert code == 2 and "none.py cannot be read" in err


def made_up(method, merits, declared=1.0):
    """A card of a trial for each of its merits."""
    def numbers(value):
        return {"accuracy": {"student": 0.5, "teacher": 0.6}, "kl": {"own": 0.2},
                "agreement": {"own": value + 0.5, "specific": value}}

    trials = [{"trial": i, "teacher": f"t{i}", "unseen": ["u"], "test": numbers(value), "train": numbers(value)}
              for i, value in enumerate(merits)]
    return {"method": method, "about": f"Of {method}.", "code": f"{method}.py", "task": "laptop",
            "declared_cost": declared, "cost": {"mean": 0.8, "low": 0.8, "high": 0.8, "n": len(trials)},
            "trials": trials, "summary": benchmark._summary(trials)}


def test_the_rule_ranks_by_what_is_specific_and_calls_ahead_what_is_ahead_trial_by_trial():
    noise = np.random.default_rng(0).normal(0, 0.1, 10)
    base = made_up("kd", 0.2 + noise)
    cards = [base, made_up("better", 0.25 + noise + 0.0012 * np.arange(10)), made_up("alike", 0.2 + noise[::-1]),
             made_up("worse", 0.1 + noise), made_up("long", 0.4 + noise, declared=10.0), made_up("few", [0.5] * 9)]
    rows = ranked(cards)
    assert [(row.card["method"], row.rank) for row in rows if row.rank] == [
        (name, str(i)) for i, name in enumerate(sorted(
            ("better", "kd", "alike", "worse"), key=lambda name: -np.mean(benchmark.values(
                next(c for c in cards if c["method"] == name), "test", "agreement", "specific"))), 1)]
    words = {row.card["method"]: row.against.split(": ")[-1] for row in rows}
    assert words == {"kd": "", "better": "ahead", "alike": "undecided", "worse": "behind", "long": "ahead",
                     "few": words["few"]}
    line, about = (line for line in table(cards).splitlines() if "`better" in line)
    paired = estimate(0.05 + 0.0012 * np.arange(10), 1 - 0.05 / 5)
    assert f" | {100 * paired.mean:+.1f} [{100 * paired.low:+.1f}, {100 * paired.high:+.1f}]: ahead | 0.80 | " in line
    assert about == "- `better`: Of better"
    assert "- `few`: Of few, 9 trials" in table(cards)


def test_methods_are_compared_in_trials_of_the_same_teachers_alone():
    base, other = made_up("kd", [0.1, 0.2, 0.3, 0.4]), made_up("other", [0.2, 0.4, 0.6, 0.9])
    other["trials"][3]["teacher"] = "of another recipe"
    e = estimate([0.1, 0.2, 0.3])
    [against] = [row.against for row in ranked([base, other]) if row.card is other]
    assert against.startswith(f"{100 * e.mean:+.1f} [{100 * e.low:+.1f}, {100 * e.high:+.1f}]")
    other["trials"][0]["unseen"] = ["others"]
    other["trials"][1]["unseen"] = ["others"]
    assert [row.against for row in ranked([base, other])] == ["", ""]


def test_the_leaderboard_is_what_the_cards_in_the_repository_say():
    root = project_root()
    text = (root / "book" / "leaderboard.md").read_text()
    between = text.split(benchmark.MARKS[0])[1].split(benchmark.MARKS[1])[0].strip()
    assert between == benchmark.page(root), "python -m kdlib.benchmark writes it"
    cards = [benchmark.read(path) for path in (root / "results" / "benchmark").glob("*.json")]
    assert all(len(card["trials"]) >= 10 for card in cards if card["task"] == "laptop")


def test_students_of_a_method_on_the_papers_ground_have_the_recorded_teachers_and_differ_in_the_method_alone(
        tmp_path, monkeypatch, capsys):
    page = (project_root() / "book" / "own_method.md").read_text()
    _, mine, _, ground, _, _ = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(mine)
    source, asked = Recorded("halves"), []

    def train(self, runs):  # would take hours: the usual students' records stand for those of the others
        asked.extend(runs["mine"])
        usual = [spec.but(objective="kd") for spec in asked]
        return Results(self.profile, {"mine": [source.get(spec) for spec in usual]})

    monkeypatch.setattr(Design, "train", train)
    exec(ground, {})
    assert capsys.readouterr().out == "[0. 0. 0.]\n"
    assert all(spec.objective.startswith("huber@") for spec in asked)
    needed = {teacher for spec in asked for teacher in spec.needs}
    assert len(needed) == 3 and all(source.weights_path(teacher.key).exists() for teacher in needed)


def test_the_page_of_ones_own_method_does_what_it_says(tmp_path, monkeypatch, kdlib, capsys):
    from torchvision.models import resnet18
    from torchvision.transforms.functional import to_pil_image

    monkeypatch.chdir(tmp_path)
    page = (project_root() / "book" / "own_method.md").read_text()
    torch.manual_seed(0)
    torch.save(resnet18(num_classes=3).state_dict(), "teacher.pt")
    for i in range(9):
        folder = tmp_path / "train" / "abc"[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        to_pil_image(torch.rand(3, 40, 50)).save(folder / f"{i}.png")
    few = {"steps=1000": "steps=2", '"steps": 2400': '"steps": 5', '"steps": 800': '"steps": 5',
           '"train": 1000, "test": 2000': '"train": 50, "test": 60'}
    assert all(text in page for text in few)
    for text, less in few.items():
        page = page.replace(text, less)
    nets, mine, runs, _, _, two_halves = re.findall(r"```python\n(.*?)```", page, re.S)
    names = {}
    exec(nets, names)
    assert (tmp_path / "student.pt").exists() and not names["student"].training
    (tmp_path / "mine.py").write_text(mine)
    monkeypatch.setattr(compute_module, "worker_count", lambda workers: 1)  # processes start slowly
    exec(runs, {})
    first, second = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", capsys.readouterr().out.strip().splitlines()[-1]))
    assert first or second
    (specs,) = re.findall(r"```json\n(.*?)```", page, re.S)
    (tmp_path / "mine.json").write_text(specs)
    (tmp_path / "two_halves.py").write_text(two_halves)
    run, judged = re.findall(r"```bash\nkdlib (.*?)\n```", page)
    code, out, err = kdlib(*run.split())
    assert code == 0 and "2 runs trained" in out, err
    for command in (judged, "benchmark mine.py --name huber"):
        code, out, err = kdlib(*command.split(), *"--profile smoke --trials 2 --workers 1".split())
        assert code == 0 and "2 trials" in out, err
    assert json.loads((tmp_path / "two_halves.json").read_text())["cost"]["mean"] < 1
    assert {name for name in re.findall(r"^\| `(\S+?)` \| \$?-?", page, re.M) if name in catalog.OBJECTIVES} == {
        name for name in catalog.OBJECTIVES if catalog.OBJECTIVES[name].source is None}
