// Which waves move the estimate: the answer of /v1/explain as a table with bars.

import { element, svg } from "./elements.js";

const LEAST = 0.05; // mmol/L

export function effectsOf({ effects }) {
  const waves = [...new Set(effects.map((effect) => effect.wave))];
  const all = Math.max(...effects.map((effect) => effect.leads.length));
  const most = Math.max(LEAST, ...effects.map((effect) => Math.abs(effect.change_mmol_l ?? 0)));
  const together = waves.map((wave) => effects.find((effect) => effect.wave === wave && effect.leads.length === all));
  const others = effects.filter((effect) => effect.wave === waves[0] && effect.leads.length !== all).map((effect) => effect.leads);
  return [
    element("p", {}, strongest(together)),
    element("ul", { class: "effects" }, ...together.map((effect) => bar(effect, most))),
    element("details", {}, element("summary", {}, "By groups of leads"),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Effects by groups of leads" }, byGroup(effects, waves, others))),
    element("p", { class: "quiet" }, "Each wave was replaced, T(U) by a usual T and the others by the baseline, and the "
      + "estimate made again. This tells how the network answers to a changed signal, not why the ECG looks as it does."),
  ];
}

// What removing a wave takes away is what the wave added.
const added = (effect) => (effect.change_mmol_l === null ? null : -effect.change_mmol_l);

const signed = (value) => (value === null ? "no such wave" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`);

function strongest(together) {
  const most = together.reduce((a, b) => (Math.abs(added(b) ?? 0) > Math.abs(added(a) ?? 0) ? b : a));
  const value = added(most) ?? 0;
  if (Math.abs(value) < LEAST) return "No wave moves the estimate by 0.05 mmol/L or more.";
  return `Most of all ${most.wave}, which ${value > 0 ? "raises" : "lowers"} the estimate by ${Math.abs(value).toFixed(2)} mmol/L.`;
}

function bar(effect, most) {
  const value = added(effect);
  const width = (48 * Math.abs(value ?? 0)) / most;
  const name = (value ?? 0) > 0 ? "raises" : "lowers";
  return element("li", {},
    element("b", {}, effect.wave),
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: name, x: value > 0 ? 50 : 50 - width, y: 1, width, height: 8 }),
      svg("path", { class: "zero", d: "M50 0V10" })),
    element("span", {}, value === null ? "no such wave" : `${signed(value)} mmol/L`));
}

function byGroup(effects, waves, groups) {
  const name = (leads) => (leads.length > 4 ? `${leads[0]}, ${leads[1]}–${leads.at(-1)}` : leads.length > 1 ? `${leads[0]}–${leads.at(-1)}` : leads[0]);
  const same = (a, b) => a.join() === b.join();
  const cell = (wave, leads) => element("td", {}, signed(added(effects.find((effect) => effect.wave === wave && same(effect.leads, leads)))));
  return element("table", {},
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "mmol/L"), ...groups.map((leads) => element("th", { scope: "col" }, name(leads))))),
    element("tbody", {}, ...waves.map((wave) => element("tr", {}, element("th", { scope: "row" }, wave), ...groups.map((leads) => cell(wave, leads))))));
}
