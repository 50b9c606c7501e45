"""Torch modules around the engines."""

# A step alone gives an engine nothing to prepare and nothing to take out of the loop: torch's own cells are the faster.
from torch.nn import GRUCell, LSTMCell, RNNCell

from recurra.layers.attention import Attention
from recurra.layers.crf import LinearChainCRF
from recurra.layers.cross_entropy import linear_cross_entropy
from recurra.layers.decoder import Attended, Decoder, DecoderState
from recurra.layers.feedback import Feedback
from recurra.layers.initialisation import Initialisation
from recurra.layers.linear import Linear
from recurra.layers.normalisation import Normalisation
from recurra.layers.recurrent import Recurrent, State
from recurra.layers.regularisation import Regularisation
from recurra.layers.stepper import Stepper
from recurra.layers.twins import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attended",
    "Attention",
    "Decoder",
    "DecoderState",
    "Feedback",
    "GRUCell",
    "Initialisation",
    "LSTMCell",
    "Linear",
    "LinearChainCRF",
    "Normalisation",
    "RNNCell",
    "Recurrent",
    "Regularisation",
    "State",
    "Stepper",
    "linear_cross_entropy",
]
