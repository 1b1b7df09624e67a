// The interactive page: choose a schedule, move its arguments, see the curve and the Python.
"use strict";

const LINE = 80; // letters of a line of Python
const POINTS = 800; // of a curve, at most
let state;

// Python.

function literal(value, kind) {
  if (kind === "schedule") return call(value);
  if (Array.isArray(value)) {
    const items = value.map((item) => literal(item, kind.slice(0, -1)));
    return `(${items.join(", ")}${items.length === 1 ? "," : ""})`;
  }
  if (kind === "bool") return value ? "True" : "False";
  if (kind === "choice") return JSON.stringify(value);
  const text = String(value);
  return kind === "float" && Number.isInteger(value) && !text.includes("e") ? `${text}.0` : text;
}

function call({ name, arguments: given }) {
  const shown = FIELDS[name].filter(
    (field) => !("default" in field) || field.default !== given[field.name],
  );
  return `${name}(${shown.map((f) => `${f.name}=${literal(given[f.name], f.kind)}`).join(", ")})`;
}

// What is between the commas of a call or a tuple, of which some have commas in them.
function split(text) {
  const items = [""];
  let depth = 0;
  for (const letter of text) {
    depth += { "(": 1, ")": -1 }[letter] ?? 0;
    if (letter === "," && depth === 0) items.push("");
    else items[items.length - 1] += letter;
  }
  return items.map((item) => item.trim()).filter(Boolean);
}

// A call or a tuple that is too long has each of its items on a line of its own.
function wrapped(text, indent = "") {
  const fits = indent.length + text.length <= LINE;
  const open = text.indexOf("(") + 1;
  if (fits || !open) return indent + text;
  const inside = split(text.slice(open, -1)).map((item) => `${wrapped(item, `${indent}    `)},`);
  return [indent + text.slice(0, open), ...inside, `${indent})`].join("\n");
}

function classes({ name, arguments: given }) {
  const parts = FIELDS[name].filter((field) => field.kind.startsWith("schedule"));
  return [name, ...parts.flatMap((field) => [given[field.name]].flat().flatMap(classes))];
}

function code(schedule) {
  const names = [...new Set(classes(schedule))].sort().join(", ");
  return `from accelsched import Scheduler
from accelsched.schedules import ${names}

${wrapped(`schedule = ${call(schedule)}`)}
scheduler = Scheduler(optimizer, schedule)`;
}

// The curve.

function range(values) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low >= 0 && low <= high / 2) low = 0;
  else if (high <= 0 && high >= low / 2) high = 0;
  return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
}

function sampled(steps) {
  const count = Math.min(steps, POINTS);
  return Array.from({ length: count + 1 }, (_, i) => Math.round((steps * i) / count));
}

const number = (value) => String(Number(value.toPrecision(4)));

function draw(svg, at, steps) {
  const points = sampled(steps).map((t) => [t, at(t)]);
  if (!points.every(([, value]) => Number.isFinite(value))) return false;
  const [width, height] = FRAME.size;
  const [left, right, above, below] = FRAME.margins;
  const [low, high] = range(points.map(([, value]) => value));
  const x = (t) => left + (t / steps) * (width - left - right);
  const y = (value) => above + ((high - value) / (high - low)) * (height - above - below);
  const line = points.map(([t, value]) => `${x(t).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  svg.querySelector("polyline").setAttribute("points", line);
  const labels = [number(high), number(low), "0", steps.toLocaleString("en")];
  labels.forEach((label, i) => (svg.querySelectorAll("text")[i].textContent = label));
  return true;
}

// The form.

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function bounds(field, value) {
  if (field.kind === "int") {
    return value < 0 ? [4 * value, -4 * value, 1] : [1, Math.max(4 * value, 10), 1];
  }
  const most = value > 0.5 && value <= 1 ? 1 : 2 * Math.abs(value) || 1;
  return [value < 0 ? -most : 0, most, "any"];
}

// A number has a slider, and a field for what the slider does not reach.
function numeric(field, given, changed) {
  const [min, max, step] = bounds(field, given[field.name]);
  const exact = element("input", { type: "number", step: "any", value: given[field.name] });
  const slider = element("input", { type: "range", min, max, step, value: given[field.name] });
  slider.setAttribute("aria-label", `${field.name}, a slider`);
  const set = (text) => {
    const value = field.kind === "int" ? Math.round(Number(text)) : Number(Number(text).toPrecision(4));
    if (text === "" || !Number.isFinite(value)) return;
    given[field.name] = value;
    changed();
  };
  slider.oninput = () => set((exact.value = number(Number(slider.value))));
  exact.oninput = () => {
    slider.value = exact.value;
    set(exact.value);
  };
  return [exact, slider];
}

function listed(field, given, changed) {
  const input = element("input", { type: "text", value: given[field.name].join(", ") });
  input.oninput = () => {
    const values = input.value.split(",").map(Number);
    const fits = input.value.trim() !== "" && values.every(Number.isFinite);
    input.setCustomValidity(fits ? "" : "Give numbers, with commas between them.");
    input.reportValidity();
    if (!fits) return;
    given[field.name] = field.kind === "ints" ? values.map(Math.round) : values;
    changed();
  };
  return [input];
}

function chosen(field, given, changed) {
  const options = field.choices.map((text) => element("option", { textContent: text }));
  const select = element("select", {}, options);
  select.value = given[field.name];
  select.onchange = () => {
    given[field.name] = select.value;
    changed();
  };
  return [select];
}

function ticked(field, given, changed) {
  const box = element("input", { type: "checkbox", checked: given[field.name] });
  box.onchange = () => {
    given[field.name] = box.checked;
    changed();
  };
  return [box];
}

const CONTROLS = { int: numeric, float: numeric, ints: listed, floats: listed, choice: chosen, bool: ticked };

function controls(schedule, changed) {
  return FIELDS[schedule.name].map((field) => {
    const given = schedule.arguments;
    if (field.kind.startsWith("schedule")) {
      const parts = [given[field.name]].flat();
      return element("div", {}, parts.map((part) => group(part, changed)));
    }
    const name = element("code", { textContent: field.name });
    const inputs = CONTROLS[field.kind](field, given, changed);
    return element("label", { title: field.text }, [name, ...inputs]);
  });
}

function group(schedule, changed) {
  const legend = element("legend", { textContent: schedule.name });
  return element("fieldset", {}, [legend, ...controls(schedule, changed)]);
}

// The page.

function read(hash) {
  const text = decodeURIComponent(hash.slice(1));
  if (text in EXAMPLES) return structuredClone(EXAMPLES[text]);
  try {
    const found = JSON.parse(text);
    if (found.steps > 0 && found.schedule.name in EXAMPLES && evaluated(found.schedule)(0) !== undefined) {
      return found;
    }
  } catch {
    // Another page's address, or one that was cut.
  }
  return structuredClone(EXAMPLES.WarmupCosine);
}

function show(parts) {
  const steps = Math.max(1, Math.round(state.steps));
  const at = evaluated(state.schedule);
  const drawn = draw(parts.svg, at, steps);
  parts.message.textContent = drawn ? "" : "These numbers make no finite value at some step.";
  parts.python.textContent = code(state.schedule);
  const rows = sampled(steps).length > 4 ? [0, 0.25, 0.5, 0.75, 1] : [0, 1];
  parts.values.replaceChildren(
    ...rows.map((part) => {
      const t = Math.round(part * steps);
      const cells = [t.toLocaleString("en"), String(Number(at(t).toPrecision(6)))];
      return element("tr", {}, cells.map((textContent) => element("td", { textContent })));
    }),
  );
}

function build(root, parts) {
  const changed = () => {
    show(parts);
    history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(state))}`);
  };
  const names = Object.keys(EXAMPLES).map((name) => element("option", { textContent: name }));
  const select = element("select", {}, names);
  select.value = state.schedule.name;
  select.onchange = () => {
    location.hash = select.value;
  };
  const steps = element("input", { type: "number", min: 1, value: state.steps });
  steps.oninput = () => {
    if (!(Number(steps.value) >= 1)) return;
    state.steps = Number(steps.value);
    changed();
  };
  const choice = element("label", {}, [element("code", { textContent: "schedule" }), select]);
  const length = element("label", { title: "the last step of the picture" }, [
    element("code", { textContent: "steps shown" }),
    steps,
  ]);
  parts.form.replaceChildren(choice, group(state.schedule, changed), length);
  show(parts);
}

function start(root) {
  const parts = {
    form: element("form", { className: "interactive-form", onsubmit: () => false }),
    figure: element("figure", { className: "curve", innerHTML: FRAME.svg }),
    message: element("p", { role: "status" }),
    values: element("tbody"),
    python: element("code"),
  };
  parts.svg = parts.figure.querySelector("svg");
  const head = element("tr", {}, ["step", "value"].map((textContent) => element("th", { textContent })));
  const table = element("table", { className: "table" }, [element("thead", {}, [head]), parts.values]);
  const result = element("div", {}, [parts.figure, parts.message, element("pre", {}, [parts.python]), table]);
  root.replaceChildren(parts.form, result);
  const follow = () => {
    state = read(location.hash);
    build(root, parts);
  };
  window.addEventListener("hashchange", follow);
  follow();
}

start(document.getElementById("try-schedules"));
