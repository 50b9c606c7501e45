"""Words a model could not say, taken from where it looked."""

from collections.abc import Mapping, Sequence

from torch import Tensor


def replace_unknown(
    words: Sequence[str],
    attention: Tensor,
    source: Sequence[str],
    *,
    unknown: str = "<unk>",
    dictionary: Mapping[str, str] | None = None,
) -> list[str]:
    """Put for each unknown word the source word that got most attention when it was predicted (Jean et al. 2015).

    Names and numbers, which most unknown words are, are often written alike in both languages.

    Args:
        words: the T decoded words.
        attention: [T, S] or wider; columns after the source's words (its end, padding) are not looked at.
        source: the S words of the source, at least one.
        unknown: the word that stands for unknown ones.
        dictionary: translations of source words; a word that is not in it is copied.

    Returns:
        the words, none of them unknown unless the source's is.

    Raises:
        ValueError: attention is not of T rows and at least S columns, or the source is empty.
    """
    if attention.dim() != 2 or len(attention) != len(words) or not 0 < len(source) <= attention.shape[1]:
        raise ValueError(
            f"attention is {list(attention.shape)} for {len(words)} words from {len(source)} source words: expected a "
            "row for each word and a column for each source word, of which there is at least one"
        )
    if unknown not in words:
        return list(words)
    looked = [source[int(place)] for place in attention[:, : len(source)].argmax(1)]
    known = dictionary or {}
    return [known.get(seen, seen) if word == unknown else word for word, seen in zip(words, looked, strict=True)]
