// The drawer with all that is known of one event.
import { copyButtons } from "./copy.js";
import { indented } from "./live-json.js";
import { STAGES, beganAt, clock, make, nameOf, why } from "./live-rows.js";

const part = (id) => document.getElementById(id);

export class Drawer {
  // `receipts` is where receipts are looked up.
  constructor(receipts) {
    this.receipts = receipts;
    this.dialog = part("drawer");
    this.entry = null;
    this.pretty = true;
    part("drawer-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => { this.entry = null; });
    for (const [id, pretty] of [["show-pretty", true], ["show-raw", false]]) {
      part(id).addEventListener("click", () => this.#show(pretty));
    }
    copyButtons(this.dialog);
  }

  open(entry) {
    this.entry = entry;
    part("drawer-name").textContent = nameOf(entry);
    this.drawn = "";
    this.draw();
    this.#show(this.pretty);
    this.dialog.showModal();
    part("drawer-close").focus();
  }

  // What may have changed since.
  draw() {
    const { entry } = this;
    if (!entry) return;
    const state = JSON.stringify([entry.stages, entry.fault]);
    if (state === this.drawn) return;
    this.drawn = state;
    const fault = part("drawer-fault");
    fault.hidden = !entry.fault;
    fault.replaceChildren(...(entry.fault ? [why(entry.fault)] : []));
    part("drawer-stages").replaceChildren(...passed(entry));
    part("drawer-facts").replaceChildren(...facts(entry));
    const link = part("drawer-receipt");
    link.hidden = !entry.sent.id;
    link.href = `${this.receipts}?${new URLSearchParams({ id: entry.sent.id ?? "" })}`;
  }

  #show(pretty) {
    this.pretty = pretty;
    part("show-pretty").setAttribute("aria-pressed", String(pretty));
    part("show-raw").setAttribute("aria-pressed", String(!pretty));
    const { sent } = this.entry;
    const tokens = pretty && sent.payload ? indented(sent.payload) : null;
    part("payload").replaceChildren(...(tokens ? tokens.map(colored) : [sent.payload ?? ""]));
    part("payload").hidden = sent.payload === undefined;
    const notes = [];
    if (sent.payload === undefined) notes.push("What was posted was not read, or is not at hand.");
    else if (pretty && !tokens) notes.push("This is no JSON, or not all of it.");
    if (sent.cut) notes.push("Only the beginning is shown.");
    if (sent.text === false) notes.push("It is not UTF-8: what cannot be shown is replaced.");
    part("payload-note").textContent = notes.join("  ");
    part("payload-note").hidden = notes.length === 0;
  }
}

function colored([kind, text]) {
  return kind === "space" || kind === "sign" ? document.createTextNode(text) : make("span", kind, text);
}

function passed(entry) {
  const began = beganAt(entry);
  return STAGES.filter(([stage]) => entry.stages[stage] !== undefined).map(([stage, text, kind]) => {
    const at = entry.stages[stage];
    const line = make("li", kind);
    if (at === 0) {
      line.append(make("strong", "", text), make("span", "muted", "  before anybody looked: the receipt says when"));
      return line;
    }
    const later = at > began ? `  after ${((at - began) / 1000).toFixed(2)} s` : "";
    line.append(make("strong", "", text), ` ${clock(at)} UTC`, make("span", "muted", later));
    return line;
  });
}

function facts({ sent }) {
  const place = sent.offset === undefined ? "" : `partition ${sent.partition}, offset ${sent.offset}`;
  const known = [
    ["Event id", sent.id], ["Own id", sent.senderId], ["User", sent.user], ["Kind", sent.kind], ["Token", sent.tokenId],
    ["Raw record", place], ["Path", sent.path], ["Request", sent.requestId],
  ];
  return known.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]);
}
