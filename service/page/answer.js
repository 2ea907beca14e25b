// What an answer says, apart from its drawings.

import { element } from "./elements.js";
import { bounds, kalium, percent, sentence, share, threshold, typeset } from "./words.js";

const LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];

export function figuresOf(answer, model) {
  return answer.abstained ? withheld(answer) : figures(answer, model);
}

function withheld(answer) {
  return [
    element("p", { class: "withheld" }, "Withheld"),
    element("p", {}, "This ECG gets no estimate, for ", answer.abstain_reasons.length === 1 ? "this reason:" : "these reasons:"),
    element("ul", { class: "reasons" }, ...answer.abstain_reasons.map((reason) => element("li", {}, sentence(reason)))),
    element("p", { class: "quiet" }, "A withheld estimate says nothing about potassium, either way."),
  ];
}

function figures(answer, model) {
  const at = (comparator, value) => answer.probabilities.find((p) => p.comparator === comparator && p.threshold_mmol_l === value);
  const alarm = answer.category.startsWith("alarm");
  const raised = { "<": answer.category === "alarm_below_3_5", ">=": answer.category === "alarm_5_5_and_above" };
  const chance = (p) => figure(`Probability of ${threshold(p)}`, share(p.p), "", "calibrated",
    `${p.comparator === "<" ? "low" : "high"}${raised[p.comparator] ? " raised" : ""}`);
  return [
    element("dl", { class: "figures" },
      figure("Potassium, estimated", kalium(answer.potassium_mmol_l), "mmol/L", "not measured", "estimate"),
      chance(at(">=", 5.5)), chance(at("<", 3.5))),
    element("p", { class: alarm ? "category alarm" : "category" },
      element("strong", {}, alarm ? "Alarm. " : "No alarm raised. "), typeset(model.words.category[answer.category])),
  ];
}

function figure(title, value, unit, note, kind) {
  return element("div", { class: `figure ${kind}` },
    element("dt", {}, title),
    element("dd", { class: "figure-value" }, value, unit ? element("span", { class: "unit" }, ` ${unit}`) : null),
    element("dd", { class: "figure-note" }, note));
}

export function chancesOf({ probabilities }) {
  if (probabilities === null) return [];
  return [
    element("h3", {}, "How likely"),
    element("ul", { class: "chances" }, ...probabilities.map((p) =>
      element("li", {}, element("span", {}, threshold(p)), " ", element("b", {}, share(p.p))))),
  ];
}

export function standsOf(answer, model) {
  if (answer.abstained) return [];
  const { words } = model;
  return [
    element("h3", {}, "How far it can be off"),
    intervalTable(answer),
    element("h3", {}, "Bands in the answer"),
    bandStrip(words.bands, answer.bands),
    element("p", { class: "quiet" }, typeset(words.bands_sentence)),
    bandStrip(words.severe_bands, answer.severe_bands),
    element("p", { class: "quiet" }, typeset(words.severe_sentence)),
    element("h3", {}, "Training data behind it"),
    element("p", {}, region(answer.region)),
    answer.novelty === null ? null : element("p", {}, novelty(answer.novelty)),
    answer.personal === null ? null : element("p", {}, personal(answer.personal)),
  ].filter((part) => part !== null);
}

function intervalTable(answer) {
  const row = (words, interval) => element("tr", {},
    element("th", { scope: "row" }, words), element("td", {}, bounds(interval)),
    element("td", {}, interval.coverage_at_least_5_5 === null ? "unknown" : share(interval.coverage_at_least_5_5)));
  const level = percent(answer.interval.level);
  return element("table", { class: "intervals" },
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, `${level} interval`),
      element("th", { scope: "col" }, "mmol/L"), element("th", { scope: "col" }, "of K ≥ 5.5 it holds"))),
    element("tbody", {}, row("over all ECGs", answer.interval), row("in each true region", answer.interval_label_conditional)));
}

function bandStrip(known, found) {
  return element("ul", { class: "bands" }, ...Object.entries(known).map(([code, words]) => {
    const held = found.includes(code);
    return element("li", { class: held ? "band held" : "band" }, typeset(words), element("small", {}, held ? "in the answer" : "not in the answer"));
  }));
}

const regions = new Intl.ListFormat("en");

function region({ name, n_train_near: near, few_shot_share: few, interval_reaches: reached }) {
  return `${name[0].toUpperCase()}${name.slice(1)}-shot region: ${near} training ECGs within 0.1 mmol/L of the estimate. `
    + `${share(few)} of the predictive distribution lies where few were seen; the interval reaches ${regions.format(reached.map((each) => `${each}-`))}shot regions.`;
}

function novelty({ p_value: p }) {
  return `${share(p)} of ECGs like the calibration ECGs are at least as unlike the training ECGs as this one.`;
}

function personal({ n_pairs: pairs, offset_mmol_l: offset }) {
  return `The patient's own offset of ${offset.toFixed(2)} mmol/L, from ${pairs} earlier pairs, is taken off.`;
}

export function flagsOf(answer) {
  if (answer.flags.length === 0) return [element("li", {}, "No flag was raised.")];
  return answer.flags.map(({ name, sentence: words }) => element("li", { class: name === "DEMO_MODEL" ? "flag grave" : "flag" },
    element("p", {}, `${words} `, element("code", {}, name))));
}

export function qualityOf({ quality, ecg }) {
  const lead = (name) => {
    const grade = quality.leads[name] ?? "missing";
    const derived = ecg.leads_derived.includes(name);
    return element("li", { class: `lead-grade ${grade}` }, element("b", {}, name), element("span", {}, grade), derived ? element("small", {}, "derived") : null);
  };
  const measured = [
    `Overall: ${quality.grade}`,
    quality.heart_rate_bpm === null ? "heart rate not found" : `heart rate ${Math.round(quality.heart_rate_bpm)}/min`,
    quality.qrs_ms === null ? "QRS not measured" : `QRS about ${Math.round(quality.qrs_ms)} ms`,
  ];
  return [
    element("p", { class: "measured" }, measured.join(" · ")),
    element("ul", { class: "lead-grades" }, ...LEADS.map(lead)),
    ...(ecg.notes.length === 0 ? [] : [element("h3", {}, "What reading it told"), element("ul", { class: "notes" }, ...ecg.notes.map((note) => element("li", {}, sentence(note))))]),
  ];
}

export function ecgFactsOf({ ecg, timing_ms: ms }) {
  return facts({
    "Acquired": ecg.acquired_at?.replace("T", " ") ?? "not in the file",
    "Device": ecg.device ?? "not in the file",
    "File": `${ecg.format}, ${ecg.fs_in_hz} Hz, ${ecg.units_in}`,
    "Length": `${ecg.duration_s.toFixed(1)} s` + (ecg.duration_s > 10 ? `, looked at from ${ecg.window_start_s.toFixed(1)} s on` : ""),
    "Leads found": ecg.leads_found.join(", "),
    "Leads derived": ecg.leads_derived.join(", ") || "none",
    "Time taken": `${Math.round(ms)} ms`,
    "SHA-256": ecg.sha256,
  });
}

export function modelFactsOf({ model }) {
  return facts({
    "Model": `${model.name} ${model.version}`,
    "Trained on": model.trained_on,
    "Calibrated on": model.calibrated_on,
    "Intended use": model.intended_use,
    "SHA-256": model.sha256,
  });
}

function facts(named) {
  return Object.entries(named).flatMap(([name, value]) => [
    element("dt", {}, name), element("dd", { class: name === "SHA-256" ? "hash" : null }, value)]);
}
