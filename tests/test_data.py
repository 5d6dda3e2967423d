import numpy as np
import pytest
import torch
from conftest import photographs, store_images
from mnist1d.data import get_dataset_args, make_dataset
from PIL import Image

from kdlib import data
from kdlib.catalog import DATA_SETS
from kdlib.data import DataError, inputs, signals


def test_splits_of_a_trial_and_of_two_trials_share_no_signal():
    one, two = (data.load("mnist1d", trial=t, train=60, test=60) for t in (0, 1))
    everything = torch.cat([one.train_x, one.test_x, one.unlabelled(60), two.train_x, two.test_x])
    assert len(everything.flatten(1).unique(dim=0)) == len(everything)


def test_a_draw_is_a_value_and_leaves_numpys_stream_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    np.random.seed(1)
    x, _ = signals.drawn("mnist1d", (9, "train"), 200)
    after = np.random.rand()
    np.random.seed(1)
    assert after == np.random.rand()
    first = x.clone()
    next(tmp_path.rglob("*.npy")).unlink()
    again, _ = signals.drawn("mnist1d", (9, "train"), 200)
    assert torch.equal(first, again)
    assert signals.drawn("mnist1d", (9, "train"), 1000)[1].bincount().tolist() == [100] * 10


@pytest.mark.parametrize("name", [name for name, known in DATA_SETS.items() if known.drawn is not None])
def test_signals_are_those_of_the_mnist1d_package_to_the_bit(name):
    args = get_dataset_args()
    vars(args).update(DATA_SETS[name].drawn, num_samples=120, seed=5, train_split=1.0)
    theirs = make_dataset(args)
    ours = signals.generate(name, 5, 120)
    assert np.array_equal(ours[:, :-1], theirs["x"].astype(np.float32))
    assert np.array_equal(ours[:, -1], theirs["y"])


def test_a_larger_draw_begins_with_the_smaller_one():
    small, large = (signals.drawn("mnist1d", (9, "train"), n)[0] for n in (300, 1300))
    assert torch.equal(small, large[:300])


def test_a_damaged_draw_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    signals.drawn("mnist1d", (9, "train"), 200)
    file = next(tmp_path.rglob("*.npy"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match=file.name):
        signals.drawn("mnist1d", (9, "train"), 200)


def test_subsets_of_images_are_balanced_and_the_rest_is_unlabelled(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 40, 4, (3, 32, 32))
    one = data.load("cifar100", trial=0, train=12, test=8)
    assert one.train_y.bincount().tolist() == [3] * 4 and one.test_y.bincount().tolist() == [2] * 4
    everything = torch.cat([one.train_x, one.unlabelled(28)])
    assert len(everything.flatten(1).unique(dim=0)) == 40
    assert not torch.equal(one.train_x, data.load("cifar100", trial=1, train=12, test=8).train_x)
    with pytest.raises(DataError, match="cifar100 has 40 training examples; 12 \\+ 29 asked for"):
        one.unlabelled(29)


def test_trials_of_a_shared_split_have_the_same_halves_of_as_many_of_each_class(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 400, 100, (3, 32, 32))
    one, other, own = (data.load("cifar100", trial, 200, 400, split) for trial, split in ((5, 0), (6, 0), (5, None)))
    assert torch.equal(one.train_x, other.train_x) and torch.equal(one.unlabelled(200), other.unlabelled(200))
    assert not torch.equal(one.train_x, own.train_x)
    assert one.train_y.bincount().tolist() == [2] * 100
    both = torch.cat([one.train_x, one.unlabelled(200)]).flatten(1)
    assert len(both.unique(dim=0)) == 400


@pytest.mark.parametrize("name", ["cifar100", "mnist1d"])
def test_what_choices_are_made_with_is_neither_trained_on_nor_tested_on(name, tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 40, 4, (3, 32, 32))
    one = data.load(name, trial=0, train=12, test=8)
    x, y = one.validation(8)
    everything = torch.cat([x, one.train_x, one.unlabelled(20), one.test_x])
    assert len(everything.flatten(1).unique(dim=0)) == 48 and len(y) == 8
    if name == "cifar100":
        assert y.bincount().tolist() == [2] * 4
        with pytest.raises(DataError, match="12 \\+ 29 asked for"):
            one.validation(29)


def test_the_small_form_is_the_mean_of_two_by_two_pixels(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    store_images("cifar100", 8, 4, (3, 32, 32))
    full, small = (data.load(name, trial=0, train=8, test=8).train_x for name in ("cifar100", "cifar100-16"))
    assert small.shape == (8, 3, 16, 16) and 0 <= small.min() and small.max() <= 1
    torch.testing.assert_close(small[:, :, 3, 5], full[:, :, 6:8, 10:12].mean((2, 3)))


def test_more_images_than_there_are_and_a_damaged_copy_are_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match="mnist is not here"):
        data.load("mnist", trial=0, train=10, test=10)
    store_images("mnist", 30, 10, (1, 28, 28))
    with pytest.raises(DataError, match="mnist has 30 training examples \\(100 asked for\\)"):
        data.load("mnist", trial=0, train=100, test=10)
    path = tmp_path / "mnist" / "train-x.npy"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=path.name):
        data.load("mnist", trial=0, train=10, test=10)


def test_a_photograph_is_tested_on_its_middle(tmp_path):
    """224 of the 256 pixels that the shorter side is made: of 512 x 640, the middle 448 x 448, every second pixel."""
    left_to_right = np.broadcast_to(np.linspace(0, 255, 640)[None, :, None], (512, 640, 3)).astype(np.uint8)
    Image.fromarray(left_to_right).save(tmp_path / "a.png")
    x = data.Photos([tmp_path / "a.png"]).pixels()
    assert x.shape == (1, 3, 224, 224) and x.dtype == torch.float32
    middle = torch.from_numpy(left_to_right[32:480, 96:544].copy()).permute(2, 0, 1).float() / 255
    assert torch.allclose(x[0], torch.nn.functional.avg_pool2d(middle, 2), atol=0.01)


def test_crops_come_from_the_stream_whatever_the_number_of_threads(tmp_path, monkeypatch):
    photos = data.Photos(photographs(tmp_path, 6))

    def seen(threads):
        monkeypatch.setattr(inputs.os, "cpu_count", lambda: threads)
        return photos[torch.tensor([4, 0, 0])].cropped(torch.Generator().manual_seed(3)).pixels()

    one = seen(1)
    part = photos.pixels(slice(2, 4))
    assert torch.equal(part[2:4], photos.pixels()[2:4]) and not part[:2].any() and not part[4:].any()
    assert torch.equal(one, seen(7))
    assert not torch.equal(one[1], one[2])  # the same photograph, another crop
    assert 0 <= one.min() and one.max() <= 1


@pytest.mark.parametrize("numbers, box", [
    ((1, 0.5, 0.3, 0.9), (0, 0, 300, 300)),  # all of the area, square: all of the image
    ((0, 0.5, 1, 0), (300 - 0.08**0.5 * 300, 0, 300, 0.08**0.5 * 300)),  # 8 %, square, in the upper right corner
    ((0.17 / 0.92, 1, 0, 0), (0, 0, 150 * (4 / 3) ** 0.5, 150 * (3 / 4) ** 0.5))])  # a quarter, 4:3
def test_a_crop_is_a_share_of_the_area_at_an_aspect_in_a_place(numbers, box):
    assert inputs._crop(300, 300, *numbers) == pytest.approx(box)


def test_a_photograph_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.JPEG").write_bytes(b"no image")
    with pytest.raises(DataError, match="broken.JPEG cannot be read"):
        data.Photos([tmp_path / "broken.JPEG"]).pixels()
