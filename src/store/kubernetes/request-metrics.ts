import type { Metrics } from '../../base/metrics.ts';
import type { Transport } from './transport.ts';

/**
 * Counts what goes through a transport as client-go does, so that its dashboards and alerts fit:
 * rest_client_requests_total by status code (`<error>` for none), method and host.
 */
export const countRequests = (
  transport: Transport,
  metrics: Metrics,
  server: string,
): Transport => {
  const requests = metrics.counter<'code' | 'method' | 'host'>({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server by status code, method and host; <error> is no answer.',
    labels: ['code', 'method', 'host'],
  });
  const { host } = new URL(server);
  return async (request) => {
    const { method } = request;
    try {
      const response = await transport(request);
      requests.add({ code: `${response.status}`, method, host });
      return response;
    } catch (error) {
      requests.add({ code: '<error>', method, host });
      throw error;
    }
  };
};
