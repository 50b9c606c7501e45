import pytest

from recurra.data.letters import width_of


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("cat", 3), ("睡觉", 4), ("cafe\u0301", 4), ("ｗ", 2), ("▁de", 3), ("a\u200db", 2)]
)
def test_how_wide_letters_are(text: str, width: int):
    assert width_of(text) == width
