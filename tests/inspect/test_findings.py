from recurra.inspect import findings, page
from recurra.tasks.findings import Curve, Curves, Heatmap, Maps, Marked, Marks, Matrix, Table, as_dict


def drawn(*found) -> str:
    return findings.section({}, [as_dict(one) for one in found])


def test_a_matrix_shades_each_row_by_its_share():
    html = drawn(Matrix("Confusion", "rows: true", ["<a>", "b"], [[3, 1], [0, 0]]))
    assert "Confusion" in html and "rows: true" in html and "&lt;a&gt;" in html and "<a>" not in html
    assert 'class=right style="--share:0.750"' in html and "--share:0.250" in html
    assert "&lt;a&gt; → b: 1 of 4" in html


def test_a_table_shows_texts_and_numbers():
    html = drawn(Table("Mistakes", "", ["text", "p", "n"], [["a & b", 0.51234, 1200]]))
    assert "<td>a &amp; b</td>" in html and ">0.512<" in html and ">1,200<" in html


def test_marks_are_scaled_by_the_largest():
    html = drawn(Marks("What moved", "", [Marked("good, 90%", ["a", "<b>"], [0.5, -2.0], " ")]))
    assert '<mark class="for" style="--share:0.25" title="+0.500">a</mark>' in html
    assert '<mark class="against" style="--share:1.00" title="-2.000">&lt;b&gt;</mark>' in html


def test_curves_are_drawn_over_their_band():
    band = ([(1.0, 0.5), (2.0, 0.0)], [(1.0, 2.5), (2.0, 4.0)])
    curves = [Curve("what <came>", [(0.0, 1.0), (1.0, 2.0), (2.0, 1.5)], "truth"), Curve("forecast", band[0], "model")]
    html = drawn(Curves("Load", "typical", curves, band=band, band_label="10% to 90%"))
    assert html.count('<path class="band"') == 1 and html.index('class="band" d') < html.index('class="line truth"')
    assert '<div class="truth"><i></i><span>what &lt;came&gt;</span>' in html and "10% to 90%" in html
    assert "band" not in drawn(Curves("Load", "", curves, axis="hour")) and ">hour 1<" in drawn(
        Curves("Load", "", curves, axis="hour")
    )


def test_an_evaluation_shows_measures_and_findings_and_passes_over_the_rest():
    matrix = as_dict(Matrix("Confusion", "", ["a"], [[1]]))
    html = findings.evaluation(
        {"run": "r", "data": "d", "accuracy": 0.5, "examples": 12, "m": matrix, "x": {"kind": "?"}}
    )
    assert "Accuracy" in html and "0.5" in html and "12" in html and "Confusion" in html
    assert findings.evaluation({}) == ""


def test_a_heat_map_has_its_labels():
    html = drawn(Heatmap("Alignment", "rows: words", ["ein", "Hund"], ["a", "dog"], [[0.9, 0.1], [0.0, 1.0]]))
    assert "Alignment" in html and 'class="heatmap"' in html and "ein, a: 0.90" in html


def test_maps_have_their_captions():
    html = drawn(Maps("Where it looked", "", ["a", "dog"], [[[0.0, 1.0]], [[0.5, 0.0]]]))
    assert "Where it looked" in html and "dog: row 1, column 1: 0.50" in html


def test_only_a_word_as_long_as_a_column_may_be_broken():
    html = drawn(Table("Mistakes", "", ["right", "address"], [["bathroom", "https://" + "x" * 40]]))
    assert "<td>bathroom</td>" in html and "<td class=long>https://" in html
    rules = page.page("", []).partition("<style>")[2].splitlines()
    assert [rule for rule in rules if rule.startswith(".rows") and "overflow-wrap" in rule] == [
        ".rows .long { overflow-wrap: anywhere; }"
    ]
