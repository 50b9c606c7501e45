"""What a tagger answers to text: tagged tokens, the words of a text without blanks, records of spans."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from recurra.data import Line, TagColumns, by_length, sentences_of
from recurra.models import Tagger
from recurra.models.evaluation import evaluating
from recurra.tasks.tag.alphabet import Alphabet
from recurra.tasks.tag.scoring import ROWS


class Text(NamedTuple):
    """A text and where its tokens begin and end."""

    text: str
    places: list[tuple[int, int]]

    @property
    def tokens(self) -> list[str]:
        return [self.text[start:end] for start, end in self.places]

    def part(self, start: int, end: int) -> str:
        """The text from the token `start` to the one before the token `end`."""
        return self.text[self.places[start][0] : self.places[end - 1][1]]


@torch.no_grad()
def answer(
    model: Tagger, alphabet: Alphabet, sequences: Sequence[Sequence[str]] | Sequence[np.ndarray]
) -> list[list[str]]:
    """The tags of sentences, given by their tokens, or of sequences of vectors [T, I]; of an empty one, none."""
    device = next(model.parameters()).device
    answers: list[list[str]] = [[] for _ in sequences]
    there = [k for k, one in enumerate(sequences) if len(one)]
    lengths = np.array([len(sequences[k]) for k in there], dtype=np.int64)
    with evaluating(model):
        for numbers in by_length(lengths, ROWS):
            read = alphabet.read([sequences[there[int(k)]] for k in numbers])  # type: ignore[misc]  # one kind
            for k, row in zip(numbers, model.best(read.to(device)).cpu().numpy(), strict=True):
                answers[there[k]] = [alphabet.tags[tag] for tag in row[: lengths[k]]]
    return answers


def of_columns(blocks: Iterable[Sequence[Line]], columns: TagColumns, *, conllu: bool) -> Iterator[list[list[str]]]:
    """The sentences of lines in columns, by their tokens: of each block, those that it ends."""
    held: list[Line] = []
    for block in blocks:
        blank = max((k for k, line in enumerate(block) if not line.text.strip()), default=-1)
        if blank >= 0:
            yield _tokens([*held, *block[: blank + 1]], columns, conllu)
            held = []
        held += block[blank + 1 :]
    if held:
        yield _tokens(held, columns, conllu)


def _tokens(lines: list[Line], columns: TagColumns, conllu: bool) -> list[list[str]]:
    return [list(one.tokens) for one in sentences_of(lines, columns, conllu=conllu, tagged=False)]


def written(alphabet: Alphabet, text: Text, tags: Sequence[str]) -> str:
    """A text with its tags, as `token/tag`; where tags write nothing but words, these, parted by blanks."""
    if alphabet.scheme is None or alphabet.kinds or alphabet.cut != "characters":
        return " ".join(f"{token}/{tag}" for token, tag in zip(text.tokens, tags, strict=True))
    words = [text.part(span.start, span.end) for span in alphabet.scheme.spans(tags)]
    # A blank in the text parts words, whatever the model says.
    return " ".join(" ".join(words).split())


def record(alphabet: Alphabet, text: Text, tags: Sequence[str]) -> str:
    """The spans of a text as one JSON object: each kind with its text, or with a list of several."""
    found: dict[str, list[str]] = {}
    for span in alphabet.scheme.spans(tags) if alphabet.scheme else ():
        found.setdefault(span.kind, []).append(text.part(span.start, span.end))
    return json.dumps(
        {kind: texts[0] if len(texts) == 1 else texts for kind, texts in found.items()}, ensure_ascii=False
    )


def joined(tokens: Sequence[str]) -> Text:
    """Tokens as a text, with blanks between them."""
    ends = np.cumsum([len(token) + 1 for token in tokens]).tolist()
    places = [(end - 1 - len(token), end - 1) for token, end in zip(tokens, ends, strict=True)]
    return Text(" ".join(tokens), places)
