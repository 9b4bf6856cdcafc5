import { createServer } from 'node:http';
import type { ClientRequest, IncomingMessage, Server, ServerResponse } from 'node:http';
import { Agent, request as requestOverTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { seededRandom } from '../../src/base/random.ts';
import { decideFault, kindOf, noFaults } from './proxy-faults.ts';
import type { Fault, FaultRates, ProxyRequest } from './proxy-faults.ts';
import { FaultyLines } from './proxy-stream.ts';

export interface FaultProxyOptions {
  /** Of the server behind: an https URL and its certificate (PEM). */
  url: string;
  certificateAuthority: string;
  seed: number;
  rates?: FaultRates;
}

/** A fault that a test asks for: taken once, by the first request that it fits, before chance decides. */
export interface ScriptedFault {
  on: (request: ProxyRequest) => boolean;
  fault: Fault;
}

const slowPieceBytes = 64;
const slowPauseMs = 2;

/**
 * A proxy on loopback, plain HTTP, in front of a Kubernetes API server, that does what networks, load balancers and
 * servers under load do. Every decision follows from the seed and is in `log`; tokens pass through it unread.
 */
export class FaultProxy {
  readonly log: string[] = [];
  readonly script: ScriptedFault[] = [];
  rates: FaultRates;
  readonly #options: FaultProxyOptions;
  readonly #agent: Agent;
  readonly #server: Server;
  readonly #ordinals = new Map<string, number>();
  readonly #upstream = new Set<ClientRequest>();

  private constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.rates = options.rates ?? noFaults;
    this.#agent = new Agent({ keepAlive: true, ca: options.certificateAuthority });
    this.#server = createServer((request, response) => this.#handle(request, response));
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A kubeconfig for a client behind the proxy. */
  kubeconfig(token: string): string {
    return JSON.stringify({
      clusters: [{ name: 'p', cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'p', context: { cluster: 'p', user: 'u', namespace: 'default' } }],
      'current-context': 'p',
    });
  }

  /** Client connections now open. */
  async connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  /** Breaks every connection, as a load balancer that restarts. */
  cutAll(): void {
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    for (const request of this.#upstream) request.destroy();
    this.cutAll();
    this.#agent.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const described = this.#describe(request);
    const fault = this.#takeScripted(described) ?? this.#decide(described);
    const { kind, method, path, ordinal } = described;
    this.log.push(`${method} ${kind} ${path} #${ordinal}: ${JSON.stringify(fault ?? 'none')}`);
    response.on('error', () => undefined);
    switch (fault?.kind) {
      case 'status':
        return refuse(request, response, fault);
      case 'refuse':
        request.socket.destroy();
        return undefined;
      case 'silence':
        request.resume();
        return undefined;
      default:
        return this.#forward(request, response, fault);
    }
  }

  #describe(request: IncomingMessage): ProxyRequest {
    const url = new URL(request.url ?? '/', this.url);
    const method = request.method ?? 'GET';
    const kind = kindOf(method, url);
    const key = `${method} ${kind} ${url.pathname}`;
    const ordinal = this.#ordinals.get(key) ?? 0;
    this.#ordinals.set(key, ordinal + 1);
    return { kind, method, path: url.pathname, ordinal };
  }

  #takeScripted(request: ProxyRequest): Fault | undefined {
    const index = this.script.findIndex(({ on }) => on(request));
    return index < 0 ? undefined : this.script.splice(index, 1)[0]!.fault;
  }

  #decide(request: ProxyRequest): Fault | undefined {
    return decideFault(this.#options.seed, this.rates, request);
  }

  #forward(request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
    const { host: _, connection: __, ...headers } = request.headers;
    const upstream = requestOverTls(`${this.#options.url}${request.url}`, {
      method: request.method,
      headers,
      agent: this.#agent,
    });
    this.#upstream.add(upstream);
    upstream.on('close', () => this.#upstream.delete(upstream));
    upstream.on('error', () => request.socket.destroy());
    response.on('close', () => upstream.destroy());
    upstream.on('response', (answer) => {
      answer.on('error', () => request.socket.destroy());
      if (fault?.kind === 'lose-answer') {
        answer.resume().on('end', () => request.socket.destroy());
        return;
      }
      const { connection: _, 'transfer-encoding': __, ...kept } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, kept);
      response.flushHeaders();
      this.#relay(answer, response, fault);
    });
    request.pipe(upstream);
  }

  #relay(answer: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
    const cut = () => response.socket?.resetAndDestroy();
    switch (fault?.kind) {
      case 'slow':
        drip(answer, response).catch(cut);
        return;
      case 'truncate':
        answer.once('data', (chunk: Buffer) => {
          response.write(chunk.subarray(0, Math.min(fault.bytes, chunk.length - 1)), cut);
        });
        return;
      case 'stream': {
        const lines = new FaultyLines(fault, seededRandom(this.#options.seed), {
          write: (text) => response.write(text),
          end: () => response.end(),
          cut: () => response.write('', cut),
        });
        response.on('close', () => lines.dispose());
        answer.setEncoding('utf8');
        answer.on('data', (text: string) => lines.push(text));
        answer.on('end', () => lines.end());
        return;
      }
      default:
        answer.pipe(response);
    }
  }
}

/** Read to the end first, or the client sees a broken connection instead of the answer. */
const refuse = (
  request: IncomingMessage,
  response: ServerResponse,
  { status, reason, retryAfterSeconds }: Extract<Fault, { kind: 'status' }>,
): void => {
  request.resume().on('end', () => {
    response.writeHead(status, {
      'content-type': 'application/json',
      ...(retryAfterSeconds === undefined ? {} : { 'retry-after': `${retryAfterSeconds}` }),
    });
    const message = `the proxy says ${reason}`;
    response.end(
      JSON.stringify({ kind: 'Status', status: 'Failure', code: status, reason, message }),
    );
  });
};

const drip = async (answer: IncomingMessage, response: ServerResponse): Promise<void> => {
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    for (let start = 0; start < chunk.length && !response.destroyed; start += slowPieceBytes) {
      response.write(chunk.subarray(start, start + slowPieceBytes));
      await new Promise((resolve) => setTimeout(resolve, slowPauseMs));
    }
  }
  response.end();
};
