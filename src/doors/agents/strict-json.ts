import { createScanner, type JSONScanner } from 'jsonc-parser';
import { Refusal } from '../../refusal.ts';
import { isExact } from './exact-number.ts';
import { type Fault, FaultList, pointerOf } from './faults.ts';

/**
 * JSON that has exactly one meaning, or a refusal that names every fault by JSON pointer. What two parsers could
 * read differently (duplicate members, unpaired surrogates, integers that round) is where an approved request and
 * a performed one come apart.
 */

/** Largest body of the agents' door, bytes. */
export const BODY_MAX_BYTES = 128 * 1_024;
export const DEPTH_MAX = 32;

type Limits = {
  bytesMax: number;
  depthMax: number;
  /**
   * Whether the text goes into requests: then numbers must survive JavaScript as written and strings PostgreSQL,
   * whose text and jsonb hold no U+0000.
   */
  stored: boolean;
};

const DOOR: Limits = { bytesMax: BODY_MAX_BYTES, depthMax: DEPTH_MAX, stored: true };

export function parseStrict(bytes: Uint8Array): unknown {
  return parseJson(bytes, DOOR);
}

export function parseJson(bytes: Uint8Array, limits: Limits): unknown {
  if (bytes.length > limits.bytesMax) {
    throw new Refusal('TOO_LARGE', `expected at most ${limits.bytesMax} bytes, got ${bytes.length}`);
  }
  const text = decodeUtf8(bytes);
  const value = parseGrammar(text);
  const faults = new Walk(text, limits).faults();
  if (faults.length > 0) {
    throw new Refusal('INVALID_INPUT', 'expected JSON with one meaning for every reader', {
      details: { faults },
    });
  }
  return value;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // A byte order mark stays and fails the grammar (RFC 8259 8.1).
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw malformed('expected UTF-8', cause);
  }
}

/** V8's parser keeps its own stack: 128 KiB of `[` are a syntax error and no overflow. */
function parseGrammar(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const at = cause instanceof Error ? /at position (\d+)/.exec(cause.message)?.[1] : undefined;
    throw malformed(
      `expected JSON (RFC 8259)${at === undefined ? '' : `, broken at character ${at}`}`,
      cause,
    );
  }
}

function malformed(message: string, cause: unknown): Refusal {
  return new Refusal('MALFORMED_JSON', message, { cause, details: { faults: [{ pointer: '', message }] } });
}

/** An object remembers its members, to find one that stands twice; an array counts. */
type Level = { members: Set<string> | null; member: string | number };

/** jsonc-parser's token kinds; its declaration is a const enum, which isolated modules cannot read. */
const OPEN_OBJECT = 1;
const CLOSE_OBJECT = 2;
const OPEN_ARRAY = 3;
const CLOSE_ARRAY = 4;
const COMMA = 5;
const COLON = 6;
const STRING = 10;
const NUMBER = 11;
const END = 17;

/**
 * Walks the tokens of a text whose grammar is already known to hold. It keeps its own stack instead of calling
 * itself (as jsonc-parser's `visit` does), so that depth is a fault and never an overflow.
 */
class Walk {
  readonly #scanner: JSONScanner;
  readonly #limits: Limits;
  readonly #levels: Level[] = [];
  readonly #found = new FaultList();
  #expectsMember = false;

  constructor(text: string, limits: Limits) {
    this.#scanner = createScanner(text, true);
    this.#limits = limits;
  }

  faults(): Fault[] {
    for (let token: number = this.#scanner.scan(); token !== END; token = this.#scanner.scan()) {
      this.#step(token);
      if (this.#found.full) break;
    }
    return this.#found.list;
  }

  #step(token: number): void {
    if (token === OPEN_OBJECT || token === OPEN_ARRAY) this.#open(token);
    else if (token === CLOSE_OBJECT || token === CLOSE_ARRAY) this.#levels.pop();
    else if (token === COMMA) this.#next();
    else if (token === COLON) this.#expectsMember = false;
    else if (token === STRING) this.#string(this.#scanner.getTokenValue());
    else if (token === NUMBER) this.#number(this.#scanner.getTokenValue());
  }

  #open(token: number): void {
    // Once for each place that is too deep, not once for each level below it.
    if (this.#levels.length === this.#limits.depthMax) {
      this.#add(`expected at most ${this.#limits.depthMax} levels`);
    }
    const isObject = token === OPEN_OBJECT;
    this.#levels.push({ members: isObject ? new Set() : null, member: isObject ? '' : 0 });
    this.#expectsMember = isObject;
  }

  #next(): void {
    const level = this.#levels.at(-1);
    if (level === undefined) return;
    if (typeof level.member === 'number') level.member += 1;
    this.#expectsMember = level.members !== null;
  }

  #string(value: string): void {
    const level = this.#levels.at(-1);
    // After `{` or `,` in an object a string is a member's name.
    const members = this.#expectsMember ? level?.members : undefined;
    if (level !== undefined && members) this.#enter(level, members, value);
    const what = members ? 'member name' : 'string';
    if (!value.isWellFormed()) this.#add(`expected a ${what} without lone surrogates`);
    if (this.#limits.stored && value.includes('\0')) this.#add(`expected a ${what} without U+0000`);
  }

  #enter(level: Level, members: Set<string>, name: string): void {
    level.member = name;
    if (members.has(name)) this.#add('member stands twice');
    members.add(name);
    // Own members of that name become prototypes as soon as somebody copies the object by assignment.
    // `constructor` has no such setter and is a fair name of a column.
    if (name === '__proto__') this.#add('expected no member of this name');
  }

  #number(literal: string): void {
    if (this.#limits.stored && !isExact(literal)) {
      this.#add('expected a number that JavaScript holds as written, integers within 2^53 - 1');
    }
  }

  #add(message: string): void {
    this.#found.add({ pointer: pointerOf(this.#levels.map(({ member }) => member)), message });
  }
}
