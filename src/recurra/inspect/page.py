"""The report as a web page: one HTML text with its style inside, light and dark, nothing fetched from anywhere."""

from __future__ import annotations

import re
from html import escape

_STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2125; --soft: #667079; --faint: #98a1a9; --rule: #e6e3dd;
  --grid: #efece6;
  --train: #2f6bd8; --valid: #d9541e; --plain: #1c8a6b; --wash: #f4f2ed;
  --text: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  --math: "STIX Two Math", "Cambria Math", "Latin Modern Math", "STIX Two Text", Cambria, "DejaVu Serif", serif;
  --code: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #13161a; --card: #1a1e23; --ink: #e4e7ea; --soft: #9aa4ad; --faint: #6d7780; --rule: #2a3037;
  --grid: #252b31;
  --train: #6ea2ff; --valid: #ff9160; --plain: #4cc9a4; --wash: #20252b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 var(--text);
  -webkit-text-size-adjust: 100%; }
main { max-width: 1080px; margin: 0 auto; padding: 44px 24px 64px; }
.kicker { color: var(--soft); font-size: 13px; letter-spacing: .02em; }
h1 { margin: 2px 0 6px; font-size: 32px; line-height: 1.2; font-weight: 650; letter-spacing: -.015em;
  overflow-wrap: anywhere; }
.lead { margin: 0; color: var(--soft); max-width: none; }
h2 { margin: 44px 0 14px; font-size: 19px; font-weight: 620; letter-spacing: -.01em; }
h3 { margin: 0 0 6px; font-size: 13.5px; font-weight: 600; }
h3 small { font-weight: 400; font-size: 12.5px; color: var(--soft); margin-left: .5em; }
p { max-width: 76ch; }
.notice { margin: 18px 0 0; padding: 10px 14px; border-left: 3px solid var(--valid); background: var(--wash);
  border-radius: 0 8px 8px 0; }
.figures { display: flex; flex-wrap: wrap; gap: 1px; margin: 28px 0 0; background: var(--rule);
  border: 1px solid var(--rule); border-radius: 12px; overflow: hidden; }
.figures div { flex: 1 1 130px; background: var(--card); padding: 14px 16px 13px; }
.figures dt { color: var(--soft); font-size: 12.5px; }
.figures dd { margin: 1px 0 0; font-size: 22px; font-weight: 620; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.figures .first dd { color: var(--valid); }
.figures dd.note { font-size: 12.5px; font-weight: 400; letter-spacing: 0; color: var(--soft); min-height: 1.5em; }
.panel { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 14px 16px 10px; }
.panel + .panels, .panels + .panels { margin-top: 14px; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 14px; }
.panels.two { grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 6px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 18px; height: 0; border-top: 2.5px solid; vertical-align: .28em;
  margin-right: 6px; border-radius: 2px; }
.legend .train { color: var(--train); } .legend .valid { color: var(--valid); } .legend .plain { color: var(--plain); }
.legend .truth { color: var(--ink); } .legend .model { color: var(--valid); }
.legend .band i { border-top-width: 10px; border-color: color-mix(in srgb, var(--valid) 20%, transparent); }
.legend span { color: var(--soft); }
.scroll { overflow-x: auto; } .scroll .chart { min-width: 620px; }
.chart { display: block; width: 100%; height: auto; font: 11px var(--text); }
.chart text { fill: var(--soft); font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--grid); fill: none; } .chart .axis { stroke: var(--faint); fill: none; }
.chart .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.line.faint { stroke: var(--train); stroke-width: 1; opacity: .26; }
.line.train { stroke: var(--train); } .line.valid { stroke: var(--valid); } .line.plain { stroke: var(--plain); }
.line.truth { stroke: var(--ink); } .line.model { stroke: var(--valid); }
.chart .band { fill: var(--valid); opacity: .16; stroke: none; }
.dot.truth { fill: var(--ink); } .dot.model { fill: var(--valid); } .dot.plain { fill: var(--plain); }
.dot.train { fill: var(--train); } .dot.valid { fill: var(--valid); } .dot.plain { fill: var(--plain); }
.heatmap { display: block; height: auto; font: 11px var(--text); }
.heatmap text { fill: var(--soft); } .heatmap rect { fill: var(--valid); } .heatmap .ground { fill: var(--wash); }
.ring { fill: none; stroke: var(--valid); stroke-width: 1.6; }
.chart .mark { fill: var(--valid); font-weight: 600; font-size: 12px; paint-order: stroke; stroke: var(--card);
  stroke-width: 4px; stroke-linejoin: round; }
.hit rect { fill: transparent; } .tip { visibility: hidden; pointer-events: none; }
.hit:hover .tip { visibility: visible; }
.tip path { stroke: var(--faint); stroke-dasharray: 2 2; } .hit .tip .box { fill: var(--card); stroke: var(--rule); }
.chart .tip text { fill: var(--ink); }
.samples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 14px; }
.sample { min-width: 0; display: flex; flex-direction: column; } .sample.wide { grid-column: 1 / -1; }
.sample.last .panel { border-color: color-mix(in srgb, var(--train) 45%, var(--rule)); }
.sample h3 { margin: 0 2px 6px; } .sample .panel { flex: 1; }
pre { margin: 0; font: 12.5px/1.55 var(--code); white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
.sample pre { max-height: 232px; overflow: auto; } .sample.wide pre { max-height: 420px; }
.equations { padding: 18px 20px; }
.equations > p { margin: 0 0 14px; color: var(--soft); font-size: 13.5px; max-width: none; }
.equations .scroll { min-width: 0; } .equations .scroll table { border-collapse: collapse; font: 18px/1.8 var(--math); }
.equations .scroll td { padding: 0; white-space: pre; } .equations .scroll td:first-child { text-align: right; }
.equations .scroll td:nth-child(2) { padding: 0 .45em; color: var(--soft); }
.equations sub { font-size: .7em; line-height: 0; }
.command { margin: 0 0 12px; } .command p { margin: 0 0 4px; }
.command pre, .yaml { background: var(--wash); border: 1px solid var(--rule); border-radius: 8px; padding: 9px 13px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 24px; align-items: start; }
.columns > section { min-width: 0; } .columns h2 { margin-bottom: 12px; }
table.facts { width: 100%; border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
.facts td { padding: 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; overflow-wrap: anywhere; }
.facts td:first-child { color: var(--soft); padding-right: 18px; white-space: nowrap; }
.findings { display: grid; grid-template-columns: minmax(0, 1fr); gap: 14px; }
.findings .scroll { max-height: 640px; overflow: auto; }
table.matrix { border-collapse: separate; border-spacing: 1px; font-size: 12px; font-variant-numeric: tabular-nums; }
.matrix th { font-weight: 500; color: var(--soft); padding: 2px 8px 2px 0; text-align: right; white-space: nowrap; }
.matrix thead th { vertical-align: bottom; padding: 0 0 4px; text-align: center; }
.matrix thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.matrix tbody td { min-width: 30px; height: 26px; text-align: center; padding: 0 4px; border-radius: 3px;
  background: color-mix(in srgb, var(--valid) calc(var(--share) * 85%), var(--wash)); }
.matrix tbody td.right { background: color-mix(in srgb, var(--train) calc(var(--share) * 75%), var(--wash)); }
table.rows { border-collapse: collapse; font-size: 13.5px; width: 100%; }
.rows th { text-align: left; font-weight: 500; color: var(--soft); padding: 4px 16px 4px 0; }
.rows td { padding: 4px 16px 4px 0; border-top: 1px solid var(--rule); }
.rows .long { overflow-wrap: anywhere; }
.rows .number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.marks { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 2px 24px; }
.marks.wide { grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr)); }
.marked { margin: 6px 0; max-width: none; line-height: 1.9; } .marked small { display: block; color: var(--soft); }
mark { color: inherit; padding: 2px 1px; border-radius: 3px;
  background: color-mix(in srgb, var(--train) calc(var(--share) * 60%), transparent); }
mark.against { background: color-mix(in srgb, var(--valid) calc(var(--share) * 60%), transparent); }
footer { margin-top: 52px; padding-top: 14px; border-top: 1px solid var(--rule); color: var(--faint);
  font-size: 12.5px; }
@media print { body { background: #fff; } .sample pre { max-height: none; } .panel, .figures { break-inside: avoid; } }
"""


def page(title: str, body: list[str]) -> str:
    """The whole document: ``title`` as plain text, ``body`` as HTML pieces in order."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon keeps the browser from asking a server for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(piece for piece in body if piece)
        + "\n</main>\n</body>\n</html>\n"
    )


def header(kicker: str, title: str, lead: str, notices: list[str]) -> str:
    """The head of the page; all four are plain text."""
    return (
        f'<header><div class="kicker">{escape(kicker)}</div><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'
        + "".join(f'<p class="notice">{escape(notice)}</p>' for notice in notices)
        + "</header>"
    )


def figures(cards: list[tuple[str, str, str]]) -> str:
    """The headline figures: ``(name, value, note)`` each, the first one set apart by its colour."""
    cells = [
        f"<div{' class=first' if index == 0 else ''}><dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        f'<dd class="note">{escape(note)}</dd></div>'
        for index, (name, value, note) in enumerate(cards)
    ]
    return f'<dl class="figures">{"".join(cells)}</dl>' if cells else ""


def section(title: str, inner: str) -> str:
    """A titled part of the page, left out where ``inner`` (HTML) is empty."""
    return f"<section><h2>{escape(title)}</h2>\n{inner}\n</section>" if inner else ""


def panel(inner: str, title: str = "", note: str = "", legend: list[tuple[str, str]] | None = None) -> str:
    """A card with HTML inside, a plain title over it and a legend of ``(kind, label)``."""
    if not inner:
        return ""
    small = f"<small>{escape(note)}</small>" if note else ""
    head = f"<h3>{escape(title)}{small}</h3>" if title else ""
    if legend:
        keys = "".join(f'<div class="{kind}"><i></i><span>{escape(label)}</span></div>' for kind, label in legend)
        head += f'<div class="legend">{keys}</div>'
    return f'<div class="panel">{head}{inner}</div>'


def sample(title: str, note: str, text: str, kind: str = "") -> str:
    """One text written by the model; ``kind`` may be ``last`` (set apart) and ``wide`` (the whole width)."""
    return (
        f'<div class="sample {kind}"><h3>{escape(title)}<small>{escape(note)}</small></h3>'
        f'<div class="panel"><pre>{escape(text)}</pre></div></div>'
    )


def equations(lines: list[str], note: str, beside: str) -> str:
    """Equations in plain Unicode, aligned at their equals signs and set as in print, with HTML ``beside`` them."""
    rows = []
    for line in lines:
        left, _, right = line.partition(" = ")
        rows.append(f"<tr><td>{_typeset(left.strip())}</td><td>=</td><td>{_typeset(right.strip())}</td></tr>")
    table = f'<div class="scroll"><table>{"".join(rows)}</table></div>' if rows else ""
    return f'<div class="panel equations"><p>{escape(note)}</p><div class="columns">{table}{beside}</div></div>'


def _typeset(text: str) -> str:
    """Variables in italics, with real subscripts: ``W_i`` and ``hₜ₋₁``; functions stay upright."""
    text = re.sub(r"\b([A-Za-z]+)_(\w+)", r"<i>\1</i><sub>\2</sub>", escape(text))
    return re.sub(
        r"([A-Za-z]\w*?)(ₜ₋₁|ₜ)",
        lambda m: f"<i>{m[1]}</i><sub>{'<i>t</i>−1' if m[2] != 'ₜ' else '<i>t</i>'}</sub>",
        text,
    )


def command(meaning: str, text: str) -> str:
    """A command to copy, with what it does."""
    return f'<div class="command"><p>{escape(meaning)}</p><pre>{escape(text)}</pre></div>'


def facts(rows: list[tuple[str, str]]) -> str:
    """A table of names and values."""
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{cells}</table>' if rows else ""


def yaml(text: str) -> str:
    """A configuration file, as it stands."""
    return f'<pre class="yaml">{escape(text.rstrip())}</pre>' if text.strip() else ""


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def footer(text: str) -> str:
    """The last line of the page."""
    return f"<footer>{escape(text)}</footer>"
