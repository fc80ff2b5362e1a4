"""Controls and panels for JupyterLab. They show; plain functions and objects that are handed in do the work."""
