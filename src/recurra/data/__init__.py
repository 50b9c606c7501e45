"""Files become examples and batches: texts, vocabularies, and streams whose place can be saved and found again."""

from recurra.data.audio import Mel, is_audio, read_audio
from recurra.data.batches import ExampleStream, SequenceBatch, by_length, pad
from recurra.data.builtin import is_builtin, read_builtin
from recurra.data.corpus import Corpus, Encoded
from recurra.data.errors import DataError
from recurra.data.frames import FrameSet, read_frames
from recurra.data.labelled import Columns, Labelled, read_labelled
from recurra.data.spans import Scheme, Span, detect
from recurra.data.split import split
from recurra.data.stream import NO_TARGET, Batch, TextStream
from recurra.data.symbols import Symbols
from recurra.data.tagged import TagColumns, Tagged, cut, read_tagged, sentences_of
from recurra.data.text import Line, Piece, line_blocks, lines_of, read_pieces, read_stream
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
    "FrameSet",
    "Labelled",
    "Line",
    "Mel",
    "Piece",
    "Scheme",
    "SequenceBatch",
    "Span",
    "Symbols",
    "TagColumns",
    "Tagged",
    "TextStream",
    "VectorSet",
    "Vocabulary",
    "WordVocabulary",
    "build_vocabulary",
    "by_length",
    "cut",
    "detect",
    "is_audio",
    "is_builtin",
    "is_vectors",
    "line_blocks",
    "lines_of",
    "pad",
    "read_audio",
    "read_builtin",
    "read_frames",
    "read_labelled",
    "read_pieces",
    "read_stream",
    "read_tagged",
    "read_vectors",
    "read_word_vectors",
    "sentences_of",
    "split",
]
