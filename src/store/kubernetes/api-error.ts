import { EspalierError } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';

const hints: Partial<Record<ErrorCode, string>> = {
  ApiResourceMissing: '; are the CRDs installed?',
  ApiSchemaOutdated: '; install the CRDs of this version of Espalier',
};

/** metav1.Status, as far as it is used. */
interface ApiStatus {
  kind?: string;
  code?: number;
  reason?: string;
  message?: string;
  details?: { retryAfterSeconds?: number; name?: string; causes?: { reason?: string }[] };
}

const codes: Readonly<Record<number, ErrorCode>> = {
  400: 'ApiInvalid',
  401: 'ApiUnauthorized',
  403: 'ApiForbidden',
  404: 'ObjectNotFound',
  409: 'ObjectChanged',
  410: 'ApiGone',
  413: 'ApiInvalid',
  415: 'ApiInvalid',
  422: 'ApiInvalid',
  429: 'ApiOverloaded',
};

/**
 * A refusal as a typed error, with the server's own words: of an HTTP answer, or of an ERROR event in a watch.
 * `text` may be anything; load balancers answer in HTML.
 */
export const apiError = (
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string,
  where: string,
): EspalierError => {
  const body = parseStatus(text);
  const reason = body.reason ?? '';
  const retryAfterMs = retryAfter(headers['retry-after'], body.details?.retryAfterSeconds);
  const said = body.message ?? text.slice(0, 200).replaceAll(/\s+/g, ' ').trim();
  const code = codeOf(status, body);
  const hint = where.includes('/apis/espalier.dev/') ? (hints[code] ?? '') : '';
  return new EspalierError(code, `${where} answered ${status}: ${said || 'nothing'}${hint}`, {
    where,
    status,
    reason,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(isFieldConflict(body) ? { isFieldConflict: true } : {}),
  });
};

const codeOf = (status: number, { kind, reason, message, details }: ApiStatus): ErrorCode => {
  // Said of a server-side apply, as if it were the server's own fault.
  if (status === 500 && message?.includes('field not declared in schema')) {
    return 'ApiSchemaOutdated';
  }
  if (status === 409 && reason === 'AlreadyExists') return 'ObjectConflict';
  // An unknown path is answered in plain text, or with a Status that names no object.
  if (status === 404 && (kind !== 'Status' || !details?.name)) return 'ApiResourceMissing';
  return codes[status] ?? 'ApiFailed';
};

/** Another manager owns a field that was applied without force: trying again says the same. */
const isFieldConflict = ({ details }: ApiStatus): boolean =>
  details?.causes?.some(({ reason }) => reason === 'FieldManagerConflict') ?? false;

const parseStatus = (text: string): ApiStatus => {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : {};
  } catch {
    return {};
  }
};

/** Seconds only: the API server never sends a date. */
const retryAfter = (header: string | undefined, seconds: number | undefined): number | undefined =>
  header !== undefined && /^\d+$/.test(header)
    ? Number(header) * 1000
    : seconds === undefined
      ? undefined
      : seconds * 1000;
