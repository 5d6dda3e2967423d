"""The command line: `kdlib run|plan|record|claims|runs|audit|export|benchmark|compare|book|pdf|notebooks|data`."""

import io
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
import typer.core

from kdlib.errors import KdlibError, sentence
from kdlib.processes import stoppable, stopped

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Does knowledge distillation really work? The paper, re-executed.")
data_app = typer.Typer(no_args_is_help=True, help="Real data sets.")
app.add_typer(data_app, name="data")

ProfileOption = Annotated[str, typer.Option(help="smoke, laptop, signals, workstation, halves or paper")]
SeedsOption = Annotated[int | None, typer.Option(help="trials; the profile's own number if not given")]
WorkersOption = Annotated[int | None, typer.Option(help="one-thread worker processes; one per core if not given")]
BackendOption = Annotated[str, typer.Option(help="local (processes here) or ray")]
AddressOption = Annotated[str | None, typer.Option(help="of a Ray cluster, HOST:PORT or auto: all its CPUs work")]
GpusOption = Annotated[float, typer.Option(help="the share of a GPU that a run takes on the Ray cluster, e.g. 0.25")]

LIVE = "laptop"  # `profiles.LIVE`: the help waits for no import
SPECS = 16 << 20  # bytes of a file of them
PICTURES = ".png", ".pdf", ".svg"
TOLERANCE = "largest allowed difference on the processor that made the records; 0, the default, asks for the same bits"


@app.callback()
def _settings():
    # whatever the command: a wrong variable is named, and relative paths start from here, before anything else happens
    if "--help" not in sys.argv:
        from kdlib.settings import settings

        settings()


@app.command()
def run(chapter: Annotated[str, typer.Argument(help="a chapter, all, or a JSON file with a list of specs")],
        profile: ProfileOption = LIVE, seeds: SeedsOption = None, workers: WorkersOption = None,
        backend: BackendOption = "local", address: AddressOption = None, gpus_per_run: GpusOption = 0.0,
        in_order: Annotated[bool, typer.Option("--in-order", help="first what comes first, not the longest")] = False,
        own: Annotated[list[Path] | None, typer.Option(
            "--with", help="a Python file of your own objectives and optimizers; once for each")] = None):
    """Train what CHAPTER (or all) needs and the store does not have yet; or the specs of a file of your own."""
    from kdlib.compute import compute
    from kdlib.experiments import CHAPTERS, chapters
    from kdlib.experiments.design import Design
    from kdlib.own import use

    use(*own or ())
    listed = Path(chapter).suffix.lower() == ".json"
    if listed:
        specs = read_specs(Path(chapter))
    else:
        design, names = Design(profile, seeds), chapters(chapter)
        specs = [s for name in names for row in CHAPTERS[name].runs(design).values() for s in row]
    records = compute(specs, workers, profile, True, backend, address, gpus_per_run, in_order)
    if listed:
        _list(records[spec] for spec in specs)
    print(f"{records.trained} runs trained, {records.reused} reused, {records.seconds:.0f} s")


@app.command()
def plan(chapter: str, profile: ProfileOption = LIVE, seeds: SeedsOption = None, workers: WorkersOption = None,
         gpu: Annotated[str | None, typer.Option(help="estimate the time on this GPU too, e.g. a100")] = None,
         utilisation: Annotated[float, typer.Option(help="assumed share of the GPU's stated throughput")] = 0.3):
    """What CHAPTER (or all) will cost before anything runs: runs, FLOPs, memory, time."""
    from kdlib.experiments import CHAPTERS, chapters
    from kdlib.experiments.design import Design
    from kdlib.plan import plan as report
    from kdlib.results import Recorded

    design = Design(profile, seeds)
    print(report({name: [s for row in CHAPTERS[name].runs(design).values() for s in row]
                  for name in chapters(chapter)}, workers, gpu, utilisation, Recorded(design.profile.name)))


def read_specs(path: Path) -> list:
    """The specs in a JSON file, each once; StoreError if there is no list of them in it."""
    import json

    from pydantic import TypeAdapter, ValidationError

    from kdlib.results import StoreError
    from kdlib.spec import KIND_NAMES, Spec

    try:
        with path.open("rb") as file:
            raw = file.read(SPECS + 1)
        if len(raw) > SPECS:
            raise StoreError(f"{path} is larger than {SPECS >> 20} MB, tens of thousands of specs: split it")
        text = raw.decode(json.detect_encoding(raw))
        specs = TypeAdapter(list[Spec]).validate_json(text)
        json.loads(text.removeprefix("\ufeff"), object_pairs_hook=lambda pairs: _each_once(pairs, path))
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StoreError(f"{path} is not text in UTF-8 or UTF-16") from None
    except ValidationError as error:
        raise StoreError(f"{path} is not a list of specs: {sentence(error, kind=KIND_NAMES)}") from None
    if not specs:
        raise StoreError(f"{path} has no specs in it")
    return list(dict.fromkeys(specs))


def _each_once(pairs, path):
    from kdlib.results import StoreError

    for key, n in Counter(key for key, _ in pairs).items():
        if n > 1:
            raise StoreError(f"{path} has a spec with {n} values of {key!r}: leave one")


def _list(records):
    for r in records:
        numbers = " ".join(f"{metric}={value:.4g}" for metric, value in r.numbers((
            "accuracy", "agreement", "unseen_agreement", "barrier", "judge_fid", "judge_is")).items())
        data = r.planned.subject.data
        print(f"{r.key} {r.spec['kind']:9} {data.name:11} trial {data.trial:<3} {r.seconds:7.2f} s  {numbers}")


@app.command()
def record(chapter: Annotated[str, typer.Argument(help="a chapter, or all")] = "all", profile: ProfileOption = LIVE,
           seeds: SeedsOption = None, workers: WorkersOption = None, backend: BackendOption = "local",
           address: AddressOption = None, gpus_per_run: GpusOption = 0.0,
           stored: Annotated[bool, typer.Option("--stored", help="write what the store has; train nothing")] = False):
    """Write runs to results/PROFILE/CHAPTER.jsonl, each run once; what is recorded already stays as it is, and stays
    when the plan no longer asks for it. Of profile signals all chapters' first SEEDS trials to one file,
    trials.jsonl.xz, or with --stored those that the store has whole."""
    from kdlib.compute import compute
    from kdlib.experiments import CHAPTERS, all_specs, chapters, whole
    from kdlib.experiments.design import Design, DesignError
    from kdlib.results import Recorded
    from kdlib.runs import kind_of
    from kdlib.spec import levels
    from kdlib.store import Store, check_data, commit_weights

    design, seen, names = Design(profile, seeds), set(), chapters(chapter)
    source, store = Recorded(profile), Store()

    def found(specs):
        """Their records, None of those that are not to be trained."""
        known = {s: source.get(s) for s in specs}
        absent = [s for s in specs if known[s] is None]
        if absent:  # in one file all are of the same data
            check_data({s: known[s] for s in specs if known[s]})
        return known | (store.look(absent)[0] if stored
                        else compute(absent, workers, profile, True, backend, address, gpus_per_run))

    if design.profile.compact:
        if chapter != "all":
            raise DesignError(f"the trials of {profile} are recorded whole: kdlib record all")
        design = design.with_seeds(max(design.seeds, len(source.trials)))
        records = found(all_specs(design))
        specs = all_specs(whole(design, records))
        source.write("trials.jsonl.xz", [records[s] for s in specs])
        print(f"trials.jsonl.xz: {len(specs)} runs of {len(source.trials)} trials")
        return
    for name, chapter in CHAPTERS.items():
        rows = chapter.runs(design).values()
        specs = [s for layer in levels(s for row in rows for s in row) for s in layer if s not in seen]
        seen |= set(specs)
        if name not in names:
            continue
        records = found(specs)
        written = [records[s] for s in specs if records.get(s)]
        more = source.others(f"{name}.jsonl", written)
        source.write(f"{name}.jsonl", written + more)
        if design.profile.weights:
            commit_weights(source, [s for s in specs if records.get(s) and kind_of(s).starts_others], store)
        print(f"{name}.jsonl: {len(written)} of {len(specs)} runs"
              + f"; {len(more)} more that the plan no longer asks for stay" * bool(more))


@app.command()
def claims(names: Annotated[list[str] | None, typer.Argument(help="claims or chapters; all if none is named")] = None,
           profile: Annotated[str | None, typer.Option(
               help="if not given the recorded trials of signals, which verdicts rest on; with --no-recorded laptop"
           )] = None, recorded: bool = True, workers: WorkersOption = None,
           json: Annotated[Path | None, typer.Option(help="write them here too, with every trial")] = None):
    """Every claim with its estimate, interval, n and verdict, from the committed records (or the store: then what it
    lacks of the runs that they read is trained, and claims that are named are not judged beside all others)."""
    from kdlib.experiments.claims import claims_at
    from kdlib.experiments.profiles import PROFILES, VERDICTS
    from kdlib.experiments.standings import claims_of, standing
    from kdlib.results import check_there, has_records

    profile = profile or (VERDICTS if recorded and has_records(VERDICTS) else LIVE)
    asked = claims_of(names or (), profile)
    _spare([], [json] if json else [])
    if recorded:
        check_there()
    else:
        _train_for(asked, profile, workers)
    stands = standing(profile, workers=workers, records=recorded, only=None if recorded else asked)
    found = {name: stands[name] for name in asked}  # of recorded ones each beside all others, whichever are named
    if json:
        from kdlib.paths import atomic
        from kdlib.report import as_json

        with atomic(json) as file:
            file.write(as_json({profile: found}))
    declared = claims_at(PROFILES[profile])
    for claim in found.values():
        beside = f"; beside all others {claim.corrected}" * (claim.tested and claim.corrected != "")
        print(f"{claim.id:3} {claim.verdict:14} {claim.statement} ({claim.source}){beside}\n"
              f"      paper: {claim.found.removesuffix(f' ({claim.source})')}")
        for row in claim.to_rows():
            excluded = f" (excluded: {row['excluded']})" if row["excluded"] else ""
            print(f"      {row['statistic']}: {row['estimate']} {row['interval']}, n = {row['n']}, "
                  f"{row['rule']}: {row['verdict']}{excluded}")
        rules = [] if claim.tested else [f"{label}: {rule}: not tested" for label, rule in claim.rules]
        for line in (*rules, *claim.reasons, *_changed(claim, declared[claim.id].why)):
            print(f"      {line}")
    counts = Counter(claim.verdict for claim in found.values())
    print(f"{len(found)} claims: {', '.join(f'{n} {verdict}' for verdict, n in counts.most_common())}")


def _changed(claim, why):
    """What became of its rule."""
    if claim.earlier:
        rules = "; ".join(map(" ".join, claim.earlier.rules))
        return [f"earlier rule: {rules}: {claim.earlier.verdict}; changed, since {why}"]
    return [why] if why else []  # "new: ..."


def _train_for(asked, profile, workers):
    from kdlib.compute import compute
    from kdlib.experiments.design import Design
    from kdlib.experiments.standings import chapters_of, runs_read_by
    from kdlib.plan import lacking

    design = Design(profile)
    missing, line = lacking([s for name in chapters_of(asked, profile)
                             for row in runs_read_by(asked, name, design)[0].values() for s in row],
                            f"that decide {', '.join(asked)}", profile, workers)
    if missing:
        print(line, file=sys.stderr, flush=True)
        compute(missing, workers, profile, progress=True)


@app.command()
def runs(key: Annotated[str, typer.Argument(help="the beginning of a key: show that run")] = "",
         kind: Annotated[str, typer.Option(help="only those of this kind, as in teacher")] = "",
         recorded: Annotated[bool, typer.Option("--recorded", help="of the committed ones, of any profile")] = False):
    """List the runs in the store, or the committed ones; with KEY, show one whole."""
    from kdlib.results import Foreign, StoreError
    from kdlib.spec import KIND_NAMES

    if kind not in ("", *KIND_NAMES):
        raise StoreError(f"unknown kind {kind!r}; there are {', '.join(KIND_NAMES)}")
    if recorded:
        from kdlib.reading import committed

        records, wrong = [r for group in committed().values() for r in group], {}
    else:
        from kdlib.store import Store

        records, wrong = Store().all()
    found = [r for r in records if r.key.startswith(key) and kind in ("", r.spec["kind"])]
    wrong = [error for path, error in wrong.items() if path.name.startswith(key)]
    if key and not found and not wrong:
        where = "recorded" if recorded else "in the store"
        raise StoreError(f"no run {where} has a key that begins with {key!r}")
    if key and len(found) == 1:
        print(found[0].line())
        return
    _list(found)
    others = sum(isinstance(error, Foreign) for error in wrong)
    print(f"{len(found)} runs" + f"; {others} more are not of this version of kdlib" * bool(others))
    if (key and others) or len(wrong) > others:
        from kdlib.store import summary

        raise StoreError(summary(error for error in wrong if key or not isinstance(error, Foreign)))


@app.command("audit")
def audit_(sample: Annotated[int, typer.Option(min=1)] = 3, profile: ProfileOption = LIVE,
          seed: Annotated[int, typer.Option(help="which sample")] = 0,
          key: Annotated[str, typer.Option(help="this run alone, by the beginning of its key, of any profile")] = "",
          tolerance: Annotated[float, typer.Option(min=0, help=TOLERANCE)] = 0.0,
          weights: Annotated[bool, typer.Option("--weights", help="train nothing: ask all teachers whose weights are "
                                                "committed (or that of KEY) what their records say")] = False):
    """Train SAMPLE recorded runs (or the one of KEY) again, with what they need (but teachers whose weights are
    committed), and compare metrics and curves; exit 1 on a difference.

    Where another processor made the records, bits cannot be the same: compared are the code's short reference runs, and
    whether each condition's estimate stays within its interval when the new run takes the recorded one's place."""
    from kdlib.audit import audit, teachers_with_weights, weights_agree
    from kdlib.experiments.design import Design
    from kdlib.results import Recorded, StoreError

    only = None
    if key:
        from kdlib.reading import find

        profile, only = find(key)
    source = Recorded(Design(profile).profile.name)
    if weights:
        teachers = [there for there in teachers_with_weights(source) if there.startswith(key)]
        if not teachers:
            raise StoreError(f"no weights of {f'run {key}' if key else 'teachers'} are committed in {source.folder}")
        agree = weights_agree(source, teachers)
    else:
        agree = audit(source, sample, seed, tolerance, only and only.key)
    if not agree:
        raise typer.Exit(1)


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="where to write; it is made if it is not there")],
           profile: Annotated[list[str] | None, typer.Option(
               help="only this one's records; once for each (default: all)")] = None,
           chapter: Annotated[str, typer.Option(help="only what this chapter shows and needs")] = "all"):
    """Write the committed records as a data set: CSV and Parquet, a row a run; what each column is; a README; Croissant
    and RO-Crate metadata."""
    from kdlib.export import export

    for path in export(folder, profile or (), chapter):
        print(path)


@app.command()
def benchmark(
        file: Annotated[Path, typer.Argument(help="a Python file with a method, an objective or an optimizer")],
        name: Annotated[str, typer.Option(help="which, if the file defines several")] = "",
        profile: Annotated[str, typer.Option(help="whose teachers: laptop, halves, or smoke to try")] = LIVE,
        trials: Annotated[int | None, typer.Option(help="10 if not given; of halves its three")] = None,
        workers: WorkersOption = None,
        json: Annotated[Path | None, typer.Option(help="the card (default: FILE's name, .json, beside it)")] = None):
    """Judge a method of distillation of your own on the book's teachers, at matched cost, and write its card."""
    from kdlib.benchmark import run, text, write

    path = json or file.with_suffix(".json")
    _spare([file], [path])
    card = run(file, name, profile, trials, workers)
    write(card, path)
    print(text(card), f"The card is {path}.", sep="\n")


@app.command()
def compare(
        teacher: Annotated[Path, typer.Argument(help="its logits: .npz, .npy or .csv, one row an input")],
        student: Annotated[list[Path], typer.Argument(help="likewise; several are several students of this teacher")],
        unseen: Annotated[list[Path] | None, typer.Option(
            help="a teacher that the student never saw; once for each")] = None,
        labels: Annotated[Path | None, typer.Option(
            help=".npy, .npz or .csv; if not given, those in the files")] = None,
        probabilities: Annotated[bool | None, typer.Option(
            "--probabilities/--logits", help="what is in the files, where that can be mistaken")] = None,
        resamples: Annotated[int, typer.Option(help="bootstrap draws behind an interval")] = 1000,
        json: Annotated[Path | None, typer.Option(help="write everything here as JSON")] = None,
        markdown: Annotated[Path | None, typer.Option(help="write the tables here as Markdown")] = None):
    """Fidelity of STUDENT to TEACHER, nets of your own, beside teachers that it never saw, with intervals."""
    from contextlib import ExitStack

    from kdlib.comparison import compare
    from kdlib.paths import atomic

    written = [path for path in (json, markdown) if path]
    _spare([teacher, *student, *(unseen or ()), *([labels] if labels else [])], written)
    found = compare(teacher=teacher, student=student, unseen=unseen or (), labels=labels, probabilities=probabilities,
                    resamples=resamples)
    with ExitStack() as both:  # or none
        for path in written:
            text = found.to_json() if path is json else found.to_markdown()
            both.enter_context(atomic(path)).write(text.rstrip("\n").encode() + b"\n")
    print(found)


def _spare(inputs, outputs) -> None:
    """Refuse to write over what is read, or over one another, or where something else than a file is: it would be
    replaced by one."""
    there = {path.resolve(): "an input" for path in inputs}
    for path in outputs:
        if path.is_dir():
            raise KdlibError(f"{path} is a folder: name a file to write")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise KdlibError(f"{path} is a link or a device: name a file to write")
        taken = there.setdefault(path.resolve(), "")
        if taken:
            raise KdlibError(f"{path} is {taken}, which would be written over: name another file")
        there[path.resolve()] = "written already"


@app.command()
def book(profile: Annotated[str, typer.Option(help="smoke or laptop")] = LIVE, workers: WorkersOption = None,
         root: Annotated[Path | None, typer.Option(help="the folder with _toc.yml (default: this checkout)")] = None,
         published: Annotated[bool, typer.Option("--published", help="as committed: nothing is executed")] = False):
    """Execute every chapter with papermill at PROFILE and render the book."""
    from kdlib.book import build, publish

    if published:
        publish(root)
    else:
        build(profile, workers, root)


@app.command()
def pdf(file: Annotated[Path, typer.Argument(help="the file to write")] = Path("book.pdf")):
    """Write the book, as its committed notebooks show it, as a PDF. It needs Chromium, and trains nothing."""
    from kdlib.printing import pdf

    pdf(file)
    print(file)


@app.command()
def notebooks():
    """Write the outputs of notebooks/*.ipynb anew from the committed records (`make notebooks`)."""
    from kdlib.book import refresh

    refresh()


@data_app.command("list")
def list_(check: Annotated[bool, typer.Option("--check", help="read every stored set whole and compare")] = False):
    """Every known data set: whether it is here, how large, where it came from; exit 1 if a check fails."""
    from kdlib.catalog import data_sets, unusable
    from kdlib.data import stored

    damaged = len(unusable())
    print(f"{'':14}{'train':>10}{'test':>9}{'classes':>9}{'MB':>7}")
    for name in data_sets():
        state, size = stored.status(name, check)
        damaged += state.startswith("not usable")
        row = "".join(f"{n:{width},}" for n, width in zip(stored.sizes(name), (10, 9, 9), strict=False))
        print(f"{name:14}{row:28}{size:7.0f}  {state}")
    for name in unusable():
        print(f"{name:14}{'':28}{'':7}  not usable: it is damaged or only partly here: {stored.again(name)}")
    if damaged:
        raise typer.Exit(1)


@data_app.command("import")
def import_(name: str, path: Path,
            new: Annotated[bool, typer.Option("--new", help="a set of your own, of any classes and image size: class "
                                                            "folders, or an .npz of x and y")] = False):
    """Store a local copy of data set NAME: a folder, zip or tar with the official files, or of class folders."""
    from kdlib.data import imports, own

    print(own.import_new(name, path) if new else imports.import_(name, path))


@data_app.command()
def fetch(name: str):
    """Download data set NAME and store it; `kdlib data list` names them all."""
    from kdlib.data import imports

    print(imports.fetch(name))


@data_app.command()
def show(name: str, policy: Annotated[str, typer.Option(help="only this one, besides the baseline")] = "",
         out: Annotated[Path | None, typer.Option(help="the picture to write (default: NAME.png)")] = None):
    """What a net sees, as a PNG: the same eight training images or signals under each policy without a generator; or
    five reviews."""
    from kdlib.data import DataError, load, stored
    from kdlib.data.imports import known_set

    known = known_set(name)
    if known.inputs.tokens:
        words = stored.words(name)
        splits = load(name, trial=0, train=5, test=1)
        for tokens, label in zip(splits.train_x, splits.train_y.tolist(), strict=True):
            print(f"[{known.names[label]}]", *(words[t] for t in tokens if t), end="\n\n")
        return
    if out is None and (out := Path(f"{name}.png")).exists():
        raise DataError(f"{out} is there already: name another file, or this one, with --out")
    if out.suffix.lower() not in PICTURES:
        raise DataError(f"--out must end in {', '.join(PICTURES)} (got {out})")
    os.environ["MPLBACKEND"] = "Agg"  # matplotlib reads it while it is imported, and stops at an unknown one
    import matplotlib

    matplotlib.use("Agg")
    from kdlib.figures import contact_sheet, style

    style()
    rows, left_out = inputs_under(name, policy)
    contact_sheet(rows).savefig(out)
    print(f"{out}: {', '.join(rows)}", *(f"; without {p} ({why})" for p, why in left_out.items()), sep="")


def inputs_under(name: str, only: str = "") -> tuple[dict, dict]:
    """({row: eight training inputs under a policy}, {policy left out: why}); DataError on a policy the data has not."""
    from kdlib import data
    from kdlib.catalog import BASELINE, POLICIES
    from kdlib.data.imports import known_set
    from kdlib.streams import stream

    known = known_set(name)
    if known.lends_only:
        return {"stored": data.lent(name, 8, stream(0, name, "view"))}, {}
    policies = (BASELINE, *known.inputs.policies)
    if only and only not in policies:
        raise data.DataError(f"{name} has no policy {only!r}; there are {', '.join(policies)}")
    splits = data.load(name, trial=0, train=8, test=1)
    x, left_out = splits.train_x, {}
    rows = {} if known.inputs.fixed(BASELINE) else {"stored": data.pixels(x)}
    for policy in policies:
        if only not in ("", policy) and policy != BASELINE:
            continue
        pool = None
        try:
            match POLICIES[policy].pool:
                case "unlike":
                    pool = data.out_of_domain(name, 8, trial=0, pool=POLICIES[policy].lender or None)
                case "fresh":
                    pool = splits.unlabelled(8)
                case "generated":
                    raise data.DataError("its images come from a trained generator")
        except data.DataError as error:
            left_out[policy] = str(error)
            continue
        rows[policy] = data.pixels(data.augmented(x, policy, stream(0, name, "view"), pool))
    return rows, left_out


class _Once(typer.core.TyperCommand):
    """A command that is given each option once, unless it takes several."""

    def parse_args(self, ctx, args):
        for option in self.params:
            given = [arg for arg in args if arg.partition("=")[0] in option.opts]
            if len(given) > 1 and not option.multiple and not option.is_flag:
                raise KdlibError(f"{given[0].partition('=')[0]} is given {len(given)} times: give it once")
        return super().parse_args(ctx, args)


for command in app.registered_commands + data_app.registered_commands:
    command.cls = _Once
USAGE = typer.BadParameter.__mro__[2]  # of a command line that does not parse: click's, or typer's own


def _of_usage(error) -> str:
    """What is wrong with a command line, in a sentence."""
    if type(error).__name__ == "NoArgsIsHelpError":  # nothing is: all help
        error.show()
        sys.exit(error.exit_code)
    said = " ".join(error.format_message().split()).rstrip(".")
    return f"{said[:1].lower()}{said[1:]}; see `{error.ctx.command_path if error.ctx else 'kdlib COMMAND'} --help`"


class _Output(io.FileIO):
    """Standard output whose error says that it is its own, once."""

    lost = False

    def write(self, data):
        if self.lost:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self.lost, error.filename = True, "standard output"
            raise


def main():
    """Run the command line; what a user can mend is one sentence and exit code 2, never a traceback. Stopped by a
    signal: a word, and 128 and its number (130, 143, 129)."""
    if sys.stdout is sys.__stdout__:
        out = _Output(sys.stdout.fileno(), "w", closefd=False) if sys.stdout else open(os.devnull, "wb", 0)
        # a letter that it cannot show is spelled out, as on standard error
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(out), getattr(sys.stdout, "encoding", "utf-8"),
                                      "backslashreplace", line_buffering=out.isatty())
    code = 2
    with stoppable():
        try:
            try:
                sys.exit(app(prog_name="kdlib", standalone_mode=False) or 0)
            finally:
                sys.stdout.flush()
        except KdlibError as error:
            message = " ".join(str(error).split())
        except USAGE as error:
            message = _of_usage(error)
        except BrokenPipeError:  # `head` has seen enough
            sys.exit(1)
        except OSError as error:
            message = "; ".join([f"{error.filename or 'the run store'} cannot be used: {error.strerror}",
                                 *getattr(error, "__notes__", ())])
        except SystemExit as done:
            word, code = stopped(done.code), done.code
            if not word:
                raise
            message = "; ".join([word, *getattr(done, "__notes__", ())])
        print("\n" * (code != 2) + f"kdlib: {message}", file=sys.stderr)
        sys.exit(code)
