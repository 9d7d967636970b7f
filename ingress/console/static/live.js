// The Live page: what the stream tells becomes rows, charts and the drawer.
import { Chart } from "./live-chart.js";
import { Drawer } from "./live-drawer.js";
import { LiveFeed } from "./live-feed.js";
import { Rows } from "./live-rows.js";
import { openFound } from "./live-find.js";

const SAY_EVERY_MS = 10000;
const SAMPLED_SECONDS = 5;
const STATES = { live: ["Live", "good"], away: ["Reconnecting", "warn"], paused: ["Paused", "warn"], ended: ["Ended", "bad"] };

const part = (id) => document.getElementById(id);
const live = part("live");
const drawer = new Drawer(`${location.pathname}/event`);
const rows = new Rows(part("events"), (entry) => drawer.open(entry));
const rate = new Chart(part("rate"), "Events per second", "events");
const freshness = new Chart(part("freshness"), "Seconds from receipt to stored", "seconds");

let paused = false;
let unseen = 0;
let heard = 0;
let saidAt = -SAY_EVERY_MS;
let sampledAt = -SAMPLED_SECONDS;
let latest = null;

const feed = new LiveFeed(live.dataset.stream, {
  entries(list) {
    for (const told of list) {
      const isNew = rows.take(told);
      if (isNew) {
        heard += 1;
        if (paused) unseen += 1;
      }
    }
    if (paused) showPause();
    else redraw();
  },
  pulse(pulse) {
    latest = pulse;
    for (const second of pulse.seconds) {
      rate.set(second.second, second.accepted + second.refused);
      freshness.set(second.second, second.freshness ?? null);
    }
    showState();
    showSample(pulse);
    if (!paused) drawCharts();
    say();
  },
  state(name, message) {
    if (name === "away") {
      mark("away");
      return;
    }
    mark("ended");
    trouble(message);
  },
});

function redraw() {
  rows.draw();
  drawer.draw();
  part("empty").hidden = rows.size > 0;
  part("none-match").hidden = rows.size === 0 || rows.shown > 0;
}

function drawCharts() {
  const last = latest.second - 1;
  const events = rate.draw(last, 0);
  part("rate-now").textContent = events.now === null ? "–" : number(events.now);
  part("rate-most").textContent = events.most ? `at most ${number(events.most)}` : "";
  const stored = freshness.draw(last, null);
  part("freshness-now").textContent = stored.now === null ? "–" : `${stored.now.toFixed(1)} s`;
  part("freshness-most").textContent = stored.most ? `at most ${stored.most.toFixed(1)} s` : "";
}

function showState() {
  if (!latest.kafka) {
    mark("away");
    trouble("Kafka does not answer: what passes meanwhile appears when it is back.");
    return;
  }
  mark(paused ? "paused" : "live");
  const left = [];
  if (latest.passesOver) left.push("More passes than can be read here: some events are left out, and not counted.");
  if (latest.skipped) left.push(`${number(latest.skipped)} were skipped: this browser, or its connection, was too slow.`);
  trouble(left.join("  "));
}

// It stays for some seconds, so that it can be read.
function showSample(pulse) {
  const note = part("sampled");
  const last = pulse.seconds.at(-1);
  if (last && (last.accepted > pulse.limit || last.refused + last.deadLetters > pulse.limit)) {
    sampledAt = pulse.second;
    const all = last.accepted + last.refused;
    note.textContent = `A sample: ${number(last.shown)} of ${number(all)} events of a second are shown.  All are counted.`;
  }
  note.hidden = pulse.second - sampledAt >= SAMPLED_SECONDS;
}

function mark(state) {
  const [text, kind] = STATES[state];
  part("state").textContent = text;
  part("state").className = `tag ${kind}`;
}

function trouble(text) {
  part("trouble").hidden = !text;
  if (part("trouble").textContent !== text) part("trouble").textContent = text;
}

function showPause() {
  part("pause").textContent = paused ? (unseen ? `Resume · ${number(unseen)} new` : "Resume") : "Pause";
}

// For who cannot see the rows come: seldom, since every word is read out.
function say() {
  if (!heard || performance.now() - saidAt < SAY_EVERY_MS) return;
  part("heard").textContent = paused ? `${heard} new while paused` : `${heard} new`;
  saidAt = performance.now();
  heard = 0;
}

const number = (value) => value.toLocaleString("en-US");

part("pause").addEventListener("click", () => {
  paused = !paused;
  unseen = 0;
  showPause();
  if (latest) {
    showState();
    if (!paused) drawCharts();
  }
  if (!paused) redraw();
});

function filter() {
  rows.filter(part("filter-text").value, part("filter-stage").value, part("filter-name").value);
  part("none-match").hidden = rows.size === 0 || rows.shown > 0;
}

for (const id of ["filter-text", "filter-stage", "filter-name"]) part(id).addEventListener("input", filter);
rows.onName = (name) => part("filter-name").append(new Option(name, name));
part("find").addEventListener("submit", (event) => {
  event.preventDefault();
  openFound(`${part("find").action}?${new URLSearchParams(new FormData(part("find")))}`);
});
feed.open();
