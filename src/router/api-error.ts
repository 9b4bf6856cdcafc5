/** An answer in OpenAI's error shape. Messages never quote a request's body, but for the model's name. */
export interface ApiError {
  status: number;
  message: string;
  type: 'invalid_request_error' | 'server_error';
  code: string;
  param?: string;
  retryAfterSeconds?: number;
}

export const errorBody = ({ message, type, code, param }: ApiError) => ({
  error: { message, type, param: param ?? null, code },
});

export const invalidRequest = (
  status: number,
  code: string,
  message: string,
  param?: string,
): ApiError => ({
  status,
  message,
  type: 'invalid_request_error',
  code,
  ...(param === undefined ? {} : { param }),
});

export const unavailable = (message: string, retryAfterSeconds: number): ApiError => ({
  status: 503,
  message,
  type: 'server_error',
  code: 'service_unavailable',
  retryAfterSeconds,
});

export const timedOut = (message: string): ApiError => ({
  status: 504,
  message,
  type: 'server_error',
  code: 'timeout',
});
