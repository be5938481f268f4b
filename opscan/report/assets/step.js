/* The step: every op with what it hangs on, and the modules as a tree. */

const FORWARD = 0;
const BACKWARD = 1;

class Step {
  constructor(data) {
    const graph = data.graph ?? EMPTY;
    this.names = graph.names;
    this.op = graph.op;
    this.module = graph.module;
    this.cause = graph.cause;
    this.shapes = graph.shape.map((index) => graph.shapes[index]);
    this.found = new Map(Object.entries(graph.found).map(([op, rule]) => [Number(op), rule]));
    this.gradients = new Map(Object.entries(graph.gradients).map(([op, name]) => [Number(op), name]));
    this.marks = new Map(Object.entries(graph.marks).map(([op, mark]) => [Number(op), mark]));
    this.size = graph.op.length;
    this.side = Uint8Array.from(graph.kind, (kind) => (kind === "2" ? BACKWARD : FORWARD));
    this.varies = Uint8Array.from(graph.varies, Number);
    this.starts = new Int32Array(this.size + 1);
    this.parents = new Int32Array(graph.back.length);
    for (let op = 0, at = 0; op < this.size; op++) {
      for (let left = graph.counts[op]; left > 0; left--, at++) this.parents[at] = op - graph.back[at];
      this.starts[op + 1] = at;
    }
    this.modules = data.modules.map(([path, type]) => ({ path, type, parent: -1, children: [], own: [] }));
    const at = new Map(this.modules.map((module, index) => [module.path, index]));
    this.modules.forEach((module, index) => {
      if (module.path === "") return;
      module.parent = at.get(module.path.slice(0, Math.max(0, module.path.lastIndexOf(".")))) ?? 0;
      this.modules[module.parent].children.push(index);
    });
    for (let op = 0; op < this.size; op++) this.modules[this.module[op]].own.push(op);
  }

  /* The ops of a module and of all in it, in the order they ran. */
  within(module) {
    if (this.modules[module].path === "") return Array.from({ length: this.size }, (_, op) => op);
    const ops = [];
    for (const stack = [module]; stack.length; ) {
      const each = this.modules[stack.pop()];
      for (const op of each.own) ops.push(op);
      stack.push(...each.children);
    }
    return ops.sort((a, b) => a - b);
  }

  /* Which ops hang on any of these, themselves included: an op only ever hangs on earlier ones. */
  reach(sources) {
    const reached = new Uint8Array(this.size);
    for (const op of sources) reached[op] = 1;
    for (let op = 0; op < this.size; op++) {
      for (let at = this.starts[op]; !reached[op] && at < this.starts[op + 1]; at++) reached[op] = reached[this.parents[at]];
    }
    return reached;
  }

  nameOf(op) {
    const gradient = this.gradients.get(op);
    if (gradient !== undefined) return `grad ${gradient ? gradient.slice(gradient.lastIndexOf(".") + 1) : "input"}`;
    const parts = this.names[this.op[op]].split(".");
    return parts.length > 1 ? parts[1] : parts[0];
  }

  leafOf(module) {
    const path = this.modules[module].path;
    return path.slice(path.lastIndexOf(".") + 1) || "model";
  }
}

const EMPTY = {
  names: [], op: [], module: [], cause: [], shape: [], shapes: [], found: {}, gradients: {}, marks: {}, kind: "", varies: "",
  counts: [], back: [],
};
