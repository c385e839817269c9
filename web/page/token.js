// The token of a server that asks for one: kept in this tab's memory of the session, never in an address.

import { byId, setText } from './dom.js';
import { clearNotice, notice } from './notices.js';

const dialog = byId('token-dialog', HTMLDialogElement);
const form = byId('token-form', HTMLFormElement);
const input = byId('token', HTMLInputElement);
const complaint = byId('token-complaint', HTMLElement);

/** Each server has its own: no other is shown it. @param {string} server */
const keyOf = (server) => `token ${server}`;

/** @param {string} server @returns {string | null} the token that was given for it in this tab */
export function rememberedToken(server) {
  try {
    return sessionStorage.getItem(keyOf(server));
  } catch {
    // Storage is switched off: it is asked for again after a reload.
    return null;
  }
}

/** @param {string} server @param {string | null} token null: forget it */
function remember(server, token) {
  try {
    if (token === null) sessionStorage.removeItem(keyOf(server));
    else sessionStorage.setItem(keyOf(server), token);
  } catch {
    // As above.
  }
}

/**
 * The server asks for a token, or does not know the one that it was shown.
 * @param {string} server @param {string | null} shown @param {(token: string) => void} onToken
 */
export function askForToken(server, shown, onToken) {
  remember(server, null);
  setText(byId('token-server', HTMLElement), server);
  const wrong = shown !== null;
  setText(complaint, wrong ? 'The server does not know this token.' : '');
  complaint.hidden = !wrong;
  input.setAttribute('aria-invalid', String(wrong));
  form.onsubmit = (event) => {
    event.preventDefault();
    const token = input.value.trim();
    remember(server, token);
    dialog.close('given');
    onToken(token);
  };
  dialog.onclose = () => {
    input.value = '';
    if (dialog.returnValue === 'given') return;
    notice('token', 'The server asks for a token.', 'Without one it answers no frames of this page.', {
      name: 'Enter a token',
      run: () => askForToken(server, null, onToken),
    });
  };
  clearNotice('token');
  dialog.returnValue = '';
  if (!dialog.open) dialog.showModal();
}

byId('token-cancel', HTMLButtonElement).addEventListener('click', () => dialog.close('cancelled'));
