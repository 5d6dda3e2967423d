import pytest
import torch
import torchvision.transforms.functional as tv

from kdlib import augment
from kdlib.catalog import COLOUR, SIGNAL
from kdlib.streams import stream


@pytest.mark.parametrize("size", [16, 32])
def test_crop_and_flip_equals_torchvision_on_the_same_draws(size):
    x, margin = torch.rand(40, 3, size, size), size // 8
    out = augment.augment(x, "baseline", stream("crop"))
    g = stream("crop")
    moves, flip = torch.randint(0, 2 * margin + 1, (2, 40, 1), generator=g), torch.rand(40, 1, generator=g) < 0.5
    for i, image in enumerate(tv.pad(x, [margin] * 4)):
        expected = tv.crop(image, int(moves[0, i]), int(moves[1, i]), size, size)
        assert torch.equal(out[i], tv.hflip(expected) if flip[i] else expected)
    assert 10 < flip.sum() < 30


def test_rotation_equals_torchvision_on_the_same_draws():
    x = torch.rand(60, 3, 16, 16)
    angles = torch.rand(60, generator=stream("turn")) * 40 - 20
    expected = torch.stack([tv.rotate(image, float(angle)) for image, angle in zip(x, angles, strict=True)])
    assert (augment.rotation(x, stream("turn")) == expected).float().mean() > 0.999  # a tie may round either way


def test_colour_jitter_equals_torchvision_on_the_same_draws():
    x = torch.rand(60, 3, 16, 16)
    x[3] = 0.5  # grey: no hue
    g, changes = stream("paint"), (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    order = torch.rand(60, 4, generator=g).argsort(1)
    by = torch.cat([torch.rand(60, 3, generator=g) * 0.4 + 0.8, torch.rand(60, 1, generator=g) * 0.4 - 0.2], 1)
    out = augment.colour_jitter(x, stream("paint"))
    for i, image in enumerate(x):
        for kind in order[i].tolist():
            image = changes[kind](image, float(by[i, kind]))
        torch.testing.assert_close(out[i], image, atol=1e-5, rtol=0)


def test_vertical_flip_turns_about_half_of_the_images_over():
    x = torch.rand(400, 3, 16, 16)
    out = augment.vflip(x, stream("over"))
    turned = (out == x.flip(2)).flatten(1).all(1)
    assert 150 < turned.sum() < 250 and torch.equal(out[~turned], x[~turned])


@pytest.mark.parametrize("policy", COLOUR.policies)
def test_every_policy_of_images_keeps_pixels_in_range_and_repeats_with_its_stream(policy):
    x, pool = torch.rand(50, 3, 32, 32), torch.rand(7, 3, 32, 32)
    one, two = (augment.augment(x, policy, stream("a"), pool) for _ in range(2))
    assert torch.equal(one, two) and one.min() >= 0 and one.max() <= 1
    assert not torch.equal(one, augment.augment(x, "baseline", stream("a")))


def test_combined_is_the_three_of_it_one_after_another():
    x, g = torch.rand(30, 3, 16, 16), stream("c")
    expected = x
    for step in (augment.crop_flip, augment.rotation, augment.vflip, augment.colour_jitter):
        expected = step(expected, g)
    assert torch.equal(augment.augment(x, "combined", stream("c")), expected)


@pytest.mark.parametrize("policy", SIGNAL.policies)
def test_a_policy_changes_signals_and_repeats_with_its_stream(policy):
    x, pool = torch.randn(50, 1, 40), torch.randn(7, 1, 40)
    one, two = (augment.augment(x, policy, stream("a"), pool) for _ in range(2))
    assert one.shape == x.shape and torch.equal(one, two) and not torch.equal(one, x)


def test_shift_keeps_the_samples_and_moves_by_at_most_four():
    x = torch.arange(40.0).expand(100, 1, 40)
    out = augment.augment(x, "shift", stream("a"))
    assert torch.equal(out.sort(2).values, x)
    assert set(out[:, 0, 20].long().tolist()) == set(range(16, 25))


def test_mixup_draws_one_weight_per_example():
    x = torch.eye(8)[:, None].repeat(1, 1, 5)
    out = augment.augment(x, "mixup", stream("b"))[:, 0]
    weights = out.max(1).values
    torch.testing.assert_close(out.sum(1), torch.full((8,), 5.0))
    assert len(weights.unique()) > 4


def test_noise_replaces_a_fifth_and_fresh_every_fifth():
    x = torch.full((5000, 1, 40), 9.0)
    kept = (augment.augment(x, "noise", stream("c"))[:, 0, 0] == 9).float().mean()
    assert abs(kept - 0.8) < 0.03
    out = augment.augment(x, "fresh", stream("c"), torch.zeros(3, 1, 40))
    assert (out[:, 0, 0] == 0).sum() == 1000
