import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

export type { Logger };

/**
 * Structured logs: a constant message and key/value pairs, never formatted text, as NDJSON to stderr
 * unless a destination is given. Secrets are redacted by name as a second line of defence.
 */
export const createLogger = (options: {
  name: string;
  level?: string;
  destination?: DestinationStream;
}): Logger =>
  pino(
    {
      name: options.name,
      level: options.level ?? process.env['ESPALIER_LOG_LEVEL'] ?? 'info',
      redact: ['secret', '*.secret', '*.*.secret', 'prompt', 'messages', '*.prompt', '*.messages'],
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    options.destination ?? pino.destination({ fd: 2, sync: true }),
  );
