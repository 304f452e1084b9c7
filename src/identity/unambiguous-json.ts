/**
 * JSON of others, which need not be RFC 8785 text: a member that stands twice is refused, because the next reader
 * may take the other one (RFC 8725bis; JSON.parse takes the last).
 */
export function parseUnambiguous(from: string | Uint8Array): unknown {
  const text = typeof from === 'string' ? from : decodeUtf8(from);
  const value: unknown = JSON.parse(text);
  if (membersWritten(text) !== membersIn(value)) throw new TypeError('a member stands twice');
  return value;
}

/** A byte order mark stays and fails as JSON (RFC 8259 8.1). */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

const STRING = /"(?:[^"\\]|\\.)*"/g;
/** In JSON that parses, a colon outside strings follows a member's name and nothing else. */
const COLON = /:/g;

function membersWritten(text: string): number {
  return text.replaceAll(STRING, '').match(COLON)?.length ?? 0;
}

/** With a list of its own instead of calling itself: depth is the sender's choice. */
function membersIn(value: unknown): number {
  const open: unknown[] = [value];
  let count = 0;
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null) continue;
    const inner: unknown[] = Object.values(next);
    if (!Array.isArray(next)) count += inner.length;
    for (const one of inner) open.push(one);
  }
  return count;
}
