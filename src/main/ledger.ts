import { createLogServer } from '../ledger/log-server.ts';
import { parseVerifierKey } from '../ledger/note.ts';
import { loadNoteKey, NOTE_KEY_FILE } from '../ledger/note-key.ts';
import { startSequencer } from '../ledger/sequencer.ts';
import { Refusal } from '../refusal.ts';
import { listenAt, runDomain } from './process.ts';

await runDomain('ledger', async (own) => {
  const { database, keys, log } = own;
  const { signer, verifierKey } = await loadNoteKey(own.keyFile(NOTE_KEY_FILE));
  if (verifierKey !== keys.ledger) {
    throw new Refusal('CONFIG_INVALID', `note key is ${verifierKey}, key manifest names ${keys.ledger}`);
  }
  const sequencer = await startSequencer({
    database,
    signer,
    verifier: parseVerifierKey(keys.ledger),
    log,
    fail: (error) => {
      log.fatal({ err: error }, 'ledger stops: it must not go on after this');
      process.exit(1);
    },
  });
  await database.listen(['firebreak_entry'], () => sequencer.ring());
  const server = createLogServer({ database, verifierKey, sequencer, log });
  await listenAt(server, own);
  return [sequencer, server];
});
