"""The page Explorer: every recorded student and every loss surface as plain data, and how Vega-Altair draws them.

The page asks nobody for anything: its data and Vega are scripts beside it, written when the book is built
(`book/_ext/recorded.py`); `book/_static/explorer.js` puts its choices to work.
"""

import html
import io
import json
from collections import Counter
from typing import NamedTuple

from kdlib import figures
from kdlib.experiments.profiles import PROFILES
from kdlib.reading import described
from kdlib.results import Record, Recorded, check_there

KEY = 12  # digits of a key that name a run


class View(NamedTuple):
    """What is drawn against what; `diagonal` says what lies on the line where both are equal, if it says anything."""

    title: str
    x: str
    y: str
    x_title: str
    y_title: str
    diagonal: str = ""
    percent: bool = True


VIEWS = {
    "agreement": View("Agreement: own teacher against an unseen one", "unseen_agreement", "agreement",
                      "agreement with an unseen teacher (%)", "agreement with the own teacher (%)",
                      "nothing specific to the own teacher was learnt"),
    "kl": View("KL: own teacher against an unseen one", "unseen_kl", "kl", "KL from an unseen teacher (nats)",
               "KL from the own teacher (nats)", "nothing specific to the own teacher was learnt", percent=False),
    "accuracy": View("Accuracy: student against teacher", "teacher_accuracy", "accuracy", "accuracy of the teacher (%)",
                     "accuracy of the student (%)", "the student is as accurate as its teacher"),
    "ece": View("Calibration (ECE): student against teacher", "teacher_ece", "ece", "ECE of the teacher (%)",
                "ECE of the student (%)", "the student is as well calibrated as its teacher"),
    "both": View("Accuracy against agreement", "agreement", "accuracy", "agreement with the own teacher (%)",
                 "accuracy of the student (%)"),
}
METRICS = ("agreement", "unseen_agreement", "train_agreement", "accuracy", "teacher_accuracy", "kl", "unseen_kl", "ece",
           "teacher_ece", "nll")
PARTS = 10_000  # of one, in which the page has them
SHARES = [name for name in METRICS if "kl" not in name and name != "nll"]
# What a reader chooses by: a field of `students`, its words.
CHOICES = {"data": "data set", "profile": "profile", "m": "m, members of the teacher", "temperature": "τ",
           "policy": "policy", "amount": "data, times the teacher's", "steps": "steps", "lambda": "λ"}
# In the table and the record; what is not here has the name of its field.
WORDS = CHOICES | {"m": "m", "toward_teacher": "λ", "teacher_model": "teacher's net", "model": "net", "half": "inputs",
                   "unseen_agreement": "agreement with an unseen teacher", "kl": "KL",
                   "unseen_kl": "KL, unseen teacher", "ece": "ECE", "teacher_ece": "teacher's ECE",
                   "teacher_accuracy": "teacher's accuracy", "nll": "NLL",
                   "train_agreement": "agreement on the distillation data"}
# Of a run alone, not of its condition; other runs in it, by their keys.
OWN = ("kind", "trial", "split", "teachers", "foil", "foils", "generator")
# The book's own marks, as Vega calls them.
MARKS = {"1": ("m=1", "circle"), "3": ("m=3", "square"), "5": ("m=5", "triangle-up")}
OTHER = "other"
MIDDLE = "#8A8A8A"  # told from the ground in both themes
ALT = ("A point for every recorded student: across, its agreement with a teacher that it never saw; upwards, with its "
       "own teacher. On the dashed diagonal both are the same.")
HEIGHT = 380  # of a chart, in pixels


class Source(NamedTuple):
    """Of a profile: its records, and the file that each lies in, by key."""

    records: list[Record]
    files: dict[str, str]


def sources(profiles=PROFILES) -> dict[str, Source]:
    """The committed records of those profiles that have any."""
    check_there()
    found = {}
    for profile in profiles:
        source = Recorded(profile)
        if source.records:
            found[profile] = Source(list(source.records.values()),
                                    {key: name for name, keys in source.files.items() for key in keys})
    return found


def condition(profile: str, record: Record) -> dict:
    """What the trials of a student have in common, without what is not set."""
    fields = described(record.planned)
    amount = record.metrics["inputs"] / fields["train"]
    return {"profile": profile} | {"lambda" if name == "toward_teacher" else name: value
                                   for name, value in fields.items() if name not in OWN and value is not None} | {
        "amount": float(f"{amount:.3g}")}


def values(record: Record) -> list[int]:
    """METRICS of a student in units of 1 / PARTS, which takes two characters less of each of 65,000 numbers."""
    metrics = record.metrics | record.numbers(("unseen_agreement", "unseen_kl"))
    return [round(PARTS * metrics[name]) for name in METRICS]


def students(found: dict[str, Source]) -> dict:
    """Every recorded student, once however often it was measured: {"usual": fields, "conditions": [fields],
    "files": [names], "runs": [[condition, file, trial, key, values of METRICS]], "twins": {key: the key that it has
    here}}, condition and file as places in these lists. A condition's fields are those that differ from the usual,
    None where it has none: most are alike in most."""
    conditions: dict[str, int] = {}
    files: dict[str, int] = {}
    runs: list = []
    seen: dict = {}
    twins = {}
    for profile, source in found.items():
        for record in source.records:
            if record.spec["kind"] == "student":
                student = tuple(value for name, value in record.planned if name != "measures")
                if student in seen:
                    twins[record.key[:KEY]] = seen[student]
                    continue
                seen[student] = record.key[:KEY]
                fields = json.dumps(condition(profile, record))
                place = conditions.setdefault(fields, len(conditions))
                file = files.setdefault(f"results/{profile}/{source.files[record.key]}", len(files))
                trial = record.planned.subject.data.trial
                runs.append([place, file, trial, record.key[:KEY], *values(record)])
    whole = [json.loads(fields) for fields in conditions]
    names = dict.fromkeys(name for fields in whole for name in fields)
    usual = {name: Counter(fields.get(name) for fields in whole).most_common(1)[0][0] for name in names}
    return {"usual": usual, "files": list(files), "runs": runs, "twins": twins, "conditions": [
        {name: fields.get(name) for name in names if fields.get(name) != usual[name]} for fields in whole]}


def setting(data: dict, run: list) -> dict:
    """All fields of a run's condition."""
    fields = data["usual"] | data["conditions"][run[0]]
    return {name: value for name, value in fields.items() if value is not None}


def surfaces(found: dict[str, Source]) -> list[dict]:
    """Every recorded loss surface with its curves: whose it is (`of`: profile, data, and in what one row of students
    differs from another on the same data), trial, lambda, key, the student's key, its barrier, `segment` from the
    student to the teacher, and where it was measured a `plane` through both and the start."""
    out = []
    for profile, source in found.items():
        there = [r for r in source.records if r.spec["kind"] == "surface" and "segment" in r.curves]
        fields = [described(record.planned.subject) for record in there]
        for record, own in zip(there, fields, strict=True):
            student = record.planned.subject
            others = [other for other in fields if other["data"] == own["data"]]
            apart = [f", {name} {value}" for name, value in own.items() if name not in (*OWN, "toward_teacher")
                     and any(other.get(name) != value for other in others)]
            row = {"of": f"{profile}: {student.data.name}{''.join(apart)}", "trial": student.data.trial,
                   "lambda": student.toward_teacher, "key": record.key[:KEY], "student": student.key[:KEY],
                   "barrier": _short(record.metrics["barrier"]), "segment": _short(record.curves["segment"])}
            if "plane" in record.curves:
                row["plane"] = {name: _short(part) for name, part in record.curves["plane"].items()}
            out.append(row)
    return sorted(out, key=lambda row: (row["of"], row["trial"], row["lambda"]))


def _short(value):
    """Four significant digits, of a list of each in it."""
    return [_short(part) for part in value] if isinstance(value, list) else float(f"{value:.4g}")


def chart(view: View):
    """The chart of a view: of rows x, y, m (a key of MARKS or OTHER) and words, in the data set `runs`; of the selected
    one, and of the ends of the diagonal. It has no data: the page gives it."""
    import altair as alt  # of the extra `book`

    x = alt.X("x:Q", title=view.x_title, scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", title=view.y_title, scale=alt.Scale(zero=False))
    names, shapes = [*MARKS, OTHER], [*(shape for _, shape in MARKS.values()), "diamond"]
    colours = [*(figures._look(name)[0] for name, _ in MARKS.values()), MIDDLE]
    line = alt.Chart(alt.NamedData("diagonal")).mark_line(strokeDash=[5, 4], color=MIDDLE)
    points = alt.Chart(alt.NamedData("runs")).mark_point(filled=True, size=42, opacity=0.65).encode(
        tooltip=alt.Tooltip("words:N", title="run"),
        color=alt.Color("m:N", title="m", scale=alt.Scale(domain=names, range=colours)),
        shape=alt.Shape("m:N", title="m", scale=alt.Scale(domain=names, range=shapes)))
    ring = alt.Chart(alt.NamedData("selected")).mark_point(size=260, strokeWidth=3, color=figures.RED)
    return alt.layer(*(layer.encode(x=x, y=y) for layer in (line, points, ring))).properties(
        width="container", height=HEIGHT).configure(background="transparent").configure_legend(orient="top")


def surface_chart():
    """The chart of a loss surface: of rows x, x2, y, y2, loss in the data set `plane`, and the three named `points`."""
    import altair as alt

    colour = alt.Color("loss:Q", title="loss above its optimum (nats)", legend=alt.Legend(gradientLength=220),
                       scale=alt.Scale(type="log", scheme="cividis", clamp=True))
    cells = alt.Chart(alt.NamedData("plane")).mark_rect(strokeWidth=0).encode(
        x=alt.X("x:Q", title="distance in weight space", scale=alt.Scale(nice=False, zero=False)), x2="x2:Q",
        y=alt.Y("y:Q", title=None, scale=alt.Scale(nice=False, zero=False)), y2="y2:Q", color=colour,
        tooltip=alt.Tooltip("loss:Q", format=".3g"))
    points = alt.Chart(alt.NamedData("points")).encode(x="x:Q", y="y:Q")
    return alt.layer(cells, points.mark_point(filled=True, size=90, color="white", stroke="black", opacity=1),
                     points.mark_text(align="left", dx=8, dy=-8, color="white", fontSize=13, fontWeight="bold",
                                      ).encode(text="name:N")).properties(
        width="container", height=HEIGHT).configure(background="transparent").configure_legend(orient="top")


def segment_chart():
    """The chart of the losses on the segment, of rows t, loss, trial and shown: the chosen trial's among all."""
    import altair as alt

    return alt.Chart(alt.NamedData("segments")).mark_line(color=figures._look("m=1")[0]).encode(
        x=alt.X("t:Q", title="from the student (0) to its teacher (1)"),
        y=alt.Y("loss:Q", title="loss above its optimum (nats)"), detail="trial:N",
        strokeWidth=alt.StrokeWidth("shown:N", scale=alt.Scale(domain=[True, False], range=[3, 1]), legend=None),
        opacity=alt.Opacity("shown:N", scale=alt.Scale(domain=[True, False], range=[1, 0.45]), legend=None),
        tooltip=[alt.Tooltip("trial:N"), alt.Tooltip("loss:Q", format=".3g")]).properties(
        width="container", height=220).configure(background="transparent")


def rows(view: View, data: dict) -> list[dict]:
    """All students as the chart takes them."""
    x, y = (METRICS.index(name) + 4 for name in (view.x, view.y))
    scale = (100 if view.percent else 1) / PARTS
    return [{"x": run[x] * scale, "y": run[y] * scale, "m": _mark(setting(data, run)["m"])}
            for run in data["runs"]]


def _mark(m) -> str:
    return str(m) if str(m) in MARKS else OTHER


def drawn(found: dict[str, Source], view: str = "agreement"):
    """A view of all students as an Altair chart, with its data."""
    import altair as alt

    points = rows(VIEWS[view], students(found))
    spec = chart(VIEWS[view]).properties(width=520, height=HEIGHT).configure(background="white").to_dict()
    both = [row[axis] for row in points for axis in "xy"]
    ends = (min(both), max(both)) if VIEWS[view].diagonal and both else ()
    spec["datasets"] = {"runs": points, "selected": [], "diagonal": [{"x": end, "y": end} for end in ends]}
    return alt.Chart.from_dict(spec)


def picture(found: dict[str, Source]) -> bytes:
    """The first view of all students as a PNG, for those who do not run the page's scripts, and for paper."""
    import vl_convert
    from PIL import Image

    small = io.BytesIO()  # of a few colours, so that it weighs a sixth
    png = vl_convert.vegalite_to_png(drawn(found).to_dict(), scale=2)
    Image.open(io.BytesIO(png)).convert("RGB").quantize(48).save(small, "png")
    return small.getvalue()


def files(found: dict[str, Source]) -> dict[str, bytes]:
    """By name what the page loads: Vega and the data, as scripts, and the picture."""
    import vl_convert

    data = students(found) | {
        "metrics": METRICS, "parts": PARTS, "shares": SHARES, "choices": CHOICES, "words": WORDS, "marks": list(MARKS),
        "views": {name: view._asdict() | {"spec": chart(view).to_dict()} for name, view in VIEWS.items()},
        "surfaces": surfaces(found), "surface": surface_chart().to_dict(), "segment": segment_chart().to_dict()}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return {"vega.js": f"(() => {{{vl_convert.javascript_bundle()}}})();\n".encode(),
            "explorer-data.js": f"window.kdlibExplorer = {text};\n".encode(), "explorer.png": picture(found)}


def page(folder: str, interactive: bool = True) -> str:
    """The HTML of the page's two parts, of which `folder` has the files: the picture, and what the script takes its
    place with. Not `interactive`: the picture alone, for paper."""
    image = f'<img class="still" src="{folder}/explorer.png" alt="{html.escape(ALT)}">'
    if not interactive:
        return image
    choices = "".join(f'<label>{html.escape(words)} <select name="{name}"><option value="">any</option></select>'
                      "</label>" for name, words in CHOICES.items())
    views = "".join(f'<option value="{name}">{html.escape(view.title)}</option>' for name, view in VIEWS.items())
    scripts = "".join(f'<script defer src="{folder}/{name}"></script>'
                      for name in ("vega.js", "explorer-data.js", "explorer.js"))
    return f"""<div class="explorer">
<form class="live" hidden><label class="wide">view <select name="view">{views}</select></label>
<div class="choices">{choices}</div>
<p><output aria-live="polite"></output> <button type="reset">all runs</button></p></form>
{image}
<div class="live" hidden><div class="chart" role="img"></div><p class="diagonal"></p>
<section class="selected" aria-live="polite" aria-label="the selected run"></section>
<div class="scroll" tabindex="0" role="region" aria-label="the runs that are shown"><table class="table"></table></div>
<p class="pages"><button type="button" name="before">earlier rows</button> <span></span>
<button type="button" name="after">further rows</button></p></div>
</div>{scripts}"""


def surface_page() -> str:
    """The HTML of the loss surfaces, for the same script."""
    return """<div class="surfaces"><form class="live" hidden>
<label>data <select name="of"></select></label> <label>trial <select name="trial"></select></label>
<label class="wide">λ <input name="at" type="range" min="0" step="1"></label>
<output aria-live="polite"></output></form>
<div class="live" hidden><div class="chart plane" role="img"></div><p class="told"></p>
<div class="chart segment" role="img"></div><p class="from"></p></div></div>"""
