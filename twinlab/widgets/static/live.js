// One chart that moves with its data. Vega comes from the kernel, once per page, so nothing asks the network.
const PAGE_KEY = "__twinlab_vega__";
const PATIENCE_MS = 30000;

// Ask the kernel, through this chart's own channel, for Vega. Rejects when the chart is closed or nobody answers.
function askForVega(model, closed) {
  return new Promise((resolve, reject) => {
    const finish = (settle, value) => {
      clearTimeout(timer);
      model.off("msg:custom", hear);
      settle(value);
    };
    const hear = (message, buffers) => {
      if (!message || message.kind !== "vega" || !buffers || !buffers.length) return;
      const url = URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
      import(url)
        .then((module) => finish(resolve, module.vegaEmbed || module.default))
        .catch((error) => finish(reject, error))
        .finally(() => URL.revokeObjectURL(url));
    };
    const timer = setTimeout(() => finish(reject, new Error("the kernel does not answer")), PATIENCE_MS);
    closed.addEventListener("abort", () => finish(reject, new Error("the chart was closed")), { once: true });
    model.on("msg:custom", hear);
    model.send({ kind: "vega?" });
  });
}

// All charts of a page share one Vega. If the chart that asked for it is closed meanwhile, the next one asks again.
async function loadVega(model, closed) {
  const page = (globalThis[PAGE_KEY] = globalThis[PAGE_KEY] || { embed: null, asking: null });
  for (let attempt = 1; ; attempt += 1) {
    if (page.embed) return page.embed;
    if (!page.asking) {
      page.asking = askForVega(model, closed)
        .then((embed) => (page.embed = embed))
        .finally(() => (page.asking = null));
    }
    try {
      return await page.asking;
    } catch (error) {
      if (closed.aborted || attempt >= 4) throw error;
    }
  }
}

function complain(el, error) {
  const sentence = document.createElement("p");
  sentence.setAttribute("role", "alert");
  sentence.className = "twinlab-complaint";
  sentence.textContent =
    "This chart could not be drawn: " + (error && error.message ? error.message : String(error)) +
    ". Run its cell again; if that does not help, restart the kernel and reload the page.";
  el.replaceChildren(sentence);
}

function embedOptions(model) {
  return {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: model.get("file_name"),
  };
}

// The first layout already sees the data and the values that the kernel holds now.
function currentSpec(model) {
  const spec = structuredClone(model.get("spec"));
  spec.datasets = { ...(spec.datasets || {}), ...structuredClone(model.get("data")) };
  const signals = model.get("signals");
  spec.params = (spec.params || []).map((param) =>
    param.name in signals ? { ...param, value: structuredClone(signals[param.name]) } : param
  );
  if (model.get("alt_text")) spec.description = model.get("alt_text");
  return spec;
}

async function render({ model, el }) {
  el.classList.add("twinlab-chart");
  const closing = new AbortController();
  const holder = document.createElement("div");
  el.replaceChildren(holder);
  let embed = null;
  let result = null;
  let wish = "draw"; // what is still to be done: "draw" anew, "update" the view, or nothing
  let working = null;
  let shown = {}; // rows that the view holds, as text

  const draw = async () => {
    const made = await embed(holder, currentSpec(model), embedOptions(model));
    if (result) result.finalize();
    result = made;
    shown = {};
    if (closing.signal.aborted) return result.finalize();
    const menu = el.querySelector("summary");
    if (menu) menu.setAttribute("aria-label", "Save this chart as a picture");
  };
  const update = async () => {
    const view = result.view;
    const signals = model.get("signals");
    const data = model.get("data");
    for (const name in signals) view.signal(name, signals[name]);
    for (const name in data) {
      const rows = JSON.stringify(data[name]);
      if (shown[name] === rows) continue; // Vega would build marks anew that look the same
      shown[name] = rows;
      view.change(name, view.changeset().remove(() => true).insert(JSON.parse(rows)));
    }
    view.description(model.get("alt_text"));
    await view.resize().runAsync();
  };
  // Changes that arrive while a picture is being made are drawn together, after it, and the last one wins.
  const work = async () => {
    try {
      while (wish && !closing.signal.aborted) {
        const wanted = wish === "update" && !result ? "draw" : wish;
        const revision = model.get("revision");
        wish = null;
        await (wanted === "draw" ? draw() : update());
        el.dataset.revision = String(revision);
      }
    } catch (error) {
      result = null;
      el.dataset.revision = "failed";
      if (!closing.signal.aborted) complain(holder, error);
    } finally {
      working = null;
    }
  };
  const want = (what) => () => {
    if (wish !== "draw") wish = what;
    if (embed && !working) working = work();
  };
  const redraw = want("draw");
  const refresh = want("update");
  model.on("change:spec", redraw);
  model.on("change:revision", refresh);

  loadVega(model, closing.signal)
    .then((loaded) => {
      embed = loaded;
      redraw();
    })
    .catch((error) => {
      if (!closing.signal.aborted) complain(holder, error);
    });

  return () => {
    closing.abort();
    model.off("change:spec", redraw);
    model.off("change:revision", refresh);
    if (result) result.finalize();
  };
}

export default { render };
