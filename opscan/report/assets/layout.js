/* From the ops of a module to boxes in two lanes: forward runs down on the left, backward up on the right.

   A box is a run of ops that belong to the same submodule, so boxes only ever hang on earlier ones. A box of backward
   stands in the row of the forward box whose gradient it computes. */

const MOST_BOXES = 160;
const GROUPS = 60;
const BOX = { width: 190, height: 40, across: 22, down: 26, lanes: 110 };

/* The boxes of a scope, { module, ops }: the coarsest of `every op`, submodules, and groups of either that is not too many. */
function boxesOf(step, scope, everyOp) {
  const label = (boxes) => boxes.map((box) => labelled(step, scope, box));
  if (everyOp && scope.ops.length <= 4 * MOST_BOXES) return label(runs(step, scope, () => -1));
  for (const through of [true, false]) {
    const boxes = runs(step, scope, submodule(step, scope.module, through), through ? MOST_BOXES : Infinity);
    if (boxes.length <= MOST_BOXES) return label(boxes);
    if (!through) return grouped(step, scope, boxes);
  }
}

/* For an op the submodule it is drawn in, -1 for one of the module's own. `through` opens containers that run nothing. */
function submodule(step, root, through) {
  const known = new Map();
  return (op) => {
    const module = step.module[op];
    let found = known.get(module);
    if (found === undefined) {
      const path = [];
      for (let at = module; at !== root && at >= 0; at = step.modules[at].parent) path.push(at);
      found = path.pop() ?? -1;
      const isContainer = (at) => step.modules[at].own.length === 0 && step.modules[at].type === "";
      while (through && path.length && isContainer(found)) found = path.pop();
      known.set(module, found);
    }
    return found;
  };
}

/* Ops in a row of the same submodule and side; one more than `most` where there are more. */
function runs(step, scope, moduleOf, most = Infinity) {
  const boxes = [];
  for (const op of scope.ops) {
    const module = moduleOf(op);
    const last = boxes[boxes.length - 1];
    if (last && module >= 0 && last.module === module && last.side === step.side[op]) last.ops.push(op);
    else if (boxes.length > most) break;
    else boxes.push({ module, side: step.side[op], ops: [op] });
  }
  return boxes;
}

function labelled(step, scope, box) {
  const op = box.ops[0];
  if (box.module < 0) {
    const owner = step.module[op] === scope.module ? "" : step.leafOf(step.module[op]);
    return { ...box, label: step.nameOf(op), sub: [owner, step.shapes[op]].filter(Boolean).join("  "), opens: false };
  }
  const root = step.modules[scope.module].path;
  const { path, type } = step.modules[box.module];
  const label = root ? path.slice(root.length + 1) : path;
  return { ...box, label, sub: `${shortened(type || "module", 15)}  ${counted(box.ops.length, "op")}`, opens: true };
}

/* Boxes next to each other as one, until there are few; each opens to what is in it. */
function grouped(step, scope, boxes) {
  const each = Math.ceil(boxes.length / GROUPS);
  const groups = [];
  let filled = 0;
  for (const box of boxes) {
    const last = groups[groups.length - 1];
    if (last && filled < each && last.side === box.side) {
      for (const op of box.ops) last.ops.push(op);
      last.to = box;
      filled += 1;
    } else {
      groups.push({ module: -1, side: box.side, ops: [...box.ops], from: box, to: box, opens: true });
      filled = 1;
    }
  }
  return groups.map((group) => {
    const [from, to] = [group.from, group.to].map((box) => labelled(step, scope, box).label);
    return { ...group, label: from === to ? from : `${from} \u2026 ${to}`, sub: counted(group.ops.length, "op") };
  });
}

/* Puts x and y (the middle) into boxes and returns the edges between them and the size of it all. */
function laidOut(step, boxes) {
  const boxOf = new Int32Array(step.size).fill(-1);
  boxes.forEach((box, index) => box.ops.forEach((op) => (boxOf[op] = index)));
  const edges = edgesBetween(step, boxes, boxOf);
  const into = boxes.map(() => []);
  edges.forEach((edge) => into[edge.to].push(edge.from));
  rowsOfForward(boxes, edges, into);
  rowsOfBackward(step, boxes, boxOf, into);
  return { edges, ...placed(boxes, into) };
}

function edgesBetween(step, boxes, boxOf) {
  const found = new Map();
  boxes.forEach((box, to) => {
    for (const op of box.ops) {
      for (let at = step.starts[op]; at < step.starts[op + 1]; at++) {
        const from = boxOf[step.parents[at]];
        if (from < 0 || from === to) continue;
        const key = from * boxes.length + to;
        const edge = found.get(key);
        if (edge) edge.ops.push(step.parents[at]);
        else found.set(key, { from, to, ops: [step.parents[at]] });
      }
    }
  });
  return [...found.values()];
}

function rowsOfForward(boxes, edges, into) {
  boxes.forEach((box, index) => {
    box.level = 0;
    if (box.side !== FORWARD) return;
    box.row = 0;
    for (const from of into[index]) if (boxes[from].side === FORWARD) box.row = Math.max(box.row, boxes[from].row + 1);
  });
  const outOf = boxes.map(() => []);
  for (const { from, to } of edges) if (boxes[to].side === FORWARD) outOf[from].push(to);
  for (let index = boxes.length - 1; index >= 0; index--) {  // as near to what needs it as it can be
    const next = outOf[index].reduce((least, to) => Math.min(least, boxes[to].row), Infinity);
    if (boxes[index].side === FORWARD && next < Infinity) boxes[index].row = Math.max(boxes[index].row, next - 1);
  }
}

function rowsOfBackward(step, boxes, boxOf, into) {
  let row = boxes.reduce((most, box) => (box.side === FORWARD ? Math.max(most, box.row) : most), 0);
  boxes.forEach((box, index) => {
    if (box.side !== BACKWARD) return;
    let latest = -1;
    for (const op of box.ops) {
      const at = step.cause[op] < 0 ? -1 : boxOf[step.cause[op]];
      if (at >= 0 && boxes[at].side === FORWARD) latest = Math.max(latest, boxes[at].row);
    }
    box.row = row = latest < 0 ? row : latest;
    for (const from of into[index]) {
      if (boxes[from].side === BACKWARD && boxes[from].row === row) box.level = Math.max(box.level, boxes[from].level + 1);
    }
  });
}

function placed(boxes, into) {
  const rows = [];
  const cells = new Map();
  boxes.forEach((box, index) => {
    rows[box.row] = Math.max(rows[box.row] ?? 1, box.level + 1);
    const key = `${box.row} ${box.side} ${box.level}`;
    if (cells.has(key)) cells.get(key).push(index);
    else cells.set(key, [index]);
  });
  const step = BOX.height + BOX.down;
  const tops = [0];
  for (let row = 0; row < rows.length; row++) tops.push(tops[row] + (rows[row] ?? 1) * step);
  const widest = [1, 1];
  for (const indices of cells.values()) {
    const side = boxes[indices[0]].side;
    widest[side] = Math.max(widest[side], indices.length);
  }
  const lane = widest.map((count) => count * (BOX.width + BOX.across) - BOX.across);
  const middle = [-(BOX.lanes + lane[0]) / 2, (BOX.lanes + lane[1]) / 2];
  const order = [...cells.values()].sort((a, b) => a[0] - b[0]);
  for (const indices of order) {
    const wish = new Map(indices.map((index) => [index, wished(boxes, into[index], boxes[index].side)]));
    indices.sort((a, b) => wish.get(a) - wish.get(b) || a - b);
    indices.forEach((index, at) => {
      const box = boxes[index];
      box.x = middle[box.side] + (at - (indices.length - 1) / 2) * (BOX.width + BOX.across);
      const level = box.side === FORWARD ? (rows[box.row] - 1) / 2 : rows[box.row] - 1 - box.level;
      box.y = tops[box.row] + level * step + step / 2;
    });
  }
  return { left: middle[0] - lane[0] / 2, right: middle[1] + lane[1] / 2, height: tops[rows.length], middle };
}

/* Where a box would like to be: the middle of what it hangs on in its lane. */
function wished(boxes, from, side) {
  const xs = from.map((index) => boxes[index]).filter((box) => box.side === side && box.x !== undefined).map((box) => box.x);
  return xs.length ? xs.reduce((sum, x) => sum + x, 0) / xs.length : 0;
}

/* The path of an edge; "" for one that is only shown when an end of it is selected. */
function pathOf(a, b, always) {
  const half = BOX.width / 2;
  if (a.side !== b.side) {
    if (a.side === BACKWARD || (!always && a.row !== b.row)) return "";
    const [x1, x2] = [a.x + half, b.x - half];
    const bend = (x2 - x1) / 2;
    return `M${x1},${a.y} C${x1 + bend},${a.y} ${x2 - bend},${b.y} ${x2},${b.y}`;
  }
  const way = a.side === FORWARD ? 1 : -1;
  const between = Math.abs(b.row - a.row) + Math.abs(b.level - a.level);
  if (between > 1 && Math.abs(a.x - b.x) < BOX.width) {  // past the boxes between
    const out = Math.min(14 + 5 * between, 52) * way;
    return `M${a.x - half * way},${a.y} C${a.x - half * way - out},${a.y} ${b.x - half * way - out},${b.y} ${b.x - half * way},${b.y}`;
  }
  const [y1, y2] = [a.y + (way * BOX.height) / 2, b.y - (way * BOX.height) / 2];
  if (Math.abs(y2 - y1) < 1 || (y2 - y1) * way < 0) return `M${a.x},${a.y} L${b.x},${b.y}`;
  const bend = (y2 - y1) / 2;
  return `M${a.x},${y1} C${a.x},${y1 + bend} ${b.x},${y2 - bend} ${b.x},${y2}`;
}
