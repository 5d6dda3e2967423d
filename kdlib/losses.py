"""Losses: pure functions of logits, one value per example, in nats. The caller reduces.

p is the student's distribution softmax(z_s / tau), q the teacher's; tau^2 before a loss keeps its gradient's size as
tau grows (Hinton et al., 2015). Those that are 0 where student and teacher agree are computed, and returned, in single
precision of half-precision logits; a class of logit -inf is one that is ruled out.

ValueError where logits are not [n, classes] of one shape, labels no n whole numbers below `classes`, or a temperature
or weight is out of its range.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from kdlib import catalog
from kdlib.errors import short

NO_LABEL = torch.iinfo(torch.int64).min  # one that nothing has


def _rows(*logits):
    # of more axes torch would take the second for the classes, and the softmax here the last
    if logits[0].ndim != 2 or any(z.shape != logits[0].shape for z in logits):
        raise ValueError(f"logits must be [n, classes], of one shape (got {[list(z.shape) for z in logits]}): flatten "
                         "what is not the classes, as in logits.flatten(0, 1)")


def whole(labels) -> torch.Tensor:
    """Labels as int64, from numbers of any integer type and byte order, also as objects; ValueError on other ones."""
    try:
        if hasattr(labels, "dtype") and not isinstance(labels, torch.Tensor):  # torch takes no such array
            labels = labels.tolist() if labels.dtype.kind == "O" else labels.astype(labels.dtype.newbyteorder("="))
        labels = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"labels must be whole numbers (got {short(labels)})") from None
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers (got {labels.dtype}); if they are, cast them to "
                         "integers")
    return labels.long()


def _whole(labels, logits):
    """The same, [n], beside the logits."""
    labels = whole(labels).to(logits.device)
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels must be {len(logits)} whole numbers (got {list(labels.shape)})")
    return labels


def _labels(labels, logits):
    """The same, of labels that index the classes."""
    labels, classes = _whole(labels, logits), logits.shape[1]
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"labels must lie in 0 ... {classes - 1}")
    return labels


def nll(logits: torch.Tensor, labels) -> torch.Tensor:
    """Negative log-likelihood in nats: logits [n, c], labels of any integer type [n] -> [n]."""
    _rows(logits)
    labels = _whole(labels, logits)
    try:  # torch would take -100 for a row that has no loss
        return F.cross_entropy(logits, labels, reduction="none", ignore_index=NO_LABEL)
    except IndexError:
        raise ValueError(f"labels must lie in 0 ... {logits.shape[1] - 1}") from None


def _checked(student_logits, teacher_logits, temperature):
    _rows(student_logits, teacher_logits)
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite (got {temperature})")


def _log_distributions(student_logits, teacher_logits, temperature):
    """log p and log q [n, c], of at least single precision."""
    _checked(student_logits, teacher_logits, temperature)
    half = student_logits.dtype in (torch.float16, torch.bfloat16)
    kind = torch.float32 if half else student_logits.dtype
    return [F.log_softmax(z.to(kind) / temperature, -1) for z in (student_logits, teacher_logits)]


def _kl(a, b):
    """sum_j a_j (log a_j - log b_j) of logs [n, c] -> [n]; a class that a rules out adds nothing, also no gradient."""
    out = a == -math.inf
    return (a.exp() * (a.masked_fill(out, 0) - b.masked_fill(out, 0))).sum(-1)


def distillation(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0,
                 kl: bool = False) -> torch.Tensor:
    """L_KD = -tau^2 sum_j q_j log p_j (Hinton et al., 2015; paper, Eq. 2): [n, c] twice -> [n].

    The optimum is tau^2 times the softened teacher's entropy, not 0; with `kl` that is taken off: tau^2 KL(q || p), of
    the same gradient.

    >>> z = torch.zeros(1, 2)
    >>> distillation(z, z, temperature=2.0), distillation(z, z, temperature=2.0, kl=True)
    (tensor([2.7726]), tensor([0.]))
    """
    if kl:
        p, q = _log_distributions(student_logits, teacher_logits, temperature)
        return temperature**2 * _kl(q, p)
    _checked(student_logits, teacher_logits, temperature)
    if temperature == 1:
        return F.cross_entropy(student_logits, F.softmax(teacher_logits, -1), reduction="none")
    soft = F.softmax(teacher_logits / temperature, -1)
    return temperature**2 * F.cross_entropy(student_logits / temperature, soft, reduction="none")


def logit_mse(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """(1 / 2c) sum_j (z_sj - z_tj)^2 (Ba & Caruana, 2014), the limit of L_KD's gradient for large tau where both rows
    have mean 0 (Hinton et al., 2015, Sec 2.1): [n, c] twice -> [n]."""
    _rows(student_logits, teacher_logits)
    half = student_logits.dtype in (torch.float16, torch.bfloat16)
    s, t = (z.float() if half else z for z in (student_logits, teacher_logits))
    return (s - t).square().mean(-1) / 2


def decoupled(student_logits: torch.Tensor, teacher_logits: torch.Tensor, labels, temperature: float = 1.0,
              target: float = 1.0, others: float = 8.0) -> torch.Tensor:
    """Decoupled distillation (Zhao et al., 2022): tau^2 (target KL(b_t || b_s) + others KL(q^ || p^)), where b is the
    distribution between the labelled class and the rest, and p^ and q^ are p and q among the rest: [n, c] twice,
    labels [n] -> [n]. With target = 1 and others = 1 - q_label it is tau^2 KL(q || p)."""
    both = _log_distributions(student_logits, teacher_logits, temperature)
    if student_logits.shape[1] < 2:
        raise ValueError("decoupled distillation needs two classes or more")
    labels = _labels(labels, student_logits)[:, None]
    pairs, rests = [], []
    for log in both:
        rest = log.scatter(1, labels, -math.inf)
        total = rest.logsumexp(-1, keepdim=True)
        pairs.append(torch.cat([log.gather(1, labels), total], 1))
        rests.append(rest - total)
    return temperature**2 * (target * _kl(pairs[1], pairs[0]) + others * _kl(rests[1], rests[0]))


def reverse_kl(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """tau^2 KL(p || q), which keeps to the teacher's modes (Gu et al., 2024): [n, c] twice -> [n]."""
    p, q = _log_distributions(student_logits, teacher_logits, temperature)
    return temperature**2 * _kl(p, q)


def jensen_shannon(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0
                   ) -> torch.Tensor:
    """tau^2 (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2 (Lin, 1991; Agarwal et al., 2024), at most tau^2 log 2:
    [n, c] twice -> [n]."""
    p, q = (log.clamp(min=-1e4) for log in _log_distributions(student_logits, teacher_logits, temperature))
    mean = torch.logaddexp(p, q) - math.log(2)
    return temperature**2 * (_kl(p, mean) + _kl(q, mean)) / 2


def mixed(student_logits, teacher_logits, labels, alpha: float, temperature: float = 1.0,
          term: Callable | None = None) -> torch.Tensor:
    """alpha * nll + (1 - alpha) * term, [n], distillation if no other is given; a term of weight 0 is not computed."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1] (got {alpha})")
    if alpha == 1:
        return nll(student_logits, labels)
    other = (distillation(student_logits, teacher_logits, temperature) if term is None
             else term(student_logits, teacher_logits, labels))
    return other if alpha == 0 else alpha * nll(student_logits, labels) + (1 - alpha) * other


def of(objective: "str | catalog.Objective" = catalog.DISTILLATION, temperature: float = 1.0, alpha: float = 0.0
       ) -> Callable:
    """The loss of a student (`spec.Student.loss`): a function of its logits [n, c], its teacher's and, if the objective
    takes them or alpha > 0, labels [n]. `objective` is a name in `catalog.OBJECTIVES`, with settings in brackets if
    others than usual are meant, as in "dkd(others=4)", or an entry like those there. Whatever a spec says of its loss
    is an argument here: nothing of it can be left out."""
    if isinstance(objective, catalog.Objective):
        entry, options = objective, {}
    else:
        chosen = catalog.objective(objective)
        entry, options = chosen.here(), chosen.options
    settings = options | ({"temperature": temperature} if entry.temperature else {})
    value = partial(catalog.code(entry.code, "losses"), **settings)

    def with_labels(student_logits, teacher_logits, labels):
        return value(student_logits, teacher_logits, labels=labels)

    if alpha == 0:
        return with_labels if entry.labels else value
    term = with_labels if entry.labels else lambda student_logits, teacher_logits, _: value(
        student_logits, teacher_logits)
    return partial(mixed, alpha=alpha, term=term)


def ensemble_logits(member_logits: torch.Tensor) -> torch.Tensor:
    """log of the members' mean probability: [m, n, c] -> [n, c] (paper, section 3.1)."""
    return torch.logsumexp(F.log_softmax(member_logits, -1), 0) - torch.log(
        torch.tensor(float(len(member_logits)), device=member_logits.device))
