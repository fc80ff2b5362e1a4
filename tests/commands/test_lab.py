import subprocess

from twinlab.commands import lab


def test_jupyterlab_starts_at_the_root_and_opens_the_welcome_notebook(monkeypatch, capsys):
    called = {}

    def call(command, cwd, env):
        called.update(command=command, cwd=cwd, env=env)
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    assert lab.open_lab(["--no-browser"]) == 0
    assert f"--ServerApp.root_dir={called['cwd']}" in called["command"]
    # Jupyter prints the address to copy with `?token=` after it: a question mark of ours would lead to a login page.
    assert "--LabApp.default_url=/lab/tree/notebooks/00_welcome.ipynb" in called["command"]
    assert any(each.startswith("--LabApp.workspaces_dir=") for each in called["command"])
    assert called["command"][-1] == "--no-browser"
    assert (called["cwd"] / "notebooks" / "00_welcome.ipynb").is_file()
    assert (lab._SETTINGS / "labconfig" / "default_setting_overrides.json").is_file()
    assert str(lab._SETTINGS) in called["env"]["JUPYTER_CONFIG_PATH"]
    assert "To stop it" in capsys.readouterr().out
