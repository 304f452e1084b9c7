import { loadActionManifests } from '../action/manifest.ts';
import { createServer } from '../call/serve.ts';
import { tradeChecks } from '../capability/may-trade.ts';
import { createTrade } from '../credentials/trade.ts';
import { openDatabase } from '../database/pool.ts';
import { Refusal } from '../refusal.ts';
import { listenAt, runDomain, targetKeys } from './process.ts';

await runDomain('credentials', async (own) => {
  const { environment, keys, log, settings } = own;
  const nowS = Math.floor(own.clock() / 1_000);
  const address = own.addresses.credentials;
  const url = environment.databaseUrlOwn;
  if (url === undefined) throw new Refusal('CONFIG_INVALID', 'expected FIREBREAK_CREDENTIALS_DATABASE_URL');
  const trades = openDatabase(url.reveal(), (error) => log.warn({ err: error }, 'database of trades'));
  const trade = createTrade({
    ...own,
    own: trades,
    manifests: await loadActionManifests(environment.FIREBREAK_ACTION_MANIFEST, { keys, nowS }),
    checks: tradeChecks,
    targetKey: await targetKeys(own, settings.targets),
    address,
  });
  const ready = async () => {
    await Promise.all([trades.run('select'), own.database.run('select')]);
    return {};
  };
  const server = createServer({
    domain: 'credentials',
    address,
    keys,
    clock: own.clock,
    log,
    handlers: { ready, trade },
  });
  await listenAt(server, own);
  return [trades, server];
});
