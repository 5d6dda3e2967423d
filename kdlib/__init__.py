"""kdlib: the library behind "Does Knowledge Distillation Really Work?", re-executed."""

from importlib import import_module

__version__ = "0.1.0"

# imported when first used: `import kdlib` costs nothing
_PUBLIC = {"compare": "kdlib.comparison", "distil": "kdlib.distillation", "method": "kdlib.own",
           "objective": "kdlib.own", "optimizer": "kdlib.own", "record": "kdlib.reading", "records": "kdlib.reading",
           "recipe": "kdlib.own", "teacher": "kdlib.reading", "use": "kdlib.own"}


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__():
    return [*globals(), *_PUBLIC]
