import type { StoredEvent } from '../../controller/ports.ts';
import type { ApiObject } from '../../store/kubernetes/objects.ts';

/** events.k8s.io/v1, as far as it is shown. */
interface ApiEvent extends ApiObject {
  regarding?: { apiVersion?: string; kind?: string; namespace?: string; name?: string };
  type?: string;
  reason?: string;
  note?: string;
  eventTime?: string | null;
  series?: { count: number; lastObservedTime: string };
  deprecatedCount?: number;
  deprecatedFirstTimestamp?: string | null;
  deprecatedLastTimestamp?: string | null;
}

/** The events of our kinds among those of a namespace. */
export const eventsFrom = (objects: readonly ApiObject[]): StoredEvent[] =>
  objects.flatMap((object): StoredEvent[] => {
    const event = object as ApiEvent;
    const { kind, name = '', namespace, apiVersion = '' } = event.regarding ?? {};
    if (!apiVersion.startsWith('espalier.dev/')) return [];
    if (kind !== 'ModelDeployment' && kind !== 'ClusterNode') return [];
    const first =
      event.eventTime ?? event.deprecatedFirstTimestamp ?? event.metadata.creationTimestamp;
    return [
      {
        regarding: { kind, name, ...(namespace ? { namespace } : {}) },
        type: event.type === 'Warning' ? 'Warning' : 'Normal',
        reason: event.reason ?? '',
        message: event.note ?? '',
        count: event.series?.count ?? event.deprecatedCount ?? 1,
        firstTimestamp: first,
        lastTimestamp: event.series?.lastObservedTime ?? event.deprecatedLastTimestamp ?? first,
      },
    ];
  });
