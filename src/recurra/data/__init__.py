"""Files become examples and batches: texts, vocabularies, and streams whose place can be saved and found again."""

from recurra.data.corpus import Corpus, Encoded
from recurra.data.errors import DataError
from recurra.data.stream import NO_TARGET, Batch, TextStream
from recurra.data.text import Piece, read_pieces
from recurra.data.vocabulary import (
    LEVELS,
    LINE_END,
    UNKNOWN,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
    build_vocabulary,
)

__all__ = [
    "LEVELS",
    "LINE_END",
    "NO_TARGET",
    "UNKNOWN",
    "Batch",
    "CharacterVocabulary",
    "Corpus",
    "DataError",
    "Encoded",
    "Piece",
    "TextStream",
    "Vocabulary",
    "WordVocabulary",
    "build_vocabulary",
    "read_pieces",
]
