"""Processors with other instructions than this one's: what must not crash or differ there."""

import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn as nn

from kdlib.models import safe_channels_last

# fewer instructions than this machine has, for oneDNN's kernels and PyTorch's own
OTHERS = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
          "sse41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}}


@pytest.mark.parametrize(("layer", "safe"), [
    (nn.Conv2d(4, 8, 1, 2), False), (nn.Conv2d(7, 14, 1, (1, 2)), False), (nn.Conv2d(16, 32, 1, 2, groups=4), False),
    (nn.Conv2d(8, 16, 1, 2), True), (nn.Conv2d(4, 8, 1), True), (nn.Conv2d(4, 8, 3, 2, 1), True),
    (nn.Conv1d(4, 8, 1, 2), True)], ids=str)
def test_a_strided_pointwise_convolution_of_few_channels_keeps_a_net_from_being_channels_last(layer, safe):
    assert safe_channels_last(nn.Sequential(nn.ReLU(), nn.Sequential(layer))) == safe


NARROW = """
import json, sys, torch, torch.nn as nn
import torch.nn.functional as F
from kdlib import losses
from kdlib.models import Ensemble, PreActResNet
from kdlib.spec import Training
from kdlib.train import Source, fit, logits_of

class Own(nn.Module):
    "A researcher's net, which does not care how it is laid."
    stackable = channels_last = False
    def __init__(self, width):
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, width, 3, 1, 1), nn.Conv2d(width, 2 * width, 1, 2)
        self.head = nn.Linear(2 * width, 10)
    def forward(self, x):
        return self.head(self.down(F.relu(self.stem(x))).mean((2, 3)))

torch.set_num_threads(1)
out = []
for width in (4, 6, 7):
    for make in (lambda: PreActResNet(10, depth=8, width=width), lambda: Own(width)):
        torch.manual_seed(width)
        x, y = torch.rand(60, 16, 16, 3).permute(0, 3, 1, 2), torch.arange(60) % 10  # channels-last, as crops come
        net, order = make(), torch.Generator().manual_seed(0)
        fit([net], Training(optimizer="sgd", lr=0.01, steps=30, batch=20),
            [Source("narrow", 60, lambda rows: (x[rows], y[rows]), order)], losses.nll)
        out.append(logits_of(Ensemble([net.requires_grad_(False)]), x).double().sum(0).tolist())
json.dump(out, sys.stdout)
"""


@pytest.mark.parametrize("instructions", OTHERS)
def test_narrow_nets_train_with_fewer_instructions_as_they_do_here(instructions):
    def trained(env):
        done = subprocess.run([sys.executable, "-c", NARROW], env=os.environ | env, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stderr[-500:]
        return torch.tensor(json.loads(done.stdout))

    torch.testing.assert_close(trained(OTHERS[instructions]), trained({}), rtol=2e-2, atol=2e-2)
