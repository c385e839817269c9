// Handing the visitor a file.

/** @param {string} name @param {string} type @param {string} content */
export function offerFile(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has the blob as soon as the download has begun.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
