"""What stands under a figure: its numbers, every run behind them, and how these are trained again."""

import functools
import html
import urllib.parse
from collections.abc import Iterable
from itertools import groupby

from IPython.display import HTML

from kdlib.experiments import CHAPTERS
from kdlib.experiments.design import Design, Results
from kdlib.experiments.figure_map import FIGURES, page_of
from kdlib.experiments.profile import Profile
from kdlib.experiments.profiles import PROFILES
from kdlib.explorer import KEY
from kdlib.reading import described, in_words
from kdlib.results import Record, Recorded, has_records
from kdlib.stats import bound_of, estimate

RUNS, EXPLORER = "../runs.html", "../explorer.html"  # the pages of all recorded runs, seen from a chapter
# what the page of runs says of each, where a run has it
METRICS = ("agreement", "unseen_agreement", "train_agreement", "accuracy", "kl", "ece", "barrier", "judge_fid")


def evidence(cell: str, *results: Results) -> HTML:
    """What is under a figure or table, by the name of its figure or the beginning of its caption: the numbers that it
    is made of, as a table and as CSV, with every run behind them; what plans these and trains them again; commit,
    device, seconds. Of what was read since the last such account, of the results that the page shows: rings, which are
    this machine's own runs, are not among it."""
    accounts = {id(r): (r, dict(r.numbers), dict(r.read)) for r in (r.accounted for r in results)}
    parts = [part for part in accounts.values() if part[2]]
    records = list({key: record for _, _, read in parts for key, record in read.items()}.values())
    if not records:
        return HTML('<p class="provenance">none of its runs is recorded yet</p>')
    name, address = slug(cell), _as_csv(csv_of(parts))
    *others, last = [str(len({_trial(run) for run in read.values()})) for _, _, read in parts]
    tables = "".join(_table(name, r, numbers) for r, numbers, _ in parts if numbers)
    for r in results:
        r.forget()
    plans = ", ".join(f"<code>{html.escape(plan)}</code>" for plan in planned_by(cell, parts))
    again = " ".join(f"<code>{html.escape(_again(chapter_of(cell, r), r.profile))}</code>" for r, _, _ in parts)
    alone = (f"; one run alone, beside its record, by <code>kdlib audit --key {records[-1].key[:12]}</code>"
             if all(map(_recorded, (r.profile for r, _, _ in parts))) else "")
    return HTML(
        f'<details class="evidence" id="evidence-{name}"><summary>Numbers, CSV and the {len(records)} runs behind '
        f'this, of {", ".join(others)}{" and " if others else ""}{last} trials'
        f'</summary><p><a download="{name}.csv" href="{address}">The numbers as CSV</a>, a line a run.</p>{tables}'
        f"<p>Planned by {plans}. Trained again, with the rest of its chapter, by {again}{alone}.</p>"
        f"{provenance(records)}</details>")


def _again(chapter: str, profile: Profile) -> str:
    """The command that trains a chapter's runs at a profile, or at one that is made of it for one's own data."""
    if profile.data_set == PROFILES[profile.name].data_set:
        return f"kdlib run {chapter} --profile {profile.name}"
    return f"papermill notebooks/{chapter}.ipynb out.ipynb -p profile {profile.name} -p data {profile.data_set}"


def _recorded(profile: Profile) -> bool:
    return profile.data_set == PROFILES[profile.name].data_set and has_records(profile.name)


def measured(cell: str, rows: list[dict], made: dict, file: str, command: str) -> HTML:
    """The same under a measurement of a machine's speed, which no runs are behind: its rows and where they are from."""
    text = "\n".join(",".join(map(str, line)) for line in (rows[0], *(row.values() for row in rows))) + "\n"
    return HTML(
        f'<details class="evidence" id="evidence-{slug(cell)}"><summary>Numbers, CSV and how to measure them again'
        f'</summary><p><a download="{slug(cell)}.csv" href="{_as_csv(text)}">The numbers as CSV</a>. Measured again by '
        f'<code>{html.escape(command)}</code>.</p><p class="provenance">' + html.escape(
            f"{file} · commit {made['commit']} · {made['processor']} · torch {made['torch']}"
            + "".join(f" · {made[what]} {what}" for what in ("threads", "rounds") if what in made)) + "</p></details>")


def _as_csv(text: str) -> str:
    return "data:text/csv;charset=utf-8," + urllib.parse.quote(text, safe=",:;/=()+")


def slug(cell: str) -> str:
    """A name for files and addresses."""
    return "-".join("".join(c if c.isalnum() else " " for c in cell.lower()).split())


def planned_by(cell: str, parts) -> list[str]:
    """The functions that plan the runs of a figure or table, as "kdlib/experiments/fidelity_gap.py: sizes": of those
    that the map names the ones that plan any run that was read, of (results, numbers, {key: record}) each."""
    plans = [plan for shown in FIGURES if cell in shown.signals + shown.real
             for plan in (shown.plans if isinstance(shown.plans, tuple) else (shown.plans,))]
    plans = plans or [CHAPTERS[chapter_of(cell, parts[0][0])].plan]
    planning = [plan for plan in plans if any(_plans(plan, r.profile.name) & read.keys() for r, _, read in parts)]
    return [f"{plan.__module__.replace('.', '/')}.py: {plan.__name__}" for plan in planning or plans]


@functools.cache
def _plans(plan, profile: str) -> set[str]:
    """The keys of what it plans at a profile; none where this has no settings of its chapter."""
    design, chapter = Design(profile), next(c for c in CHAPTERS.values() if c.plan.__module__ == plan.__module__)
    return {spec.key for row in plan(design).values() for spec in row} if chapter.runs(design) else set()


def chapter_of(cell: str, r: Results) -> str:
    """The chapter whose plan has the runs of a figure or table."""
    page = page_of(cell)
    if page in CHAPTERS:
        return page
    return next(name for name, chapter in CHAPTERS.items() if r.planned == set(chapter.runs(Design(r.profile.name))))


def csv_of(parts) -> str:
    """The numbers of (results, {(condition, metric): None}, {key: record}) each, together as CSV: a line a run, a
    column a metric; of what was read besides, curves say, the runs."""
    metrics = list(dict.fromkeys(metric for _, numbers, _ in parts for _, metric in numbers))
    lines = [("profile", "condition", "trial", *(metric.replace(" ", "_") for metric in metrics), "key")]
    for r, numbers, read in parts:
        found, left = {number: r(*number) for number in numbers}, dict(read)
        for name in dict.fromkeys(name for name, _ in numbers):
            for i, record in enumerate(r.rows[name]):
                left.pop(record.key, None)
                cells = (f"{found[name, metric][i]:.6g}" if (name, metric) in found else "" for metric in metrics)
                lines.append((r.profile.name, in_words(name).replace(",", ";"), _trial(record), *cells, record.key))
        lines += [(r.profile.name, record.spec["kind"], _trial(record), *("" for _ in metrics), key)
                  for key, record in left.items()]
    return "\n".join(map(",".join, lines)) + "\n"


def _trial(record) -> str:
    return str(record.planned.subject.data.trial)


def _table(cell: str, r: Results, numbers: dict) -> str:
    """The same for the eye: a row a condition, mean and interval of each metric, a link to every run."""
    names, metrics = (list(dict.fromkeys(number[i] for number in numbers)) for i in (0, 1))
    known = Recorded(r.profile.name).records

    def place(key):  # the trials that verdicts rest on are thousands: the explorer has them
        return f"{EXPLORER}?run={key[:KEY]}" if r.profile.compact else f"{RUNS}#{key}"

    def runs(name):
        return " ".join(f'<a href="{place(record.key)}">{_trial(record)}</a>' if record.key in known
                        else f"<code>{record.key}</code>" for record in r.rows[name])

    def estimated(name, metric):
        return estimate(r(name, metric), bound=bound_of(metric)).text(digits=3)

    rows = "".join(f"<tr><td>{html.escape(in_words(name))}</td>" + "".join(
        f"<td>{estimated(name, metric) if (name, metric) in numbers else ''}</td>"
        for metric in metrics) + f"<td>{runs(name)}</td></tr>" for name in names)
    head = "".join(f"<th>{html.escape(metric.replace('_', ' '))}</th>" for metric in metrics)
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="numbers of {cell}, {r.profile.name}">'
            f'<table class="table"><thead><tr><th>condition</th>{head}<th>runs, by trial</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>")


def provenance(records: Iterable[Record]) -> str:
    """Where numbers come from, in a line."""
    records = list(records)
    if not records:
        return '<p class="provenance">none of its runs is recorded yet</p>'

    def these(values):
        return ", ".join(sorted(set(values)))

    return '<p class="provenance">' + html.escape(
        f"{len(records)} runs · commit {these(r.commit for r in records)} · {these(r.device for r in records)} · "
        f"torch {these(r.versions['torch'] for r in records)} · "
        f"{sum(r.seconds for r in records):.0f} s of training on one core") + "</p>"


def all_runs(sources: dict) -> str:
    """Every committed run that a figure shows or needs, of {profile: its `records`}: a row a run, whose key is the
    row's address on the page. The runs of a kind and trial are a table to open, as the address of one of them does: all
    in one they would be hundreds of screens, and seconds of work for a browser."""
    out = []
    for profile, source in sources.items():
        if PROFILES[profile].compact:  # the trials that verdicts rest on: thousands; the explorer has their students
            continue
        def group(record):
            return record.spec["kind"], int(_trial(record))

        out.append(f'<h2 id="runs-{profile}">Profile {profile}</h2>')
        for (kind, trial), found in groupby(sorted(source.records, key=group), group):
            rows, name = [_row(record) for record in found], f"{kind}, trial {trial}"
            out.append(f'<details class="runs"><summary>{name}: {len(rows)} run{"s" * (len(rows) > 1)}</summary>'
                       f'<div class="scroll" tabindex="0" role="region" aria-label="{name}, {profile}">'
                       '<table class="table runs"><thead><tr><th>key</th><th>run</th><th>found</th><th>s</th>'
                       f"<th>commit</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>")
    return "".join(out)


def _row(record: Record) -> str:
    spec = record.planned
    usual = {"draw": "torch", "policy": "baseline", "objective": "kd", "start": "random", "half": "D0"}
    others = ("teachers", "foil", "foils", "student", "generator", "judge")  # keys
    words = {name: value for name, value in described(spec).items()
             if name not in others and value not in (None, "", 0, usual.get(name))}
    said = ", ".join(str(value) if name in ("kind", "data", "model", "policy") else f"{name.replace('_', ' ')} {value}"
                     for name, value in words.items())
    found = ", ".join(f"{metric.replace('_', ' ')} {value:.4g}" for metric, value in record.numbers(METRICS).items())
    key = f"<code>{record.key}</code>"
    if spec.kind == "student":  # which the explorer shows among all others
        key = f'<a href="explorer.html?run={record.key[:KEY]}">{key}</a>'
    return (f'<tr id="{record.key}"><td>{key}</td><td>{html.escape(said)}</td><td>{found}</td>'
            f"<td>{record.seconds:.1f}</td><td>{record.commit}</td></tr>")
