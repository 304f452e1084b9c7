import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/** One JSON line an event, on standard error unless told otherwise; tokens, keys and cookies never reach it (S12). */
export function createLog(name: string, level: string, destination: DestinationStream = process.stderr): Log {
  return pino(
    {
      name,
      level,
      redact: {
        paths: [
          '*.authorization',
          '*.dpop',
          '*.cookie',
          '*.token',
          '*.capability',
          '*.receipt',
          '*.password',
        ],
        censor: '[redacted]',
      },
    },
    destination,
  );
}
