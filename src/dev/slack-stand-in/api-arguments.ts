import { z } from 'zod';
import { ApiError } from './api-error.ts';

/** Arguments of a Web API method: form-encoded with JSON inside, as Slack's own client sends them, or JSON. */
const argumentsSchema = z.record(z.string(), z.unknown());
export type Arguments = z.infer<typeof argumentsSchema>;

export function readArguments(contentType: string | undefined, body: string): Arguments {
  const type = contentType?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/json') return parseObject(body);
  if (type === 'application/x-www-form-urlencoded') return Object.fromEntries(new URLSearchParams(body));
  // Slack reads arguments of no other type, so that a call without any is a call without arguments.
  return {};
}

/** Each argument parsed by its own schema; the first that does not fit is Slack's `invalid_arguments`. */
export function parseArguments<S extends z.ZodType>(schema: S, given: Arguments): z.infer<S> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ApiError('invalid_arguments', messagesOf(parsed.error));
}

/** An argument with structure, which a form carries as JSON text. */
export function readStructure<S extends z.ZodType>(
  schema: S,
  given: unknown,
  words: { form: string; content: string },
): z.infer<S> {
  const parsed = schema.safeParse(typeof given === 'string' ? parseJson(given, words.form) : given);
  if (parsed.success) return parsed.data;
  throw new ApiError(words.content, messagesOf(parsed.error));
}

/** Forms carry text alone. */
export const flag = z
  .union([
    z.boolean(),
    z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1'),
  ])
  .default(false);

function parseObject(body: string): Arguments {
  const parsed = argumentsSchema.safeParse(parseJson(body, 'invalid_json'));
  if (parsed.success) return parsed.data;
  throw new ApiError('json_not_object');
}

function parseJson(text: string, error: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(error);
  }
}

function messagesOf(error: z.ZodError): string[] {
  return error.issues.map(({ path, message }) => `[ERROR] ${message} [json-pointer:/${path.join('/')}]`);
}
