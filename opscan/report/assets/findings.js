/* The findings: a list that is filtered and searched; what is in one is made when it is opened. */

const PAGE = 40;

class Findings {
  constructor(list, status, filters, data, showSpread) {
    Object.assign(this, { list, status, data, showSpread, words: [], cards: new Map() });
    this.verdicts = new Set(data.findings.filter((finding) => finding.listed).map((finding) => finding.verdict));
    if (!this.verdicts.size) data.findings.forEach((finding) => this.verdicts.add(finding.verdict));
    const counts = new Map();
    for (const finding of data.findings) counts.set(finding.verdict, (counts.get(finding.verdict) ?? 0) + 1);
    filters.replaceChildren(...VERDICTS.filter((verdict) => counts.has(verdict)).map((verdict) => this.filter(verdict, counts.get(verdict))));
    this.show();
  }

  filter(verdict, count) {
    const button = el("button", { type: "button", class: verdict, "aria-pressed": String(this.verdicts.has(verdict)) },
      el("span", { class: "dot" }), verdict, el("span", { class: "muted" }, String(count)));
    button.addEventListener("click", () => {
      this.verdicts.has(verdict) ? this.verdicts.delete(verdict) : this.verdicts.add(verdict);
      button.setAttribute("aria-pressed", String(this.verdicts.has(verdict)));
      this.show();
    });
    return button;
  }

  /* What a search is in; made once per finding, when there is first one. */
  haystack(finding) {
    finding.haystack ??= [
      finding.verdict, finding.rule, finding.phase, finding.type, this.data.texts[finding.title], this.data.texts[finding.op],
      ...finding.modules.map((module) => this.data.modules[module][0]),
      ...finding.places.groups.flatMap(([, called, built]) => [called, built]).filter((line) => line >= 0).map((line) => this.lineAt(line)),
    ].join("\n").toLowerCase();
    return finding.haystack;
  }

  lineAt(number) {
    const [file, line] = this.data.lines[number];
    return `${this.data.files[file].name}:${line}`;
  }

  search(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.show();
  }

  show() {
    const all = this.data.findings.map((finding, index) => index);
    this.shown = all.filter((index) => {
      const finding = this.data.findings[index];
      return this.verdicts.has(finding.verdict) && this.words.every((word) => this.haystack(finding).includes(word));
    });
    const of = this.shown.length === all.length ? "" : ` of ${all.length.toLocaleString("en")}`;
    this.status.textContent = all.length ? `${this.shown.length.toLocaleString("en")}${of} ${all.length === 1 ? "finding" : "findings, by verdict, those that reach most first"}` : "Nothing found.";
    this.list.replaceChildren();
    this.more(0);
  }

  more(from) {
    this.list.append(...this.shown.slice(from, from + PAGE).map((index) => this.card(index)));
    if (from + PAGE < this.shown.length) {
      const left = this.shown.length - from - PAGE;
      const button = el("button", { type: "button", class: "more", onclick: () => { button.remove(); this.more(from + PAGE); } }, `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`);
      this.list.append(button);
    }
  }

  card(index) {
    if (this.cards.has(index)) return this.cards.get(index);
    const finding = this.data.findings[index];
    const text = (number) => this.data.texts[number];
    const first = finding.places.groups[0];
    const at = finding.modules.length ? this.data.modules[finding.modules[0]][0] || "(the model itself)" : "";
    const place = `${at}${finding.modules.length > 1 ? ` and ${finding.modules.length - 1} more` : ""}`;
    const card = el("details", { class: `finding ${finding.verdict}`, id: `finding-${index}` },
      el("summary", {},
        el("span", {}, badge(finding.verdict), finding.accepted === null ? null : el("span", { class: "accepted" }, text(finding.accepted).split(":")[0])),
        el("span", { class: "op" }, text(finding.op).replace(/([._])/g, "$1\u200b"), el("span", { class: "muted" }, `  ${finding.phase}${finding.count > 1 ? `, ${finding.count.toLocaleString("en")} times` : ""}`)),
        el("span", { class: "at", title: place }, place, first && first[1] >= 0 ? `  ${this.lineAt(first[1])}` : ""),
        this.share(finding)));
    card.addEventListener("toggle", () => card.open && card.childElementCount === 1 && card.append(this.body(finding, index)));
    this.cards.set(index, card);
    return card;
  }

  share({ reach, bits }) {
    if (bits === "cannot vary") return el("span", { class: "share" }, "bits cannot vary");
    if (!reach || !reach.of) return el("span", { class: "share" }, reach ? (reach.output || reach.loss ? "reaches the output" : "") : "");
    const count = gradientsIn(reach.gradients);
    return el("span", { class: "share" }, `${count.toLocaleString("en")} of ${reach.of.toLocaleString("en")} gradients`, meter(count, reach.of));
  }

  body(finding, index) {
    const text = (number) => this.data.texts[number];
    const modes = finding.modes.flatMap(([label, words]) => [el("dt", {}, label), el("dd", {}, label === "alert" ? el("code", {}, text(words)) : text(words))]);
    const history = this.data.rules[finding.rule];
    return el("div", { class: "body" },
      el("div", {}, el("h3", {}, "Where"), this.places(finding), this.sources(finding)),
      el("div", {}, el("h3", {}, "What happens"), el("dl", { class: "modes" }, modes), finding.accepted === null ? null : el("p", {}, text(finding.accepted)), el("p", {}, text(finding.why)), this.reach(finding, index), this.instead(finding)),
      history ? el("div", { class: "wide" }, el("h3", {}, `${finding.rule} by torch release`), track(history, this.data)) : null);
  }

  places({ places }) {
    const place = ([modules, , , count, forInputs]) => {
      const notes = [count > 1 ? `${count} times` : "", forInputs ? "only if the input needs a gradient" : ""].filter(Boolean).join(", ");
      return el("li", {}, el("code", {}, this.data.texts[modules]), notes ? el("span", { class: "muted" }, `  ${notes}`) : null);
    };
    return el("ul", { class: "places" }, places.groups.map(place), places.more ? el("li", { class: "muted" }, `and ${places.more} more places`) : null);
  }

  /* The lines of all places in their files, each with what it is to which module. */
  sources({ places }) {
    const files = new Map();
    const note = (number, words) => {
      if (number < 0) return;
      const [file, line] = this.data.lines[number];
      if (!files.has(file)) files.set(file, new Map());
      const lines = files.get(file);
      if (!lines.has(line)) lines.set(line, new Set());
      lines.get(line).add(words);
    };
    for (const [modules, called, built] of places.groups) {
      note(built, this.data.texts[modules]);
      note(called, "called here");
    }
    return [...files].map(([file, lines]) => this.source(this.data.files[file], lines));
  }

  source({ name, text }, wanted) {
    const hot = [...wanted.keys()].sort((a, b) => a - b);
    const near = (number) => hot.some((line) => Math.abs(line - number) <= 2);
    const numbers = Object.keys(text).map(Number).filter(near).sort((a, b) => a - b);
    const rows = numbers.map((number, index) => [
      index && numbers[index - 1] !== number - 1 ? el("li", { class: "gap" }, el("span", {}, "\u22ee")) : null,
      el("li", { class: wanted.has(number) ? "here" : null }, el("span", {}, String(number)), text[number] || " ", wanted.has(number) ? el("b", {}, [...wanted.get(number)].join(", ")) : null),
    ]);
    return el("figure", { class: "source" }, el("figcaption", {}, numbers.length ? name : hot.map((line) => `${name}:${line}`).join(", ")), rows.length ? el("ol", { tabindex: "0" }, rows) : null);
  }

  reach(finding, index) {
    if (!finding.reach) return null;
    const names = [];
    const { gradients } = finding.reach;
    for (let at = 0; at < gradients.length && names.length < 400; at += 2) for (let number = gradients[at]; number <= gradients[at + 1] && names.length < 400; number++) names.push(this.data.names[number]);
    const left = gradientsIn(gradients) - names.length;
    return el("div", {}, el("h3", {}, "What it reaches"), el("p", {}, this.data.texts[finding.reach.words]),
      names.length ? el("details", {}, el("summary", {}, "These gradients"), el("div", { class: "chips" }, names.map((name) => el("code", {}, name)), left > 0 ? `and ${left.toLocaleString("en")} more` : null)) : null,
      this.data.graph ? el("p", {}, el("button", { type: "button", onclick: () => this.showSpread(index) }, "Show in the graph")) : null);
  }

  instead({ advice, other }) {
    if (!advice.length && !other.length) return null;
    const text = (number) => this.data.texts[number];
    const dropIns = advice.map((each) => {
      const code = [text(each.imports), ...each.lines.map(([where, after]) => `${text(after)}  # ${where}`)].join("\n");
      return el("div", {}, el("p", {}, el("code", {}, text(each.name)), `: ${text(each.gives)}`), each.lines.length ? copyable(code) : null, each.obstacles.map((number) => el("p", { class: "muted small" }, text(number))));
    });
    const others = other.map(([name, same, how]) => el("div", {}, el("p", {}, `${text(name)} (${same})`), copyable(text(how))));
    return el("div", {}, el("h3", {}, "Instead"), dropIns, others);
  }

  /* Opens a finding, whatever is filtered. */
  reveal(index) {
    if (!this.shown.includes(index)) {
      this.verdicts.add(this.data.findings[index].verdict);
      this.words = [];
      this.show();
    }
    if (!this.card(index).isConnected) this.list.prepend(this.card(index));
    this.card(index).open = true;
    this.card(index).scrollIntoView({ block: "start" });
    this.card(index).querySelector("summary").focus({ preventScroll: true });
  }
}

function gradientsIn(ranges) {
  let count = 0;
  for (let at = 0; at < ranges.length; at += 2) count += ranges[at + 1] - ranges[at] + 1;
  return count;
}

const meter = (part, whole) => el("div", { class: "meter", "aria-hidden": "true" }, el("i", { style: `width:${whole ? (100 * part) / whole : 0}%` }));

/* What a rule says of each release, equal neighbours as one. */
function track(history, { releases, torch }) {
  const now = torch.split(".").slice(0, 2).join(".");
  const spans = [];
  history.forEach((verdict, index) => {
    const last = spans[spans.length - 1];
    if (last && last.verdict === verdict) last.to = index;
    else spans.push({ verdict, from: index, to: index });
  });
  return el("div", { class: "track", role: "img", "aria-label": spans.map((span) => `${spanned(span, releases)}: ${span.verdict || "repeats"}`).join("; ") },
    spans.map((span) => {
      const isNow = releases.slice(span.from, span.to + 1).includes(now);
      const words = `${spanned(span, releases)} ${span.verdict || "repeats"}`;
      return el("span", { class: `${span.verdict.split("/")[0] || "repeats"}${isNow ? " now" : ""}`, style: `flex:${span.to - span.from + 1} 1 0`, title: isNow ? `${words} (torch ${torch} is here)` : words }, words);
    }));
}

const spanned = ({ from, to }, releases) => (from === to ? releases[from] : `${releases[from]}\u2013${releases[to]}`);
