// The ECG on paper of 1 mm: 25 mm/s, 10 mm/mV, unfiltered, with the waves shaded that move the estimate.

import { svg } from "./elements.js";

const MM_PER_S = 25;
const MM_PER_MV = 10;
const LEFT_MM = 14; // the calibration pulse stands here
const GRID = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]];
const ALL = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
const PANEL_S = 2.5;
const STRIP_S = 10;
const LEAST_EFFECT = 0.05; // mmol/L: smaller ones are not shaded
const STRONGEST = 0.5; // opacity: the grid stays visible

export const WIDTH_MM = LEFT_MM + STRIP_S * MM_PER_S + 1;

// `shown` is the answer of /v1/tracing, `look` holds layout, pxPerMm and, or null, the answer of /v1/explain.
export function drawn(shown, look) {
  const panels = look.layout === "grid" ? gridPanels(shown) : rowPanels();
  const height = panels.at(-1).y + panels.at(-1).height + 1;
  const rows = [...new Set(panels.map((panel) => panel.y + panel.height / 2))];
  return svg(
    "svg",
    {
      class: "tracing", role: "img", "aria-label": description(shown), "data-layout": look.layout,
      width: WIDTH_MM * look.pxPerMm, height: height * look.pxPerMm, viewBox: `0 0 ${WIDTH_MM} ${height}`,
    },
    ...paper(height),
    ...rows.map(pulse),
    ...panels.flatMap((panel) => (shown.leads.includes(panel.lead) ? lead(shown, panel, look) : absent(panel, look))),
  );
}

function gridPanels(shown) {
  const latest = Math.max(0, shown.signal_uv[0].length / shown.fs_hz - PANEL_S);
  const panels = GRID.flatMap((leads, row) =>
    leads.map((name, column) => ({
      lead: name, from: Math.min(column * PANEL_S, latest), seconds: PANEL_S,
      x: LEFT_MM + column * PANEL_S * MM_PER_S, y: 1 + row * 31, height: 31,
    })));
  return [...panels, { lead: "II", from: 0, seconds: STRIP_S, x: LEFT_MM, y: 94, height: 31 }];
}

function rowPanels() {
  return ALL.map((name, row) => ({ lead: name, from: 0, seconds: STRIP_S, x: LEFT_MM, y: 1 + row * 24, height: 24 }));
}

function description(shown) {
  const seconds = (shown.signal_uv[0].length / shown.fs_hz).toFixed(1);
  return `ECG tracing, ${seconds} s from ${shown.start_s.toFixed(1)} s on, leads ${shown.leads.join(", ")}, 25 mm/s, 10 mm/mV`;
}

function paper(height) {
  const square = (id, mm) => svg("pattern", { id, width: mm, height: mm, patternUnits: "userSpaceOnUse" },
    svg("path", { class: id, d: `M${mm} 0H0V${mm}` }));
  const sheet = (fill) => svg("rect", { width: WIDTH_MM, height, ...(fill ? { fill: `url(#${fill})` } : { class: "sheet" }) });
  return [svg("defs", {}, square("fine", 1), square("coarse", 5)), sheet(null), sheet("fine"), sheet("coarse")];
}

function pulse(middle) {
  return svg("path", { class: "ink", d: `M3 ${middle + MM_PER_MV / 2}h2v${-MM_PER_MV}h${0.2 * MM_PER_S}v${MM_PER_MV}h2` });
}

function absent(panel, look) {
  return [label(panel, look, "not in the file")];
}

function lead(shown, panel, look) {
  const first = Math.round(panel.from * shown.fs_hz);
  const all = shown.signal_uv[shown.leads.indexOf(panel.lead)];
  const up = all.slice(first, first + Math.round(panel.seconds * shown.fs_hz) + 1).map((uv) => (uv / 1000) * MM_PER_MV);
  const { base, fits } = placement(up, panel.height / 2);
  const middle = panel.y + panel.height / 2;
  const y = (mm) => Math.min(panel.y + panel.height, Math.max(panel.y, middle + base - mm));
  const points = up.map((mm, i) => `${(panel.x + (i / shown.fs_hz) * MM_PER_S).toFixed(2)},${y(mm).toFixed(2)}`);
  const side = [shown.leads_derived.includes(panel.lead) && "derived", !fits && "cut off"].filter(Boolean).join(", ");
  return [
    ...shades(shown, panel, look.explanation),
    svg("path", { class: "ink", d: `M${panel.x} ${panel.y + 3}v3` }),
    svg("polyline", { class: "ink", "data-lead": panel.lead, points: points.join(" ") }),
    label(panel, look, side),
  ];
}

function label(panel, look, side) {
  const size = Math.max(3.4, 11 / look.pxPerMm); // never below 11 px
  return svg("text", { class: "lead", x: panel.x + 1.2, y: panel.y + size + 1, "font-size": size }, panel.lead,
    side ? svg("tspan", { class: "side", dx: size / 2 }, side) : null);
}

// How far below the middle of the panel 0 mV lies: the median in the middle, unless one side needs more room and the
// other can spare it.
function placement(up, half) {
  const ordered = Float64Array.from(up).sort();
  const median = ordered[ordered.length >> 1];
  const above = ordered.at(-1) - median;
  const below = median - ordered[0];
  const down = Math.min(Math.max(0, above - half), Math.max(0, half - below));
  const raised = Math.min(Math.max(0, below - half), Math.max(0, half - above));
  return { base: median + down - raised, fits: above + below <= 2 * half };
}

function shades(shown, panel, explanation) {
  if (explanation === null) return [];
  const most = Math.max(...explanation.effects.map((effect) => Math.abs(effect.change_mmol_l ?? 0)));
  return explanation.spans.flatMap((span) => {
    const change = effectIn(explanation, span.wave, panel.lead);
    const start = Math.max(panel.from, span.start_s - shown.start_s);
    const stop = Math.min(panel.from + panel.seconds, span.stop_s - shown.start_s);
    if (Math.abs(change) < LEAST_EFFECT || start >= stop) return [];
    return [svg("rect", {
      class: change < 0 ? "raises" : "lowers", opacity: (STRONGEST * Math.abs(change) / most).toFixed(2),
      x: panel.x + (start - panel.from) * MM_PER_S, width: (stop - start) * MM_PER_S,
      y: panel.y + 0.5, height: panel.height - 1,
    })];
  });
}

// The effect of a wave in the smallest group of leads that a lead is in.
function effectIn(explanation, wave, name) {
  const groups = explanation.effects.filter((effect) => effect.wave === wave && effect.leads.includes(name));
  const smallest = groups.reduce((a, b) => (a === null || b.leads.length < a.leads.length ? b : a), null);
  return smallest?.change_mmol_l ?? 0;
}
