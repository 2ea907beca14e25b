// The page: a file in, the answer shown.

import * as api from "./api.js";
import { chancesOf, ecgFactsOf, figuresOf, flagsOf, modelFactsOf, qualityOf, standsOf } from "./answer.js";
import { effectsOf } from "./effects.js";
import { byId, element } from "./elements.js";
import * as history from "./history.js";
import { askForKey, prepareDialog } from "./keydialog.js";
import { keyOf, scaleOf } from "./scale.js";
import { WIDTH_MM, drawn } from "./tracing.js";
import { kalium, sentence, share } from "./words.js";

const NARROW_PX = 700;
const NARROW_PX_PER_MM = 2.6; // of a phone: the tracing scrolls sideways
const ZOOM_STEP = 1.25;

// What is shown: the model, the ECG that was sent, its answer, tracing and explanation; each null until it is there.
const shown = { model: null, ecg: null, answer: null, tracing: null, explanation: null };
const look = { layout: "grid", zoom: 1 };
let latest = 0; // the number of the latest ECG: answers for an earlier one are dropped

async function start() {
  look.layout = innerWidth < NARROW_PX ? "rows" : "grid";
  byId("layout").value = look.layout;
  prepareDialog();
  listen();
  history.show();
  await tried(loadModel);
}

async function loadModel() {
  byId("key-open").textContent = api.key.get() === null ? "API key" : "API key: set";
  const model = await api.model();
  shown.model = model;
  byId("demo").hidden = !model.provenance.is_simulated;
  byId("model-name").textContent = `Model ${model.identity.name} ${model.identity.version}`;
  byId("disclaimer").textContent = model.disclaimer;
}

// Does it, asks for a key where one is wanted and does it again; what is refused otherwise is shown.
async function tried(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof api.Refusal)) throw error;
    if (error.status === 401) {
      const words = api.key.get() === null ? "This service answers with a key alone." : "The service does not know this key. Give another one.";
      if (await askForKey(words)) return tried(work);
    }
    refuse(error);
  }
}

function refuse({ title, message, instance, status }) {
  byId("answer").hidden = true;
  byId("status").textContent = "";
  byId("refusal").hidden = false;
  byId("refusal-title").textContent = status === 401 ? "A key is needed" : `No estimate: ${title}`;
  byId("refusal-words").textContent = sentence(message);
  byId("refusal-id").textContent = instance ? `Status ${status}, ${instance}` : "";
  byId("refusal-title").focus();
}

async function take(files) {
  if (files.length === 0) return;
  shown.ecg = { files: [...files], fields: {} };
  byId("again").disabled = false;
  await estimate();
}

async function estimate() {
  const mine = ++latest;
  const ecg = { files: shown.ecg.files, fields: fields(), name: api.newName() };
  shown.ecg = ecg;
  byId("refusal").hidden = true;
  byId("status").textContent = "Estimating …";
  byId("drop").classList.add("busy");
  await tried(async () => {
    if (shown.model === null) await loadModel();
    const answer = await api.estimate(ecg);
    if (answer.model.sha256 !== shown.model.identity.sha256) await loadModel(); // the operator put another one in
    if (mine !== latest) return;
    Object.assign(shown, { answer, tracing: null, explanation: null });
    show();
    history.remember(answer);
    await Promise.all([trace(ecg, mine), explain(ecg, mine)]);
  });
  byId("drop").classList.remove("busy");
}

function fields() {
  const given = new FormData(byId("form"));
  given.delete("file");
  return Object.fromEntries([...given].filter(([, value]) => value !== ""));
}

function show() {
  const { answer, model } = shown;
  byId("answer").hidden = false;
  byId("guide").hidden = true;
  byId("form").classList.add("small");
  byId("result-title").textContent = answer.abstained ? "Estimate withheld" : "Estimate";
  byId("figures").replaceChildren(...figuresOf(answer, model));
  byId("chances").replaceChildren(...chancesOf(answer));
  byId("behind").hidden = answer.abstained;
  byId("stands").replaceChildren(...standsOf(answer, model));
  byId("flags").replaceChildren(...flagsOf(answer));
  byId("quality").replaceChildren(...qualityOf(answer));
  byId("ecg-facts").replaceChildren(...ecgFactsOf(answer));
  byId("model-facts").replaceChildren(...modelFactsOf(answer));
  byId("tracing").replaceChildren(element("p", { class: "quiet" }, "Drawing …"));
  byId("tracing-foot").textContent = "";
  byId("effects").replaceChildren(element("p", { class: "quiet" }, "Asking …"));
  byId("download-words").textContent = "";
  drawScale();
  byId("status").textContent = answer.abstained
    ? "The estimate is withheld."
    : `Estimate ${kalium(answer.potassium_mmol_l)} mmol/L, probability of K ≥ 5.5 ${share(answer.probabilities[0].p)}.`;
  byId("result-title").focus({ preventScroll: true });
  byId("result-title").scrollIntoView({ block: "nearest" });
}

function drawScale() {
  const place = byId("scale");
  const has = shown.answer !== null && !shown.answer.abstained;
  place.parentElement.hidden = !has;
  if (!has) return;
  place.replaceChildren(scaleOf(shown.answer, shown.model, Math.max(280, place.clientWidth)));
  byId("scale-key").replaceChildren(...keyOf());
}

async function trace(ecg, mine) {
  try {
    const answer = await api.tracing(ecg);
    if (mine !== latest) return;
    shown.tracing = answer;
    drawTracing();
  } catch (error) {
    if (mine === latest) byId("tracing").replaceChildren(unavailable("The tracing", error));
  }
}

function drawTracing() {
  if (shown.tracing === null) return;
  const place = byId("tracing");
  const fit = innerWidth < NARROW_PX ? NARROW_PX_PER_MM : (place.clientWidth - 2) / WIDTH_MM;
  const { explanation } = shown;
  place.replaceChildren(drawn(shown.tracing, { layout: look.layout, pxPerMm: fit * look.zoom, explanation }));
  byId("zoom").textContent = `${Math.round(100 * look.zoom)} %`;
  byId("tracing-foot").textContent = "25 mm/s · 10 mm/mV · pulse 1 mV, 0.2 s · no filter applied here · each trace stands on its own median"
    + (explanation === null ? "" : " · shaded: waves that raise the estimate (orange) or lower it (blue)");
}

async function explain(ecg, mine) {
  const place = byId("effects");
  if (shown.answer.abstained) {
    place.replaceChildren(element("p", { class: "quiet" }, "There is no estimate to explain."));
    return;
  }
  try {
    const answer = await api.explanation(ecg);
    if (mine !== latest) return;
    shown.explanation = answer;
    place.replaceChildren(...effectsOf(answer));
    drawTracing();
  } catch (error) {
    if (mine === latest) place.replaceChildren(unavailable("The explanation", error));
  }
}

// One part of the answer is missing; the rest stands.
function unavailable(what, error) {
  if (!(error instanceof api.Refusal)) throw error;
  const why = error.status === 404 ? "this service does not offer it." : sentence(error.message);
  return element("p", { class: "missing" }, element("strong", {}, `${what} is not available: `), why);
}

async function download(name) {
  const words = byId("download-words");
  words.className = "inline-words";
  words.textContent = "Preparing …";
  try {
    const blob = name === "json" ? new Blob([JSON.stringify(shown.answer, null, 1)], { type: "application/json" }) : await api.output(shown.ecg, name);
    save(blob, { json: "estimate.json", fhir: "estimate.fhir.json", pdf: "estimate.pdf" }[name]);
    words.textContent = "Saved.";
  } catch (error) {
    if (!(error instanceof api.Refusal)) throw error;
    words.classList.add("missing");
    words.replaceChildren(element("strong", {}, `${error.title}: `), sentence(error.message));
  }
}

function save(blob, name) {
  const href = URL.createObjectURL(blob);
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

function listen() {
  listenToFiles();
  const zoomBy = (factor) => () => {
    look.zoom = factor === null ? 1 : Math.min(8, Math.max(0.5, look.zoom * factor));
    drawTracing();
  };
  byId("zoom-in").addEventListener("click", zoomBy(ZOOM_STEP));
  byId("zoom-out").addEventListener("click", zoomBy(1 / ZOOM_STEP));
  byId("zoom-fit").addEventListener("click", zoomBy(null));
  byId("layout").addEventListener("change", (event) => {
    look.layout = event.target.value;
    drawTracing();
  });
  byId("downloads").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) download(button.dataset.output);
  });
  byId("history-clear").addEventListener("click", history.clear);
  byId("key-open").addEventListener("click", async () => {
    if (await askForKey("A key is needed where the operator made one.")) await tried(loadModel);
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // the height of a phone's window changes while it scrolls
    width = innerWidth;
    drawScale();
    drawTracing();
  });
}

function listenToFiles() {
  const form = byId("form");
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("files").addEventListener("change", async (event) => {
    await take([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  byId("again").addEventListener("click", estimate);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) byId("drop").classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

start();
