// Bytes as text: gzip, then base64. It is how the inlined engine and pages carry theirs.

/** The bytes again, as an ArrayBuffer. */
export async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
