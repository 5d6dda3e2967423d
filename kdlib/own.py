"""A user's own objectives, optimizers and methods: one decorator each, in a file of one's own.

`kdlib.use("mine.py")`, or `kdlib run ... --with mine.py`, makes what the file defines known by name, to specs too,
whose keys then have the name and a hash of the whole file: any change of it is another objective, a changed comment as
well. What the file imports from other files of yours is not in the hash.
"""

import hashlib
import inspect
import linecache
import re
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kdlib import catalog
from kdlib.catalog import Objective, Optimizer, OwnError
from kdlib.errors import short

USED: dict[str, str] = {}  # files that this process has used, and their text
METHODS: dict[str, "Method"] = {}
_loading: list[str] = []  # the source of the file that is being used


@dataclass(frozen=True, eq=False)
class Method:
    """What the benchmark may judge, at so many times the usual cost: a whole `code(teacher, data) -> student`, or the
    usual student with other `fields` in its spec, `times` as many steps."""

    about: str
    cost: float = 1
    code: Callable | None = None
    fields: dict = field(default_factory=dict)
    times: float = 1


def objective(function: Callable) -> Callable:
    """Make a function known as an objective, by its name: of the student's logits [n, classes] and the teacher's, it
    gives one number an example, [n]. If it has an argument `labels` it gets those of the examples, if it has
    `temperature` the student's; others must have a usual value, a number, and are settings.

    >>> import kdlib
    >>> @kdlib.objective
    ... def huber(student, teacher, delta=1.0):
    ...     return torch.nn.functional.huber_loss(student, teacher, reduction="none", delta=delta).mean(-1)
    """
    _add("objective", catalog.OBJECTIVES, function, entry(function))
    return function


def entry(function: Callable) -> Objective:
    """What a function says of itself as an objective."""
    options = _options(function, ("student", "teacher"), ("labels", "temperature"))
    known = inspect.signature(function).parameters
    return Objective(function, "labels" in known, "temperature" in known, options, _source())


def optimizer(function: Callable) -> Callable:
    """Make a function known as an optimizer, by its name: `function(net, lr, weight_decay)` gives a
    `torch.optim.Optimizer` of a net's parameters, in what groups it likes; the learning rate of each then follows the
    schedule. Further arguments must have a usual value, a number, and are settings."""
    _add("optimizer", catalog.OPTIMIZERS, function, Optimizer(
        function, by_net=True, options=_options(function, ("net", "lr", "weight_decay"), ()), source=_source()))
    return function


def method(function: Callable | None = None, *, cost: float = 1):
    """Make `function(teacher, data)` known as a method of distillation for `kdlib benchmark`, which gives a student;
    `cost`: how many times the usual cost it may take."""
    if function is None:
        return lambda given: method(given, cost=cost)
    METHODS[function.__name__] = Method(about(function), cost, function)
    return function


def recipe(name: str, about: str, *, objective: str = catalog.DISTILLATION, temperature: float = 1.0,
           alpha: float = 0.0, policy: str = catalog.BASELINE, optimizer: str | None = None, times: float = 1,
           cost: float = 1) -> None:
    """Make a recipe known as a method for `kdlib benchmark`: the book's usual student but for what is said here, with
    `times` as many steps. It is trained as the book's runs are, many nets at a time."""
    if catalog.POLICIES.get(policy, catalog.POLICIES["ood"]).pool:
        raise OwnError(f"a recipe has no policy {policy!r}: one of those that change the inputs, and bring no new ones")
    fields = {"objective": objective, "temperature": temperature, "alpha": alpha, "policy": policy}
    METHODS[name] = Method(about, cost, None, fields | ({"optimizer": optimizer} if optimizer else {}), times)


def about(function: Callable) -> str:
    """The first line of what a function says of itself."""
    return ((function.__doc__ or "").strip().splitlines() or [""])[0]


def _source() -> str:
    return _loading[-1] if _loading else catalog.UNSAVED


def _options(function, first, known) -> dict:
    """The settings of a function and their usual values."""
    name = getattr(function, "__name__", type(function).__name__)
    parameters = list(inspect.signature(function).parameters.values())
    free = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(free) < len(parameters) or len(free) < len(first):
        raise OwnError(f"{name} must take {', '.join(first)}, and settings by name")
    rest = [p for p in free[len(first) :] if p.name not in known]
    for p in rest:
        if type(p.default) not in (int, float, bool):
            raise OwnError(f"the setting {p.name} of {name} needs a usual value that is a number, as in {p.name}=1.0")
    return {p.name: p.default for p in rest}


def _add(what, table, function, entry):
    name, there = function.__name__, table.get(function.__name__)
    if not re.fullmatch(r"[A-Za-z]\w{0,99}", name, re.ASCII):
        raise OwnError(f"an {what} needs a name: define it by def (got {short(name)})")
    if there is not None and there.source is None:
        raise OwnError(f"there is an {what} {name} in kdlib: call yours by another name")
    table[name] = entry


def use(*files: str | Path) -> None:
    """Make known what files of your own define. OwnError where one cannot be read, fails, or defines nothing."""
    for file in files:
        path = Path(file).expanduser().absolute()
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise OwnError(f"{path} cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise OwnError(f"{path} is not text in UTF-8") from None
        _execute(str(path), text)


def receive(used: dict[str, str]) -> None:
    """Make known in this process, a worker, what another one has used: it need not have the files."""
    for path, text in used.items():
        if USED.get(path) != text:
            _execute(path, text)


def _execute(path: str, text: str) -> None:
    """Run a file as a module, which may import those beside it."""
    module = types.ModuleType(f"kdlib_own_{Path(path).stem}")
    module.__file__ = path
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)  # for tracebacks where it is not
    before = dict(catalog.OBJECTIVES), dict(catalog.OPTIMIZERS), dict(METHODS)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(Path(path).parent))
    _loading.append(hashlib.sha256(text.encode()).hexdigest()[:12])
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except Exception as error:
        for table, was in zip((catalog.OBJECTIVES, catalog.OPTIMIZERS, METHODS), before, strict=True):
            table.clear()
            table.update(was)
        if isinstance(error, OwnError):
            raise
        lines = [frame for frame in _frames(error) if frame[0] == path]
        at = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else lines[-1][1] if lines else None
        where = f", line {at}" if at else ""
        raise OwnError(f"{path}{where} fails: {type(error).__name__}: {error}") from error
    finally:
        _loading.pop()
        sys.path.remove(str(Path(path).parent))
    if before == (catalog.OBJECTIVES, catalog.OPTIMIZERS, METHODS):
        raise OwnError(f"{path} defines nothing for kdlib: put @kdlib.objective, @kdlib.optimizer or @kdlib.method "
                       "before a function")
    USED[path] = text


def _frames(error):
    trace = error.__traceback__
    while trace:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
