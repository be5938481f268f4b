/* The graph: one module at a time, laid out when it is opened; zoomed, walked and tinted. */

const MOST_LISTED = 200;

class Graph {
  constructor(root, detail, step, data, showFinding) {
    Object.assign(this, { detail, step, data, showFinding, everyOp: false, tint: step.varies, opened: [] });
    this.crumbs = el("ol", { "aria-label": "Modules around what is drawn" });
    this.ops = el("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggleOps() }, "Every op");
    this.tints = el("select", { "aria-label": "What is tinted", onchange: () => this.tintBy(Number(this.tints.value)) });
    this.svg = drawn("svg", { role: "group", "aria-label": "Forward and backward as a graph" });
    const button = (label, text, act) => el("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    root.replaceChildren(
      el("div", { class: "tools" }, this.crumbs, this.tints, this.ops,
        button("Zoom out", "\u2212", () => this.zoom(1 / 1.3)), button("Zoom in", "+", () => this.zoom(1.3)), button("Fit", "Fit", () => this.whole())),
      step.size ? this.svg : el("p", { class: "empty" }, "No graph was recorded."),
      el("div", { class: "legend" },
        el("span", {}, el("i", { class: "tinted" }), "differs from run to run"), el("span", {}, el("i", { class: "origin" }), "a finding is here"),
        el("span", {}, "Double-click or Enter opens a module; drag, or Ctrl and the wheel, moves and zooms.")),
    );
    this.listen();
    this.offerTints();
    if (step.size) this.open(this.first());
  }

  /* The module where there is first something to see: one that only holds another is passed. */
  first() {
    let at = 0;
    while (this.step.modules[at].own.length === 0 && this.step.modules[at].children.length === 1) at = this.step.modules[at].children[0];
    return this.scopeOf(at);
  }

  scopeOf(module) {
    return { module, ops: this.step.within(module), title: this.step.leafOf(module) };
  }

  openModule(module) {
    if (this.step.size) this.open(this.scopeOf(module));
  }

  open(scope, select = null) {
    this.scope = scope;
    this.boxes = boxesOf(this.step, scope, this.everyOp);
    Object.assign(this, laidOut(this.step, this.boxes));
    this.chosen = null;
    this.moved = false;
    this.showCrumbs();
    this.draw();
    this.fit(0.85);
    const at = select === null ? -1 : this.boxes.findIndex((box) => box.ops.includes(select));
    if (at >= 0) this.choose(at, true);
    else this.describeScope();
  }

  showCrumbs() {
    const above = [];
    for (let at = this.scope.module; at >= 0; at = this.step.modules[at].parent) above.unshift(at);
    const whole = this.scope.part === undefined;
    const steps = above.map((module, index) => el("li", {}, el("button", {
      type: "button", "aria-current": whole && index === above.length - 1 ? "true" : null, onclick: () => this.openModule(module),
    }, this.step.leafOf(module))));
    if (!whole) steps.push(el("li", {}, el("button", { type: "button", "aria-current": "true" }, this.scope.part)));
    this.crumbs.replaceChildren(...steps);
    this.ops.disabled = this.scope.ops.length > 4 * MOST_BOXES;
  }

  toggleOps() {
    this.everyOp = !this.everyOp;
    this.ops.setAttribute("aria-pressed", String(this.everyOp));
    this.open(this.scope);
  }

  offerTints() {
    const offered = this.data.findings.map((finding, index) => [finding, index]).filter(([finding]) => finding.listed && finding.reach).slice(0, 100);
    this.tints.append(
      el("option", { value: "-1" }, "All that varies"),
      ...offered.map(([finding, index]) => el("option", { value: String(index) }, shortened(`${finding.rule} ${this.data.texts[finding.op]}`, 60))),
    );
  }

  /* The ops that a finding stands for. */
  opsOf(finding) {
    const modules = new Set(finding.modules);
    const name = this.data.texts[finding.op];
    return [...this.step.found].filter(([op, rule]) => rule === finding.rule && (modules.has(this.step.module[op]) || this.step.names[this.step.op[op]] === name)).map(([op]) => op);
  }

  tintBy(index) {
    this.tint = index < 0 ? this.step.varies : this.step.reach(this.opsOf(this.data.findings[index]));
    this.tints.value = String(index);
    this.draw();
  }

  tintFrom(ops) {
    this.tint = this.step.reach(ops);
    this.draw();
  }

  /* Opens the innermost module with all ops of a finding, and tints what hangs on them. */
  showSpread(index) {
    const ops = this.opsOf(this.data.findings[index]);
    if (!ops.length) return;
    const paths = ops.map((op) => this.above(this.step.module[op]));
    const common = paths[0].filter((module) => paths.every((path) => path.includes(module)));
    this.open(this.scopeOf(common[ops.length > 1 ? 0 : Math.min(1, common.length - 1)] ?? 0), ops[0]);
    this.tintBy(index);
  }

  above(module) {
    const path = [];
    for (let at = module; at >= 0; at = this.step.modules[at].parent) path.push(at);
    return path;
  }

  draw() {
    const focused = document.activeElement?.dataset?.box;
    this.world = drawn("g");
    const lane = (text, x) => drawn("text", { class: "lane", x, y: -14, "text-anchor": "middle" }, text);
    this.world.append(lane("forward \u2193", this.middle[0]));
    if (this.boxes.some((box) => box.side === BACKWARD)) this.world.append(lane("\u2191 backward", this.middle[1]));
    this.paths = this.edges.map((edge) => this.drawEdge(edge));
    this.faces = this.boxes.map((box, index) => this.drawBox(box, index));
    this.world.append(...this.paths.filter(Boolean), ...this.faces);
    this.svg.replaceChildren(this.arrows(), this.world);
    this.move();
    if (this.chosen !== null) this.mark(this.chosen);
    if (focused !== undefined) this.faces[focused]?.focus();
  }

  arrows() {
    const arrow = (id, color) => drawn("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" },
      drawn("path", { d: "M0,0.5 L8,4 L0,7.5 z", style: `fill:var(${color})` }));
    return drawn("defs", {}, arrow("plain", "--strong-line"), arrow("tinted", "--tint-line"));
  }

  drawEdge(edge) {
    const path = pathOf(this.boxes[edge.from], this.boxes[edge.to], false);
    if (!path) return null;
    const varies = edge.ops.some((op) => this.tint[op]);
    const saved = this.boxes[edge.from].side !== this.boxes[edge.to].side;
    return drawn("path", { d: path, class: `edge${varies ? " varies" : ""}${saved ? " saved" : ""}`, "marker-end": saved ? null : `url(#${varies ? "tinted" : "plain"})` });
  }

  drawBox(box, index) {
    const { width, height } = BOX;
    const varies = box.ops.some((op) => this.tint[op]);
    const rule = box.ops.map((op) => this.step.found.get(op)).find(Boolean);
    const mark = box.ops.map((op) => this.step.marks.get(op)).find(Boolean);
    const side = box.side === FORWARD ? "forward" : "backward";
    const words = [box.label, box.sub, side, mark, varies ? "differs from run to run" : "repeats", rule && `finding ${rule}`].filter(Boolean).join(", ");
    return drawn("g", {
      class: `box ${box.opens ? "module" : "op"}${varies ? " varies" : ""}`, tabindex: index ? "-1" : "0", role: "button", "aria-label": words, "data-box": index,
      transform: `translate(${box.x - width / 2},${box.y - height / 2})`,
      onclick: () => this.choose(index, true), ondblclick: () => this.enter(index),
    },
      drawn("title", {}, words),
      drawn("rect", { class: "face", width, height, rx: 7 }),
      rule ? drawn("rect", { class: `source ${this.verdictOf(rule)}`, x: 0, y: 6, width: 4, height: height - 12, rx: 2 }) : null,
      drawn("text", { x: 12, y: 17 }, shortened(box.label, 23)),
      drawn("text", { class: "sub", x: 12, y: 32 }, shortened(box.sub, 27)),
      mark ? drawn("text", { class: "mark-text", x: width - 8, y: height + 12, "text-anchor": "end" }, mark) : null);
  }

  verdictOf(rule) {
    return this.data.findings.find((finding) => finding.rule === rule)?.verdict ?? "unknown";
  }

  /* Selection */

  choose(index, focus = false) {
    this.chosen = index;
    this.mark(index);
    if (focus) this.faces[index].focus({ preventScroll: true });
    this.describe(this.boxes[index]);
  }

  mark(index) {
    this.faces.forEach((face, at) => {
      face.classList.toggle("selected", at === index);
      face.setAttribute("tabindex", at === index ? "0" : "-1");
    });
    this.world.querySelectorAll(".lit").forEach((path) => path.remove());
    for (const edge of this.edges) {
      if (edge.from !== index && edge.to !== index) continue;
      const path = pathOf(this.boxes[edge.from], this.boxes[edge.to], true);
      if (path) this.world.insertBefore(drawn("path", { d: path, class: "edge lit" }), this.faces[0]);
    }
  }

  enter(index) {
    const box = this.boxes[index];
    if (!box.opens) return;
    if (box.module >= 0) this.openModule(box.module);
    else this.open({ module: this.scope.module, ops: box.ops, part: box.label });
  }

  describeScope() {
    const { module, ops } = this.scope;
    const { path, type } = this.step.modules[module];
    this.detail.replaceChildren(el("p", { class: "title" }, path || "the model"), el("p", { class: "muted" }, [type, counted(ops.length, "op")].filter(Boolean).join(", ")), ...this.findingsOf(ops),
      el("p", { class: "muted small" }, "Select a box to see its ops and what hangs on them."));
  }

  describe(box) {
    const varying = box.ops.filter((op) => this.tint[op]).length;
    const path = box.module >= 0 ? this.step.modules[box.module].path : this.step.modules[this.step.module[box.ops[0]]].path;
    const facts = [box.side === FORWARD ? "forward" : "backward", counted(box.ops.length, "op"), varying ? `${varying.toLocaleString("en")} differ from run to run` : "repeats"];
    const at = this.boxes.indexOf(box);
    this.detail.replaceChildren(
      el("p", { class: "title" }, box.label), el("p", { class: "muted" }, `${path || "the model itself"}: ${facts.join(", ")}`),
      el("div", { class: "buttons" },
        box.opens ? el("button", { type: "button", onclick: () => this.enter(at) }, "Open") : null,
        el("button", { type: "button", onclick: () => this.tintFrom(box.ops) }, "Tint what hangs on it"),
        el("button", { type: "button", onclick: () => this.tintBy(-1) }, "Reset tint")),
      ...this.findingsOf(box.ops), el("h3", {}, "Ops"),
      el("ul", {}, box.ops.slice(0, MOST_LISTED).map((op) => el("li", { class: this.step.found.has(op) ? "hit" : null }, el("code", {}, this.step.gradients.has(op) ? `gradient of ${this.step.gradients.get(op) || "an input"}` : this.step.names[this.step.op[op]]), el("span", { class: "muted" }, ` ${this.step.shapes[op]}`)))),
      box.ops.length > MOST_LISTED ? el("p", { class: "muted" }, `and ${(box.ops.length - MOST_LISTED).toLocaleString("en")} more`) : "");
  }

  /* Links to the findings that ops stand for. */
  findingsOf(ops) {
    const rules = new Map();
    for (const op of ops) if (this.step.found.has(op)) rules.set(`${this.step.found.get(op)} ${this.step.module[op]}`, op);
    if (!rules.size) return [];
    const found = new Set();
    for (const op of rules.values()) {
      const rule = this.step.found.get(op);
      const index = this.data.findings.findIndex((finding) => finding.rule === rule && finding.modules.includes(this.step.module[op]));
      if (index >= 0) found.add(index);
    }
    const link = (index) => el("li", {}, badge(this.data.findings[index].verdict), " ", el("button", { type: "button", onclick: () => this.showFinding(index) }, this.data.texts[this.data.findings[index].op]));
    if (!found.size) return [];
    return [el("h3", {}, "Findings"), el("ul", { class: "links" }, [...found].slice(0, 20).map(link))];
  }

  /* Moving about */

  listen() {
    let from = null;
    this.svg.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => (from = { x: event.clientX - this.tx, y: event.clientY - this.ty }));
    this.svg.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      [this.tx, this.ty] = [event.clientX - from.x, event.clientY - from.y];
      this.moved = true;
      this.move();
    });
    window.addEventListener("pointerup", () => (from = null));
    new ResizeObserver(() => this.scale && !this.moved && this.fit(0.85)).observe(this.svg);
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const index = Number(document.activeElement?.dataset?.box ?? -1);
    const step = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && index >= 0) this.choose(this.neighbour(index, event.key), true);
    else if (event.key === "Enter" && index >= 0) this.boxes[index].opens ? this.enter(index) : this.choose(index);
    else if (event.key === " " && index >= 0) this.choose(index);
    else if (event.key === "Backspace" || event.key === "Escape") this.openModule(Math.max(0, this.scope.part !== undefined ? this.scope.module : this.step.modules[this.scope.module].parent));
    else if (event.key === "+" || event.key === "=") this.zoom(1.3);
    else if (event.key === "-") this.zoom(1 / 1.3);
    else if (event.key === "0") this.whole();
    else return;
    event.preventDefault();
    if (step && index >= 0) this.reveal(this.boxes[this.chosen]);
    else if (["Enter", "Backspace", "Escape"].includes(event.key)) this.faces[this.chosen ?? 0]?.focus({ preventScroll: true });
  }

  /* The nearest box in a direction. */
  neighbour(index, key) {
    const here = this.boxes[index];
    const [dx, dy] = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] }[key];
    let [best, least] = [index, Infinity];
    this.boxes.forEach((box, at) => {
      const [along, aside] = [(box.x - here.x) * dx + (box.y - here.y) * dy, Math.abs((box.x - here.x) * dy) + Math.abs((box.y - here.y) * dx)];
      if (along > 1 && along + 3 * aside < least) [best, least] = [at, along + 3 * aside];
    });
    return best;
  }

  reveal(box) {
    const { clientWidth: width, clientHeight: height } = this.svg;
    const [x, y] = [box.x * this.scale + this.tx, box.y * this.scale + this.ty];
    if (x < 60 || x > width - 60) this.tx += width / 2 - x;
    if (y < 40 || y > height - 40) this.ty += height / 2 - y;
    this.moved = true;
    this.move();
  }

  zoom(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
    const scale = Math.min(3, Math.max(0.03, this.scale * factor));
    [this.tx, this.ty] = [x - ((x - this.tx) * scale) / this.scale, y - ((y - this.ty) * scale) / this.scale];
    this.scale = scale;
    this.moved = true;
    this.move();
  }

  whole() {
    this.fit(0);
    this.moved = true;
  }

  /* All of it in view, unless that made it smaller than `least`: then its top. */
  fit(least) {
    const [width, height] = [this.svg.clientWidth || 800, this.svg.clientHeight || 600];
    const whole = Math.min(1.1, (width - 90) / (this.right - this.left), (height - 60) / (this.height + 10));
    this.scale = Math.max(whole, Math.min(least, (width - 90) / (this.right - this.left)), least ? 0.55 : 0.03);
    this.tx = width / 2 - ((this.left + this.right) / 2) * this.scale;
    this.ty = 38;
    this.move();
  }

  move() {
    if (this.scale) this.world.setAttribute("transform", `translate(${this.tx},${this.ty}) scale(${this.scale})`);
  }
}
