import { EspalierError } from '../../../base/errors.ts';

/** An error in OpenAI's shape. `param` names the field of the request that is wrong. */
export class ApiError extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    message: string,
    details: { param?: string; code?: string; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = 'ApiError';
    this.status = status;
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }

  get body() {
    const type = this.status >= 500 ? 'server_error' : 'invalid_request_error';
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

export const invalidParameter = (param: string, message: string, code?: string): ApiError =>
  new ApiError(400, message, { param, ...(code && { code }) });

/** Any error as one for the client. What is not the client's fault says that another try may help. */
export const toApiError = (error: unknown): ApiError => {
  if (error instanceof ApiError) return error;
  if (error instanceof EspalierError) return fromCatalogue(error);
  const http = error as { statusCode?: number; code?: string; message?: string };
  if (http.statusCode !== undefined && http.statusCode >= 400 && http.statusCode < 500) {
    return new ApiError(http.statusCode, fastifyMessages[http.code ?? ''] ?? `${http.message}`);
  }
  return new ApiError(500, 'An internal error occurred.', { code: 'internal', cause: error });
};

const fromCatalogue = (error: EspalierError): ApiError => {
  switch (error.code) {
    case 'ContextLengthExceeded':
      return new ApiError(400, error.message, { code: 'context_length_exceeded' });
    case 'RequestInvalid':
      return new ApiError(400, error.message, { code: 'invalid_value' });
    case 'EngineOverloaded':
      return new ApiError(429, error.message, { code: 'overloaded', retryAfterSeconds: 1 });
    case 'EngineNotReady':
      return new ApiError(503, error.message, { code: 'not_ready', retryAfterSeconds: 2 });
    case 'ModelOutputInvalid':
      return new ApiError(500, error.message, { code: 'model_output_invalid' });
    default:
      // The group has failed. Which rank and why stands in its status, not in a client's answer.
      return new ApiError(503, 'The group of ranks that served this request has failed.', {
        code: 'group_failed',
        retryAfterSeconds: 2,
        cause: error,
      });
  }
};

const fastifyMessages: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'Expected a JSON object as body, got nothing.',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'Expected content-type application/json.',
  FST_ERR_CTP_BODY_TOO_LARGE: 'The body is larger than this server reads.',
};
