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
