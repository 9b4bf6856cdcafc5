import { EspalierError, errorMessage } from '../../base/errors.ts';

/** Failures that come before the first byte of the request: the server cannot have acted on it. */
const beforeSending = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** OpenSSL's own words for these are three lines about its sources. */
const notTls = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

/** What undici or the socket threw, as ApiUnreachable. `isSent` false: safe to send again, whatever it was. */
export const brokenConnection = (error: unknown, where: string): EspalierError => {
  const cause = codeOf(error);
  const why = notTls.has(cause) ? 'it does not speak TLS there' : errorMessage(error) || cause;
  const message = `the API server does not answer ${where}: ${why}`;
  const facts = {
    where,
    status: 0,
    cause,
    isSent: !beforeSending.has(cause) && !notTls.has(cause),
  };
  return new EspalierError('ApiUnreachable', message, facts);
};

const codeOf = (error: unknown): string => {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  return cause instanceof Error ? codeOf(cause) : 'unknown';
};
