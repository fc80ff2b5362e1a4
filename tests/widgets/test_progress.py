from IPython.core.interactiveshell import InteractiveShell

from twinlab.widgets import progress as line


def test_a_terminal_gets_one_line_that_ends(capsys, monkeypatch):
    monkeypatch.setattr(line, "get_ipython", lambda: None)
    show = line.show_progress()
    for done in range(1001):
        show("training", done, 1000)
    text = capsys.readouterr().err
    assert text.endswith("s)   \n")
    assert text.count("\r") < 20


def test_a_notebook_gets_one_display_that_is_replaced(monkeypatch):
    shown = []

    class Handle:
        def display(self, page):
            shown.append(("display", page.data))

        def update(self, page):
            shown.append(("update", page.data))

    monkeypatch.setattr(line, "get_ipython", lambda: InteractiveShell)
    monkeypatch.setattr(line, "DisplayHandle", Handle)
    show = line.show_progress()
    show("training <b>", 1, 2)
    show("training <b>", 2, 2)
    assert [kind for kind, _ in shown] == ["display", "update"]
    assert "training &lt;b&gt;: 2 of 2" in shown[-1][1]
    assert "role='status'" in shown[-1][1]
