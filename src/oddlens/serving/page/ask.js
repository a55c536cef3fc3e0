/** Asks for the service's bearer token. */

import { token } from "./api.js";

const $ = (id) => document.getElementById(id);

/**
 * Opens the dialog and resolves to whether a token was given.
 *
 * @param why a sentence, where a token was refused.
 */
export function askForToken(why) {
  const dialog = $("ask");
  if (dialog.open) return Promise.resolve(false);
  if (why) $("ask-why").textContent = why;
  $("token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const cancel = () => dialog.close("");
    $("ask-cancel").addEventListener("click", cancel, { once: true });
    $("ask-form").addEventListener("submit", () => (dialog.returnValue = "given"), { once: true });
    const closed = () => {
      const value = $("token").value.trim();
      $("token").value = "";
      const given = dialog.returnValue === "given" && value !== "";
      if (given) token.set(value);
      resolve(given);
    };
    dialog.addEventListener("close", closed, { once: true });
  });
}
