"""Losses: pure functions of logits, one value per example, in nats. The caller reduces.

ValueError where logits are not [n, classes] of one shape, labels no n whole numbers below `classes`, or a temperature
or weight is out of its range.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

NO_LABEL = torch.iinfo(torch.int64).min  # one that nothing has


def _rows(*logits):
    # of more axes torch would take the second for the classes, and the softmax here the last
    if logits[0].ndim != 2 or any(z.shape != logits[0].shape for z in logits):
        raise ValueError(f"logits must be [n, classes], of one shape (got {[list(z.shape) for z in logits]}): flatten "
                         "what is not the classes, as in logits.flatten(0, 1)")


def nll(logits: torch.Tensor, labels) -> torch.Tensor:
    """Negative log-likelihood in nats: logits [n, c], labels of any integer type [n] -> [n]."""
    _rows(logits)
    labels = torch.as_tensor(labels, device=logits.device)
    if (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool
            or labels.shape != logits.shape[:1]):
        raise ValueError(f"labels must be {len(logits)} whole numbers (got {labels.dtype} {list(labels.shape)})")
    try:  # torch would take -100 for a row that has no loss
        return F.cross_entropy(logits, labels.long(), reduction="none", ignore_index=NO_LABEL)
    except IndexError:
        raise ValueError(f"labels must lie in 0 ... {logits.shape[1] - 1}") from None


def distillation(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0):
    """L_KD = -tau^2 sum_j softmax(z_t / tau)_j log softmax(z_s / tau)_j (paper, Eq. 2): [n, c] twice -> [n].

    tau^2 keeps the gradient's size as tau grows. The optimum is tau^2 times the softened teacher's entropy, not 0.
    """
    _rows(student_logits, teacher_logits)
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite (got {temperature})")
    if temperature == 1:
        return F.cross_entropy(student_logits, F.softmax(teacher_logits, -1), reduction="none")
    soft = F.softmax(teacher_logits / temperature, -1)
    return temperature**2 * F.cross_entropy(student_logits / temperature, soft, reduction="none")


def mixed(student_logits, teacher_logits, labels, alpha: float, temperature: float = 1.0) -> torch.Tensor:
    """alpha * nll + (1 - alpha) * distillation, [n]; a term of weight 0 is not computed."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1] (got {alpha})")
    if alpha == 0:
        return distillation(student_logits, teacher_logits, temperature)
    if alpha == 1:
        return nll(student_logits, labels)
    return (alpha * nll(student_logits, labels)
            + (1 - alpha) * distillation(student_logits, teacher_logits, temperature))


def objective(temperature: float = 1.0, alpha: float = 0.0) -> Callable:
    """The loss of a student's objective (`spec.Student.objective`): a function of its logits [n, c], its teacher's and,
    if alpha > 0, labels [n]. Whatever a spec says of its loss is an argument here: nothing of it can be left out."""
    if alpha > 0:
        return partial(mixed, alpha=alpha, temperature=temperature)
    return partial(distillation, temperature=temperature)


def ensemble_logits(member_logits: torch.Tensor) -> torch.Tensor:
    """log of the members' mean probability: [m, n, c] -> [n, c] (paper, section 3.1)."""
    return torch.logsumexp(F.log_softmax(member_logits, -1), 0) - torch.log(
        torch.tensor(float(len(member_logits)), device=member_logits.device))
