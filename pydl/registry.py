"""Strings to objects, objects to configurations: one mechanism for everything that has a name.

Activations, initializers, regularizers, constraints, losses, metrics, optimizers and layers each
keep one `Registry`; `Configurable` turns an object into a dictionary of its arguments and back.
What users define is found by any of them: by the name it was registered under, by its module and
name once its class was defined, or in a `custom_object_scope`.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from pydl import config as settings

T = TypeVar("T")
Self = TypeVar("Self", bound="Configurable")

_function_names: dict[Callable[..., Any], str] = {}
_class_names: dict[type, str] = {}  # of registered classes of users
_registered: dict[str, Any] = {}  # classes and functions of users, by name
_defined: dict[str, type] = {}  # the latest class of users under each "module>name"
_MISSING = object()


class _Scopes(threading.local):
    """The custom objects of the scopes that are open on one thread, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[Mapping[str, Any]] = []


_scopes = _Scopes()


def class_name(cls: type) -> str:
    """Return the name of a class in configurations; those of users carry their module.

    A class that `register_keras_serializable` registered has the name given there.
    """
    if cls in _class_names:
        return _class_names[cls]
    if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return cls.__name__
    return f"{cls.__module__}>{cls.__qualname__}"


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Return a decorator that lets saved files name a class or function of the user.

    Args:
        package: First part of the name, which keeps apart what different people write.
        name: Second part; None takes the name of the class or function.

    Raises:
        ValueError: `package` is empty, or the decorated class has no `get_config`.

    >>> @register_keras_serializable("Shapes")
    ... def halve(x):
    ...     return x / 2
    >>> serialize(halve), get_custom_objects()["Shapes>halve"] is halve
    ('Shapes>halve', True)
    """
    if not isinstance(package, str) or not package:
        raise ValueError(
            f"register_keras_serializable: package must be a non-empty string, got {package!r}; "
            "use it with parentheses: @register_keras_serializable()"
        )

    def decorate(obj: T) -> T:
        full = f"{package}>{name or obj.__name__}"  # type: ignore[attr-defined]
        if isinstance(obj, type):
            if not hasattr(obj, "get_config"):
                raise ValueError(
                    f"register_keras_serializable: {obj.__name__} needs a method get_config that "
                    "returns the arguments of its constructor"
                )
            _class_names[obj] = full
        else:
            _function_names[obj] = full  # type: ignore[index]
        _registered[full] = obj
        return obj

    return decorate


def get_custom_objects() -> dict[str, Any]:
    """Return the registered classes and functions of users by name; what is added counts as well.

    >>> get_custom_objects()["twice"] = lambda x: 2 * x
    >>> from pydl import activations
    >>> activations.get("twice")(3)
    6
    >>> del get_custom_objects()["twice"]
    """
    return _registered


@contextlib.contextmanager
def custom_object_scope(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let names mean these classes and functions inside a `with` block, on this thread.

    Args:
        objects: {name: class or function}. A class or function of the user is found under its bare
            name too: {"Scale": Scale} for "models>Scale".

    >>> from pydl import activations
    >>> with custom_object_scope({"twice": lambda x: 2 * x}):
    ...     activations.get("twice")(3)
    6
    """
    if objects is not None and not isinstance(objects, Mapping):
        raise TypeError(
            f"custom_objects must be a dictionary {{name: class or function}}, got {objects!r}"
        )
    _scopes.stack.append(objects or {})
    try:
        yield
    finally:
        _scopes.stack.pop()


def _in_scopes(name: str) -> Any:
    """Return what the open scopes mean by a name, or _MISSING."""
    bare = _bare(name)
    for scope in reversed(_scopes.stack):
        for spelling in (name, bare):
            if spelling in scope:
                return scope[spelling]
    return _MISSING


def _bare(name: str) -> str:
    """Return the name of a class or function without its package or module."""
    return name.rpartition(">")[2].rpartition(".")[2] if ">" in name else name


def snake_case(name: str) -> str:
    """Return a class name in lower case with underscores, as automatic names are spelled.

    >>> snake_case("MaxPooling2D"), snake_case("SimpleRNN"), snake_case("LeakyReLU")
    ('max_pooling2d', 'simple_rnn', 'leaky_re_lu')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<!^)(?=[A-Z][a-z])", "_", name).lower()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error text: the close matches of `word`, or all that is known."""
    known = list(known)
    return _suggestion(difflib.get_close_matches(word, known, n=3), known)


def _suggestion(close: list[str], known: Iterable[str]) -> str:
    """Return the question for close matches, or the list of all names if there are none."""
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return "known: " + ", ".join(map(repr, sorted(known)))


class NameCounter:
    """Automatic names: the prefix for the first object, then `prefix_1`, `prefix_2`, ...

    >>> names = NameCounter()
    >>> names.next("dense"), names.next("dense"), names.next("lstm")
    ('dense', 'dense_1', 'lstm')
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def next(self, prefix: str) -> str:
        """Return the next free name of `prefix`."""
        with self._lock:
            count = self._counts.get(prefix, 0)
            self._counts[prefix] = count + 1
        return f"{prefix}_{count}" if count else prefix

    def reset(self) -> None:
        """Start every prefix again."""
        with self._lock:
            self._counts.clear()


def free_name(name: str, taken: Container[str]) -> str:
    """Return the first of `name`, `name_1`, `name_2`, ... that is not taken.

    >>> free_name("kernel", ["kernel", "kernel_1"])
    'kernel_2'
    """
    found, count = name, 0
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    return found


class Registry(Generic[T]):
    """The names of one kind of object; `get` turns what a user passes into such an object.

    Args:
        kind: What the objects are, for error texts: "initializer", "loss".
        base: What `get` makes of a configuration must be an instance of it. Its instances are
            returned as they are even if they are not callable.

    >>> shapes = Registry("shape")
    >>> @shapes.add("square", "box")
    ... class Square(Configurable):
    ...     def __init__(self, side=1):
    ...         self.side = side
    ...     def __call__(self):
    ...         return self.side
    >>> shapes.get("square").side, shapes.get("box").side
    (1, 1)
    >>> shapes.get({"class_name": "Square", "config": {"side": 3}}).side
    3
    >>> shapes.get("squar")
    Traceback (most recent call last):
    ValueError: unknown shape 'squar'; did you mean 'square'?
    """

    def __init__(self, kind: str, base: type | None = None) -> None:
        self.kind = kind
        self.base = base
        self._objects: dict[str, Any] = {}
        self._listed: dict[str, None] = {}

    def add(self, *aliases: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under its name and `aliases`.

        A class also gets its name in snake case and in lower case. The first alias, or else the
        snake-case name, is the one that error texts list.
        """

        def decorate(obj: T) -> T:
            name = obj.__name__  # type: ignore[attr-defined]
            self.register(obj, *aliases, snake_case(name), name, name.lower())
            return obj

        return decorate

    def register(self, obj: Any, *names: str, listed: bool = True) -> None:
        """Register `obj` under `names`; configurations name a function by the first of them.

        What is not `listed` is known to configurations only.
        """
        if not isinstance(obj, type):
            _function_names[obj] = names[0]
        for attribute in ("fn", "function"):  # the class is its function, averaged
            function = getattr(obj, attribute, None)
            if isinstance(obj, type) and inspect.isfunction(function):
                _function_names.setdefault(function, names[0])
        if listed:
            self._listed[names[0]] = None
        self._objects.update(dict.fromkeys(names, obj))

    def __getitem__(self, name: str) -> Any:
        """Return the registered class or function, or raise ValueError with close matches."""
        found = _in_scopes(name)
        for objects in (self._objects, _registered, _defined):
            if found is _MISSING:
                found = objects.get(name, _MISSING)
        if found is _MISSING and ">" in name:
            bare = _bare(name)
            raise ValueError(
                f"unknown {self.kind} {name!r}; before loading, import the module that defines "
                f"it, with @pydl.utils.register_keras_serializable() if it is a function, or pass "
                f"custom_objects={{{bare!r}: {bare}}}"
            )
        if found is _MISSING:
            # Spellings of one object count once, under its first name.
            first = {id(self._objects[listed]): listed for listed in self._listed}
            spellings = [n for n, obj in self._objects.items() if id(obj) in first]
            close = difflib.get_close_matches(name, spellings, n=6)
            choices = list(dict.fromkeys(first[id(self._objects[n])] for n in close))[:3]
            suggestion = _suggestion(choices, self._listed)
            raise ValueError(f"unknown {self.kind} {name!r}; {suggestion}")
        if isinstance(found, type) and self.base is not None and not issubclass(found, self.base):
            raise ValueError(f"{self.kind}: {name!r} is the class {found.__name__}, which is none")
        return found

    def function(self, name: Any) -> Any:
        """Return the function that a configuration names; a function as it is."""
        found = self[name] if isinstance(name, str) else name
        return getattr(found, "fn", getattr(found, "function", found))

    def __contains__(self, name: str) -> bool:
        return name in self._objects

    def names(self) -> list[str]:
        """Return one name per registered object, sorted."""
        return sorted(self._listed)

    def get(self, identifier: Any) -> Any:
        """Return the object for a string, configuration, class, instance or callable.

        Raises:
            ValueError: The string is not registered (with close matches), or the dictionary is not
                a configuration.
            TypeError: `identifier` is none of these.
        """
        if isinstance(identifier, str):
            found = self[identifier]
            return found() if isinstance(found, type) else found
        if isinstance(identifier, Mapping):
            if "class_name" not in identifier:
                raise ValueError(
                    f"{self.kind}: a configuration has the keys 'class_name' and 'config', "
                    f"got {sorted(map(str, identifier))}"
                )
            found = self[identifier["class_name"]]
            if hasattr(found, "from_config"):
                found = found.from_config(dict(identifier.get("config", {})))
            if self.base is not None and not isinstance(found, self.base):
                raise ValueError(f"{self.kind}: {identifier['class_name']!r} makes none")
            return found
        found = identifier() if isinstance(identifier, type) else identifier
        if callable(found) or (self.base is not None and isinstance(found, self.base)):
            return found
        raise TypeError(
            f"{self.kind}: expected a name, an instance or a callable, "
            f"got {type(identifier).__name__} {identifier!r}"
        )


def serialize(value: Any) -> Any:
    """Return `value` as plain Python data (numbers, strings, lists, dictionaries).

    Configurable objects become {"class_name": ..., "config": ...}, registered functions their
    name, arrays nested lists. A function that is not registered is returned as it is.

    >>> serialize({"axes": (0, np.int64(1))})
    {'axes': [0, 1]}
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, (list, tuple)):
        return [serialize(entry) for entry in value]
    if isinstance(value, Mapping):
        return {key: serialize(entry) for key, entry in value.items()}
    if hasattr(value, "get_config") and not isinstance(value, type):
        return {"class_name": class_name(type(value)), "config": value.get_config()}
    if hasattr(value, "numpy"):
        return value.numpy().tolist()
    if callable(value) and value.__hash__ is not None:
        return _function_names.get(value, value)
    return value


def init_arguments(cls: type) -> tuple[str, ...]:
    """Return the names `cls(...)` accepts, following **kwargs into the base classes."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        names.update(
            (p.name, None) for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return tuple(names)


class Configurable:
    """An object whose configuration is the arguments of its constructor.

    `get_config` reads each argument back from the attribute of the same name; a class that stores
    an argument elsewhere overrides it.
    """

    _recorded = True  # whether recorded steps depend on its attributes
    _unrecorded: ClassVar[frozenset[str]] = frozenset()  # attributes that they do not depend on

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = class_name(cls)
        if ">" in name:
            _defined[name] = cls

    def __setattr__(self, name: str, value: Any) -> None:
        known = name in vars(self) or hasattr(type(self), name)  # a new one, nobody has read before
        object.__setattr__(self, name, value)
        if known and self._recorded and name not in self._unrecorded:
            settings.changed()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data, so that `from_config` makes a copy.

        Raises:
            NotImplementedError: An argument is not stored under its name.
        """
        return self._read_config(strict=type(self).get_config is Configurable.get_config)

    def _read_config(self, strict: bool) -> dict[str, Any]:
        """Serialize the attributes named as the arguments; `strict` refuses missing ones."""
        config: dict[str, Any] = {}
        for name in init_arguments(type(self)):
            value = getattr(self, name, _MISSING)
            if value is not _MISSING:
                config[name] = serialize(value)
            elif strict:
                raise NotImplementedError(
                    f"{type(self).__name__}: get_config reads the argument {name!r} from an "
                    f"attribute of that name, which is missing; store it as self.{name} or "
                    "override get_config"
                )
        return config

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """Return a new object made with the arguments in `config`."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{name}={getattr(self, name)!r}"
            for name in init_arguments(type(self))
            if hasattr(self, name)
        )
        return f"{type(self).__name__}({arguments})"
