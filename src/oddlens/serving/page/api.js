/** Calls of the service. What goes wrong is thrown as a Trouble. */

import { read } from "./heat.js";

const TOKEN = "oddlens.token";

/** A call that failed: `status` (0 where nothing answered), words for people, seconds to wait. */
export class Trouble extends Error {
  constructor(status, message, { code = "", retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The bearer token of this tab, or null. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** What is served: `{default, models, limits}`. */
export function models() {
  return call("v1/models");
}

/**
 * Scores the files of one request; the `map` of a result is `{width, height, codes}` or null.
 *
 * @param model its name.
 * @param files in the order of the answers.
 * @param signal ends the call.
 */
export async function score(model, files, signal) {
  const body = new FormData();
  for (const file of files) body.append("images", file, file.name || "image");
  const query = new URLSearchParams({ model, maps: "float16" });
  const answer = await call(`v1/score?${query}`, { method: "POST", body, signal });
  const results = answer.results.map(({ map_values: map, ...rest }) => ({ ...rest, map: map && read(map) }));
  return { ...answer, results };
}

async function call(path, options = {}) {
  const bearer = token.get();
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(0, "The service does not answer. Is it running, and is the network up?");
  }
  if (response.ok) {
    try {
      return await response.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Trouble(0, "The answer of the service broke off.");
    }
  }
  throw await troubleOf(response);
}

async function troubleOf(response) {
  let fault = {};
  try {
    fault = (await response.json()).error ?? {};
  } catch {
    // A proxy on the way answers in its own words.
  }
  const message = fault.message ?? `The service answered ${response.status} ${response.statusText}`.trim();
  return new Trouble(response.status, message, {
    code: fault.code,
    retryAfter: secondsOf(response.headers.get("Retry-After")),
  });
}

/** Seconds of a Retry-After header, which is a number or a date; null without. */
export function secondsOf(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}
