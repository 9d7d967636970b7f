// A small chart of the last two minutes, one value a second; null is a gap.
const SECONDS = 120;
const WIDTH = 240;
const HEIGHT = 48;
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  constructor(svg, name, unit) {
    this.svg = svg;
    this.name = name;
    this.unit = unit;
    this.values = new Map();
    this.area = this.#add("path", "area");
    const ground = this.#add("line", "ground");
    for (const [attribute, value] of [["x1", 0], ["x2", WIDTH], ["y1", HEIGHT], ["y2", HEIGHT]]) ground.setAttribute(attribute, value);
    this.line = this.#add("path", "line");
  }

  set(second, value) {
    this.values.set(second, value);
  }

  // Draws up to `last`; returns the value there, and the largest.
  draw(last, absent) {
    const values = [];
    for (let second = last - SECONDS + 1; second <= last; second += 1) values.push(this.values.get(second) ?? absent);
    for (const second of this.values.keys()) if (second <= last - SECONDS) this.values.delete(second);
    const most = Math.max(0, ...values);
    const runs = runsOf(values, Math.max(most, 1e-9));
    this.line.setAttribute("d", runs.map((run) => `M${run.join("L")}`).join(""));
    this.area.setAttribute("d", runs.map((run) => `M${run[0].split(",")[0]},${HEIGHT}L${run.join("L")}L${run.at(-1).split(",")[0]},${HEIGHT}Z`).join(""));
    const known = values.filter((value) => value !== null);
    const now = known.length ? known.at(-1) : null;
    this.svg.setAttribute("aria-label", `${this.name}, last two minutes: ${now === null ? "nothing yet" : `${now} ${this.unit} now, ${most} at most`}`);
    return { now, most };
  }

  #add(kind, name) {
    const element = document.createElementNS(SVG, kind);
    element.setAttribute("class", name);
    this.svg.append(element);
    return element;
  }
}

function runsOf(values, most) {
  const runs = [];
  let run = [];
  values.forEach((value, place) => {
    if (value === null) return;
    const point = `${((place / (SECONDS - 1)) * WIDTH).toFixed(1)},${(HEIGHT - (value / most) * (HEIGHT - 2)).toFixed(1)}`;
    if (!run.length) runs.push(run);
    run.push(point);
  });
  return runs;
}
