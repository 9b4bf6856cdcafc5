import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** What one metric means. Labels have few values each: never a client's text, never a secret. */
export interface MetricDescription<Label extends string> {
  /** The unit last: "espalier_plan_duration_seconds"; counters end in "_total". */
  name: string;
  help: string;
  labels?: readonly Label[];
}

export type LabelValues<Label extends string> = Readonly<Record<Label, string>>;

/** One value of a gauge at the time of a scrape. */
export interface Sample<Label extends string> {
  labels: LabelValues<Label>;
  value: number;
}

/**
 * Numbers for Prometheus as an argument: each control plane has its own, and nothing is global. Rooms describe
 * what they count and keep what they get. Describing a counter or a histogram again gives the same one.
 */
export interface Metrics {
  counter<Label extends string = never>(
    description: MetricDescription<Label>,
  ): {
    /** 0 makes the series exist, so that its first event shows as an increase. */
    add(labels: LabelValues<Label>, amount?: number): void;
  };
  histogram<Label extends string = never>(
    description: MetricDescription<Label> & { bucketsSeconds: readonly number[] },
  ): { observe(labels: LabelValues<Label>, seconds: number): void };
  /**
   * `sample` is asked at each scrape and gives every series that exists then: what it counts is never stale, and
   * a series goes when its object does. Throws when the name is taken.
   */
  gauge<Label extends string = never>(
    description: MetricDescription<Label>,
    sample: () => Iterable<Sample<Label>>,
  ): void;
  /** Everything in Prometheus' text format 0.0.4. Rejects when a gauge's `sample` throws. */
  text(): Promise<string>;
  /** Names of what is described, sorted. */
  names(): string[];
}

export const createMetrics = (): Metrics => describeIn(new Registry());

/**
 * Metrics with those of the process beside them: CPU, memory, event loop, garbage collection, under the names
 * that prom-client gives them.
 */
export const createProcessMetrics = (): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return describeIn(registry);
};

/** MIME type of what `text` gives. */
export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE;

const describeIn = (registry: Registry): Metrics => ({
  counter: (description) => {
    const known = registry.getSingleMetric(description.name);
    const counter = known instanceof Counter ? known : new Counter(options(registry, description));
    return { add: (labels, amount = 1) => counter.inc(labels, amount) };
  },
  histogram: (description) => {
    const known = registry.getSingleMetric(description.name);
    const buckets = [...description.bucketsSeconds];
    const histogram =
      known instanceof Histogram
        ? known
        : new Histogram({ ...options(registry, description), buckets });
    return { observe: (labels, seconds) => histogram.observe(labels, seconds) };
  },
  gauge: (description, sample) => {
    const gauge = new Gauge({
      ...options(registry, description),
      registers: [],
      collect() {
        this.reset();
        for (const { labels, value } of sample()) this.set(labels, value);
      },
    });
    registry.registerMetric(gauge);
  },
  text: async () => registry.metrics(),
  names: () =>
    registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .toSorted(),
});

const options = <Label extends string>(
  registry: Registry,
  { name, help, labels = [] }: MetricDescription<Label>,
) => ({ name, help, labelNames: labels, registers: [registry] });
