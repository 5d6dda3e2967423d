"""Metrics of a whole set, from its logits at once: float64 inside, Python floats out, shares in [0, 1].

What is a mean over inputs has its values by input beside it (`*_rows`, `log_odds`, `calibration_errors`), for those who
weigh inputs otherwise; these check nothing, and take logits of -inf for classes that are ruled out.

ValueError where logits are not [n, classes] with n > 0 and of one shape, or labels are not n whole numbers below
`classes`; `NotFinite`, one of them, where logits or features contain NaN or infinity.
"""

import math

import torch

from kdlib.losses import whole


class NotFinite(ValueError):
    """Logits or features that contain NaN or infinity, such as those of a net that diverged."""


def _checked(*logits):
    try:
        rows = [torch.as_tensor(z) for z in logits]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError("logits must be tensors, arrays or lists of numbers") from None
    first = rows[0]
    for z in rows:
        if z.ndim != 2 or len(z) == 0:
            raise ValueError(f"logits must be [n, classes] with n > 0 (got {list(z.shape)})")
        if z.shape != first.shape:
            raise ValueError(f"logits differ in shape: {list(first.shape)} and {list(z.shape)}")
        if not torch.isfinite(z).all():
            raise NotFinite("logits contain NaN or infinity")
    return [z.double() for z in rows]


def labelled(logits, labels):
    """(logits float64 [n, c], labels int64 [n]), from tensors or NumPy arrays, the labels of any integer type and on
    any device."""
    (z,) = _checked(logits)
    return z, class_indices(labels, *z.shape).to(z.device)


def class_indices(labels, n: int, classes: int) -> torch.Tensor:
    """Labels as int64 [n]; ValueError if they are not n whole numbers below `classes`."""
    labels = whole(labels)
    if labels.shape != (n,):
        raise ValueError(f"{n} rows of logits need as many labels (got {list(labels.shape)})")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0 ... {classes - 1}")
    return labels


def accuracy(logits, labels) -> float:
    """Share of rows whose largest logit is the label's; logits [n, c], labels of any integer type [n]."""
    z, labels = labelled(logits, labels)
    return float((z.argmax(1) == labels).double().mean())


def nll(logits, labels) -> float:
    """Mean negative log-likelihood, nats; logits [n, c], labels [n]."""
    z, labels = labelled(logits, labels)
    return float(-z.log_softmax(1).gather(1, labels[:, None]).mean())


def ece(logits, labels, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., 2017): |confidence - accuracy| over equal-width bins (a, b]."""
    z, labels = labelled(logits, labels)
    index, error = calibration_errors(z, labels, bins)
    errors = torch.zeros(bins, dtype=torch.double)
    errors.index_add_(0, index.cpu(), error.cpu())
    return float(errors.abs().sum() / len(error))


def calibration_errors(z, labels, bins: int = 15) -> tuple[torch.Tensor, torch.Tensor]:
    """(bin of its confidence, confidence less 1 where the guess is right) of each row of logits [n, c]."""
    confidence, guess = z.softmax(1).max(1)
    return (confidence * bins).ceil().long().clamp(1, bins) - 1, confidence - (guess == labels).double()


def agreement(student_logits, teacher_logits) -> float:
    """Top-1 agreement: share of rows with the same largest logit (paper, Eq. 4); ties go to the first class.

    >>> agreement([[2.0, 1.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 0.0]])
    0.5
    """
    s, t = _checked(student_logits, teacher_logits)
    return float((s.argmax(1) == t.argmax(1)).double().mean())


def predictive_kl(teacher_logits, student_logits) -> float:
    """Mean KL(p_teacher || p_student) of logits [n, c] twice at temperature 1, nats (paper, Eq. 5).

    >>> round(predictive_kl([[0.0, 0.0]], [[0.0, 1.0]]), 4)
    0.1201
    """
    t, s = (z.log_softmax(1) for z in _checked(teacher_logits, student_logits))
    return float(kl_rows(t, s).mean().clamp(min=0))


def kl_rows(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """KL(a || b) of each row of log-probabilities [n, c]; infinite where b rules out a class that a does not."""
    return torch.where(a.exp() > 0, a.exp() * (a - b), 0.0).sum(1)


def jensen_shannon(logits_a, logits_b) -> float:
    """Mean Jensen-Shannon divergence of two sets of predictions at temperature 1, nats, in [0, ln 2] (Lin, 1991): the
    mean KL of each from their average."""
    a, b = (z.log_softmax(1) for z in _checked(logits_a, logits_b))
    return float(jensen_shannon_rows(a, b).mean().clamp(min=0))


def jensen_shannon_rows(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The divergence of each two rows of log-probabilities [n, c]."""
    middle = torch.logaddexp(a, b) - math.log(2)
    return (kl_rows(a, middle) + kl_rows(b, middle)) / 2


def total_variation(logits_a, logits_b) -> float:
    """Mean total variation distance of two sets of predictions at temperature 1: half the sum of |differences|, in
    [0, 1]."""
    a, b = (z.softmax(1) for z in _checked(logits_a, logits_b))
    return float((a - b).abs().sum(1).mean() / 2)


def cohen_kappa(student_logits, teacher_logits) -> float:
    """Cohen's kappa of the two nets' guesses (Cohen, 1960): agreement above that of guesses as frequent but drawn
    independently, as a share of what is possible; 1 where both always guess the same one class."""
    s, t = (z.argmax(1) for z in _checked(student_logits, teacher_logits))
    classes = int(max(s.max(), t.max())) + 1
    chance = float((s.bincount(minlength=classes) / len(s) * (t.bincount(minlength=classes) / len(t))).sum())
    observed = float((s == t).double().mean())
    return (observed - chance) / (1 - chance) if chance < 1 else 1.0


def agreement_by_correctness(student_logits, teacher_logits, labels) -> tuple[float, float]:
    """Top-1 agreement where the teacher is right, and where it is wrong: on the latter a student that is only accurate
    cannot agree. NaN for a part without inputs."""
    s, t = _checked(student_logits, teacher_logits)
    t, labels = labelled(t, labels)
    same, right = (s.argmax(1) == t.argmax(1)).double(), t.argmax(1) == labels
    return float(same[right].mean()), float(same[~right].mean())


def log_odds_slope(student_logits, teacher_logits) -> float:
    """Least-squares slope of the student's log-odds of the teacher's guess on the teacher's own, over inputs: 1 for a
    student as sure as its teacher wherever that is, less where it follows only in part."""
    s, t = _checked(student_logits, teacher_logits)
    y, x = (log_odds(z, t.argmax(1)) for z in (s, t))
    x = x - x.mean()
    if not bool(x.abs().max() > 1e-12):
        raise ValueError("a slope needs a teacher whose confidence differs between inputs")
    return float((x * y).sum() / x.square().sum())


def log_odds(z: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Log-odds of one class of each row of logits [n, c] against all others."""
    classes = classes[:, None]
    return z.gather(1, classes)[:, 0] - z.scatter(1, classes, -math.inf).logsumexp(1)


def copied_errors(student_logits, teacher_logits, labels) -> float:
    """Copies of the teacher's errors above chance: the share of its errors that the student makes too, the same class,
    less the share that a student would make with equal guesses by label, but without a look at this input: of the
    other inputs of the label, how often the student gives that class. 0 by chance, NaN without an error of the teacher.

    An input without another one of its label has no chance to compare with and does not count. What two nets share
    because the input itself misleads is above chance too: the independent-student baseline has it as well."""
    s, t = _checked(student_logits, teacher_logits)
    classes = t.shape[1]
    t, labels = labelled(t, labels)
    s, t = s.argmax(1), t.argmax(1)
    others = labels.bincount(minlength=classes)[labels] - 1
    # how often the student gives, at an input's label, the teacher's guess, this input not counted
    _, codes = torch.cat([labels * classes + s, labels * classes + t]).unique(return_inverse=True)
    as_often = codes[: len(s)].bincount(minlength=int(codes.max()) + 1)[codes[len(s) :]] - (s == t).long()
    counted = (t != labels) & (others > 0)
    return float(((s == t).double() - as_often / others)[counted].mean())


def cka(features_a: torch.Tensor, features_b: torch.Tensor) -> float:
    """Linear CKA (Kornblith et al., 2019, Eq. 3) of two feature maps of the same n inputs, in [0, 1].

    Rows are examples: [n, d] or any [n, ...], flattened here. Constant features have no similarity: an error.
    """
    if len(features_a) != len(features_b) or len(features_a) == 0:
        raise ValueError(f"features of the same inputs are needed (got {len(features_a)} and {len(features_b)})")
    a, b = features_a.flatten(1).double(), features_b.flatten(1).double()
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise NotFinite("features contain NaN or infinity")
    spread = [f.abs().max() for f in (a, b)]
    a, b = a - a.mean(0), b - b.mean(0)
    if any(f.abs().max() <= 1e-12 * s for f, s in zip((a, b), spread, strict=True)):
        raise ValueError("CKA of constant features is not defined")
    # products of rows with rows, [n, n], as soon as one side's columns with columns would be larger
    if max(a.shape[1], b.shape[1]) > len(a):
        k, h = a @ a.T, b @ b.T
        cross, norms = (k * h).sum(), k.norm() * h.norm()
    else:
        cross, norms = (a.T @ b).square().sum(), (a.T @ a).norm() * (b.T @ b).norm()
    return min(1.0, float(cross / norms))


def frechet_distance(features_a: torch.Tensor, features_b: torch.Tensor) -> float:
    """Frechet distance of two sets of features [n, d] and [m, d], n, m > 1, taken for Gaussian: with Inception's
    features the FID (Heusel et al., 2017). It shrinks as a set grows: compare sets of one size."""
    sets = features_a, features_b
    for f in sets:
        if f.ndim != 2 or len(f) < 2 or f.shape[1] != features_a.shape[1]:
            raise ValueError(f"features must be [n, d] of one d with n > 1 (got {[list(f.shape) for f in sets]})")
        if not torch.isfinite(f).all():
            raise NotFinite("features contain NaN or infinity")
    (mean_a, cov_a), (mean_b, cov_b) = ((f.double().mean(0), torch.atleast_2d(f.double().T.cov())) for f in sets)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # the trace of the root of cov_a cov_b, which has the eigenvalues of this symmetric product
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross))


def inception_score(logits: torch.Tensor) -> float:
    """exp of the mean KL of each row's classes from their mean (Salimans et al., 2016), in [1, classes]; of the whole
    set at once, not of ten parts."""
    (z,) = _checked(logits)
    each = z.log_softmax(1)
    mean = each.logsumexp(0) - math.log(len(z))
    return math.exp(max(0.0, float((each.exp() * (each - mean)).sum(1).mean())))


def nearest(x: torch.Tensor, known: torch.Tensor) -> float:
    """Mean root-mean-square difference of each of x [n, ...] from the one of `known` [m, ...] nearest to it: near 0 for
    copies."""
    if len(x) == 0 or len(known) == 0 or x.shape[1:] != known.shape[1:]:
        raise ValueError(f"inputs of one shape are needed (got {list(x.shape)} and {list(known.shape)})")
    known = known.flatten(1)
    least = torch.cat([torch.cdist(part, known).amin(1) for part in x.flatten(1).split(250)])
    return float(least.double().mean()) / known.shape[1] ** 0.5
