"""The records as a data set: CSV and Parquet, a dictionary of their columns, a card, and metadata that machines read.

Equal records give equal bytes, whenever and wherever they are exported.
"""

import csv
import hashlib
import io
import json
import warnings
from pathlib import Path

from kdlib import __version__
from kdlib.errors import KdlibError
from kdlib.experiments.profiles import PROFILES
from kdlib.paths import atomic, results_dir
from kdlib.reading import DERIVED, FIRST, LAST, records
from kdlib.results import check_there, has_records
from kdlib.runs import KINDS
from kdlib.runs.holds import pattern

TITLE = "Does knowledge distillation really work? Runs of the paper, re-executed"
ABOUT = ("Teachers, students distilled from them, and what was measured of both: every recorded run of a re-execution "
         "of Stanton et al., Does Knowledge Distillation Really Work? (NeurIPS 2021). One row a run; beside every "
         "agreement of a student with its own teacher stands that with a teacher that it never saw.")
CITE = ("@inproceedings{stanton2021, author={Stanton, Samuel and Izmailov, Pavel and Kirichenko, Polina and Alemi, "
        "Alexander A. and Wilson, Andrew Gordon}, title={Does Knowledge Distillation Really Work?}, "
        "booktitle={Advances in Neural Information Processing Systems}, year={2021}}")
WORDS = "knowledge distillation", "fidelity", "agreement", "calibration", "reproducibility"
MIT = "https://spdx.org/licenses/MIT.html"


class ExportError(KdlibError):
    """Records that cannot be exported: none are there, or a package that writes them is not."""


def dictionary(table) -> list[tuple[str, str, str]]:
    """(column, type, what it is) of every column of a table of `reading.records`."""
    known = {column.name: column.what for column in (*FIRST, *DERIVED, *LAST)}
    return [(name, _type(table[name]), known.get(name) or _metric(name)) for name in table]


def _type(column) -> str:
    kind = column.dtype.kind
    return {"b": "true or false", "i": "whole number", "f": "number"}.get(kind, "text")


def _metric(name: str) -> str:
    """What a metric is, as the kinds of runs say that have it."""
    whats: dict[str, list[str]] = {}
    for kind, about in KINDS.items():
        for names, what in about.holds.items():
            if pattern(names).fullmatch(name) and not what.startswith("curve"):
                whats.setdefault(what, []).append(kind)
    return "; ".join(f"of a {' or '.join(kinds)}: {what}" for what, kinds in whats.items())


def export(folder: Path, profiles=(), chapter: str = "all") -> list[Path]:
    """Write the records of `profiles` (all that have any) into a folder: PROFILE.csv and PROFILE.parquet, columns.csv,
    README.md, croissant.json and ro-crate-metadata.json. What else lies there stays."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ExportError("Parquet needs pyarrow: pip install pyarrow") from None
    check_there()
    tables = {}
    for profile in profiles or filter(has_records, PROFILES):
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # said below
            table = records(profile, chapter)
        if len(table):
            tables[profile] = table
        elif profiles:
            whole = "no condition is recorded whole" if table.attrs["incomplete"] and has_records(
                profile) else "nothing is recorded"
            raise ExportError(f"{whole} at profile {profile}" + f" of {chapter}" * (chapter != "all"))
    if not tables:
        raise ExportError(f"there are no records in {results_dir()}")
    files = {}
    for profile, table in tables.items():
        files[f"{profile}.csv"] = table.to_csv(index=False, lineterminator="\n").encode()
        files[f"{profile}.parquet"] = _parquet(table)
    columns = {}
    for table in tables.values():
        columns |= {name: (kind, what) for name, kind, what in dictionary(table)}
    lines = [("column", "type", "what"), *((name, *about) for name, about in columns.items())]
    files["columns.csv"] = _csv(lines)
    files["README.md"] = card(tables, columns).encode()
    files["croissant.json"] = _json(croissant(tables, files))
    files["ro-crate-metadata.json"] = _json(crate(files))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with atomic(folder / name) as file:
            file.write(content)
    return [folder / name for name in files]


def _parquet(table) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _csv(rows) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _json(value) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def card(tables, columns) -> str:
    """The data set's README, with the front matter that hubs of data sets read."""
    configs = "".join(f"- config_name: {name}\n  data_files: {name}.parquet\n" for name in tables)
    sizes = "".join(f"| `{name}.csv`, `{name}.parquet` | {len(table):,} | {len(table.columns)} | "
                    f"{', '.join(sorted(set(table['data'])))} | {table['trial'].nunique()} |\n"
                    for name, table in tables.items())
    lacking = "".join(f"- {name}: {where}\n" for name, table in tables.items() for where in table.attrs["incomplete"])
    rows = "".join(f"| `{name}` | {kind} | {what.replace('|', '/')} |\n" for name, (kind, what) in columns.items())
    return f"""---
license: mit
pretty_name: "{TITLE}"
tags: [{', '.join(WORDS)}]
configs:
{configs}---

# {TITLE}

{ABOUT}

| file | runs | columns | data sets | trials |
|---|---|---|---|---|
{sizes}
Runs of one trial share data and teachers, trials share nothing (at profile `halves` the division of the images): a mean
over trials and its spread are what to compare. What two conditions differ in, compare within a trial. `condition` and
`chapters` say what a run is for; a run that several conditions have is there once. `teachers`, `foil` and `student` are
keys of other rows.

```python
import pandas

runs = pandas.read_parquet("{next(iter(tables))}.parquet")
students = runs[runs.kind == "student"]
print(students.groupby(["m", "temperature"])[["agreement", "unseen_agreement", "specific_agreement"]].mean())
```

The same as a DataFrame is `kdlib.records("{next(iter(tables))}")`, one run with its curves `kdlib.record(key)`, and
`kdlib.record(key).rerun()` trains it again.

## What it is not

Nets and data are small (each profile's are in its rows), and test sets, of signals apart, are the data sets' own. Runs
of one condition differ in trials alone and are few. No number was chosen on test labels.
{f'''
Of these conditions some trials are not recorded, and none is here:

{lacking}''' if lacking else ''}
## Columns

An empty cell: a run of this kind has no such thing. Shares are in [0, 1], losses and divergences in nats.

| column | type | what it is |
|---|---|---|
{rows}
## Cite

```bibtex
{CITE}
```
"""


CROISSANT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet",
    
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform"}
TYPES = {"text": "sc:Text", "true or false": "sc:Boolean", "whole number": "sc:Integer", "number": "sc:Float"}
FORMATS = {".csv": "text/csv", ".parquet": "application/x-parquet", ".md": "text/markdown",
           ".json": "application/json"}


def croissant(tables, files) -> dict:
    """Metadata in the form of Croissant 1.0: files with their checksums, and what each column is."""
    def fields(profile, table):
        for name, kind, what in dictionary(table):
            yield {"@type": "cr:Field", "@id": f"{profile}/{name}", "name": name, "description": what,
                   "dataType": TYPES[kind],
                   "source": {"fileObject": {"@id": f"{profile}.csv"}, "extract": {"column": name}}}

    return {
        "@context": CROISSANT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "distillation-runs", "description": ABOUT, "license": MIT, "version": __version__, "citeAs": CITE,
        "keywords": list(WORDS), "creator": {"@type": "sc:Organization", "name": "the kdlib authors"},
        "distribution": [{"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name,
                          "encodingFormat": FORMATS[Path(name).suffix], "sha256": hashlib.sha256(content).hexdigest()}
                         for name, content in files.items() if name != "README.md"],
        "recordSet": [{"@type": "cr:RecordSet", "@id": profile, "name": profile, "description":
                       f"The runs recorded at profile {profile}.", "key": {"@id": f"{profile}/key"},
                       "field": list(fields(profile, table))} for profile, table in tables.items()]}


def crate(files) -> dict:
    """Metadata in the form of RO-Crate 1.1."""
    parts = [{"@id": name, "@type": "File", "encodingFormat": FORMATS[Path(name).suffix],
              "contentSize": str(len(content))} for name, content in files.items()]
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [
        {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
         "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}},
        {"@id": "./", "@type": "Dataset", "name": TITLE, "description": ABOUT, "license": {"@id": MIT},
         "version": __version__, "hasPart": [{"@id": part["@id"]} for part in parts]}, *parts]}
