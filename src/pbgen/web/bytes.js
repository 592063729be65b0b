// Bytes, wherever they are.

/**
 * What a source holds, as a Uint8Array: a URL, in Node also a file's name, a Response, a Blob, or bytes themselves.
 * Rejects with an Error that names the source where it cannot be read.
 */
export async function bytesOf(source) {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (isBuffer(source)) return new Uint8Array(source);
  if (typeof source === "string" || source instanceof URL) {
    return isFile(source) ? readFile(source) : bytesOf(await fetched(source));
  }
  if (typeof source?.arrayBuffer !== "function") {
    throw new Error(`${source}: no packed generator; give a URL, a Response, a Blob, or its bytes`);
  }
  if (source.ok === false) throw new Error(`${source.url}: cannot be fetched: ${source.status} ${source.statusText}`);
  return new Uint8Array(await source.arrayBuffer());
}

/** The Response of a URL; rejects where there is none, or one of an error. */
export async function fetched(url) {
  const response = await fetch(url).catch((error) => {
    throw new Error(`${url}: cannot be fetched: ${error.message}`);
  });
  if (!response.ok) throw new Error(`${url}: cannot be fetched: ${response.status} ${response.statusText}`.trim());
  return response;
}

/** Whether Node has to read it: its fetch knows no files. */
export function isFile(url) {
  return typeof process === "object" && !!process.versions?.node && !/^(https?|data|blob):/.test(url);
}

async function readFile(file) {
  const name = "node:fs/promises"; // not as a literal: bundlers for browsers would look for it
  const { readFile: read } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
  return read(/^file:/.test(file) ? new URL(file) : file).catch((error) => {
    throw new Error(`${file}: cannot be read: ${error.code ?? error.message}`);
  });
}

// Also of another realm, such as a frame.
function isBuffer(value) {
  return Object.prototype.toString.call(value) === "[object ArrayBuffer]";
}
