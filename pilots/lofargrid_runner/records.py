"""Frozen records that look like dataclasses and cost a worker node nothing to start.

``import dataclasses`` alone takes longer than a bare Python needs to start (it brings ``inspect`` and
compiles source for each class). Type checkers read the true `dataclasses`; at run time a record is a
small class with the same behaviour, and ``dataclasses.replace``, ``fields`` and ``asdict`` work on it:
what they need is made when they first ask.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from typing import Any

else:

    class _Factory:
        """A default that is made anew for each record."""

        def __init__(self, make: Callable[[], Any]) -> None:
            self.make = make

    class _OnDemand:
        """An attribute of a record's class that `dataclasses` makes when somebody asks for it."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __get__(self, record: Any, kind: Any) -> Any:
            return getattr(_twin(kind), self._name)

    def field(*, default_factory: Callable[[], Any]) -> Any:
        """Declare a default that is made anew for each record."""
        return _Factory(default_factory)

    def dataclass(*, frozen: bool) -> Callable[[type], type]:
        """Make a class of annotated names a frozen record, as ``dataclasses.dataclass(frozen=True)`` does."""
        assert frozen, "a record never changes"
        return _record

    def _record(kind: type) -> type:
        names = tuple(kind.__annotations__)
        kind.__match_args__ = names
        kind._defaults = {name: kind.__dict__[name] for name in names if name in kind.__dict__}
        for name, default in kind._defaults.items():
            if isinstance(default, _Factory):
                delattr(kind, name)
        for name, method in _METHODS.items():
            setattr(kind, name, method)
        kind.__dataclass_fields__ = _OnDemand("__dataclass_fields__")
        kind.__dataclass_params__ = _OnDemand("__dataclass_params__")
        return kind

    class _Frozen:
        """The methods of a record; copied, so that a record has no base class, as a dataclass has none."""

        def __init__(self, *values: Any, **named: Any) -> None:
            names = self.__match_args__
            given = dict(zip(names, values))
            unknown = [name for name in named if name not in names or name in given]
            given.update(named)
            missing = [name for name in names if name not in given and name not in self._defaults]
            if unknown or missing or len(values) > len(names):
                raise TypeError(f"{type(self).__name__}: missing {missing}, unknown or doubled {unknown}")
            for name, default in self._defaults.items():
                if name not in given:
                    given[name] = default.make() if isinstance(default, _Factory) else default
            # In declared order, so that two equal records also print and serialise alike.
            self.__dict__.update((name, given[name]) for name in names)

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name}")

        def __delattr__(self, name: str) -> None:
            raise AttributeError(f"{type(self).__name__} is frozen: cannot delete {name}")

        def __eq__(self, other: object) -> Any:
            return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

        def __hash__(self) -> int:
            return hash(tuple(self.__dict__.values()))

        def __repr__(self) -> str:
            values = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
            return f"{type(self).__qualname__}({values})"

    _METHODS = {name: value for name, value in _Frozen.__dict__.items() if callable(value)}

    def _twin(kind: Any) -> Any:
        """Give the true dataclass of the same shape, where `dataclasses` finds what it asks a record for."""
        import dataclasses

        if "_dataclass" not in kind.__dict__:
            entries = [_entry(kind, name, dataclasses) for name in kind.__match_args__]
            kind._dataclass = dataclasses.make_dataclass(kind.__name__, entries, frozen=True)
        return kind._dataclass

    def _entry(kind: Any, name: str, dataclasses: Any) -> Any:
        default = kind._defaults.get(name, dataclasses.MISSING)
        if isinstance(default, _Factory):
            return name, kind.__annotations__[name], dataclasses.field(default_factory=default.make)
        return name, kind.__annotations__[name], dataclasses.field(default=default)


def plain(value: Any) -> Any:
    """Turn records into dictionaries and tuples into lists, all the way down, as JSON wants them."""
    names = getattr(value, "__match_args__", None)
    if names is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    return value
