/** Starts an API server, prints its URL and stays until it is killed. */
import { startApiServer } from './api-server.ts';

const server = await startApiServer();
process.stdout.write(`${JSON.stringify({ url: server.url, folder: server.folder })}\n`);
setInterval(() => undefined, 60_000);
