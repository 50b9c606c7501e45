"""The ways of using a recurrent network, as torch modules."""

from recurra.models.autoregressive import Autoregressive, Decoding
from recurra.models.classifier import Classifier, RecurrentBody
from recurra.models.condition import Condition
from recurra.models.dropouts import Dropouts
from recurra.models.encoded_memory import EncodedMemory
from recurra.models.encoder import Encoded, Encoder
from recurra.models.encoder_decoder import EncoderDecoder
from recurra.models.forecaster import Forecast, Forecaster, Way
from recurra.models.inputs import SymbolInput, VectorInput
from recurra.models.language_model import LanguageModel
from recurra.models.memory import DelayMemory, Lags, RecurrentMemory
from recurra.models.memoryless import Bag, Positions, TimeDelay, Window
from recurra.models.note_model import NoteModel
from recurra.models.outlook import Outlook
from recurra.models.reader import Questions, Reader, ReaderSize
from recurra.models.scheduled_sampling import ScheduledSampling
from recurra.models.segment_memory import SegmentMemory
from recurra.models.summary import Summary
from recurra.models.tagger import Spelling, Tagger, TokenInput, Tokens
from recurra.models.vector_to_sequence import VectorToSequence

__all__ = [
    "Autoregressive",
    "Bag",
    "Classifier",
    "Condition",
    "Decoding",
    "DelayMemory",
    "Dropouts",
    "Encoded",
    "EncodedMemory",
    "Encoder",
    "EncoderDecoder",
    "Forecast",
    "Forecaster",
    "Lags",
    "LanguageModel",
    "NoteModel",
    "Outlook",
    "Positions",
    "Questions",
    "Reader",
    "ReaderSize",
    "RecurrentBody",
    "RecurrentMemory",
    "ScheduledSampling",
    "SegmentMemory",
    "Spelling",
    "Summary",
    "SymbolInput",
    "Tagger",
    "TimeDelay",
    "TokenInput",
    "Tokens",
    "VectorInput",
    "VectorToSequence",
    "Way",
    "Window",
]
