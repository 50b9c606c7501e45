from xml.etree import ElementTree

from recurra.inspect.heatmaps import document, draw, draw_side_by_side
from recurra.tasks.findings import Heatmap, Maps


def cells(svg: str) -> list[ElementTree.Element]:
    return [rect for rect in ElementTree.fromstring(svg).iter("rect") if rect.get("class") != "ground"]


def test_a_cell_is_as_dark_as_its_value():
    dark, light = cells(draw(["a", "<b>"], ["x", "y"], [[0.0, 1.0], [0.25, 0.004]]))
    assert (dark.get("opacity"), light.get("opacity")) == ("1.00", "0.25")
    assert float(dark.get("y")) < float(light.get("y")) and float(dark.get("x")) > float(light.get("x"))
    assert [cell[0].text for cell in (dark, light)] == ["a, y: 1.00", "<b>, x: 0.25"]


def test_cells_side_by_side_that_are_alike_are_one():
    row = [0.0, 1.0, 1.0, 1.0, 0.5, 1.0]
    drawn = cells(draw(["C4"], [""] * 6, [row]))
    widths = [float(cell.get("width")) for cell in drawn]
    assert widths == [66.0, 22.0, 22.0] and drawn[0][0].text == "C4, 1: 1.00"


def test_many_rows_and_columns_stay_on_the_page():
    svg = ElementTree.fromstring(draw([f"row {k}" for k in range(88)], [""] * 500, [[1.0] * 500] * 88))
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert width <= 980 and height < 800
    assert 20 < len(list(svg.iter("text"))) < 60, "labels that would overlap are left out"


def test_nothing_is_drawn_of_nothing():
    assert draw([], [], []) == "" and draw(["a"], [], [[]]) == ""


def test_maps_side_by_side_stay_on_the_page():
    values = [[[1.0 if (k, j) == (2, 5) else 0.0 for j in range(6)] for k in range(6)] for _ in range(30)]
    svg = ElementTree.fromstring(draw_side_by_side([f"word {n}" for n in range(30)], values))
    assert float(svg.get("viewBox").split()[2]) <= 990
    marks = [rect for rect in svg.iter("rect") if rect.get("class") is None]
    assert len(marks) == 30 and marks[3][0].text == "word 3: row 3, column 6: 1.00"
    grounds = [rect for rect in svg.iter("rect") if rect.get("class") == "ground"]
    places = {(rect.get("x"), rect.get("y")) for rect in grounds}
    assert len(places) == 30 and float(marks[0].get("x")) == float(grounds[0].get("x")) + 60
    assert draw_side_by_side([], []) == ""


def test_wide_letters_have_room():
    def box(rows: list[str], columns: list[str]) -> tuple[float, float]:
        svg = ElementTree.fromstring(draw(rows, columns, [[1.0]]))
        return tuple(map(float, svg.get("viewBox").split()[2:]))

    assert box(["睡觉"], ["a"]) == box(["abcd"], ["a"])
    assert box(["a"], ["睡觉"]) == box(["a"], ["abcd"])


def test_a_file_of_its_own_holds_all_pictures_one_below_the_other():
    pictures = [
        Heatmap("ein <Hund>", "→ a dog", ["a", "dog"], ["ein", "Hund", "∎"], [[0.9, 0.1, 0.0], [0.0, 1.0, 0.0]]),
        Heatmap("nichts", "", [], [], []),
        Maps("grids", "", ["a", "dog"], [[[0.0, 1.0], [0.5, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]),
        Heatmap("睡觉" * 30, "", ["sleeps"], ["睡觉"], [[1.0]]),
    ]
    svg = ElementTree.fromstring(document(pictures))
    space = "{http://www.w3.org/2000/svg}"
    titles = [text for text in svg.iter(f"{space}text") if text.get("class") == "title"]
    assert [text.text for text in titles] == [one.title for one in pictures]
    places = [float(text.get("y")) for text in titles]
    assert places == sorted(places) and places[1] - places[0] > 60
    groups = list(svg.iter(f"{space}g"))
    assert len(groups) == 3 and [len(list(one.iter(f"{space}title"))) for one in groups] == [3, 3, 1]
    assert float(svg.get("width")) > 60 * 2 * 7 and float(svg.get("height")) > places[-1]
