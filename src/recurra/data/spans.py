"""Spans written as a tag for each token: which tags open, go on with, close and stand beside a span."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

# What each letter says of a token. Several schemes name the same thing differently (BIOES, BMES, BILOU).
_ROLES = {
    "B": "begin", "I": "inside", "M": "inside", "E": "end", "L": "end", "S": "single", "U": "single", "O": "outside",
}  # fmt: skip
SCHEMES = ("bio", "bmes")


class Span(NamedTuple):
    """Tokens `start` to `end` (not included) and what they are; the kind of a mere word is empty."""

    kind: str
    start: int
    end: int


class Scheme:
    """How spans are written as tags.

    | scheme | tags | a span |
    |---|---|---|
    | `bio` | `B-X I-X O` | begins with B and goes on with I |
    | `bmes` | `B-X M-X E-X S-X O`, also called BIOES or BILOU | begins with B and ends with E, or is a single S |

    Where there is but one kind of span, tags may be bare letters, as in Chinese word segmentation: `B M E S`.

    Args:
        name: one of these.
        tags: all tags there are.

    Raises:
        ValueError: a tag is none of the scheme's.
    """

    def __init__(self, name: str, tags: Iterable[str]) -> None:
        if name not in SCHEMES:
            raise ValueError(f"there is no scheme of tags {name!r}; there are {', '.join(SCHEMES)}")
        self.name = name
        self._parts = {tag: self._part(tag) for tag in tags}

    def _part(self, tag: str) -> tuple[str, str]:
        part = parted(tag)
        if part is None or (self.name == "bio" and part[0] in ("end", "single")):
            form = "B-X, I-X and O" if self.name == "bio" else "B-X, M-X, E-X, S-X and O"
            raise ValueError(f"{tag!r} is no tag of the scheme {self.name}: expected {form}, X being a kind of span")
        return part

    @property
    def marks(self) -> list[str]:
        """The tags that are of this scheme and of no other."""
        return [tag for tag, (role, _) in self._parts.items() if self.name == "bmes" and role in ("end", "single")]

    def may_follow(self, before: str, after: str) -> bool:
        """Whether the tag `after` may stand behind the tag `before`."""
        (role, kind), (next_role, next_kind) = self._parts[before], self._parts[after]
        goes_on = next_role in ("inside", "end")
        if self.name == "bio":
            return not goes_on or (role != "outside" and kind == next_kind)
        is_open = role in ("begin", "inside")
        return is_open == goes_on and (not is_open or kind == next_kind)

    def may_begin(self, tag: str) -> bool:
        """Whether a sentence may begin with the tag."""
        return self._parts[tag][0] not in ("inside", "end")

    def may_end(self, tag: str) -> bool:
        """Whether a sentence may end with the tag."""
        return self.name == "bio" or self._parts[tag][0] not in ("begin", "inside")

    def contradiction(self, tags: Sequence[str]) -> tuple[int, str] | None:
        """The first place where tags contradict the scheme, and in what way; None where they do not."""
        if not tags:
            return None
        if not self.may_begin(tags[0]):
            return 0, f"{tags[0]} stands at the beginning"
        for place, (before, after) in enumerate(pairwise(tags), 1):
            if not self.may_follow(before, after):
                return place, f"{after} follows {before}"
        return None if self.may_end(tags[-1]) else (len(tags) - 1, f"{tags[-1]} stands at the end")

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """The spans that the tags write, in order.

        Tags of a model may contradict the scheme: then a span also begins where one goes on that is not open, and ends
        where another begins, as the scoring program of the CoNLL shared tasks has it.
        """
        found: list[Span] = []
        kind, start = "", -1  # of the span that is open; -1: none is
        for place, tag in enumerate(tags):
            role, own = self._parts[tag]
            begins = role in ("begin", "single") or (role != "outside" and (start < 0 or kind != own))
            if start >= 0 and (begins or role == "outside"):
                found.append(Span(kind, start, place))
                start = -1
            if begins:
                kind, start = own, place
            if role in ("end", "single"):
                found.append(Span(kind, start, place + 1))
                start = -1
        if start >= 0:
            found.append(Span(kind, start, len(tags)))
        return found


def parted(tag: str) -> tuple[str, str] | None:
    """The role of a token in a span and the span's kind, or None of a tag that is of no scheme."""
    letter, hyphen, kind = tag.partition("-")
    if letter not in _ROLES or bool(hyphen) != bool(kind) or (letter == "O" and kind):
        return None
    return _ROLES[letter], kind


def stray(tags: Iterable[str]) -> str | None:
    """A tag that is of no scheme, where another begins spans of a kind that a third goes on with; None: there is none.

    Tags of which some write spans like that, and others do not, are rather mistyped than meant.
    """
    tags = sorted(set(tags))
    parts = [parted(tag) for tag in tags]
    known = {part for part in parts if part is not None and part[1]}
    written = any(("begin", kind) in known and {("inside", kind), ("end", kind)} & known for _, kind in known)
    return tags[parts.index(None)] if written and None in parts else None


def detect(tags: Iterable[str]) -> Scheme | None:
    """The scheme that a set of tags is of, or None where its tags write no spans."""
    tags = set(tags)
    parts = [parted(tag) for tag in tags]
    roles = {part[0] for part in parts if part is not None}
    if None in parts or not roles & {"begin", "single"}:
        return None
    return Scheme("bmes" if roles & {"end", "single"} else "bio", tags)


def segment_tags(words: Iterable[str]) -> list[str]:
    """The tags of the characters of `words`: B, M and E of longer ones, S of a single character."""
    tags: list[str] = []
    for word in words:
        tags += "S" if len(word) == 1 else ["B", *"M" * (len(word) - 2), "E"]
    return tags
