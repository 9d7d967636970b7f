// The rows of the Live page, newest first: kept as they are told, drawn when asked to.
const MAX_ROWS = 500;
const MAX_NAMES = 200;

export const STAGES = [
  ["accepted", "Accepted", "good"],
  ["refused", "Refused", "bad"],
  ["normalized", "Normalized", "good"],
  ["deadLetter", "Dead letter", "bad"],
  ["stored", "Stored", "good"],
];

export class Rows {
  // `open` is called with the entry whose row was pressed.
  constructor(list, open) {
    this.list = list;
    this.open = open;
    this.entries = new Map();
    this.changed = new Set();
    this.names = new Set();
    this.onName = () => {};
    this.wanted = { text: "", stage: "", name: "" };
    this.shown = 0;
  }

  get size() {
    return this.list.childElementCount;
  }

  // Returns whether it is new; what was dropped long ago is not taken up again.
  take(told) {
    let entry = this.entries.get(told.key);
    const isNew = !entry;
    if (isNew) {
      if (!told.sent) return false;
      entry = { key: told.key };
      this.entries.set(told.key, entry);
    }
    entry.stages = told.stages;
    entry.fault = told.fault ?? null;
    if (told.sent) entry.sent = told.sent;
    this.changed.add(entry);
    if (this.entries.size > 2 * MAX_ROWS) this.#dropUndrawn();
    return isNew;
  }

  // While nothing is drawn, what waits has a bound as well.
  #dropUndrawn() {
    for (const entry of this.entries.values()) {
      if (entry.row) continue;
      this.entries.delete(entry.key);
      this.changed.delete(entry);
      return;
    }
  }

  draw() {
    for (const entry of this.changed) {
      const isNew = !entry.row;
      if (isNew) this.#make(entry);
      fill(entry);
      if (isNew) this.#insert(entry);
      this.#judge(entry);
    }
    this.changed.clear();
    while (this.list.childElementCount > MAX_ROWS) this.#drop(this.list.lastElementChild);
    this.#count();
  }

  filter(text, stage, name) {
    this.wanted = { text: text.trim().toLowerCase(), stage, name };
    for (const row of this.list.children) this.#judge(row.entry);
    this.#count();
  }

  #make(entry) {
    const button = make("button", "event fresh");
    button.type = "button";
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", () => this.open(entry));
    button.addEventListener("animationend", () => button.classList.remove("fresh"));
    entry.row = document.createElement("li");
    entry.row.entry = entry;
    entry.row.append(button);
    const { name } = entry.sent;
    if (name && !this.names.has(name) && this.names.size < MAX_NAMES) {
      this.names.add(name);
      this.onName(name);
    }
  }

  // Nearly always at the top: another topic's answer may have come first.
  #insert(entry) {
    let before = this.list.firstElementChild;
    while (before && beganAt(before.entry) > beganAt(entry)) before = before.nextElementSibling;
    this.list.insertBefore(entry.row, before);
  }

  #drop(row) {
    this.entries.delete(row.entry.key);
    row.remove();
  }

  #judge(entry) {
    const { text, stage, name } = this.wanted;
    const { sent, stages, fault } = entry;
    const fits = (!stage || stages[stage] !== undefined) && (!name || sent.name === name);
    entry.row.hidden = !fits || (text !== "" && !wordsOf(sent, fault).includes(text));
  }

  #count() {
    this.shown = 0;
    for (const row of this.list.children) if (!row.hidden) this.shown += 1;
  }
}

export function beganAt(entry) {
  const { accepted, refused, normalized, deadLetter } = entry.stages;
  return accepted ?? refused ?? normalized ?? deadLetter ?? 0;
}

export function make(kind, className, text) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function nameOf(entry) {
  return entry.sent.name || entry.sent.kind || (entry.sent.payload === undefined ? "(not read)" : "(no name)");
}

export const clock = (at) => new Date(at).toISOString().slice(11, 23);

function wordsOf(sent, fault) {
  const { name, kind, user, id, senderId, payload } = sent;
  const why = fault ? [fault.reason, fault.field, fault.detail] : [];
  return [name, kind, user, id, senderId, payload, ...why].filter(Boolean).join("\n").toLowerCase();
}

function fill(entry) {
  const { sent, stages, fault } = entry;
  const what = make("span", "what", nameOf(entry));
  if (sent.user) what.append(make("span", "sub", sent.user));
  const chips = make("span", "stages");
  const isFault = stages.refused !== undefined || stages.deadLetter !== undefined;
  let furthest = null;
  for (const [stage, text, kind] of STAGES) {
    if (stages[stage] !== undefined) {
      furthest = make("span", `tag ${kind}`, text);
      chips.append(furthest, " ");
    } else if (!isFault && kind === "good") {
      chips.append(ahead(text));
    }
  }
  furthest?.classList.add("furthest");
  const parts = [make("span", "at", clock(beganAt(entry))), " ", what, " ", chips];
  if (fault) parts.push(why(fault));
  entry.row.firstElementChild.replaceChildren(...parts);
}

// A stage that it has not reached: seen, not said.
function ahead(text) {
  const chip = make("span", "tag ahead", text);
  chip.setAttribute("aria-hidden", "true");
  return chip;
}

export function why(fault) {
  const line = make("span", "why");
  line.append(" ", make("code", "", fault.reason), fault.field ? " at " : "");
  if (fault.field) line.append(make("code", "", fault.field));
  line.append(`: ${fault.detail}`);
  return line;
}
