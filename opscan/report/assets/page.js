/* The page: a report at a time, its summary, and what ties findings, modules and graph together. */

function summary(data) {
  const tile = (label, value, note, more) => el("div", { class: "tile" }, el("dt", {}, label), el("dd", {}, value, note ? el("small", {}, ` ${note}`) : null), more);
  const tiles = Object.entries(data.counts).map(([verdict, count]) => tile([el("span", { class: `dot ${verdict}` }), verdict], count.toLocaleString("en"), count === 1 ? "op" : "ops"));
  const [reached, all] = data.gradients;
  if (all) tiles.unshift(tile("gradients that vary", reached.toLocaleString("en"), `of ${all.toLocaleString("en")}`, meter(reached, all)));
  tiles.push(tile("ops traced", (data.ops[0] + data.ops[1]).toLocaleString("en"), `${data.ops[0].toLocaleString("en")} forward`));
  const notes = data.notes.flatMap(([label, words], index) => [el("dt", {}, index && data.notes[index - 1][0] === label ? "" : label), el("dd", {}, words)]);
  const unknown = Object.entries(data.unknown).flatMap(([op, count], index) => [el("dt", {}, index ? "" : "unknown"), el("dd", {}, el("code", {}, op), ` ${counted(count, "time")}`)]);
  const folded = data.notes.length + Object.keys(data.unknown).length > 6;
  const list = el("dl", { class: "notes" }, notes, unknown);
  return [el("h1", {}, data.target), el("p", { class: "where" }, data.environment), el("p", { class: `verdict${data.fails ? " fails" : ""}` }, data.verdict), el("dl", { class: "tiles" }, tiles),
    notes.length || unknown.length ? (folded ? el("details", {}, el("summary", {}, "What was assumed, and what else there is"), list) : list) : null];
}

function histories(data) {
  const rows = Object.entries(data.rules).map(([id, history]) => {
    const finding = data.findings.find((each) => each.rule === id);
    return el("tr", {}, el("th", { scope: "row" }, el("code", {}, id), ` ${finding ? data.texts[finding.title] : ""}`), el("td", {}, track(history, data)));
  });
  return rows.length ? el("table", { class: "spans" }, el("tbody", {}, rows)) : el("p", { class: "muted" }, "No rule has anything to say here.");
}

function modulesFound(step, words, open) {
  if (!words.length) return [];
  const found = [];
  for (let module = 0; module < step.modules.length && found.length < 24; module++) {
    const { path, type } = step.modules[module];
    const text = `${path} ${type}`.toLowerCase();
    if (path && words.every((word) => text.includes(word))) found.push(module);
  }
  const button = (module) => el("button", { type: "button", onclick: () => open(module) }, step.modules[module].path);
  return found.length ? [el("p", { class: "muted small" }, "Modules"), el("div", { class: "filters" }, found.map(button)), el("br")] : [];
}

/* Shows a report: what is read first at once, the model and its graph right after that is on the screen. */
function shown(data) {
  document.documentElement.removeAttribute("data-ready");
  document.title = `${data.target} - opscan`;
  byId("summary").replaceChildren(...summary(data).filter(Boolean));
  byId("releases").replaceChildren(histories(data));
  let graph = null;
  const toModel = () => byId("model").scrollIntoView({ block: "start" });
  const findings = new Findings(byId("list"), byId("found"), byId("filters"), data, (index) => { graph?.showSpread(index); toModel(); });
  requestAnimationFrame(() => setTimeout(() => {
    graph = modelled(data, findings, toModel);
    document.documentElement.setAttribute("data-ready", Math.round(performance.now()));  // milliseconds since it was opened
  }));
}

/* The tree and the graph; a search finds modules too. */
function modelled(data, findings, toModel) {
  const step = new Step(data);
  const graph = new Graph(byId("graph"), byId("detail"), step, data, (index) => findings.reveal(index));
  const tree = new Tree(byId("tree"), step, data, (module) => graph.openModule(module));
  const openModule = (module) => { graph.openModule(module); toModel(); tree.mark(module); };
  const search = () => {
    findings.search(byId("search").value);
    byId("modules-found").replaceChildren(...modulesFound(step, findings.words, openModule));
  };
  let waiting = 0;
  byId("search").oninput = () => { clearTimeout(waiting); waiting = setTimeout(search, 60); };
  if (byId("search").value) search();
  return graph;
}

function themes() {
  const names = ["system", "light", "dark"];
  let at = 0;
  byId("theme").addEventListener("click", () => {
    at = (at + 1) % names.length;
    document.documentElement.dataset.theme = names[at];
    byId("theme").textContent = `Theme: ${names[at]}`;
  });
}

const { reports, beside } = JSON.parse(byId("data").textContent);
if (beside.length) {
  const notes = beside.flatMap(([label, words]) => [el("dt", {}, label), el("dd", {}, words)]);
  byId("top").prepend(el("section", { "aria-label": "Beside the reports" }, el("dl", { class: "notes" }, notes)));
}
themes();
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName)) return;
  event.preventDefault();
  byId("search").focus();
});
if (reports.length > 1) {
  const which = byId("which");
  which.hidden = false;
  which.append(...reports.map((report, index) => el("option", { value: String(index) }, report.target)));
  which.addEventListener("change", () => shown(reports[Number(which.value)]));
}
if (reports.length) shown(reports[0]);
else document.documentElement.setAttribute("data-ready", "0");
