import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';

import { EspalierError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import { answerCanary } from './canary-route.ts';
import { ApiError, toApiError } from './api-error.ts';
import { answerChat, answerCompletion } from './completions.ts';
import type { ServedModel } from './completions.ts';

/** Half a million tokens of English. Bounds the time that one body can keep this process from its other work. */
const maxBodyBytes = 2 * 2 ** 20;

/**
 * The OpenAI-compatible endpoint of one group, on its rank 0. Beside it POST /canary, for the daemon:
 * 204 when a token has just come through all ranks. Prompts and answers are never logged.
 */
export const createServer = (
  model: ServedModel,
  options: { maxConcurrentRequests: number; isStopping: () => boolean; logger: Logger },
): FastifyInstance => {
  const app = fastify({
    bodyLimit: maxBodyBytes,
    forceCloseConnections: 'idle',
    // Fastify's own answer is not OpenAI's shape; what comes now gets ours.
    return503OnClosing: false,
  });
  app.removeContentTypeParser('text/plain');
  const created = Math.floor(model.clock.now().getTime() / 1000);
  const entry = (id: string) => ({ id, object: 'model', created, owned_by: 'espalier' });

  app.addHook('onRequest', async () => {
    if (!options.isStopping()) return;
    throw new ApiError(503, 'This group is stopping.', { code: 'stopping', retryAfterSeconds: 2 });
  });
  app.get('/v1/models', async () => ({ object: 'list', data: model.names.map(entry) }));
  app.get<{ Params: { name: string } }>('/v1/models/:name', async ({ params: { name } }) => {
    if (model.names.includes(name)) return entry(name);
    const details = { param: 'model', code: 'model_not_found' };
    throw new ApiError(404, `The model '${name}' does not exist here.`, details);
  });
  app.post('/v1/completions', async ({ body }, reply) => answerCompletion(model, body, reply));
  app.post('/v1/chat/completions', async ({ body }, reply) => answerChat(model, body, reply));
  app.post('/canary', async (_request, reply) => {
    await answerCanary(model, options.maxConcurrentRequests, reply);
    return reply.code(204).send();
  });

  app.setNotFoundHandler(async ({ method, url }, reply) => {
    const message = `Unknown request URL: ${method} ${url.split('?')[0]}.`;
    return reply.code(404).send(new ApiError(404, message, { code: 'unknown_url' }).body);
  });
  app.setErrorHandler(async (error, { method, routeOptions }, reply) => {
    const answer = toApiError(error);
    if (answer.status >= 500) {
      options.logger.warn(
        { method, route: routeOptions.url, ...loggable(error) },
        'request failed',
      );
    }
    if (answer.retryAfterSeconds !== undefined) {
      void reply.header('retry-after', answer.retryAfterSeconds);
    }
    return reply.code(answer.status).send(answer.body);
  });
  return app;
};

/** The message of an error that is not ours could quote a prompt: only where it was thrown is logged. */
const loggable = (error: unknown) => {
  if (error instanceof EspalierError) return { code: error.code, reason: error.message };
  if (!(error instanceof Error)) return { reason: typeof error };
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  return { reason: error.name, frames };
};
