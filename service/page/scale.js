// The estimate on a scale: predictive distribution over the training labels, few-shot regions shaded, intervals below.

import { element, svg } from "./elements.js";
import { bounds, kalium, percent } from "./words.js";

const TOP = 50; // room for the labels of estimate and median, px
const PLOT = 170;
const BASE = TOP + PLOT;
const LOW = 3.5;
const HIGH = 5.5;

// One drawing of this width in px for an answer that holds a value.
export function scaleOf(answer, model, width) {
  const x = axis(answer, width);
  const y = heights(answer, model);
  const high = BASE + 106;
  return svg(
    "svg",
    { class: "scale-drawing", role: "img", "aria-label": spoken(answer), width, height: high, viewBox: `0 0 ${width} ${high}` },
    svg("defs", {}, svg("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("path", { class: "hatch", d: "M0 0V7" }))),
    ...fewShot(model.regions, x),
    ...training(model.density, x, y),
    ...distribution(answer.distribution, x, y),
    ...ticks(x),
    ...marks(answer, x),
    ...interval(answer.interval, "interval", "over all ECGs", x, BASE + 34),
    ...interval(answer.interval_label_conditional, "interval", "in each true region", x, BASE + 72),
  );
}

export function keyOf() {
  const entries = [
    ["training", "training ECGs"], ["middle", "predictive distribution"], ["high", "its part from 5.5 on"],
    ["low", "its part below 3.5"], ["few", "few training ECGs"],
  ];
  return entries.map(([name, words]) => element("span", { class: "key-entry" }, element("i", { class: `swatch ${name}` }), words));
}

function axis(answer, width) {
  const { lower, upper } = answer.interval_label_conditional;
  const values = [lower, upper, answer.interval.lower, answer.interval.upper, answer.potassium_mmol_l];
  const from = Math.min(2, Math.floor(Math.min(...values)));
  const to = Math.max(8, Math.ceil(Math.max(...values)));
  const at = (value) => 8 + ((Math.min(to, Math.max(from, value)) - from) / (to - from)) * (width - 16);
  return { at, from, to, width };
}

// Both are shares per 0.1 mmol/L, so that one height serves them.
function heights(answer, model) {
  const total = model.density.counts.reduce((a, b) => a + b, 0);
  const most = Math.max(...answer.distribution.p, Math.max(...model.density.counts) / total);
  return { of: (share) => BASE - (share / most) * (PLOT - 16), total };
}

function fewShot({ few_low: low, few_high: high }, x) {
  const part = (from, to, anchor) => [
    svg("rect", { class: "few", x: x.at(from), y: TOP, width: x.at(to) - x.at(from), height: PLOT }),
    svg("text", { class: "few-words", x: anchor === "start" ? x.at(from) + 5 : x.at(to) - 5, y: TOP + 14, "text-anchor": anchor },
      x.width < 480 ? "few" : "few training ECGs"),
  ];
  return [...part(x.from, low, "start"), ...part(high, x.to, "end")];
}

function training({ first_bin: first, counts }, x, y) {
  const bar = (count, k) => {
    const middle = (first + k) / 10;
    if (count === 0 || middle < x.from || middle > x.to) return "";
    const left = x.at(middle - 0.045);
    return `M${left} ${BASE}V${y.of(count / y.total)}H${x.at(middle + 0.045)}V${BASE}Z`;
  };
  return [svg("path", { class: "training", d: counts.map(bar).join("") })];
}

// Of recorded values; what is not yet rounded, as median and intervals are, begins half a step of the laboratory lower.
function distribution({ lower_mmol_l: lower, step_mmol_l: step, label_step_mmol_l: rounding, p }, x, y) {
  const start = (at) => x.at(at - rounding / 2);
  const inner = (name, from, to) => {
    const kept = p.map((share, k) => [Math.round((lower + k * step) * 10) / 10, share]).filter(([at]) => at >= from && at < to);
    if (kept.length === 0) return [];
    const steps = kept.map(([at, share]) => `L${start(at)} ${y.of(share)}L${start(at + step)} ${y.of(share)}`).join("");
    return [svg("path", { class: `part ${name}`, d: `M${start(kept[0][0])} ${BASE}${steps}L${start(kept.at(-1)[0] + step)} ${BASE}Z` })];
  };
  return [...inner("low", -Infinity, LOW), ...inner("middle", LOW, HIGH), ...inner("high", HIGH, Infinity)];
}

function ticks(x) {
  const parts = [svg("path", { class: "axis", d: `M${x.at(x.from)} ${BASE}H${x.at(x.to)}` })];
  for (let at = x.from; at <= x.to; at += 1) {
    parts.push(svg("path", { class: "axis", d: `M${x.at(at)} ${BASE}v5` }));
    parts.push(svg("text", { class: "tick", x: x.at(at), y: BASE + 18, "text-anchor": "middle" }, `${at}`));
  }
  for (const at of [LOW, HIGH]) {
    parts.push(svg("path", { class: "threshold", d: `M${x.at(at)} ${TOP}V${BASE + 5}` }));
    parts.push(svg("text", { class: "tick strong", x: x.at(at), y: BASE + 18, "text-anchor": "middle" }, kalium(at)));
  }
  return parts;
}

// The words of the median stand on the side away from the line of the estimate.
function marks(answer, x) {
  const left = answer.median_mmol_l < answer.potassium_mmol_l;
  return [
    ...mark("median", `${x.width < 480 ? "Median" : "Calibrated median"} ${kalium(answer.median_mmol_l)}`, x.at(answer.median_mmol_l), 40, left),
    ...mark("estimate", `Estimate ${kalium(answer.potassium_mmol_l)}`, x.at(answer.potassium_mmol_l), 16, x.at(answer.potassium_mmol_l) > x.width / 2),
  ];
}

function mark(name, words, at, y, left) {
  return [
    svg("path", { class: `mark ${name}`, d: `M${at} ${y - 11}V${BASE}` }),
    svg("text", { class: `mark-words ${name}`, x: left ? at - 7 : at + 7, y, "text-anchor": left ? "end" : "start" }, words),
  ];
}

function interval(given, name, where, x, y) {
  const [left, right] = [x.at(given.lower), x.at(given.upper)];
  return [
    svg("text", { class: "interval-words", x: x.at(x.from), y: y + 4 }, `${percent(given.level)} ${name} ${where}: ${bounds(given)}`),
    svg("path", { class: "interval", d: `M${left} ${y + 11}v10M${left} ${y + 16}H${right}M${right} ${y + 11}v10` }),
  ];
}

function spoken(answer) {
  return `Scale from low to high potassium. Estimate ${kalium(answer.potassium_mmol_l)}, calibrated median `
    + `${kalium(answer.median_mmol_l)}, interval ${bounds(answer.interval)}, in each true region `
    + `${bounds(answer.interval_label_conditional)} mmol/L.`;
}
