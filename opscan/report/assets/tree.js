/* The modules as a tree; children are made when they are first shown. */

class Tree {
  constructor(root, step, data, open) {
    Object.assign(this, { step, data, open, items: new Map() });
    this.total();
    this.list = el("ul", { role: "tree", "aria-label": "Modules of the model" });
    root.replaceChildren(this.list);
    this.list.append(this.item(0, 0));
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.items.get(0).setAttribute("tabindex", "0");
    for (let at = 0; this.step.modules[at].children.length; at = this.step.modules[at].children[0]) {
      this.expand(at, true);
      if (this.step.modules[at].children.length > 1) break;
    }
  }

  /* Ops, findings by verdict, and whether anything differs, each module with all that is in it. */
  total() {
    const { modules, varies } = this.step;
    this.totals = modules.map((module) => ({ ops: module.own.length, found: 0, worst: VERDICTS.length, varies: module.own.some((op) => varies[op]) }));
    for (const finding of this.data.findings) {
      if (!finding.listed) continue;
      for (const module of finding.modules) {
        this.totals[module].found += 1;
        this.totals[module].worst = Math.min(this.totals[module].worst, VERDICTS.indexOf(finding.verdict));
      }
    }
    const depth = (path) => (path ? path.split(".").length : 0);
    const deepest = modules.map((module, index) => [depth(module.path), index]).sort((a, b) => b[0] - a[0]);
    for (const [, index] of deepest) {
      const [own, parent] = [this.totals[index], this.totals[modules[index].parent]];
      if (!parent) continue;
      parent.ops += own.ops;
      parent.found += own.found;
      parent.worst = Math.min(parent.worst, own.worst);
      parent.varies ||= own.varies;
    }
  }

  item(module, depth) {
    const { children, type } = this.step.modules[module];
    const { ops, found, worst, varies } = this.totals[module];
    const name = this.step.leafOf(module);
    const words = [name, type, counted(ops, "op"), found && counted(found, "finding"), varies && "differs from run to run"].filter(Boolean).join(", ");
    const item = el("li", {
      role: "treeitem", tabindex: "-1", "aria-label": words, "aria-level": depth + 1, "aria-selected": "false",
      "aria-expanded": children.length ? "false" : null, "data-module": module, style: `--depth:${depth}`,
    },
      el("div", { onclick: (event) => this.click(module, event), title: this.step.modules[module].path },
        el("span", { class: "twist", "aria-hidden": "true" }, children.length ? "\u203a" : ""),
        el("span", { class: "name" }, name), el("span", { class: "type" }, type),
        el("span", { class: "tail" }, found ? [el("span", { class: `dot ${VERDICTS[worst]}` }), String(found)] : null)));
    this.items.set(module, item);
    return item;
  }

  click(module, event) {
    if (event.target.classList.contains("twist")) this.expand(module);
    else this.select(module);
  }

  expand(module, open = this.items.get(module).getAttribute("aria-expanded") !== "true") {
    const item = this.items.get(module);
    const { children } = this.step.modules[module];
    if (!children.length) return;
    item.setAttribute("aria-expanded", String(open));
    let group = item.querySelector(":scope > ul");
    if (open && !group) {
      group = el("ul", { role: "group" });
      const depth = Number(item.getAttribute("aria-level"));
      const more = (from) => {
        group.append(...children.slice(from, from + 300).map((child) => this.item(child, depth)));
        if (from + 300 < children.length) {
          const button = el("button", { type: "button", class: "more", onclick: () => { button.remove(); more(from + 300); } }, "More modules");
          group.append(button);
        }
      };
      more(0);
      item.append(group);
    }
    if (group) group.hidden = !open;
  }

  select(module) {
    this.mark(module);
    this.open(module);
  }

  /* Shows a module in the tree, with all around it open. */
  mark(module) {
    const above = [];
    for (let at = this.step.modules[module].parent; at >= 0; at = this.step.modules[at].parent) above.unshift(at);
    above.forEach((at) => this.items.has(at) && this.expand(at, true));
    this.list.querySelectorAll('[aria-selected="true"], [tabindex="0"]').forEach((item) => {
      item.setAttribute("aria-selected", "false");
      item.setAttribute("tabindex", "-1");
    });
    const item = this.items.get(module);
    item?.setAttribute("aria-selected", "true");
    item?.setAttribute("tabindex", "0");
    item?.scrollIntoView({ block: "nearest" });
    item?.focus({ preventScroll: true });
  }

  key(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    const module = Number(item.dataset.module);
    const shown = [...this.list.querySelectorAll("[role=treeitem]")].filter((each) => each.offsetParent !== null);
    const at = shown.indexOf(item);
    const isOpen = item.getAttribute("aria-expanded") === "true";
    const to = { ArrowDown: shown[at + 1], ArrowUp: shown[at - 1], Home: shown[0], End: shown[shown.length - 1] }[event.key];
    if (to) this.focus(to);
    else if (event.key === "ArrowRight") isOpen ? this.focus(shown[at + 1]) : this.expand(module, true);
    else if (event.key === "ArrowLeft") isOpen ? this.expand(module, false) : this.focus(this.items.get(this.step.modules[module].parent));
    else if (event.key === "Enter" || event.key === " ") this.select(module);
    else return;
    event.preventDefault();
  }

  focus(item) {
    if (!item) return;
    this.list.querySelectorAll('[tabindex="0"]').forEach((each) => each.setAttribute("tabindex", "-1"));
    item.setAttribute("tabindex", "0");
    item.focus();
  }
}
