"""The builtin sets with a tag for each step."""

import numpy as np
import pytest

from recurra.data import DataError, Scheme, read_builtin
from recurra.data.motion import STEPS


def read(name: str, test: bool = False):
    return read_builtin(f"builtin:{name}", "tagged", test=test)


def test_the_automaton_as_a_transducer():
    sentence = next(one for one in read("automaton") if "abc" in "".join(one.tokens))
    text = "".join(sentence.tokens)
    assert sentence.tags[text.index("abc") + 2].startswith("open")
    assert {len(one.tokens) for one in read("automaton", test=True)} == {200}
    assert max(len(one.tokens) for one in read("automaton")) == 20


def test_each_frame_is_tagged_with_the_way_the_shape_came():
    clips = read("motion", test=True)
    for frames, tags in zip(clips.sequences[:20], clips.tags, strict=False):
        assert tags[0] is None and len(set(tags)) > 1
        cells = np.round(np.abs(frames)).reshape(-1, 10, 10)
        for t in range(1, len(tags)):
            across, down = STEPS[tags[t]]
            moved = np.roll(cells[t - 1], (down, across), axis=(0, 1))
            assert (moved == cells[t]).mean() > 0.97  # but for the noise


def test_pseudowords_hide_which_word_it_was(tmp_path):
    random = np.random.default_rng(0)
    words = ["".join(chr(97 + int(k)) for k in np.base_repr(n, 5)) for n in range(200)]
    words = ["w" + "".join(letter for letter in word if letter.isalpha()) for word in words]
    chances = 1 / np.arange(10, 210)
    text = "\n".join(" ".join(random.choice(words, 12, p=chances / chances.sum())) for _ in range(4000))
    (tmp_path / "text.txt").write_text(text)
    learn, test = (read(f"pseudowords:{tmp_path / 'text.txt'}", part) for part in (False, True))
    assert len(learn) > 7 * len(test) > 0
    for sentence in test:
        for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
            assert (tag is None) == ("|" not in token)
            assert tag is None or tag in token.split("|")
    (tmp_path / "short.txt").write_text("too short a text\n")
    with pytest.raises(DataError, match="too few to make 20 pseudowords"):
        read(f"pseudowords:{tmp_path / 'short.txt'}")
    with pytest.raises(DataError, match="expected builtin:pseudowords:FILE"):
        read("pseudowords")
    with pytest.raises(DataError, match="expected builtin:motion"):
        read("motion:more")


def test_reports_for_testing_hold_names_and_numbers_that_are_new():
    learn, test = read("reports"), read("reports", test=True)
    scheme = Scheme("bio", {tag for sentence in learn for tag in sentence.tags})
    seen = []
    for sentences in (learn, test):
        assert all(scheme.contradiction(sentence.tags) is None for sentence in sentences)
        assert all(scheme.spans(sentence.tags) for sentence in sentences)
        names, numbers = set(), set()
        for sentence in sentences:
            numbers |= {token for token in sentence.tokens if token[0].isdecimal()}
            for span in scheme.spans(sentence.tags):
                if span.kind == "company":
                    names.add(sentence.tokens[span.start])
        seen.append((names, numbers))
    assert not seen[0][0] & seen[1][0] and not seen[0][1] & seen[1][1]
    assert {span.kind for one in learn for span in scheme.spans(one.tags)} >= {"company", "year", "revenue", "growth"}


def test_a_set_for_another_purpose_is_not_found():
    with pytest.raises(DataError, match="there is no builtin:languages of tagged data; there are: builtin:automaton"):
        read("languages")
