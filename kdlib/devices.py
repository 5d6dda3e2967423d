"""Where runs happen: the devices that the settings ask for, as far as they are here."""

import importlib.util
import os
import platform
import re
from pathlib import Path

import torch

from kdlib.errors import KdlibError
from kdlib.settings import settings


class DeviceError(KdlibError):
    """KDLIB_DEVICE, KDLIB_DEVICES or KDLIB_INCEPTION asks for what is not here."""


def device() -> torch.device:
    """The device of a run: KDLIB_DEVICE; auto, the default, is CUDA where there is one."""
    name = settings().device
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("KDLIB_DEVICE is cuda, and PyTorch finds no CUDA device here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def devices() -> int:
    """Over how many devices a training is spread that cannot be one of a cohort: KDLIB_DEVICES, 1 if not set."""
    count = settings().devices
    if device().type == "cuda" and count > torch.cuda.device_count():
        raise DeviceError(f"KDLIB_DEVICES is {count}, and PyTorch finds {torch.cuda.device_count()} CUDA devices here")
    return count


def inception() -> str | None:
    """The file of Inception's weights that KDLIB_INCEPTION names; None, the default: only the judge measures images."""
    path = settings().inception
    if path and not path.is_file():
        raise DeviceError(f"KDLIB_INCEPTION names no file: {path}")
    if path and not importlib.util.find_spec("torch_fidelity"):
        raise DeviceError("KDLIB_INCEPTION needs torch-fidelity: pip install torch-fidelity torchmetrics")
    return str(path) if path else None


def in_words(count: int) -> str:
    """So many devices of this process, for a record: "cpu", "2 x cuda"."""
    return f"{count} x {device().type}" if count > 1 else device().type


def processor() -> str:
    """What computes here, for a record: equal specs give equal bits where it is the same. "GenuineIntel 6/207 AVX512":
    maker, family and model, by which MKL chooses its kernels (two models with AVX-512 differ), and PyTorch's
    instruction set, with oneDNN's where that is held down; of a CUDA device its name."""
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    file = Path("/proc/cpuinfo")
    info = dict(re.findall(r"^(vendor_id|cpu family|model)\s*:\s*(\S+)$", file.read_text() if file.exists() else "",
                           re.MULTILINE))
    kind = f"{info['vendor_id']} {info['cpu family']}/{info['model']}" if len(info) == 3 else platform.machine()
    held = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return f"{kind} {torch.backends.cpu.get_cpu_capability()}" + (
        f", oneDNN {held.upper()}" if held else "")
