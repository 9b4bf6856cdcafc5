import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, openSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { backoffMs } from '../../base/random.ts';
import { selfCommand } from '../package-root.ts';
import { rememberProcess, stopLeftover } from './leftovers.ts';

/** A daemon that ends its ranks may need their grace. */
const leftoverMs = 20_000;

/** A long-running `espalier` command that the quickstart keeps alive, as launchd or systemd would. */
export interface ServiceSpec {
  name: string;
  args: string[];
}

/** Starts services in process groups of their own, restarts what dies, and stops all of it in order. */
export class Supervisor {
  readonly #logDirectory: string;
  readonly #workingDirectory: string;
  readonly #services = new Map<string, Service>();
  #stopping = false;

  constructor(options: { logDirectory: string; workingDirectory: string }) {
    this.#logDirectory = options.logDirectory;
    this.#workingDirectory = options.workingDirectory;
    mkdirSync(options.logDirectory, { recursive: true });
  }

  /** Ends what an earlier supervisor of the same folder left; `mark` is an argument that only the service has. */
  async clear(services: readonly { name: string; mark: string }[]): Promise<void> {
    for (const { name, mark } of services) {
      await stopLeftover(this.#pidFile(name), mark, leftoverMs);
    }
  }

  start(spec: ServiceSpec): void {
    const service: Service = { spec, child: undefined, restarts: 0, exited: Promise.resolve() };
    this.#services.set(spec.name, service);
    this.#launch(service);
  }

  pid(name: string): number | undefined {
    return this.#services.get(name)?.child?.pid;
  }

  /** Restarts of a service so far: a service that never comes up shows here. */
  restarts(name: string): number {
    return this.#services.get(name)?.restarts ?? 0;
  }

  logPath(name: string): string {
    return join(this.#logDirectory, `${name}.log`);
  }

  /** Asks every service to stop, in the order they were started; kills what has not after `graceMs` each. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const [first, ...others] = this.#services.values();
    if (first) await stopService(first, graceMs);
    await Promise.all(others.map(async (service) => stopService(service, graceMs)));
  }

  #pidFile(name: string): string {
    return join(this.#logDirectory, `${name}.pid`);
  }

  #launch(service: Service): void {
    const { file, args } = selfCommand();
    const log = openSync(this.logPath(service.spec.name), 'a');
    const startedMs = performance.now();
    const child = spawn(file, [...args, ...service.spec.args], {
      cwd: this.#workingDirectory,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    service.child = child;
    if (child.pid !== undefined) rememberProcess(this.#pidFile(service.spec.name), child.pid);
    service.exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    void service.exited.then(() => {
      service.child = undefined;
      if (this.#stopping) return;
      if (performance.now() - startedMs > 10_000) service.restarts = 0;
      const waitMs = backoffMs(service.restarts, { baseMs: 200, maxMs: 5_000 }, Math.random);
      service.restarts += 1;
      setTimeout(() => {
        if (!this.#stopping) this.#launch(service);
      }, waitMs);
    });
  }
}

interface Service {
  spec: ServiceSpec;
  child: ChildProcess | undefined;
  restarts: number;
  exited: Promise<void>;
}

const stopService = async (service: Service, graceMs: number): Promise<void> => {
  if (!service.child) return;
  service.child.kill('SIGTERM');
  const timer = setTimeout(() => service.child?.kill('SIGKILL'), graceMs);
  await service.exited;
  clearTimeout(timer);
};
