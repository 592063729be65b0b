// Numbers as people read them: as src/pbgen/report/text.py writes them.

function digits(value) {
  return value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** Bytes with a decimal unit: 999 B, 2.36 MB. */
export function bytesText(count) {
  if (count < 999.5) return `${count} B`;
  return count < 999500 ? `${digits(count / 1e3)} kB` : `${digits(count / 1e6)} MB`;
}

/** Milliseconds with a fitting unit. */
export function timeText(milliseconds) {
  return milliseconds < 999.5 ? `${digits(milliseconds)} ms` : `${digits(milliseconds / 1e3)} s`;
}

/** The middle one. */
export function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
}
