"""Separate random streams: what one part of a run draws never changes what another part draws."""

import hashlib

import torch


def seed_of(*name) -> int:
    """A 63-bit seed from the name of a stream, e.g. ``seed_of(trial, "teacher", member, "order")``."""
    text = "/".join(str(part) for part in name)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(*name) -> torch.Generator:
    """A CPU generator for the stream of that name (CPU on every device: the draws are the same everywhere)."""
    return torch.Generator().manual_seed(seed_of(*name))


class GlobalStream:
    """The global stream of a device, from which nets draw by themselves (dropout): inside of `with` it may be seeded,
    afterwards it is as it was. On a GPU it is two, since a net's Python code may draw on the CPU."""

    def __init__(self, device: torch.device):
        self.draws = [torch.default_generator]
        if device.type == "cuda":
            at = torch.cuda.current_device() if device.index is None else device.index
            self.draws.append(torch.cuda.default_generators[at])

    def __enter__(self):
        self.states = [draws.get_state() for draws in self.draws]
        return self

    def seed(self, number: int) -> None:
        """Begin the streams of all devices anew."""
        for draws in self.draws:
            draws.manual_seed(number)

    def touched(self) -> bool:
        """Whether it was drawn from, or seeded."""
        return any(not torch.equal(g.get_state(), state) for g, state in zip(self.draws, self.states, strict=True))

    def __exit__(self, *_):
        for draws, state in zip(self.draws, self.states, strict=True):
            draws.set_state(state)
