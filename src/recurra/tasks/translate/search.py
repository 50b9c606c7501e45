"""Translations of sources, found greedily or with a beam."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recurra.data import by_length, pad
from recurra.data.vocabulary import UNKNOWN
from recurra.decoding import (
    BeamSettings,
    Constraints,
    Hypothesis,
    Sampler,
    beam_search,
    greedy,
    replace_unknown,
    sample_sequences,
)
from recurra.models import EncoderDecoder
from recurra.models.evaluation import evaluating
from recurra.tasks.config import ConfigError
from recurra.tasks.ranking import require_in_beam
from recurra.tasks.translate.config import DecodeConfig
from recurra.tasks.translate.data import side_by_side
from recurra.tasks.translate.sides import END, START, Sides
from recurra.tasks.wording import Wording, require_room

# Most sources searched for at once, and symbols of a translation that are allowed beside those for its source's.
ROWS = 64
_SPARE = 20
# Stands for the end of a source, where what was looked at is shown.
END_SIGN = "∎"


@dataclass(frozen=True)
class Translation:
    """A translation that a model found.

    Attributes:
        source: the symbols of the source, in the order of the text.
        symbols: its own.
        text: it, as a text.
        log_probability: in nats.
        score: what the search ranked it by.
        attention: what was looked at for each symbol, [T, S + 1]: the symbols of the source, then its end; or None.
    """

    source: list[str]
    symbols: list[str]
    text: str
    log_probability: float
    score: float
    attention: np.ndarray | None


class Translator:
    """A model with what stands around it: the symbols of both sides, and the order in which a source is read.

    Args:
        model: the model.
        sides: the symbols.
        reverse: whether a source is read from its end.
        seed: of what is drawn, where the settings name none.
    """

    def __init__(self, model: EncoderDecoder, sides: Sides, *, reverse: bool, seed: int = 0) -> None:
        self.model, self.sides, self.reverse = model, sides, reverse
        self._seed, self._drawn = seed, 0

    def numbers(self, symbols: Sequence[str]) -> np.ndarray:
        """The numbers of a source's symbols as the model reads them, int32 [S + 1]."""
        return self.sides.source.numbers(symbols[::-1] if self.reverse else symbols)

    def greedy(self, sources: Sequence[Sequence[str]], settings: DecodeConfig) -> list[Translation]:
        """The greedy translation of each source, given by its symbols, in all else as the settings say."""
        likeliest = dataclasses.replace(settings, way="search", beam=1, nbest=None, coverage_penalty=0.0)
        return [found[0] for found in self.search(sources, likeliest)]

    def log_probabilities(self, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """log p(target|source) of texts, in nats, the end of the target included, float64 [N]."""
        read = [self.numbers(self.sides.source.tokenizer.cut(text)) for text in sources]
        written = [self.sides.target.numbers(self.sides.target.tokenizer.cut(text)) for text in targets]
        return -self.nats(read, written)

    @torch.no_grad()
    def nats(self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> np.ndarray:
        """−log p(target|source), float64 [N], of numbers as the model reads and writes them, int32 [S] and [T] each."""
        model, found = self.model, np.zeros(len(sources))
        device = next(model.parameters()).device
        lengths = np.array([len(one) + len(other) for one, other in zip(sources, targets, strict=True)], dtype=np.int64)
        with evaluating(model):
            for rows in by_length(lengths, ROWS):
                batch = side_by_side([sources[k] for k in rows], [targets[k] for k in rows]).to(device)
                encoded = model.encode(batch.source, batch.source_lengths)
                nats = model.nats(encoded, batch.inputs, batch.targets, batch.lengths)
                found[rows] = nats.sum(1, dtype=torch.float64).cpu().numpy()
        return found

    @torch.no_grad()
    def search(
        self,
        sources: Sequence[Sequence[str]],
        settings: DecodeConfig,
        required: Sequence[Sequence[Sequence[int]]] | None = None,
    ) -> list[list[Translation]]:
        """The best translations of each source, given by its symbols, the best first.

        Args:
            sources: symbols of each source.
            settings: how they are searched for.
            required: phrases that the translations of each source hold beside those that all do, as `phrase` gives
                them; None: none.

        Raises:
            ConfigError: the settings need attention, which the model has not, name a symbol that it does not write, or
                contradict one another.
        """
        attends = self.model.decoder.attention is not None
        if not attends and (settings.replace or settings.coverage_penalty):
            key = "replace" if settings.replace else "coverage_penalty"
            raise ConfigError(f"decode.{key} needs a model with attention, and this one was trained without")
        require_in_beam(settings.nbest, settings.beam)
        forbidden, wanted = self.wording.forbidden(settings.forbidden), self.wording.phrases(settings.required)
        read = [self.numbers(symbols) for symbols in sources]
        found: list[list[Translation]] = [[] for _ in sources]
        lengths = np.array([len(one) for one in read], dtype=np.int64)
        with evaluating(self.model):
            for rows in by_length(lengths, ROWS) if len(read) else ():
                phrases = [[*wanted, *([] if required is None else required[k])] for k in rows]
                hypotheses = self._hypotheses([read[k] for k in rows], settings, forbidden, phrases)
                for k, ones in zip(map(int, rows), hypotheses, strict=True):
                    found[k] = [self._translation(sources[k], one, settings.replace) for one in ones]
        return found

    @property
    def wording(self) -> Wording:
        """What finds the numbers of the words that translations must hold, or must not."""
        return Wording(self.sides.target.tokenizer.cut, self.sides.target.symbols.names)

    def _hypotheses(
        self, read: list[np.ndarray], settings: DecodeConfig, forbidden: list[int], phrases: list[list[Sequence[int]]]
    ) -> list[list[Hypothesis]]:
        model, device = self.model, next(self.model.parameters()).device
        inputs, lengths = pad(read)
        state = model.start(model.encode(inputs.to(device), lengths))
        start = torch.full((len(read),), START, device=device)
        maximum = [int(settings.maximum * (int(length) - 1)) + _SPARE for length in lengths]
        for most, required in zip(maximum, phrases, strict=True):
            require_room(most, settings.minimum, required)
        constraints = Constraints(minimum=settings.minimum, forbidden=[START, *forbidden])
        if settings.way == "sample":
            if any(phrases):
                raise ConfigError(
                    "decode.required is for translations that are searched for: leave out decode.way=sample"
                )
            ones = sample_sequences(
                model.step,
                state,
                start,
                end=END,
                maximum=maximum,
                sampler=Sampler(settings.temperature, settings.top_k, settings.top_p),
                generator=self._generator(settings, device),
                select=model.select,
                constraints=constraints,
            )
            return [[one] for one in ones]
        if settings.beam == 1 and not any(phrases):
            ones = greedy(
                model.step, state, start, end=END, maximum=maximum, select=model.select, constraints=constraints
            )
            return [[one] for one in ones]
        beam = BeamSettings(
            end=END,
            maximum=maximum,
            size=settings.beam,
            nbest=settings.nbest or settings.beam,
            length_penalty=settings.length_penalty,
            coverage_penalty=settings.coverage_penalty,
            constraints=constraints,
            required=phrases,
        )
        return beam_search(model.step, model.select, state, start, beam, lengths.to(device))

    def _generator(self, settings: DecodeConfig, device: torch.device) -> torch.Generator:
        """What draws, another for each batch."""
        self._drawn += 1
        seed = self._seed if settings.seed is None else settings.seed
        return torch.Generator(device).manual_seed(seed + self._drawn - 1)

    def _translation(self, source: Sequence[str], found: Hypothesis, replace: bool) -> Translation:
        attention = None
        if found.attention is not None:
            attention = found.attention[:, : len(source) + 1].cpu().numpy()
            if self.reverse:
                attention = np.concatenate([attention[:, -2::-1], attention[:, -1:]], 1)
        symbols = self.sides.target.names(found.tokens)
        if replace and found.attention is not None and source:
            symbols = replace_unknown(symbols, torch.from_numpy(attention), source, unknown=UNKNOWN)
        text = self.sides.target.text(symbols)
        return Translation(list(source), symbols, text, found.log_probability, found.score, attention)
