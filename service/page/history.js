// The estimates of this browser tab: numbers alone, no file, no name, no hash.

import { byId, element } from "./elements.js";
import { bounds, kalium, share } from "./words.js";

const KEPT = "ecg-ka-history";
const MOST = 50;

export function remember(answer) {
  const p = (comparator, at) => answer.probabilities?.find((found) => found.comparator === comparator && found.threshold_mmol_l === at).p ?? null;
  const line = {
    time: new Date().toLocaleTimeString("en-GB"), estimate: answer.potassium_mmol_l, high: p(">=", 5.5), low: p("<", 3.5),
    interval: answer.interval && { lower: answer.interval.lower, upper: answer.interval.upper },
  };
  sessionStorage.setItem(KEPT, JSON.stringify([line, ...kept()].slice(0, MOST)));
  show();
}

export function show() {
  const lines = kept();
  byId("history").hidden = lines.length === 0;
  byId("history-rows").replaceChildren(...lines.map((line) => element("tr", {},
    element("td", {}, line.time),
    ...(line.estimate === null
      ? [element("td", { colspan: 4 }, "withheld")]
      : [`${kalium(line.estimate)} mmol/L`, share(line.high), share(line.low), bounds(line.interval)].map((words) => element("td", {}, words))))));
}

export function clear() {
  sessionStorage.removeItem(KEPT);
  show();
}

function kept() {
  return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
}
