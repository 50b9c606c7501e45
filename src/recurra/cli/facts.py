"""Commands that tell: the cells and their equations, and what this machine offers."""


def cells(name: str | None = None, /, *, latex: bool = False, check: bool = False) -> None:
    """List the cells, or print the equations of one.

    Parameters
    ----------
    name
        The cell to print; one of your own as mycell.py:mycell, whose file is run.
    latex
        Print its equations as LaTeX.
    check
        Run it on every engine as well, and compare outputs and gradients with the reference in float64.
    """
    from recurra import cells as zoo
    from recurra import equations

    if name is not None:
        if zoo.is_file(name):
            zoo.load(name)
        cell = zoo.get(name)
        print(equations.latex(cell) if latex else equations.unicode(cell))
        if check:
            from recurra.engines.check import check_cell

            print(f"\n{check_cell(cell)}")
        return
    names = zoo.names()
    width = max(map(len, names))
    for each in names:
        print(f"{each:{width}}  {_first_line(zoo.get(each).doc)}")
    print("\nThe equations of one: recurra cells NAME")


def doctor() -> None:
    """Tell what this machine offers: versions, cores, engines and why not, peak speed."""
    from recurra.deploy.doctor import report

    print(report())


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
