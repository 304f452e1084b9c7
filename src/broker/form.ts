import { Refusal } from '../refusal.ts';

/**
 * An `application/x-www-form-urlencoded` body that every parser reads alike: printable ASCII, well-formed escapes,
 * UTF-8, no name twice (RFC 6749 3.2). URLSearchParams alone takes anything and keeps the first of two.
 */
export function parseForm(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of text === '' ? [] : text.split('&')) {
    const [name = '', value = '', ...more] = pair.split('=').map(decode);
    if (name === '' || more.length > 0) throw new Refusal('INVALID_INPUT', 'expected NAME=VALUE pairs');
    if (parameters.has(name)) throw new Refusal('INVALID_INPUT', 'expected each parameter once');
    // RFC 6749 3.2: a parameter without a value counts as left out.
    parameters.set(name, value);
  }
  return new Map([...parameters].filter(([, value]) => value !== ''));
}

function decode(part: string): string {
  if (!/^[A-Za-z0-9*._~!'()+%:/-]*$/.test(part))
    throw new Refusal('INVALID_INPUT', 'expected an encoded form');
  try {
    return decodeURIComponent(part.replaceAll('+', ' '));
  } catch (cause) {
    throw new Refusal('INVALID_INPUT', 'expected well-formed escapes of UTF-8', { cause });
  }
}
