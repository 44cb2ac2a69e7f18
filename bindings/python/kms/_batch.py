"""Many items in one call: how they go to C, and how what they came to is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ctypes import c_bool, c_int32, c_size_t, c_void_p
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, Union, overload

from ._native import address_of, take_error, to_json, wipe
from .errors import KmsError

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")


class Batch(Sequence[T], Generic[T]):
    """What the items of a batch came to, in their order.

    It is a sequence of results. One that has failed is not among them as a value, which could be taken for one: who
    reaches it, by its index or by going through all, gets its exception raised. :attr:`errors` tells which these are.
    """

    __slots__ = ("_values", "errors")

    def __init__(self, values: list[T], errors: dict[int, KmsError]) -> None:
        self._values = values
        #: The failures, by the index of their item; empty if all items have succeeded.
        self.errors = errors

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        value = self._values[index]
        error = self.errors.get(index + len(self) if index < 0 else index)
        if error is not None:
            raise error.with_traceback(None)
        return value

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self))) if self.errors else iter(self._values)

    def __repr__(self) -> str:
        return f"<kms.Batch of {len(self)}, {len(self.errors)} failed>"


class Row:
    """Inputs as C takes them: one behind the other, and their lengths."""

    __slots__ = ("count", "data", "lens", "total")

    def __init__(self, items: Iterable[Buffer]) -> None:
        pieces = [item if isinstance(item, bytes) else memoryview(item).tobytes() for item in items]
        self.data = b"".join(pieces)
        self.count = len(pieces)
        self.total = len(self.data)
        self.lens = (c_size_t * self.count)(*map(len, pieces))


Context = Union[Mapping[str, str], None]


def contexts_argument(context: Context, contexts: Iterable[Context] | None, count: int) -> tuple[bytes | None, Any]:
    """Return the contexts of a batch as C takes them: one for all, or one for each item."""
    if contexts is None:
        return (to_json(dict(context)) if context else None), None
    if context is not None:
        raise ValueError("context and contexts exclude each other")
    texts = [to_json(dict(own)) if own else b"" for own in contexts]
    if len(texts) != count:
        raise ValueError(f"there are {len(texts)} contexts for {count} items")
    return b"".join(texts), (c_size_t * count)(*map(len, texts))


class Answers:
    """Where C says how each item went."""

    __slots__ = ("errors", "statuses")

    def __init__(self, count: int) -> None:
        self.statuses = (c_int32 * count)()
        self.errors = (c_void_p * count)()

    def take(self) -> dict[int, KmsError]:
        """Return the failures; the engine's objects are freed."""
        if not any(self.statuses):
            return {}
        return {i: take_error(status, c_void_p(self.errors[i])) for i, status in enumerate(self.statuses) if status}


def fill(use: Callable[..., None], guess: int, count: int, *arguments: Any) -> Batch[bytes]:
    """Make a batch call that writes bytes; once more if the first guess at their number was too small."""
    lens = (c_size_t * count)()
    for last_try in (False, True):
        out = bytearray(max(guess, 1))
        answers = Answers(count)
        try:
            use(*arguments, address_of(out), len(out), lens, answers.statuses, answers.errors)
            errors = answers.take()
            ends = list(accumulate(lens))
            with memoryview(out) as view:
                return Batch([view[end - n : end].tobytes() for end, n in zip(ends, lens)], errors)
        except KmsError as error:
            if last_try or error.code != "KMS_BUFFER_TOO_SMALL":
                raise
            guess = sum(lens)
        finally:
            wipe(out)  # it may hold plaintexts
    raise AssertionError("unreachable")


def valid_array(count: int) -> Any:
    """Return where C says which signatures are valid."""
    return (c_bool * count)()
