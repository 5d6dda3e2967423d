import json

import pytest
from conftest import defects, painter, student, surface, teacher
from pydantic import TypeAdapter, ValidationError

from kdlib.spec import Data, Spec, Student, Training, needs


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


def test_a_foil_cannot_be_a_teacher():
    with pytest.raises(ValidationError, match="never sees"):
        Student(teachers=(teacher(),), foil=(teacher(),), model="cnn1d", training=Training(steps=1))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"width": 1}, {"name": "mnist1d"}, {"judge": teacher(1, trial=1)}])
def test_a_wrong_generator_is_refused(wrong):
    with pytest.raises(ValidationError):
        painter(**wrong)


def test_a_student_needs_its_teachers_and_its_foil():
    assert needs(student(2)) == (teacher(0), teacher(1), teacher(20))


def test_a_negative_zero_is_zero():
    assert student(alpha=-0.0).key == student(alpha=0.0).key
    assert str(student(alpha=-0.0).alpha) == "0.0"


def test_a_changed_copy_has_a_key_of_its_own():
    one = teacher()
    assert one.key != one.model_copy(update={"member": 7}).key == teacher(7).key


def test_trials_of_a_shared_split_are_each_others_unseen_teachers():
    def of(trial, split):
        given = teacher(trial=trial, name="cifar100", model="resnet8-bn")
        return given.model_copy(update={"data": given.data.model_copy(update={"split": split})})

    def distilled(ours, theirs):
        return Student(teachers=(ours,), foil=(theirs,), model=ours.model, training=ours.training)

    assert distilled(of(0, 3), of(1, 3)).foil[0].data.trial == 1
    for ours, theirs in ((of(0, None), of(1, None)), (of(0, 3), of(1, 4)), (of(0, 3), of(1, None))):
        with pytest.raises(ValidationError, match="share one trial's data"):
            distilled(ours, theirs)
    with pytest.raises(ValidationError, match="drawn without end"):
        Data(name="mnist1d", trial=0, train=10, test=10, split=0)
