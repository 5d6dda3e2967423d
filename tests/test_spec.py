import json
import re
import subprocess
import sys

import pytest
from conftest import defects, painter, student, surface, teacher
from pydantic import TypeAdapter, ValidationError

from kdlib import catalog
from kdlib.errors import sentence
from kdlib.spec import Data, Labels, Spec, Student, Surface, Training


@pytest.mark.parametrize("spec", [teacher(), painter(), student(2), surface(), defects()])
def test_a_spec_survives_json_with_its_key(spec):
    again = TypeAdapter(Spec).validate_json(json.dumps(spec.model_dump(mode="json")))
    assert again == spec and again.key == spec.key


def test_any_change_of_a_spec_changes_its_key():
    keys = {s.key for s in (student(), student(2), student(policy="mixup"), student(temperature=4.0),
                            student(alpha=0.1), student(fresh=10), student(toward_teacher=0.5))}
    assert len(keys) == 7


@pytest.mark.parametrize("wrong", [
    {"temperature": 0.0}, {"temperature": -1.0}, {"alpha": 1.5}, {"toward_teacher": -0.1}, {"policy": "flip"},
    {"fresh": -1}, {"fresh": 1.5}, {"colour": "red"}, {"model": "vgg"}, {"alpha": 0.5, "fresh": 10},
    {"toward_teacher": 0.5, "model": "mlp"}])
def test_a_wrong_value_in_a_spec_is_refused(wrong):
    with pytest.raises(ValidationError):
        student(**wrong)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 5, "lr": -1.0}, {"steps": 5, "batch": 0},
                                   {"steps": 5, "lr": float("inf")}, {"steps": 5, "optimizer": "lion"}])
def test_a_wrong_training_is_refused(wrong):
    with pytest.raises(ValidationError):
        Training(**wrong)


@pytest.mark.parametrize("wrong", [
    lambda: Training(steps=10**15), lambda: Training(steps=5, batch=10**15), lambda: student(temperature=1e300),
    lambda: student(temperature=1e-300), lambda: surface(grid=10**15), lambda: surface().but(segment=10**15),
    lambda: teacher(trial=10**15), lambda: teacher(member=10**400), lambda: painter(width=10**15),
    lambda: painter(latent=10**15), lambda: painter(batch=10**15), lambda: painter(discriminator_steps=10**15),
    lambda: defects().but(batch=10**15), lambda: Labels(teachers=(teacher(),), temperatures=(1e300,)),
    lambda: Labels(teachers=(teacher(),), temperatures=(1.0,) * 10**5), lambda: student(m=1001)])
def test_a_number_without_bound_is_refused_in_a_sentence(wrong):
    with pytest.raises(ValidationError) as error:
        wrong()
    said = sentence(error.value)
    assert len(said) < 200 and any(bound in said for bound in ("less than or equal", "greater than or", "at most"))


@pytest.mark.parametrize("name, why", [
    ("cnn1d-w0", "width must be one of 1, 2, 3"), ("cnn1d-w9999", "width must be one of 1, 2, 3 ... 1024"),
    ("resnet8-gn-w4", "width must be one of 8, 16, 24"), ("resnet9-bn", "depth must be one of 8, 14, 20"),
    ("vgg12", "there are cnn1d, mlp, resnet1d-"), ("mlp-w3", "there are cnn1d"), ("cnn1d-w٣", "there are cnn1d"),
    ("resnet" + "8" * 5000 + "-bn", "there are cnn1d")])
def test_a_net_that_cannot_be_is_refused_with_what_there_is(name, why):
    with pytest.raises(ValueError, match=f"there is no net {name!r}.*{re.escape(why)}"):
        catalog.net(name)


@pytest.mark.parametrize("spelled, name", [("resnet8-bn-w16", "resnet8-bn"), ("resnet08-bn", "resnet8-bn"),
                                           ("cnn1d-w24", "cnn1d"), ("cnn1d-w048", "cnn1d-w48"), ("vgg11-w64", "vgg11")])
def test_a_net_has_one_name_so_one_key(spelled, name):
    data = "mnist1d" if name.startswith("cnn1d") else "cifar100"
    one, other = (teacher(model=m, name=data) for m in (spelled, name))
    assert one == other and one.key == other.key and one.model == name


@pytest.mark.parametrize("model, data", [("resnet1d-bn", "mnist1d"), ("resnet8-bn", "cifar100-16"),
                                         ("resnet8-bn-w32", "cifar100"), ("resnet50", "imagenet")])
def test_no_surface_is_of_a_net_with_batchnorm(model, data):
    made = Student(teachers=(teacher(model=model, name=data),), model=model, training=Training(steps=1))
    with pytest.raises(ValidationError, match="without BatchNorm"):
        Surface(student=made)


@pytest.mark.parametrize("change", [lambda s, **f: s.but(**f), lambda s, **f: s.model_copy(update=f)])
@pytest.mark.parametrize("wrong", [{"tempreature": 4.0}, {"temperature": -1.0}, {"alpha": 0.5}, {"model": "lenet5"}])
def test_a_changed_copy_is_validated(change, wrong):
    """As if it was written anew: names, values, and what must hold between them."""
    with pytest.raises(ValidationError):
        change(student(fresh=10), **wrong)


@pytest.mark.parametrize("data, option", [("cifar100", {"copies": 1}), ("fashion-mnist", {"related": 5}),
                                          ("mnist", {"related": 5, "related_set": "svhn"}),
                                          ("mnist", {"related_set": "emnist-letters"}),
                                          ("mnist", {"policy": "vflip"}), ("mnist1d", {"policy": "gan"})])
def test_what_a_data_set_does_not_have_is_refused(data, option):
    model = {"cifar100": "resnet8-bn", "mnist1d": "cnn1d"}.get(data, "lenet5")
    with pytest.raises(ValidationError):
        Student(teachers=(teacher(model=model, name=data),), model=model, training=Training(steps=1), **option)


def test_what_a_run_is_can_be_said_without_torch():
    code = "import sys, kdlib.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_foil_cannot_be_a_teacher():
    with pytest.raises(ValidationError, match="never sees"):
        Student(teachers=(teacher(),), foil=(teacher(),), model="cnn1d", training=Training(steps=1))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"width": 1}, {"name": "mnist1d"}, {"judge": teacher(1, trial=1)}])
def test_a_wrong_generator_is_refused(wrong):
    with pytest.raises(ValidationError):
        painter(**wrong)


def test_a_student_needs_its_teachers_and_its_foil():
    assert student(2).needs == (teacher(0), teacher(1), teacher(20))


def test_a_negative_zero_is_zero():
    assert student(alpha=-0.0).key == student(alpha=0.0).key
    assert str(student(alpha=-0.0).alpha) == "0.0"


def test_a_changed_copy_has_a_key_of_its_own():
    one = teacher()
    assert one.key != one.but(member=7).key == teacher(7).key


def test_trials_of_a_shared_split_are_each_others_unseen_teachers():
    def of(trial, split):
        given = teacher(trial=trial, name="cifar100", model="resnet8-bn")
        return given.but(data=given.data.but(split=split))

    def distilled(ours, theirs):
        return Student(teachers=(ours,), foil=(theirs,), model=ours.model, training=ours.training)

    assert distilled(of(0, 3), of(1, 3)).foil[0].data.trial == 1
    for ours, theirs in ((of(0, None), of(1, None)), (of(0, 3), of(1, 4)), (of(0, 3), of(1, None))):
        with pytest.raises(ValidationError, match="share one trial's data"):
            distilled(ours, theirs)
    with pytest.raises(ValidationError, match="drawn without end"):
        Data(name="mnist1d", trial=0, train=10, test=10, split=0)


def test_a_student_needs_all_its_foils_and_none_is_a_teacher_of_its_own():
    more = student(foils=((teacher(21), teacher(22)), (teacher(23),)))
    assert set(more.needs) == {teacher(0), *(teacher(i) for i in range(20, 24))}
    assert more.key != student().key
    for wrong in ({"foils": ((teacher(0),),)}, {"foils": ((),)}, {"foil": (), "foils": ((teacher(21),),)},
                  {"foils": ((teacher(21, trial=1),),)}):
        with pytest.raises(ValidationError):
            student(**wrong)
