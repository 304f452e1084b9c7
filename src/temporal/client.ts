import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { Refusal } from '../refusal.ts';
import { clientInterceptor } from './context.ts';
import { createDataConverter } from './converter.ts';

/** How long a first connection may take, milliseconds; later breaks are healed by the connection itself. */
const CONNECT_TIMEOUT_MS = 10_000;

export type TemporalClient = { client: Client; close(): Promise<void> };

/** Reads `TEMPORAL_*` as Temporal's own tools do. */
export function temporalConnectConfig(variables: NodeJS.ProcessEnv) {
  const set = Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const overrideEnvVars = Object.fromEntries(set);
  return loadClientConnectConfig({ overrideEnvVars });
}

export async function connectTemporal(options: {
  variables: NodeJS.ProcessEnv;
  codecKeyFile: string;
  /** Says whose client this is in Temporal's own views, instead of a pid and a host's name. */
  identity?: string;
}): Promise<TemporalClient> {
  const { connectionOptions, namespace } = temporalConnectConfig(options.variables);
  let connection: Connection;
  try {
    connection = await Connection.connect({ ...connectionOptions, connectTimeout: CONNECT_TIMEOUT_MS });
  } catch (cause) {
    throw new Refusal(
      'UNAVAILABLE',
      `Temporal cannot be reached at ${connectionOptions.address ?? 'its default'}`,
      {
        cause,
      },
    );
  }
  const client = new Client({
    connection,
    ...(options.identity === undefined ? {} : { identity: options.identity }),
    ...(namespace === undefined ? {} : { namespace }),
    dataConverter: await createDataConverter(options.codecKeyFile),
    interceptors: { workflow: [clientInterceptor] },
  });
  return { client, close: async () => await connection.close() };
}
