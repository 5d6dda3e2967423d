"""The SN-GAN: its losses and norms against the formula, its training to the bit, its samples."""

import pytest
import torch
from conftest import Killed, die_keeping, painter, same_result, store_images, teacher

from kdlib import augment, data, gan
from kdlib.devices import DeviceError
from kdlib.runs import cohort, generator
from kdlib.runs.student import Lessons, inputs_of
from kdlib.spec import Student, Training
from kdlib.store import Store, run_now
from kdlib.streams import stream
from kdlib.train import Diverged, logits_of

SIDES = {"cifar100-16": 16, "cifar100": 32}
IMAGES = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def images_here(store_here, tmp_path, monkeypatch):
    """Made-up images on disk, and few samples: measuring 5,000 takes longer than all the rest."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(generator, "SAMPLES", 30)
    store_images("cifar100", 100, 100, (3, 32, 32))


@pytest.mark.parametrize("name", SIDES)
def test_nets_make_and_score_images_of_the_data_sets_size(name):
    generator, discriminator = gan.build(painter(name=name))
    images = generator(torch.randn(3, 16))
    assert images.shape == (3, 3, SIDES[name], SIDES[name]) and 0 <= images.min() < images.max() <= 1
    assert discriminator(images).shape == (3,)


def test_the_initial_weights_come_from_the_trials_stream_and_leave_the_global_one_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, same, other = (torch.cat([p.flatten() for net in gan.build(painter(judge=j, data=j.data))
                                   for p in net.parameters()])
                        for j in (teacher(model="resnet8-bn", name="cifar100-16", trial=t) for t in (0, 0, 1)))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_hinge_losses_are_those_of_the_formula():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, -0.25, 1.0])
    # max(0, 1 - real): 0, .5, 2; max(0, 1 + fake): 0, .75, 2
    assert float(gan.discriminator_loss(real, fake)) == pytest.approx(2.5 / 3 + 2.75 / 3)
    assert float(gan.generator_loss(fake)) == pytest.approx(2.25 / 3)


def test_every_layer_of_the_discriminator_keeps_a_spectral_norm_of_one():
    trained = gan.Adversaries(painter(steps=20, lr=1e-2), IMAGES)
    for _ in range(20):
        trained.advance()
    layers = [m for m in trained.discriminator.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 4 * 2 + 2 + 1
    norms, raw = ([float(torch.linalg.matrix_norm(w.detach().flatten(1), 2)) for w in weights] for weights in (
        [m.eval().weight for m in layers], [m.parametrizations.weight.original for m in layers]))
    assert max(norms) < 1.1 and min(norms) > 0.8
    assert max(raw) > 1.3  # what it would be without


def test_each_net_learns_from_its_own_loss_alone():
    nets = gan.Adversaries(painter(), IMAGES)

    def weights():
        return {name: [p.detach().clone() for p in net.parameters()] for name, net in nets.nets.items()}

    def changed(before, name):
        return [not torch.equal(a, b) for a, b in zip(before[name], weights()[name], strict=True)]

    before = weights()
    nets.discriminate(IMAGES[:4], torch.randn(4, 16))
    assert all(changed(before, "discriminator")) and not any(changed(before, "generator"))
    before = weights()
    nets.generate(torch.randn(4, 16))
    assert any(changed(before, "generator")) and not any(changed(before, "discriminator"))


def test_real_images_come_as_they_are_or_flipped_and_each_epoch_once():
    nets = gan.Adversaries(painter(batch=10), IMAGES)
    batches = nets._real(4)
    assert [len(b) for b in batches] == [10] * 4
    seen, flipped = [], 0
    for x in torch.cat(batches):
        same, turned = (IMAGES == x).flatten(1).all(1), (IMAGES == x.flip(2)).flatten(1).all(1)
        seen += (same | turned).nonzero()[:, 0].tolist()
        flipped += int(turned.any())
    assert sorted(seen[:20]) == sorted(seen[20:]) == list(range(20)) and 8 < flipped < 32


def test_the_learning_rate_falls_linearly():
    spec = painter(steps=100)
    assert [gan.learning_rate(spec, step) for step in (0, 50, 100)] == pytest.approx([2e-4, 1.005e-4, 1e-6])


def test_a_loss_that_is_not_finite_names_the_run_and_its_first_bad_step():
    spec = painter(steps=30)
    with pytest.raises(Diverged, match=f"run {spec.key}: a loss became non-finite at step 0 of 30"):
        gan.fit(spec, IMAGES * float("nan"))


def test_samples_are_repeatable_and_do_not_depend_on_each_other():
    """As they do in train mode, where BatchNorm takes its moments from the batch."""
    net, curves = gan.fit(painter(), IMAGES)
    assert [len(curves[name]) for name in ("discriminator", "generator")] == [3, 3]
    before = {name: value.clone() for name, value in net.train().state_dict().items()}
    many, few, other = (gan.sample(net, n, stream(name)) for n, name in ((300, "a"), (5, "a"), (5, "b")))
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(many, gan.sample(net, 300, stream("a")))
    torch.testing.assert_close(many[:5], few)
    assert not torch.allclose(few, other) and not many.requires_grad


@pytest.mark.parametrize("at", [1, 4])
def test_a_generator_that_goes_on_from_its_kept_state_ends_with_the_same_bits(images_here, monkeypatch, at):
    spec, store = painter(steps=6), Store()
    store.run([spec.judge])
    [(undisturbed, weights)] = run_now([spec], store.weights)
    die_keeping(monkeypatch, at)
    with pytest.raises(Killed):
        store.run([spec])
    steps, advance = [], gan.Adversaries.advance
    monkeypatch.setattr(gan.Adversaries, "advance", lambda self: (steps.append(1), advance(self)))
    [(again, _)] = store.run([spec])
    assert len(steps) == spec.steps - at and not list((store.root / "kept").iterdir())
    assert same_result(again, undisturbed)
    assert all(torch.equal(value, store.weights(spec)[name]) for name, value in weights.items())


def test_a_record_has_the_judges_measures_and_the_weights_of_the_generator_alone(images_here):
    spec, store = painter(), Store()
    store.run([spec.judge])
    [(record, weights)] = run_now([spec], store.weights)
    assert set(record.metrics) == {"judge_fid", "judge_fid_train", "judge_is", "judge_is_real", "judge_top",
                                   "judge_top_real", "nearest", "nearest_real"}
    assert record.metrics["judge_fid"] > 0 and 1 <= record.metrics["judge_is"] <= 100
    assert 0.01 <= record.metrics["judge_top"] <= 1 and 0 < record.metrics["nearest"] < 1
    assert set(weights) == set(gan.build(spec)[0].state_dict())
    assert cohort(spec) is None


def test_a_record_keeps_the_pixels_of_the_first_samples(images_here):
    spec, store = painter(), Store()
    store.run([spec.judge])
    [(record, weights)] = run_now([spec], store.weights)
    net = gan.build(spec)[0]
    net.load_state_dict(weights)
    expected = gan.sample(net, 24, stream(spec.data.trial, "generator", "evaluation"))
    torch.testing.assert_close(torch.tensor(record.curves["samples"]) / 255, expected, atol=0.5 / 255 + 1e-6, rtol=0)


def test_students_learn_from_generated_images(images_here):
    spec, store = painter(), Store()
    options = {"teachers": (spec.judge,), "generator": spec, "model": "resnet8-bn-w4",
               "training": Training(steps=3, batch=10)}
    more, mixed = Student(generated=70, **options), Student(policy="gan", **options)
    for needed in (spec.judge, spec):
        store.run([needed])
    [(record, _)], [(pooled, _)] = run_now([more], store.weights), run_now([mixed], store.weights)
    assert (record.metrics["inputs"], pooled.metrics["inputs"]) == (50 + 70, 50)
    splits = data.load(**dict(spec.data))
    inputs = inputs_of(more, splits, store.weights)
    assert torch.equal(inputs[:50], splits.train_x)
    net = gan.build(spec)[0]
    net.load_state_dict(store.weights(spec))
    torch.testing.assert_close(inputs[50:], gan.sample(net, 70, stream(0, "generated")))


@pytest.mark.parametrize("options, own", [({"generated": 70}, slice(0, 50)), ({"policy": "gan"}, slice(1, 5))])
def test_images_that_are_drawn_anew_are_others_in_every_batch_and_the_same_in_every_run(
        images_here, options, own, monkeypatch):
    spec, store = painter(), Store()
    pupil = Student(teachers=(spec.judge,), generator=spec, model="resnet8-bn-w4", anew=True,
                    training=Training(steps=3, batch=10), **options)
    for needed in (spec.judge, spec):
        store.run([needed])
    monkeypatch.setattr(augment, "crop_flip", lambda x, draws: x)
    lessons, other = (Lessons(pupil, store.weights) for _ in range(2))
    rows = torch.arange(120 if "generated" in options else 5)
    (x, said), (later, _), (again, _) = (each.source.prepare(rows) for each in (lessons, lessons, other))
    assert torch.equal(x, again) and torch.equal(said, logits_of(lessons.teacher, x))
    assert torch.equal(x[own], lessons.splits.train_x[own]) and torch.equal(later[own], x[own])
    generated = [i for i in range(len(x)) if not own.start <= i < own.stop]
    assert len(torch.cat([x[generated], later[generated]]).flatten(1).unique(dim=0)) == 2 * len(generated)
    [(first, _)], [(second, _)] = (run_now([pupil], store.weights) for _ in range(2))
    assert same_result(first, second)


@pytest.mark.slow
def test_inception_puts_equal_sets_at_no_distance(monkeypatch, tmp_path):
    """Whatever its weights: random ones, in a file of the published one's form."""
    from torchmetrics.image.fid import NoTrainInceptionV3
    torch.manual_seed(0)
    with monkeypatch.context() as patch:  # the net asks for its weights as it is made
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *args, **options: None)
        patch.setattr(torch, "load", lambda *args, **options: {})
        net = NoTrainInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], "none")
    torch.save(net.state_dict(), tmp_path / "inception.pth")
    few, file = IMAGES[:4], str(tmp_path / "inception.pth")
    same, other = (gan.inception_measures(x, few, file) for x in (few, 1 - few))
    assert abs(same["fid"]) < 1e-3 * other["fid"] and 1 <= other["is"] <= 1008


def test_a_record_has_inceptions_measures_where_its_weights_are_named(images_here, monkeypatch, tmp_path):
    spec, store = painter(), Store()
    store.run([spec.judge])
    monkeypatch.setenv("KDLIB_INCEPTION", str(tmp_path / "inception.pth"))
    with pytest.raises(DeviceError, match="KDLIB_INCEPTION names no file"):
        run_now([spec], store.weights)
    (tmp_path / "inception.pth").touch()
    monkeypatch.setattr(gan, "inception_measures", lambda made, real, weights: {"fid": len(made) / len(real)})
    [(record, _)] = run_now([spec], store.weights)
    assert record.metrics["fid"] == 1 and record.metrics["judge_fid"] > 0


@pytest.mark.slow
def test_the_papers_size_takes_its_steps():
    """256 and 128 filters, 32x32, all six updates to a step."""
    spec = painter(name="cifar100", width=256, latent=128, steps=2)
    net, curves = gan.fit(spec, torch.rand(20, 3, 32, 32))
    filters = {m.out_channels for m in net.modules() if isinstance(m, torch.nn.Conv2d)}
    assert filters == {256, 3} and gan.sample(net, 2, stream("a")).shape == (2, 3, 32, 32)
    assert curves["discriminator"][0] == pytest.approx(2, abs=1)  # before it has learned anything
