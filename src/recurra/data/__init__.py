"""Files become examples and batches: texts, vocabularies, and streams whose place can be saved and found again."""

from recurra.data.asked import Asked, part_question, read_asked
from recurra.data.audio import Mel, is_audio, read_audio
from recurra.data.batches import ExampleStream, SequenceBatch, by_length, pad
from recurra.data.builtin import is_builtin, read_builtin
from recurra.data.corpus import Corpus, Encoded
from recurra.data.dates import Frequency, calendar
from recurra.data.described import Described, read_described, read_features
from recurra.data.documents import MARKS as DOCUMENT_MARKS
from recurra.data.documents import Document, DocumentLayout, read_documents
from recurra.data.errors import DataError
from recurra.data.frames import FrameSet, read_frames
from recurra.data.labelled import Columns, Labelled, read_labelled
from recurra.data.midi import midi_bytes
from recurra.data.pairs import Pair, PairColumns, groups, read_pairs
from recurra.data.pictures import picture_features, pictures_at
from recurra.data.pitches import KEYS, frame_of, name_of, text_of
from recurra.data.rhymes import read_rhymes, rhymed
from recurra.data.rolls import Collection, Roll, read_rolls
from recurra.data.series import Reading, RowReader, Series, collect, in_time, read_series
from recurra.data.spans import Scheme, Span, detect, stray
from recurra.data.split import split
from recurra.data.stream import NO_TARGET, Batch, TextStream
from recurra.data.symbols import Symbols
from recurra.data.systems import read_made
from recurra.data.tagged import TagColumns, Tagged, cut, read_tagged, sentences_of
from recurra.data.text import Line, Piece, line_blocks, lines_of, read_pieces, read_stream
from recurra.data.tokenizer import Tokenizer, new_tokenizer
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
from recurra.data.windows import (
    Layout,
    Scaler,
    WindowBatch,
    Windows,
    autocorrelation,
    chronological,
    origins,
    require_no_leak,
)
from recurra.data.word_vectors import read_word_vectors

__all__ = [
    "DOCUMENT_MARKS",
    "KEYS",
    "LEVELS",
    "LINE_END",
    "NO_TARGET",
    "UNKNOWN",
    "Asked",
    "Batch",
    "CharacterVocabulary",
    "Collection",
    "Columns",
    "Corpus",
    "DataError",
    "Described",
    "Document",
    "DocumentLayout",
    "Encoded",
    "ExampleStream",
    "FrameSet",
    "Frequency",
    "Labelled",
    "Layout",
    "Line",
    "Mel",
    "Pair",
    "PairColumns",
    "Piece",
    "Reading",
    "Roll",
    "RowReader",
    "Scaler",
    "Scheme",
    "SequenceBatch",
    "Series",
    "Span",
    "Symbols",
    "TagColumns",
    "Tagged",
    "TextStream",
    "Tokenizer",
    "VectorSet",
    "Vocabulary",
    "WindowBatch",
    "Windows",
    "WordVocabulary",
    "autocorrelation",
    "build_vocabulary",
    "by_length",
    "calendar",
    "chronological",
    "collect",
    "cut",
    "detect",
    "frame_of",
    "groups",
    "in_time",
    "is_audio",
    "is_builtin",
    "is_vectors",
    "line_blocks",
    "lines_of",
    "midi_bytes",
    "name_of",
    "new_tokenizer",
    "origins",
    "pad",
    "part_question",
    "picture_features",
    "pictures_at",
    "read_asked",
    "read_audio",
    "read_builtin",
    "read_described",
    "read_documents",
    "read_features",
    "read_frames",
    "read_labelled",
    "read_made",
    "read_pairs",
    "read_pieces",
    "read_rhymes",
    "read_rolls",
    "read_series",
    "read_stream",
    "read_tagged",
    "read_vectors",
    "read_word_vectors",
    "require_no_leak",
    "rhymed",
    "sentences_of",
    "split",
    "stray",
    "text_of",
]
