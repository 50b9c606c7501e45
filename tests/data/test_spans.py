import pytest

from recurra.data.spans import Scheme, Span, detect, segment_tags, stray

BIO = ("O", "B-per", "I-per", "B-loc", "I-loc")
BMES = ("B", "M", "E", "S")


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (BIO, "bio"),
        (("O", "B-per"), "bio"),
        (BMES, "bmes"),
        (("S-x", "B-x", "I-x", "E-x", "O"), "bmes"),  # BIOES
        (("U-x", "B-x", "I-x", "L-x", "O"), "bmes"),  # BILOU
        (("NOUN", "VERB", "X"), None),
        (("O",), None),
        (("B-x", "noun"), None),
        (("open", "shut"), None),
    ],
)
def test_a_scheme_is_known_by_its_tags(tags, name):
    scheme = detect(tags)
    assert (scheme.name if scheme else None) == name


@pytest.mark.parametrize(
    ("tags", "tag"),
    [
        ((*BIO, "B_per"), "B_per"),
        ((*BIO, "o"), "o"),
        (("B-x", "E-x", "S-x", "noun"), "noun"),
        (BIO, None),
        (BMES, None),
        (("B-x", "noun"), None),
        (("S", "NP", "VP"), None),
    ],
)
def test_a_tag_of_no_form_among_those_of_a_scheme_is_found(tags, tag):
    assert stray(tags) == tag


def spans(scheme, tags, text):
    return Scheme(scheme, tags).spans(text.split())


def test_spans_of_bio():
    assert spans("bio", BIO, "O B-per I-per O B-loc B-loc") == [
        Span("per", 1, 3), Span("loc", 4, 5), Span("loc", 5, 6),
    ]  # fmt: skip
    # Of a model's tags that contradict the scheme, as the scoring program reads them.
    assert spans("bio", BIO, "I-per I-loc O I-per I-per") == [Span("per", 0, 1), Span("loc", 1, 2), Span("per", 3, 5)]
    assert spans("bio", BIO, "O O") == []


def test_spans_of_bmes():
    assert spans("bmes", BMES, "B E S B M M E") == [Span("", 0, 2), Span("", 2, 3), Span("", 3, 7)]
    # Every character is in one word, whatever a model says.
    assert spans("bmes", BMES, "M E E B B S") == [
        Span("", 0, 2), Span("", 2, 3), Span("", 3, 4), Span("", 4, 5), Span("", 5, 6),
    ]  # fmt: skip
    typed = ("O", "B-x", "I-x", "E-x", "S-y")
    assert spans("bmes", typed, "S-y B-x I-x E-x O") == [Span("y", 0, 1), Span("x", 1, 4)]


def test_what_may_follow_what():
    bio, bmes = Scheme("bio", BIO), Scheme("bmes", BMES)
    assert bio.may_follow("B-per", "I-per") and bio.may_follow("I-per", "I-per")
    assert not bio.may_follow("O", "I-per") and not bio.may_follow("B-loc", "I-per")
    assert bio.may_follow("B-loc", "B-per") and bio.may_follow("I-loc", "O")
    assert not bio.may_begin("I-per") and bio.may_end("B-per")
    allowed = {(a, b) for a in BMES for b in BMES if bmes.may_follow(a, b)}
    assert allowed == {
        ("B", "M"), ("B", "E"), ("M", "M"), ("M", "E"), ("E", "B"), ("E", "S"), ("S", "B"), ("S", "S"),
    }  # fmt: skip
    assert [tag for tag in BMES if bmes.may_begin(tag)] == ["B", "S"]
    assert [tag for tag in BMES if bmes.may_end(tag)] == ["E", "S"]
    typed = Scheme("bmes", ("O", "B-x", "E-x", "B-y", "E-y"))
    assert typed.may_follow("B-x", "E-x") and not typed.may_follow("B-x", "E-y") and not typed.may_follow("B-x", "O")


def test_contradictions_are_found():
    bio, bmes = Scheme("bio", BIO), Scheme("bmes", BMES)
    assert bio.contradiction(("O", "B-per", "I-per")) is None
    assert bio.contradiction(("B-loc", "O", "I-per")) == (2, "I-per follows O")
    assert bio.contradiction(("I-per",)) == (0, "I-per stands at the beginning")
    assert bmes.contradiction(("S", "B")) == (1, "B stands at the end")
    with pytest.raises(ValueError, match="'E-per' is no tag of the scheme bio"):
        Scheme("bio", (*BIO, "E-per"))


def test_words_become_tags_and_back():
    words = ["共同", "创造", "的", "新世纪"]
    tags = segment_tags(words)
    assert "".join(tags) == "BEBESBME"
    text = "".join(words)
    assert [text[span.start : span.end] for span in Scheme("bmes", BMES).spans(tags)] == words
