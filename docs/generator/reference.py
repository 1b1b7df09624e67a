"""The API reference: a page for each public module, from its docstrings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sphinx.util import logging

import accelsched
from accelsched import (
    export,
    lr_scheduler,
    modelzoo,
    policy,
    scheduler,
    schedules,
    weight_decay_scheduler,
)
from accelsched.schedules import terms
from generator.docstrings import CLASSES

#: The public modules and their purposes. The first module with a name documents it.
MODULES: dict[ModuleType, str] = {
    accelsched: "The scheduler, the list of schedulers, the guard of the optimizer, `check`.",
    schedules: "Pure schedules. [The gallery](../gallery/index.md) has a page for each.",
    terms: "What the formula of a schedule is made of: for schedules that you write.",
    lr_scheduler: "Schedulers of the learning rate.",
    weight_decay_scheduler: "Schedulers of the weight decay.",
    scheduler: "Schedulers of any key that a subclass names.",
    policy: "Policies in the form that Lightning Thunder's users know.",
    export: "Schedules as programs for other systems.",
    modelzoo: "Schedulers from the configuration of a Model Zoo run.",
}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    names = "\n".join(module.__name__ for module in MODULES)
    rows = "\n".join(f"| {{doc}}`{module.__name__}` | {MODULES[module]} |" for module in MODULES)
    yield (
        "index.md",
        f"# API reference\n\n| module | |\n| --- | --- |\n{rows}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n",
    )
    for module, purpose in MODULES.items():
        # Each schedule has its own page in the gallery.
        here = [(name, item) for m, name, item in _public() if m is module and item not in CLASSES]
        body = "\n\n".join(_entry(module, name, item) for name, item in here)
        yield (
            f"{module.__name__}.md",
            f"# {module.__name__}\n\n{purpose}\n\n```{{eval-rst}}\n{body}\n```\n",
        )


def _public() -> Iterator[tuple[ModuleType, str, Any]]:
    """Yield each public item once, as (module that documents it, its name there, item)."""
    seen: set[int] = set()
    for module in MODULES:
        for name in module.__all__:
            item = getattr(module, name)
            # `Schedule` is documented in `schedules`.
            elsewhere = module is accelsched and item is schedules.Schedule
            if not inspect.ismodule(item) and id(item) not in seen and not elsewhere:
                seen.add(id(item))
                yield module, name, item


def _entry(module: ModuleType, name: str, item: Any) -> str:
    path = f"{module.__name__}.{name}"
    if inspect.isclass(item) and issubclass(item, Exception):
        return f".. autoexception:: {path}"
    if inspect.isclass(item):
        # A public base documents its members on its own; members of private bases go here.
        bases = item.__mro__[1:]
        elsewhere = [b for b in bases if _path(b) or not b.__module__.startswith("accelsched.")]
        names = ", ".join(base.__name__ for base in elsewhere)
        return f".. autoclass:: {path}\n   :members:\n   :inherited-members: {names}"
    return f".. {'autofunction' if inspect.isroutine(item) else 'autodata'}:: {path}"


def require_all_documented(app: Any, env: Any) -> None:
    """Warn of each public name missing from the reference; a warning fails the build."""
    documented = set(env.domains["py"].objects)
    for module, name, item in _public():
        for path in (f"{module.__name__}.{name}", *_members(module, name, item)):
            if path not in documented:
                logging.getLogger(__name__).warning("%s is described nowhere", path)


def resolve_inherited(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Resolve an inherited method to the entry of the base class that documents it."""
    cls = getattr(sys.modules.get(node.get("py:module")), node.get("py:class") or "", object)
    for base in cls.__mro__ if node.get("reftype") == "meth" else ():
        path = f"{_path(base)}.{node['reftarget']}"
        if path in env.domains["py"].objects:
            where = node["refdoc"], app.builder, "meth", path
            return env.domains["py"].resolve_xref(env, *where, node, content)
    return None


def _path(cls: type) -> str | None:
    """Return the public name of a class, if it has one."""
    found = (f"{module.__name__}.{name}" for module, name, item in _public() if item is cls)
    return next(found, None)


def _members(module: ModuleType, name: str, item: Any) -> Iterator[str]:
    """Yield the public methods and properties that a class adds to those of its bases."""
    if not inspect.isclass(item) or item in CLASSES or issubclass(item, Exception):
        return
    for member, value in vars(item).items():
        is_new = not any(hasattr(base, member) for base in item.__mro__[1:])
        if not member.startswith("_") and is_new and isinstance(value, (property, _FUNCTION)):
            yield f"{module.__name__}.{name}.{member}"


_FUNCTION = type(pages)
