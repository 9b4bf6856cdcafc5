import type { Metrics } from '../base/metrics.ts';

export interface HubCounters {
  /** A node got a document that it did not have. */
  documentSent(): void;
  /** A report came and was taken in; `changed` tells whether it said anything new. */
  reportTaken(changed: boolean): void;
  /** A report or a poll was refused, with the code that the daemon sees. */
  refused(code: string): void;
  /** A poll is held open until the returned function is called. */
  pollHeld(): () => void;
}

/** Node names are no labels: there may be thousands, and `espalier get nodes` tells of each. */
export const countHub = (metrics: Metrics): HubCounters => {
  const documents = metrics.counter({
    name: 'espalier_hub_documents_total',
    help: 'Documents handed to nodes that did not have them.',
  });
  const reports = metrics.counter({
    name: 'espalier_hub_reports_total',
    help: 'Reports of nodes that were taken in.',
    labels: ['changed'],
  });
  const refusals = metrics.counter({
    name: 'espalier_hub_refusals_total',
    help: 'Reports and polls of nodes that were refused, by error code.',
    labels: ['code'],
  });
  let polls = 0;
  metrics.gauge({ name: 'espalier_hub_polls', help: 'Polls of nodes that are held open.' }, () => [
    { labels: {}, value: polls },
  ]);
  reports.add({ changed: 'true' }, 0);
  reports.add({ changed: 'false' }, 0);
  return {
    documentSent: () => documents.add({}),
    reportTaken: (changed) => reports.add({ changed: String(changed) }),
    refused: (code) => refusals.add({ code }),
    pollHeld: () => {
      polls += 1;
      return () => {
        polls -= 1;
      };
    },
  };
};
