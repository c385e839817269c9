// Pictures that the visitor picks, drops or pastes.

import { filesBelow } from './bulk.js';
import { byId } from './dom.js';
import { notice } from './notices.js';

/** @type {(files: { file: File, path: string }[]) => void} */
let onSeveral = () => {};

/** A folder, or several pictures, were dropped. @param {(files: { file: File, path: string }[]) => void} handler */
export function onFolder(handler) {
  onSeveral = handler;
}

/** @param {(file: File) => void} onFile */
export function onPicture(onFile) {
  const input = byId('file', HTMLInputElement);
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    if (file) onFile(file);
    // So that the same file can be picked again.
    input.value = '';
  });

  document.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) document.body.classList.remove('dropping');
  });
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    const { items, files } = event.dataTransfer ?? {};
    const folder = [...(items ?? [])].some((item) => item.webkitGetAsEntry()?.isDirectory);
    if (items && (folder || (files?.length ?? 0) > 1)) onSeveral(await filesBelow(items));
    else take(files, onFile);
  });
  document.addEventListener('paste', (event) => {
    if (event.clipboardData?.files.length) take(event.clipboardData.files, onFile);
  });
}

/** @param {FileList | undefined} files @param {(file: File) => void} onFile */
function take(files, onFile) {
  const file = files?.[0];
  if (!file) return;
  if (!file.type.startsWith('image/')) {
    notice('picture', `“${file.name}” is no picture.`, 'Drop a JPEG, PNG, WebP, AVIF or GIF file.');
    return;
  }
  onFile(file);
}
