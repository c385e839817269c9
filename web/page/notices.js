// What went wrong, and what to do: one notice a name, until it is over or dismissed.

import { byId, make } from './dom.js';

const box = byId('notices', HTMLElement);

/**
 * @param {string} name @param {string} title @param {string} hint what to do
 * @param {{ name: string, run: () => void } | null} [action] that does it
 */
export function notice(name, title, hint, action = null) {
  const shown = box.querySelector(`[data-name="${CSS.escape(name)}"]`);
  // Said again it would be read aloud again.
  if (shown?.querySelector('b')?.textContent === title && shown.querySelector('p')?.textContent === hint) return;
  clearNotice(name);
  const dismiss = make('button', { type: 'button', class: 'button' }, 'Dismiss');
  const buttons = make('div', { class: 'buttons' });
  if (action) {
    const button = make('button', { type: 'button', class: 'button primary' }, action.name);
    button.addEventListener('click', action.run);
    buttons.append(button);
  }
  buttons.append(dismiss);
  const element = make('div', { class: 'notice', 'data-name': name }, make('b', {}, title), make('p', {}, hint), buttons);
  dismiss.addEventListener('click', () => element.remove());
  box.append(element);
}

/** @param {string} name */
export function clearNotice(name) {
  for (const element of box.querySelectorAll('.notice')) {
    if (element instanceof HTMLElement && element.dataset.name === name) element.remove();
  }
}
