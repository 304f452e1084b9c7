import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { sha256Base64url } from '../canonical.ts';
import type { Domain } from '../domains.ts';
import { CALL_LIFETIME_S } from '../identity/claims.ts';
import type { SigningKey } from '../identity/keys.ts';
import { sign } from '../identity/verify.ts';
import { isRefusalCode, Refusal } from '../refusal.ts';
import { post } from './post.ts';
import { type CallBody, type CallReply, calls, type VerbOf } from './table.ts';

/** Base URLs by domain: on one host in `dev`, on different hosts in production; code does not change. */
export type Addresses = Record<Domain, string>;

export type Caller = {
  /** Throws the other domain's refusal by its code, or UNAVAILABLE when it cannot be reached or understood. */
  call<D extends Domain, V extends VerbOf<D>>(
    domain: D,
    verb: V,
    body: CallBody<D, V>,
  ): Promise<CallReply<D, V>>;
};

export const callPath = (verb: string): string => `/call/${verb}`;

const problemSchema = z.object({ code: z.string(), detail: z.string(), details: z.unknown().optional() });

/** A domain's voice towards the others: every call is signed by its key for ten seconds, once. */
export function createCaller(options: {
  key: SigningKey;
  addresses: Addresses;
  clock: () => number;
}): Caller {
  return {
    async call(domain, verb, body) {
      const definition = definitionOf(domain, verb);
      const bytes = JSON.stringify(definition.body.parse(body));
      const htu = `${options.addresses[domain]}${callPath(verb)}`;
      const iat = Math.floor(options.clock() / 1_000);
      const token = await sign(options.key, 'call', {
        iss: options.key.issuer,
        iat,
        exp: iat + CALL_LIFETIME_S,
        jti: randomUUID(),
        aud: domain,
        htm: 'POST',
        htu,
        bodyHash: sha256Base64url(bytes),
      });
      const reply = await ask(htu, { token, bytes, timeoutMs: definition.timeoutMs, domain });
      const parsed = definition.reply.safeParse(reply);
      if (!parsed.success) {
        throw new Refusal('UNAVAILABLE', `${domain} answered ${verb} in another form than agreed`, {
          cause: parsed.error,
        });
      }
      return parsed.data;
    },
  };
}

type Definition = { body: z.ZodType; reply: z.ZodType; from: readonly Domain[]; timeoutMs: number };

export function definitionOf(domain: Domain, verb: string): Definition {
  const verbs: Record<string, Definition> = calls[domain];
  const definition = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (definition === undefined) throw new Refusal('UNKNOWN_ROUTE', `${domain} has no call ${verb}`);
  return definition;
}

type Ask = { token: string; bytes: string; timeoutMs: number; domain: Domain };

async function ask(url: string, { token, bytes, timeoutMs, domain }: Ask): Promise<unknown> {
  const { status, answer } = await reach(url, { token, bytes, timeoutMs, domain });
  if (status >= 200 && status < 300) return answer;
  const problem = problemSchema.safeParse(answer);
  if (problem.success && isRefusalCode(problem.data.code)) {
    throw new Refusal(problem.data.code, problem.data.detail, { details: problem.data.details });
  }
  throw new Refusal('UNAVAILABLE', `${domain} answered ${status} without a known code`);
}

async function reach(url: string, { token, bytes, timeoutMs, domain }: Ask) {
  const headers = { 'content-type': 'application/json', authorization: `Firebreak-Call ${token}` };
  try {
    const { status, body } = await post(url, { headers, body: bytes, timeoutMs });
    const answer: unknown = JSON.parse(body);
    return { status, answer };
  } catch (cause) {
    throw new Refusal('UNAVAILABLE', `${domain} cannot be reached`, { cause });
  }
}
