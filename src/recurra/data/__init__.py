"""Files become examples and batches: texts, vocabularies, and streams whose place can be saved and found again."""

from recurra.data.audio import Mel, is_audio, read_audio
from recurra.data.batches import ExampleStream, SequenceBatch, by_length, pad
from recurra.data.builtin import is_builtin, read_builtin
from recurra.data.corpus import Corpus, Encoded
from recurra.data.errors import DataError
from recurra.data.labelled import Columns, Labelled, read_labelled
from recurra.data.split import split
from recurra.data.stream import NO_TARGET, Batch, TextStream
from recurra.data.text import Line, Piece, lines_of, read_pieces, read_stream
from recurra.data.vectors import VectorSet, is_vectors, read_vectors
from recurra.data.vocabulary import (
    LEVELS,
    LINE_END,
    UNKNOWN,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
    build_vocabulary,
)
from recurra.data.word_vectors import read_word_vectors

__all__ = [
    "LEVELS",
    "LINE_END",
    "NO_TARGET",
    "UNKNOWN",
    "Batch",
    "CharacterVocabulary",
    "Columns",
    "Corpus",
    "DataError",
    "Encoded",
    "ExampleStream",
    "Labelled",
    "Line",
    "Mel",
    "Piece",
    "SequenceBatch",
    "TextStream",
    "VectorSet",
    "Vocabulary",
    "WordVocabulary",
    "build_vocabulary",
    "by_length",
    "is_audio",
    "is_builtin",
    "is_vectors",
    "lines_of",
    "pad",
    "read_audio",
    "read_builtin",
    "read_labelled",
    "read_pieces",
    "read_stream",
    "read_vectors",
    "read_word_vectors",
    "split",
]
