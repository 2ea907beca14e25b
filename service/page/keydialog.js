// Asks for the API key.

import { key } from "./api.js";
import { byId } from "./elements.js";

// Resolves to whether a key was given.
export function askForKey(words) {
  const dialog = byId("key");
  byId("key-words").textContent = words;
  byId("key-value").value = "";
  byId("key-forget").hidden = key.get() === null;
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given"), { once: true });
  });
}

export function prepareDialog() {
  const dialog = byId("key");
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    key.set(byId("key-value").value.trim());
    dialog.close("given");
  });
  byId("key-forget").addEventListener("click", () => {
    key.forget();
    dialog.close("forgotten");
  });
  byId("key-cancel").addEventListener("click", () => dialog.close(""));
}
