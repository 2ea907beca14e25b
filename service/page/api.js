// Talks to the service that the page came from. The key lives in this browser tab alone.

const KEY = "ecg-ka-key";

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

// What the service refused, in its own words (RFC 9457); `status` is 0 when it could not be reached.
export class Refusal extends Error {
  constructor({ status, title, detail, instance }) {
    super(detail);
    Object.assign(this, { status, title, instance });
  }
}

export const model = () => asked("v1/model").then((answer) => answer.json());
export const estimate = (ecg) => posted("v1/predict", ecg).then((answer) => answer.json());
export const tracing = (ecg) => posted("v1/tracing", ecg).then((answer) => answer.json());
export const explanation = (ecg) => posted("v1/explain", ecg).then((answer) => answer.json());
export const output = (ecg, name) => posted("v1/predict", ecg, { output: name }).then((answer) => answer.blob());

// A name for an estimate: what is asked under it again, in another language, is not kept again.
export const newName = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function posted(path, { files, fields, name }, more = {}) {
  const body = new FormData();
  for (const file of files) body.append("file", file, file.name);
  for (const [field, value] of Object.entries({ ...fields, ...more })) body.append(field, value);
  try {
    return await asked(path, { method: "POST", body, headers: { "Idempotency-Key": name } });
  } catch (refusal) {
    // A service that wants a key does not read the body first, and a browser may see that as a broken connection.
    if (refusal.status === 0) await asked("v1/model");
    throw refusal;
  }
}

async function asked(path, request = {}) {
  const headers = { ...request.headers, ...(key.get() ? { Authorization: `Bearer ${key.get()}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...request, headers, credentials: "omit", redirect: "error" });
  } catch {
    throw new Refusal({ status: 0, title: "Not reached", detail: "The service did not answer. Try again." });
  }
  if (answer.ok) return answer;
  throw new Refusal(await problem(answer));
}

async function problem(answer) {
  const unknown = { status: answer.status, title: "Refused", detail: `The service answered with status ${answer.status}.` };
  try {
    return { ...unknown, ...(await answer.json()) };
  } catch {
    return unknown;
  }
}
