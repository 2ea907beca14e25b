// How numbers are written.

export const kalium = (mmolPerL) => mmolPerL.toFixed(1);

export const percent = (level) => `${Number((100 * level).toFixed(1))} %`;

// A probability; never 0 % or 100 %, which would read as a certainty.
export function share(p) {
  if (p < 0.01) return "<\u00a01\u00a0%";
  if (p > 0.99) return ">\u00a099\u00a0%";
  return `${Math.round(100 * p)}\u00a0%`;
}

export const threshold = ({ comparator, threshold_mmol_l: at }) => typeset(`K ${comparator} ${kalium(at)}`);

export const bounds = ({ lower, upper }) => `${kalium(lower)} to ${kalium(upper)}`;

// What the service says, with the signs that print has; no line break parts "K ≥ 5.5" or "90 %".
export const typeset = (text) => text.replaceAll(">=", "≥").replace(/K [≥<] (?=\d)|\d (?=%|mmol)/g, (found) => found.replaceAll(" ", "\u00a0"));

export const sentence = (text) => typeset(`${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`);
