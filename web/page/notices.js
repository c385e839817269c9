// What went wrong, and what to do: one notice a name, until it is over or dismissed.

import { byId, make } from './dom.js';

const box = byId('notices', HTMLElement);

/** @param {string} name @param {string} title @param {string} hint what to do */
export function notice(name, title, hint) {
  const shown = box.querySelector(`[data-name="${CSS.escape(name)}"]`);
  // Said again it would be read aloud again.
  if (shown?.querySelector('b')?.textContent === title && shown.querySelector('p')?.textContent === hint) return;
  clearNotice(name);
  const dismiss = make('button', { type: 'button', class: 'button' }, 'Dismiss');
  const element = make('div', { class: 'notice', 'data-name': name }, make('b', {}, title), make('p', {}, hint), dismiss);
  dismiss.addEventListener('click', () => element.remove());
  box.append(element);
}

/** @param {string} name */
export function clearNotice(name) {
  for (const element of box.querySelectorAll('.notice')) {
    if (element instanceof HTMLElement && element.dataset.name === name) element.remove();
  }
}
