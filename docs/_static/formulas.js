// Evaluates the formulas of generated/schedules.js, which are those of the docstrings.
"use strict";

// What Python does otherwise than JavaScript, and what a docstring's formula may call.
const python = {
  quotient: (a, b) => Math.floor(a / b),
  remainder: (a, b) => a - b * Math.floor(a / b),
  divmod: (a, b) => [python.quotient(a, b), python.remainder(a, b)],
  sum: (values) => values.reduce((a, b) => a + Number(b), 0),
  prod: (values) => values.reduce((a, b) => a * b, 1),
  plus: (a, b) => (Array.isArray(a) ? [...a, ...b] : a + b),
  // The points on both sides of a step, without the phases that are left no steps.
  around(t, [[start, value], ...others]) {
    for (const [end, next] of others) {
      if (t < end) return [[start, value], [end, next]];
      [start, value] = [Math.max(start, end), next];
    }
    return [[start, value], [Infinity, value]];
  },
};

// The function of the step that a schedule is; inner schedules are functions too.
function evaluated({ name, arguments: given }) {
  const inner = Object.fromEntries(
    FIELDS[name].map((field) => {
      const value = given[field.name];
      if (field.kind === "schedule") return [field.name, evaluated(value)];
      return [field.name, field.kind === "schedules" ? value.map(evaluated) : value];
    }),
  );
  const at = (t) => FORMULAS[name](t, inner);
  at.base = given.initial ?? at(0);
  return at;
}
