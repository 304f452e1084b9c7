import { pipeline } from 'node:stream/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { TOKEN_LENGTH_MAX } from '../identity/compact-jws.ts';
import { inspect } from '../identity/inspect.ts';
import { ANY_AUDIENCE } from '../identity/verify.ts';
import { Refusal } from '../refusal.ts';
import { exitCodes } from './exit-code.ts';
import { loadKeys } from './token-keys.ts';
import { kindNames, kindOf, type TokenKind, type Trust, verifyAs } from './token-kinds.ts';
import { batchesOfLines } from './token-lines.ts';

/** `firebreak token …`: what a token says, and whether that is so. Tokens on standard input, one a line. */
const NOTES = `
Tokens are read from standard input, one a line; each gets one JSON line, in their order.
Without --jwks, keys are those of the key manifest of the data directory, which its pin is checked against.
Without --kind, the token's own typ says of which kind it must be; the answer names it.
jws checks form, header, algorithm and signature alone, and set a security event token (RFC 8417): both take --jwks.
Without --audience the audience is not checked: it stands among the claims.
Exit 0 when every token is valid, 1 otherwise, also when there was none.

Examples:
  jq -r .accessToken firebreak-session/session.json | firebreak token verify --kind access
  firebreak token verify --kind cap --jwks jwks.json --at 2027-01-15T08:00:00Z < tokens`;

const optionsSchema = z.object({
  jwks: z.string().optional(),
  kind: z.enum(kindNames).optional(),
  at: z.number().optional(),
  data: z.string(),
  audience: z.string().optional(),
});
type Options = z.infer<typeof optionsSchema>;

export function registerToken(program: Command): void {
  const token = program.command('token').description('read and check signed tokens');
  token
    .command('inspect')
    .description('show header and claims of tokens without verifying them')
    .addHelpText(
      'after',
      '\nExample: jq -r .accessToken firebreak-session/session.json | firebreak token inspect',
    )
    .action(async () => await answerEach(show));
  token
    .command('verify')
    .description('say of each token whether it is valid, and why not')
    .option('--jwks <file>', 'the public keys, a JWK Set')
    .addOption(new Option('--kind <kind>', 'what the tokens must be').choices(kindNames))
    .option('--at <time>', 'the time to judge by, Unix seconds or RFC 3339 (default: now)', parseTime)
    .option('--data <directory>', 'the data directory of `firebreak dev`, running or not', 'data')
    .option('--audience <name>', 'what `aud` must be')
    .addHelpText('after', NOTES)
    .action(async (given: unknown, command: Command) => await verify(optionsSchema.parse(given), command));
}

async function verify(options: Options, command: Command): Promise<void> {
  const { kind, at: nowS = Math.floor(Date.now() / 1_000) } = options;
  if ((kind === 'jws' || kind === 'set') && options.jwks === undefined) {
    command.error(`error: --kind ${kind} needs --jwks <file>`);
  }
  if (kind === 'jws' && options.audience !== undefined) {
    command.error('error: --kind jws looks at no claims: --audience would not be checked');
  }
  const trust: Trust = { ...(await loadKeys(options)), nowS, audience: options.audience ?? ANY_AUDIENCE };
  await answerEach(async (line) => await judge(line, kind, trust));
}

/** What is printed of one line; a token is good only if `good` says so. */
type Answer = { good: boolean; shown: object };

async function judge(line: string, asked: TokenKind | undefined, trust: Trust): Promise<Answer> {
  try {
    const kind = asked ?? kindOf(line);
    return {
      good: true,
      shown: { valid: true, code: null, kind, claims: await verifyAs(kind, line, trust) },
    };
  } catch (error) {
    return { good: false, shown: { valid: false, ...refusedBy(error), claims: null } };
  }
}

async function show(line: string): Promise<Answer> {
  try {
    return { good: true, shown: { verified: false, ...inspect(line) } };
  } catch (error) {
    return { good: false, shown: { verified: false, ...refusedBy(error), header: null, claims: null } };
  }
}

function refusedBy(error: unknown): { code: string; reason: string } {
  // Anything else is a fault of ours, and no verdict on a token.
  if (!(error instanceof Refusal)) throw error;
  return { code: error.code, reason: error.message };
}

type Seen = { good: number; bad: number };

async function answerEach(answer: (line: string) => Promise<Answer>): Promise<void> {
  const seen: Seen = { good: 0, bad: 0 };
  process.exitCode = exitCodes.refused;
  await pipeline(process.stdin, answersTo(answer, seen), process.stdout).catch(unlessGone);
  if (seen.good + seen.bad === 0) {
    throw new Refusal('INVALID_TOKEN', 'expected tokens on standard input, got none');
  }
  if (seen.bad === 0 && process.stdin.readableEnded) process.exitCode = exitCodes.done;
}

function answersTo(answer: (line: string) => Promise<Answer>, seen: Seen) {
  return async function* (input: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
    for await (const lines of batchesOfLines(input, TOKEN_LENGTH_MAX)) {
      const answers = await Promise.all(lines.map(answer));
      for (const { good } of answers) seen[good ? 'good' : 'bad'] += 1;
      yield answers.map(({ shown }) => `${jsonLine(shown)}\n`).join('');
    }
  };
}

/** Who reads our answers may stop, as `head` does; what it did not read is not called valid. */
function unlessGone(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error;
}

/** The same JSON, in which nothing that a stranger wrote can move the cursor or hide. */
function jsonLine(value: object): string {
  return JSON.stringify(value).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

const rfc3339 = z.iso.datetime({ offset: true });

function parseTime(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text);
  if (!rfc3339.safeParse(text).success) {
    throw new InvalidArgumentError('expected Unix seconds or RFC 3339, such as 2027-01-15T08:00:00Z');
  }
  return Math.floor(Date.parse(text) / 1_000);
}
