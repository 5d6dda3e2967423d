"""A surface: the distillation loss around one student, on the segment to its teacher and on a plane (Fig 6c)."""

import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from kdlib import data, landscape, losses
from kdlib.catalog import BASELINE
from kdlib.devices import device
from kdlib.models import Ensemble, build
from kdlib.runs import cost
from kdlib.runs.kind import Kind, Work, loaded
from kdlib.runs.student import inputs_of, start_of
from kdlib.spec import Surface
from kdlib.streams import stream
from kdlib.train import logits_of

ON_SEGMENT, ON_PLANE = 2000, 500  # inputs whose loss is taken at each point, at the most

HOLDS = {
    "barrier": "how far the loss rises above the straight line between student and teacher, nats",
    "distance": "Euclidean distance of the student's weights from the teacher's",
    "segment": "curve: the loss less its optimum, nats, at equal steps from the student to the teacher",
    "plane": "the same on a plane through the teacher, the student and its initial weights: axes, points, loss",
}


def measure(spec: Surface, weights_of):
    """(metrics, curves, no weights): the loss above its optimum, in nats, on the segment and on the plane."""
    student = spec.student
    splits, where = data.load(**dict(student.data)), device()
    inputs = inputs_of(student, splits, weights_of).to(where)
    inputs = data.augmented(inputs, BASELINE, stream(student.data.trial, "evaluation"))
    target = logits_of(Ensemble([loaded(t, weights_of) for t in student.teachers]).to(where), inputs)
    probe = build(student.model, student.data.name).to(where).eval()
    vector = {name: parameters_to_vector(net.to(where).parameters()).detach() for name, net in (
        ("teacher", loaded(student.teachers[0], weights_of)), ("initial", start_of(student, weights_of)),
        ("final", loaded(student, weights_of)))}

    def kl(rows):
        """The distillation loss less its optimum, on the first `rows` inputs: a function of the weights."""
        x, t = inputs[:rows], target[:rows]
        floor = losses.distillation(t, t, student.temperature).mean()

        def value(weights):
            vector_to_parameters(weights, probe.parameters())
            with torch.no_grad():
                z = logits_of(probe, x)
                return float(losses.distillation(z, t, student.temperature).mean() - floor)
        return value

    values = landscape.segment(kl(ON_SEGMENT), vector["final"], vector["teacher"], spec.segment)
    curves = {"segment": values}
    if spec.grid:
        curves["plane"] = landscape.plane(
            kl(ON_PLANE), vector["teacher"], vector["initial"], vector["final"], spec.grid)
    return {"barrier": landscape.barrier(values), "distance": float((vector["final"] - vector["teacher"]).norm())
            }, curves, None


def work(spec: Surface) -> Work:
    """A loss at every point."""
    inputs = spec.student.size
    return Work(only_forward=spec.segment * min(inputs, ON_SEGMENT) + spec.grid**2 * min(inputs, ON_PLANE))


KIND = Kind(
    execute=lambda specs, weights_of, kept: [measure(spec, weights_of) for spec in specs],
    priced=cost.of_run,
    work=work,
    holds=HOLDS,
)
