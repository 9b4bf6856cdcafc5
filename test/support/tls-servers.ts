import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { TestContext } from 'node:test';
import type { Certificate } from './certificates.ts';

/** What a request looked like to the server. */
export interface Seen {
  /** Of the client's certificate. */
  commonName: string | undefined;
  authorization: string | undefined;
  /** The name that the client asked for in the handshake. */
  serverName: string | false | null;
}

const listen = async (t: TestContext, server: Server): Promise<number> => {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
};

/** Asks for a client certificate and answers what it saw; 401 where `isWelcome` says no. */
export const tlsServer = async (
  t: TestContext,
  identity: Certificate,
  authority: Certificate,
  isWelcome: (seen: Seen) => boolean = () => true,
): Promise<number> => {
  const tls = { ...identity, ca: authority.cert, requestCert: true, rejectUnauthorized: false };
  const server = createServer(tls, (request, response) => {
    const socket = request.socket as TLSSocket;
    const { subject } = socket.getPeerCertificate();
    const seen: Seen = {
      commonName: socket.authorized ? String(subject.CN) : undefined,
      authorization: request.headers.authorization,
      serverName: (socket as { servername?: string | false }).servername ?? null,
    };
    response.statusCode = isWelcome(seen) ? 200 : 401;
    response.end(JSON.stringify(seen));
  });
  return listen(t, server);
};

const pipe = (client: Socket, port: number, greet: (server: Socket) => void): void => {
  const server = connect(port, '127.0.0.1', () => {
    greet(server);
    server.pipe(client);
    client.pipe(server);
  });
  server.on('error', () => client.destroy());
  client.on('error', () => server.destroy());
  client.once('close', () => server.destroy());
};

/** An HTTP proxy that leads every CONNECT to this port of loopback, whatever was asked for. */
export const connectProxy = async (
  t: TestContext,
  port: number,
): Promise<{ port: number; asked: string[]; passwords: (string | undefined)[] }> => {
  const asked: string[] = [];
  const passwords: (string | undefined)[] = [];
  const server = createHttpServer();
  server.on('connect', (request, client: Socket) => {
    asked.push(request.url ?? '');
    passwords.push(request.headers['proxy-authorization']);
    pipe(client, port, () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
  });
  return { port: await listen(t, server), asked, passwords };
};

/** RFC 1928, no password: the same over SOCKS5. */
export const socksProxy = async (
  t: TestContext,
  port: number,
): Promise<{ port: number; asked: string[] }> => {
  const asked: string[] = [];
  const server = createTcpServer((client) => {
    client.once('data', () => {
      client.write(Buffer.from([5, 0]));
      client.once('data', (request) => {
        const length = request[4] ?? 0;
        const isName = request[3] === 3;
        asked.push(isName ? request.subarray(5, 5 + length).toString() : 'an address');
        pipe(client, port, () => client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])));
      });
    });
  });
  return { port: await listen(t, server), asked };
};
