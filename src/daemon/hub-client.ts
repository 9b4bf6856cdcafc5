import { EspalierError, errorCatalogue, errorMessage } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { NodeDocument, NodeReport } from '../nodedoc/types.ts';
import { parseNodeDocument } from '../nodedoc/validate.ts';

export type DocumentAnswer =
  | { kind: 'Document'; epoch: number; document: NodeDocument }
  /** What we have is current. */
  | { kind: 'Unchanged'; epoch: number }
  /** The hub was restarted, or our claim lapsed. */
  | { kind: 'ReportFirst'; epoch: number }
  | { kind: 'NotDeclared'; epoch: number; message: string }
  /** The control plane lives, but has not decided yet. */
  | { kind: 'NotServing'; epoch: number; retryAfterMs: number };

export interface HubClient {
  /** Throws HubUnreachable, DuplicateNode, EpochFenced (the hub is the stale one), InvalidReport. */
  report(report: NodeReport, signal: AbortSignal): Promise<{ epoch: number }>;
  /** Long poll. Throws HubUnreachable, DuplicateNode, InvalidDocument. */
  document(request: {
    knownVersion: string;
    knownEpoch: number;
    waitMs: number;
    signal: AbortSignal;
  }): Promise<DocumentAnswer>;
}

/** Client of the node protocol: one request each, with a deadline, no retries. */
export const createHubClient = (options: {
  hubUrl: string;
  nodeName: string;
  instanceID: string;
  requestTimeoutMs: number;
}): HubClient => {
  const base = `${options.hubUrl.replace(/\/+$/, '')}/v1/nodes/${encodeURIComponent(options.nodeName)}`;

  const send = async (path: string, init: RequestInit, timeoutMs: number): Promise<Answer> => {
    try {
      const signal = AbortSignal.any([init.signal!, AbortSignal.timeout(timeoutMs)]);
      const response = await fetch(`${base}/${path}`, { ...init, signal, redirect: 'error' });
      const text = await response.text();
      const epoch = Number(response.headers.get('espalier-epoch') ?? Number.NaN);
      if (!Number.isSafeInteger(epoch))
        throw new Error(`no hub answers there (${response.status})`);
      return {
        status: response.status,
        epoch,
        text,
        retryAfter: response.headers.get('retry-after'),
      };
    } catch (error) {
      init.signal?.throwIfAborted();
      const cause = error instanceof Error && error.cause ? error.cause : error;
      throw new EspalierError(
        'HubUnreachable',
        `the hub at ${options.hubUrl} cannot be reached: ${errorMessage(cause)}`,
        { hubUrl: options.hubUrl },
        { cause: error },
      );
    }
  };

  return {
    report: async (report, signal) => {
      const init = {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(report),
        signal,
      };
      const answer = await send('report', init, options.requestTimeoutMs);
      if (answer.status !== 200) throw refusal(answer);
      return { epoch: answer.epoch };
    },
    document: async ({ knownVersion, knownEpoch, waitMs, signal }) => {
      const headers = {
        'espalier-instance': options.instanceID,
        'espalier-epoch': String(knownEpoch),
        'if-none-match': `"${knownVersion}"`,
        prefer: `wait=${Math.floor(waitMs / 1000)}`,
      };
      return documentAnswer(
        await send('document', { headers, signal }, waitMs + options.requestTimeoutMs),
      );
    },
  };
};

interface Answer {
  status: number;
  epoch: number;
  text: string;
  retryAfter: string | null;
}

const documentAnswer = (answer: Answer): DocumentAnswer => {
  const { status, epoch } = answer;
  if (status === 200) return { kind: 'Document', epoch, document: parseNodeDocument(json(answer)) };
  if (status === 304) return { kind: 'Unchanged', epoch };
  if (status === 428) return { kind: 'ReportFirst', epoch };
  const error = refusal(answer);
  if (status === 404) return { kind: 'NotDeclared', epoch, message: error.message };
  if (status === 503) {
    return { kind: 'NotServing', epoch, retryAfterMs: Number(answer.retryAfter ?? 1) * 1000 };
  }
  throw error;
};

const refusal = (answer: Answer): EspalierError => {
  const { code, message } = (json(answer) ?? {}) as { code?: string; message?: string };
  const isKnown = code !== undefined && Object.hasOwn(errorCatalogue, code);
  return new EspalierError(
    isKnown ? (code as ErrorCode) : 'HubUnreachable',
    message ?? `the hub answered ${answer.status}`,
    { status: answer.status },
  );
};

const json = ({ text }: Answer): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
