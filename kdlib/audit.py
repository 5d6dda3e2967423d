"""Recorded runs trained again from nothing and compared: to the bit where the same type of processor does it."""

import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from kdlib.devices import processor
from kdlib.paths import project_root
from kdlib.results import Record, Recorded, StoreError
from kdlib.runs import teacher
from kdlib.stats import estimate
from kdlib.store import check_data, committed_weights, run_now, with_committed_weights
from kdlib.train import steady_process

# what made the records that do not say so: some of Intel's with AVX-512, of which another model gives other bits
BEFORE = "not said"
# of an estimate, where all its trials say nearly the same: rounding moves a share of 2,000 inputs by a few of them
ROUNDING = 2e-3


def audit(source: Recorded, sample: int, seed: int = 0, tolerance: float = 0.0, key: str | None = None) -> bool:
    """Train `sample` of the recorded runs again, with what they need (`retrained`), and print how far each lies from
    its record; and before, ask as many of the teachers whose weights are committed what their records say of them.
    With a `key`, only that run.

    True if all agree by at most `tolerance`; of those that another processor, device or version made, also if the short
    reference runs agree (`tests/reference.py`) and every estimate stays within its recorded 95 % interval when the new
    run takes the recorded one's place.
    """
    if not source.records:
        raise StoreError(f"there are no records in {source.folder}")
    def drawn(keys):
        return random.Random(seed).sample(keys, min(sample, len(keys)))

    committed, keys = teachers_with_weights(source), [key] if key else drawn(sorted(source.records))
    agree, moved = weights_agree(source, {key}.intersection(committed) if key else drawn(committed)), False
    for key in keys:
        record = source.records[key]
        print(f"{key} {record.spec['kind']:9} is trained again, with what it needs and is not committed (alone it took "
              f"{record.seconds:.0f} s when it was recorded)", file=sys.stderr, flush=True)
        again = retrained(record)
        metrics, curves = record.difference(again)
        other = elsewhere(record, again)
        print(f"{key} {record.spec['kind']:9} recorded at {record.commit} on {other or 'the same device and versions'};"
              f" largest difference of metrics {metrics:.3g}, of curves {curves:.3g}")
        if max(metrics, curves) <= tolerance:
            continue
        if not other:
            print(f"{key} differs: {max(metrics, curves):.3g} is more than the tolerance of {tolerance:g}")
            agree = False
            continue
        moved = True
        if outside := estimates_outside(record, again, source.records.values()):
            print(f"{key} differs: outside the recorded interval with this run in place of the recorded one: "
                  f"{', '.join(outside)}")
            agree = False
    if moved:
        ours = references()
        print(f"the reference runs of this code {'differ' if ours else 'agree'}{f': {ours}' if ours else ''}; where "
              "other instructions or versions made a record, bits cannot be the same: estimates were compared instead")
        agree &= not ours
    return agree


def teachers_with_weights(source: Recorded) -> list[str]:
    """The keys of recorded teachers whose weights lie beside their records, or belong there."""
    if not (source.folder / "weights").is_dir():
        return []
    specs = [record.planned for record in source.records.values()]
    return sorted(spec.key for there, spec in with_committed_weights(specs) if there.folder == source.folder)


def weights_agree(source: Recorded, keys: Iterable[str]) -> bool:
    """Whether these teachers' committed weights give the metrics of their records. Nothing is trained."""
    agree = True
    for key in keys:
        record = source.records[key]
        spec = record.planned
        prepared = teacher.prepare(spec)
        prepared.net.load_state_dict(committed_weights(source, spec))
        difference, _ = record.difference(replace(record, metrics=prepared.evaluate()))
        # another processor rounds logits differently: a few inputs of thousands may change sides
        agree &= difference <= (0 if (record.processor or BEFORE) == processor() else ROUNDING)
        print(f"{key} {spec.kind:9} its committed weights differ from its record by {difference:.3g}")
    return agree


def elsewhere(record: Record, here: Record) -> str:
    """Where a record was made, as far as that differs from here; empty if it does not."""
    made, now = ({"device": r.device, "processor": r.processor or BEFORE} | r.versions for r in (record, here))
    return ", ".join(f"{name} {made.get(name)} (here {now.get(name)})" for name in made | now
                     if made.get(name) != now.get(name))


def estimates_outside(record: Record, again: Record, records) -> list[str]:
    """Metrics whose mean over the condition's trials leaves its 95 % interval when `again` replaces `record`.

    A condition is all that differs in its trials only; one trial alone has no interval, and nothing lies outside."""
    same = _condition(record.spec)
    trials, out = [r for r in records if _condition(r.spec) == same], sorted(again.metrics.keys() - record.metrics)
    for name, value in record.metrics.items():
        now = again.metrics.get(name)
        if now is None or not np.isfinite(now):
            out.append(name)
            continue
        e = estimate([r.metrics[name] for r in trials])
        room = max(e.high - e.mean, ROUNDING * max(1.0, abs(e.mean)))
        if abs(now - value) / len(trials) > room:
            out.append(f"{name} {e.mean + (now - value) / len(trials):.4g}, recorded {e.text(digits=4)}")
    return out


def _condition(spec):
    """A spec without its trial."""
    if isinstance(spec, dict):
        return {name: _condition(value) for name, value in spec.items() if name != "trial"}
    return [_condition(value) for value in spec] if isinstance(spec, list) else spec


def references() -> str:
    """What differs of the short runs that this version of the code must give everywhere; empty if nothing does."""
    script = project_root() / "tests" / "reference.py"
    if not script.exists():
        return ""  # an installed library has no tests beside it
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()[-1]


def retrained(record: Record) -> Record:
    """The same run trained again from nothing, with all that it needs; but teachers whose weights are committed are
    taken as they are: the recorded run had these, and another processor would make others."""
    steady_process()
    made = {}

    def weights_of(spec):
        if spec.key not in made:
            source = next((source for source, _ in with_committed_weights([spec])), None)
            made[spec.key] = committed_weights(source, spec) if source else run_now([spec], weights_of)[0][1]
        return made[spec.key]

    spec = record.planned
    check_data({spec: record})
    return run_now([spec], weights_of)[0][0]
