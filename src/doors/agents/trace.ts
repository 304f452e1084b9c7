const TRACE_ID_BYTES = 16;
const NO_TRACE = '0'.repeat(2 * TRACE_ID_BYTES);
const NO_PARENT = '0'.repeat(16);

/**
 * The caller's trace, or a new one (W3C Trace Context 3.2.2: what is not well-formed restarts the trace). Version 00
 * alone: the caller chose this header, and it goes into entries.
 */
export function traceIdOf(traceparent: string | undefined, random: (bytes: number) => Buffer): string {
  const [, traceId, parentId] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(traceparent ?? '') ?? [];
  if (traceId !== undefined && traceId !== NO_TRACE && parentId !== NO_PARENT) return traceId;
  return random(TRACE_ID_BYTES).toString('hex');
}
