// Gives the ipywidgets of the same panel names and spoken values. Their sliders' handles have no name of their own, a log
// slider announces the exponent, and a progress bar has no role.
function setOnce(element, name, value) {
  if (value && element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function textOf(root, selector) {
  const found = root.querySelector(selector);
  return found ? found.textContent.trim() : "";
}

function nameSliders(root) {
  for (const slider of root.querySelectorAll(".widget-slider, .widget-hslider, .widget-vslider")) {
    const handle = slider.querySelector(".noUi-handle");
    if (!handle) continue;
    setOnce(handle, "aria-label", textOf(slider, ".widget-label"));
    setOnce(handle, "aria-valuetext", textOf(slider, ".widget-readout"));
    setOnce(handle, "aria-disabled", slider.querySelector("[disabled]") ? "true" : "false");
  }
}

function nameProgress(root) {
  for (const bar of root.querySelectorAll(".widget-hprogress")) {
    const track = bar.querySelector(".progress");
    const filled = bar.querySelector(".progress-bar");
    if (!track || !filled) continue;
    setOnce(track, "role", "progressbar");
    setOnce(track, "aria-valuemin", "0");
    setOnce(track, "aria-valuemax", "100");
    setOnce(track, "aria-label", textOf(bar, ".widget-label") || "Progress");
    setOnce(track, "aria-valuenow", String(Math.round(parseFloat(filled.style.width || "0"))));
  }
}

// The live region stays while its words change; one that came anew with each sentence would often not be spoken.
function nameStatus(root) {
  for (const holder of root.querySelectorAll(".twinlab-status-holder .widget-html-content")) {
    setOnce(holder, "role", "status");
    setOnce(holder, "aria-live", "polite");
  }
}

// In JupyterLab's command mode the arrows move from cell to cell, also where a list has the focus. There they are the list's.
function keepArrows(root) {
  for (const list of root.querySelectorAll("select")) setOnce(list, "data-lm-suppress-shortcuts", "true");
}

function findPanel(el) {
  return el.closest(".twinlab-panel");
}

function render({ el }) {
  el.style.display = "none";
  let gone = false;
  let panel = null;
  const name = () => {
    nameSliders(panel);
    nameProgress(panel);
    nameStatus(panel);
    keepArrows(panel);
  };
  const watcher = new MutationObserver(name);
  const start = () => {
    if (gone) return;
    panel = findPanel(el);
    if (!panel) return void requestAnimationFrame(start);
    name();
    watcher.observe(panel, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
      attributeFilter: ["style", "aria-valuetext", "disabled"],
    });
  };
  requestAnimationFrame(start);
  return () => {
    gone = true;
    watcher.disconnect();
  };
}

export default { render };
