"""The training loop."""

import math

import pytest
import torch
from conftest import Kept, same, student

from kdlib import losses, train
from kdlib.models import MLP, Net, build
from kdlib.spec import Training
from kdlib.train import Diverged, Source, fit


def test_a_loss_that_is_not_finite_names_run_and_step():
    net = build("mlp", "mnist1d", 0)
    x = torch.randn(30, 1, 40)

    def loss(logits, row):
        return logits.sum(1) * math.nan

    with pytest.raises(Diverged, match="run abc.*step 0 of 7"):
        fit([net], Training(steps=7, batch=3),
            [Source("abc", 30, lambda rows: (x[rows], x[rows]), torch.Generator())], loss)


def test_the_learning_rate_does_not_depend_on_where_the_student_starts():
    assert student(toward_teacher=0.75).training == student().training


def test_channels_last_changes_the_speed_and_not_the_result():
    def trained(channels_last):
        net = build("resnet8-bn", "cifar10", 0)
        net.prefers_channels_last = channels_last
        g = torch.Generator().manual_seed(1)
        x, y = torch.rand(20, 3, 32, 32, generator=g), torch.arange(20) % 10
        source = Source("x", 20, lambda rows: (x[rows], y[rows]), torch.Generator().manual_seed(2))
        fit([net], Training(optimizer="sgd", steps=4, batch=8, lr=1e-3), [source], losses.nll)
        return net.eval()(x)

    torch.testing.assert_close(trained(True), trained(False), atol=1e-3, rtol=1e-3)


class Dropping(Net):
    """A net that draws by itself, for signals."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.head = torch.nn.Linear(40, 16), torch.nn.Linear(16, 10)

    def features(self, x):
        return (torch.nn.functional.dropout(self.first(x.flatten(1)).relu(), 0.5, self.training),)


def signals_of(name, n=30):
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(n, 1, 40, generator=g), torch.arange(n) % 10
    return Source(name, n, lambda rows: (x[rows], y[rows]), torch.Generator().manual_seed(2), inside=(name, "inside"))


def trained(*nets, names="abc", steps=30, decay=1e-3, kept=None):
    """Nets trained together on the same signals; their weights."""
    fit(nets, Training(steps=steps, batch=8, weight_decay=decay), [signals_of(n) for n, _ in zip(names, nets,
        strict=False)], losses.nll, kept)
    return [{name: value.clone() for name, value in net.state_dict().items()} for net in nets]


def test_what_a_net_draws_itself_comes_from_a_stream_of_its_own():
    """Whatever was drawn before, and whichever nets are trained beside it."""
    torch.manual_seed(1)
    [alone] = trained(Dropping())
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    again, other, _ = trained(Dropping(), Dropping(), Dropping(1))
    assert torch.equal(torch.rand(3), expected)  # nor is anything drawn after it another number
    assert same(alone, again)
    assert not same(alone, other)  # the same initial weights and batches, other masks


def test_a_net_that_draws_itself_goes_on_from_its_kept_state_with_the_same_bits():
    kept = Kept()
    [undisturbed] = trained(Dropping(), steps=50, kept=kept)
    assert int(kept.tensors["step"]) == train.BLOCK
    [went_on] = trained(Dropping(), steps=50, kept=kept)
    assert same(undisturbed, went_on)


def test_a_stackable_net_that_draws_itself_is_refused():
    class Wrong(MLP):
        def features(self, x):
            return (torch.nn.functional.dropout(super().features(x)[-1], 0.5, self.training),)

    with pytest.raises(ValueError, match="cannot be stackable"):
        trained(Wrong(10))


@pytest.mark.parametrize("make", [lambda i: Dropping(i), lambda i: build("cnn1d", "mnist1d", i)],
                         ids=["one by one", "stacked"])
def test_frozen_parameters_stay_as_they_are_and_the_others_train(make):
    nets = [make(i) for i in range(3)]
    before = [{name: value.clone() for name, value in net.state_dict().items()} for net in nets]
    for net in nets:
        net.first.requires_grad_(False)
    for was, now in zip(before, trained(*nets, decay=0.1), strict=True):
        assert all(torch.equal(was[name], now[name]) == name.startswith("first") for name in was)


def test_nets_that_cannot_be_trained_together_are_refused():
    frozen, half = Dropping(), Dropping()
    frozen.first.requires_grad_(False)
    half.head.half()
    for nets, message in (((Dropping(), frozen), "the same parameters frozen"), ((half,), "float16, torch.float32"),
                          ((Dropping().requires_grad_(False),), "all frozen")):
        with pytest.raises(ValueError, match=message):
            trained(*nets)


@pytest.mark.parametrize("make", [lambda i: Dropping(i), lambda i: build("mlp", "mnist1d", i)],
                         ids=["one by one", "stacked"])
def test_what_is_saved_of_one_net_holds_nothing_of_those_trained_with_it(make):
    nets = [make(i) for i in range(3)]
    trained(*nets)
    for value in nets[0].state_dict().values():
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()
    assert all(p.grad is None for p in nets[0].parameters())


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="the set is empty"):
        fit([Dropping()], Training(steps=2, batch=8), [signals_of("a", 0)], losses.nll)
    with pytest.raises(ValueError, match="no inputs"):
        train.logits_of(Dropping(), torch.empty(0, 1, 40))
