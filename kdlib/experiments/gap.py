"""The fidelity gap: Fig 1, Fig 2 and the independent-student baseline (F1-F5)."""

from kdlib.experiments.design import POOL, Design, Profile
from kdlib.spec import Data, Student, Teacher

ENSEMBLES = (1, 3, 5)
EASY_FACTORS = (1, 5, 33, 165)
MNIST = 60_000  # its training images


def runs(d: Design) -> dict:
    factors = d.profile.factors
    sizes = {("size", m, f): d.students(m, f) for m in ENSEMBLES for f in factors}
    # not tied to a claim, added when laptop's trials had been seen: is the gap at the largest set a want of steps?
    sizes["longer"] = d.students(1, factors[-1], times=10)
    sizes["teacher"] = [d.members(trial, 0, 1)[0] for trial in d.trials]
    if d.profile.generator:
        sizes["generator"] = [d.generator(trial) for trial in d.trials]
        if d.profile.extra == "fresh":  # beside it, as in Fig 1, what the paper added for want of fresh data
            sizes |= {("gan", m, f): d.students(m, generated=(f - 1) * d.profile.train)
                      for m in (1, 3) for f in d.profile.factors[1:]}
        return sizes | mnist(d)
    return sizes | {("easy", f): [_easy(d, t, f) for t in d.trials] for f in EASY_FACTORS}


def easy_rows(p: Profile) -> list[tuple]:
    """The rows of the profile's easy task, (name, size in units of `easy_unit`), the largest last: MNIST where there
    are images, else easy MNIST-1D."""
    return [("mnist", size) for size in p.more_digits] if p.generator else [("easy", f) for f in EASY_FACTORS]


def easy_unit(p: Profile) -> int:
    """Inputs in an easy task's set of size 1."""
    return MNIST if p.generator else p.easy


def _easy(d, trial, factor):
    data = Data(name="mnist1d-easy", trial=trial, train=d.profile.easy, test=d.profile.test)
    teacher, foil = (Teacher(data=data, model="cnn1d", training=d.teaching, member=i) for i in (0, POOL))
    return Student(teachers=(teacher,), foil=(foil,), fresh=(factor - 1) * data.train,
                   model="cnn1d", training=d.training)


def mnist(d: Design) -> dict:
    """Fig 2 on real MNIST: the teacher sees 200 images for 100 epochs, the student all 60,000 and affine copies
    or, as in the paper, EMNIST.

    In workstation students take as many steps whatever their inputs, 60 epochs of the 60,000; a pilot with 5,000
    steps, under three epochs of the largest set, left it open whether data or steps were missing.
    """
    return {("mnist", size): [_mnist(d, trial, more) for trial in d.trials]
            for size, more in d.profile.more_digits.items()}


def _mnist(d, trial, more):
    s = d.profile.digits
    data = Data(name=s.data, trial=trial, train=s.train, test=s.test)
    teacher, foil = (Teacher(data=data, model=s.model, training=s.teaching, member=i) for i in (0, POOL))
    inputs = MNIST * (1 + more.get("copies", 0)) + more.get("related", 0)
    return Student(teachers=(teacher,), foil=(foil,), fresh=MNIST - s.train, model=s.model,
                   training=d.lasting(s.training, inputs), **more)
