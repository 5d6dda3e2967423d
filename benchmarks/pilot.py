"""How long the teachers of profile halves take: the rule is in kdlib/experiments/halves.py.

    python benchmarks/pilot.py [EPOCHS]      # half an hour to an hour of one core

trains the pilot teacher through the run store and writes its accuracy on D0, on which it was trained, and on D1, whose
labels nothing else uses, to results/pilot.json.
"""

import json
import sys

from kdlib import data, metrics
from kdlib.compute import compute
from kdlib.experiments import halves
from kdlib.models import build
from kdlib.paths import atomic, results_dir
from kdlib.store import Store
from kdlib.train import logits_of


def main():
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else halves.EPOCHS
    spec = halves.teacher(halves.PILOT, 0, epochs)
    record = compute([spec], workers=1)[spec]
    net = build(spec.model, spec.data.name)
    net.load_state_dict(Store().weights(spec))
    splits = data.load(**dict(spec.data))
    x, y = splits.validation(halves.HALF)
    path = results_dir() / "pilot.json"
    tried = json.loads(path.read_bytes()) if path.exists() else []
    tried.append({"epochs": epochs, "key": spec.key, "accuracy_D0": record.metrics["train_accuracy"],
                  "accuracy_D1": metrics.accuracy(logits_of(net, x), y), "enough": halves.ENOUGH,
                  "seconds": record.seconds, "commit": record.commit, "processor": record.processor})
    with atomic(path) as file:
        file.write((json.dumps(tried, indent=1) + "\n").encode())
    print(tried[-1])


if __name__ == "__main__":
    main()
