"""How long the teachers of profile halves take: the rule is in kdlib/experiments/profiles/halves.py.

    python benchmarks/pilot.py      # half an hour to an hour of one core

trains the pilot teacher through the run store and writes its accuracy on D0, on which it was trained, and on D1, whose
labels nothing else uses, to results/pilot.json.
"""

import json

from kdlib import data, metrics
from kdlib.compute import compute
from kdlib.experiments import halves
from kdlib.experiments.design import Design
from kdlib.models import build
from kdlib.paths import atomic, results_dir
from kdlib.store import Store
from kdlib.train import logits_of


def main():
    d = Design("halves")
    [spec] = d.members(halves.PILOT, 0, 1)
    record = compute([spec], workers=1)[spec]
    net = build(spec.model, spec.data.name)
    net.load_state_dict(Store().weights(spec))
    splits = data.load(**dict(spec.data))
    x, y = splits.validation(d.profile.train)
    path = results_dir() / "pilot.json"
    tried = json.loads(path.read_bytes()) if path.exists() else []
    tried.append({"steps": spec.training.steps, "key": spec.key, "accuracy_D0": record.metrics["train_accuracy"],
                  "accuracy_D1": metrics.accuracy(logits_of(net, x), y), "enough": d.profile.halves.enough,
                  "seconds": record.seconds, "commit": record.commit, "processor": record.processor})
    with atomic(path) as file:
        file.write((json.dumps(tried, indent=1) + "\n").encode())
    print(tried[-1])


if __name__ == "__main__":
    main()
