"""How near translations are to what people wrote: BLEU and chrF as sacreBLEU has them, exact matches, symbols."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recurra.tasks.config import ConfigError

INSTALL = "pip install 'recurra[translate]'"


@dataclass(frozen=True)
class Measure:
    """A measure of a corpus, with the signature that says how it was computed."""

    name: str
    value: float
    signature: str


class Corpus:
    """BLEU and chrF with one way of cutting words.

    Args:
        tokenize: how BLEU cuts texts, a name of sacreBLEU's.
        lowercase: whether case counts.

    Attributes:
        available: whether the package is there; without it nothing is measured.

    Raises:
        ConfigError: there is no such way, or it needs a package that is not here.
    """

    def __init__(self, tokenize: str, *, lowercase: bool) -> None:
        try:
            from sacrebleu.metrics.bleu import BLEU
            from sacrebleu.metrics.chrf import CHRF
        except ImportError:
            self.available = False
            return
        self.available = True
        if tokenize not in BLEU.TOKENIZERS:
            raise ConfigError(f"score.tokenize={tokenize!r} is none of {', '.join(BLEU.TOKENIZERS)}")
        try:
            self._bleu: Any = BLEU(lowercase=lowercase, tokenize=tokenize)
            self._bleu_of_some: Any = BLEU(lowercase=lowercase, tokenize=tokenize, effective_order=True)
        except (ImportError, RuntimeError) as error:
            raise ConfigError(f"score.tokenize={tokenize}: {' '.join(str(error).split())}") from error
        self._chrf: Any = CHRF(lowercase=lowercase)

    def bleu(self, translations: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
        """BLEU of a corpus, 0 to 100 (Papineni et al. 2002; Post 2018); each translation has one reference or more."""
        return self._measure("bleu", self._bleu, translations, references)

    def chrf(self, translations: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
        """chrF2 of a corpus, 0 to 100 (Popović 2015)."""
        return self._measure("chrf", self._chrf, translations, references)

    def value(self, name: str, translations: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """The measure `bleu` or `chrf` of some, which may all be short: BLEU is then of the n-grams that there are.

        Of texts without a single n-gram of four words BLEU would be 0, however good they are.
        """
        metric = self._bleu_of_some if name == "bleu" else self._chrf
        return self._measure(name, metric, translations, references).value

    def both(self, translations: Sequence[str], references: Sequence[Sequence[str]]) -> list[Measure]:
        """The two of them; none where the package is not there."""
        if not self.available:
            return []
        return [self.bleu(translations, references), self.chrf(translations, references)]

    def _measure(
        self, name: str, metric: Any, translations: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Measure:
        most = max(map(len, references))
        streams = [[one[k] if k < len(one) else None for one in references] for k in range(most)]
        score = metric.corpus_score(list(translations), streams)
        return Measure(name, float(score.score), metric.get_signature().format())


def exact(translations: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The part of the translations that are one of their references."""
    return sum(one in known for one, known in zip(translations, references, strict=True)) / len(translations)


def symbol_accuracy(translations: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """The part of the symbols of the references that stand at the same place in the translations."""
    right = sum(
        one == other
        for found, wanted in zip(translations, references, strict=True)
        for one, other in zip(found, wanted, strict=False)
    )
    return right / max(sum(map(len, references)), 1)
