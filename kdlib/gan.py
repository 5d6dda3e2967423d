"""The SN-GAN of the paper (A.2; Miyato et al., 2018): residual nets, spectral norm, hinge loss, one training loop.

Images are [n, 3, side, side] with pixels in [0, 1], side 32 or 16; latents are [n, latent], standard normal.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

from kdlib.spec import Generator
from kdlib.streams import seed_of, stream
from kdlib.train import BLOCK, Batches, Diverged, curve

STAGES = 3  # of the generator; each doubles the image


def double(x):
    """Maps [n, c, h, w] -> [n, c, 2h, 2w], each pixel four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Up(nn.Module):
    """Residual block that doubles the image."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x):
        h = self.conv1(double(F.relu(self.norm1(x))))
        return double(self.shortcut(x)) + self.conv2(F.relu(self.norm2(h)))


class ResNetGenerator(nn.Module):
    """Latents [n, latent] -> images [n, 3, side, side]."""

    def __init__(self, side, width, latent):
        super().__init__()
        self.latent, self.start = latent, (width, side // 2**STAGES, side // 2**STAGES)
        self.stem = nn.Linear(latent, width * self.start[1] ** 2)
        self.stages = nn.Sequential(*(Up(width) for _ in range(STAGES)))
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 3, 3, 1, 1)

    def forward(self, z):
        x = self.stem(z).unflatten(1, self.start).contiguous(memory_format=torch.channels_last)
        return (self.last(F.relu(self.norm(self.stages(x)))).tanh() + 1) / 2


class Down(nn.Module):
    """Residual block without normalisation; the first ones halve the image."""

    def __init__(self, width_in, width, halve):
        super().__init__()
        self.pixels, self.halve = width_in == 3, halve  # a ReLU of pixels would lose half of them
        self.conv1, self.conv2 = nn.Conv2d(width_in, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.shortcut = nn.Conv2d(width_in, width, 1) if halve else None

    def forward(self, x):
        h = self.conv2(F.relu(self.conv1(x if self.pixels else F.relu(x))))
        return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(h, 2) if self.halve else x + h


class ResNetDiscriminator(nn.Module):
    """Images [n, 3, side, side] -> scores [n], high for real ones; every weight divided by its spectral norm."""

    def __init__(self, width):
        super().__init__()
        self.stages = nn.Sequential(Down(3, width, True), Down(width, width, True),
                                    Down(width, width, False), Down(width, width, False))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        x = self.stages((2 * x - 1).contiguous(memory_format=torch.channels_last))
        return self.head(F.relu(x).sum((2, 3)))[:, 0]


def build(spec: Generator) -> tuple[ResNetGenerator, ResNetDiscriminator]:
    """Both nets with their initial weights (the global stream is left as it was)."""
    side = spec.data.inputs.shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(spec.data.trial, "generator", "init"))
        nets = ResNetGenerator(side, spec.width, spec.latent), ResNetDiscriminator(spec.width // 2)
        for net in nets:
            for module in net.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
                    nn.init.zeros_(module.bias)
                    if net is nets[1]:
                        spectral_norm(module)
    return nets


def discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Hinge loss of scores [n] of real and of generated images."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_loss(fake: torch.Tensor) -> torch.Tensor:
    """Minus the discriminator's mean judgement [n] of what was made (Miyato et al., 2018)."""
    return -fake.mean()


def learning_rate(spec: Generator, step: int) -> float:
    """Linear from `lr` to `final_lr` at `steps`."""
    return spec.lr + (spec.final_lr - spec.lr) * step / spec.steps


def fit(spec: Generator, images: torch.Tensor, kept=None) -> tuple[ResNetGenerator, dict[str, list[float]]]:
    """The generator of `images`, trained on their device, and the curves of both losses (as `train.fit` gives them;
    the discriminator's is the mean over its steps). `kept` as in `train.fit`: an interrupted run goes on and ends
    with the same bits. Diverged names the step at which a loss became infinite or NaN."""
    run = Adversaries(spec, images)
    state = kept.load() if kept else None
    if state:
        run.restore(state)
    while run.step < spec.steps:
        run.advance()
        due = bool(kept) and run.step < spec.steps and kept.due()
        if due or run.step % BLOCK == 0 or run.step == spec.steps:
            run.check()
        if due:
            kept.save(run.state())
    return run.generator.eval(), {name: curve(row) for name, row in zip(run.nets, run.losses, strict=True)}


class Adversaries:
    """All that changes while both nets train: weights, optimizers, position, random streams."""

    def __init__(self, spec, images):
        self.spec, self.images, self.step = spec, images, 0
        self.generator, self.discriminator = (net.to(images.device).train() for net in build(spec))
        self.nets = {"discriminator": self.discriminator, "generator": self.generator}
        self.optimizers = {name: torch.optim.Adam(net.parameters(), lr=spec.lr, betas=(0.0, 0.9), fused=True)
                           for name, net in self.nets.items()}
        self.streams = {name: stream(spec.data.trial, "generator", name) for name in ("order", "flips", "latents")}
        self.batches = Batches(len(images), spec.batch, self.streams["order"])
        self.losses = torch.zeros(len(self.nets), spec.steps, device=images.device)

    def advance(self):
        """One step of the generator, after those of the discriminator."""
        spec, count = self.spec, self.spec.discriminator_steps
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = learning_rate(spec, self.step)
        for real, latents in zip(self._real(count), self._latents(count), strict=True):
            self.losses[0, self.step] += self.discriminate(real, latents) / count
        self.losses[1, self.step] = self.generate(*self._latents(1))
        self.step += 1

    def discriminate(self, real, latents):
        """One step of the discriminator; its loss."""
        with torch.no_grad():
            fake = self.generator(latents)
        loss = discriminator_loss(*self.discriminator(torch.cat([real, fake])).chunk(2))
        return self._update("discriminator", loss)

    def generate(self, latents):
        """One step of the generator; its loss."""
        self.discriminator.requires_grad_(False)
        loss = self._update("generator", generator_loss(self.discriminator(self.generator(latents))))
        self.discriminator.requires_grad_(True)
        return loss

    def _real(self, k):
        """k batches [batch, 3, side, side], each image flipped with p = .5."""
        rows = self.batches.take(k)
        flip = torch.rand(len(rows), 1, 1, 1, generator=self.streams["flips"]) < 0.5
        x = self.images[rows.to(self.images.device)]
        return torch.where(flip.to(x.device), x.flip(3), x).chunk(k)

    def _latents(self, k):
        shape = k, self.spec.batch, self.spec.latent
        return torch.randn(shape, generator=self.streams["latents"]).to(self.images.device)

    def _update(self, name, loss):
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()
        return loss.detach()

    def check(self):
        """Called rarely: each time the host waits for the device."""
        bad = (~torch.isfinite(self.losses[:, : self.step])).any(0).nonzero()
        if len(bad):
            raise Diverged(f"run {self.spec.key}: a loss became non-finite at step {int(bad[0])} of "
                           f"{self.spec.steps}; lower its learning rate ({self.spec.lr:g})")

    def state(self) -> dict[str, torch.Tensor]:
        """Everything, as CPU tensors."""
        tensors = {"step": torch.tensor(self.step), "losses": self.losses, "left": self.batches.left}
        tensors |= {f"stream.{name}": draws.get_state() for name, draws in self.streams.items()}
        for name, net in self.nets.items():
            tensors |= {f"{name}.{key}": value for key, value in net.state_dict().items()}
            for i, p in enumerate(net.parameters()):
                tensors |= {f"adam.{name}.{i}.{key}": v for key, v in self.optimizers[name].state[p].items()}
        return {name: value.detach().cpu().clone() for name, value in tensors.items()}

    def restore(self, tensors):
        """Go on from what `state` gave."""
        def part(prefix):
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.step, self.batches.left = int(tensors["step"]), tensors["left"]
        self.losses.copy_(tensors["losses"])
        for name, draws in self.streams.items():
            draws.set_state(tensors[f"stream.{name}"])
        for name, net in self.nets.items():
            net.load_state_dict(part(f"{name}."))
            for i, p in enumerate(net.parameters()):
                self.optimizers[name].state[p] = {
                    key: value.to(p.device) for key, value in part(f"adam.{name}.{i}.").items()}


@torch.no_grad()
def sample(net: ResNetGenerator, n: int, draws: torch.Generator) -> torch.Tensor:
    """`n` images [n, 3, side, side], always in eval mode: an image does not depend on those drawn with it."""
    was, device = net.training, net.stem.weight.device
    net.eval()
    latents = torch.randn(n, net.latent, generator=draws)  # at once: more images begin with the same ones
    out = torch.cat([net(part.to(device)).contiguous() for part in latents.split(250)])
    net.train(was)
    return out


def inception_measures(made: torch.Tensor, real: torch.Tensor, weights: str) -> dict[str, float]:
    """FID from `real` and Inception Score (ten parts) of images [n, 3, side, side], by torchmetrics, with the Inception
    weights that torch-fidelity publishes, in the file `weights`."""
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore

    def net(feature):
        return NoTrainInceptionV3("inception-v3-compat", [feature], weights)

    with torch.random.fork_rng(devices=[]):  # the score shuffles
        torch.manual_seed(0)
        fid = FrechetInceptionDistance(net("2048")).to(made.device)
        score = InceptionScore(net("logits_unbiased")).to(made.device)
        for images, is_real in ((real, True), (made, False)):
            for part in (images * 255).round().byte().split(50):
                fid.update(part, real=is_real)
                if not is_real:
                    score.update(part)
        return {"fid": float(fid.compute()), "is": float(score.compute()[0])}
