import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from '../support/fast-check.ts';
import { EspalierError } from '../../src/base/errors.ts';
import type { ModelProfile } from '../../src/catalogue/model-profile.ts';
import { profileOf } from '../../src/catalogue/profile.ts';
import { models } from './by-fields-models.ts';
import { configOf, published } from './published-models.ts';

const configs = fc.oneof(
  fc.constantFrom(...Object.keys(published)).map(configOf),
  fc.constantFrom(...models).map(([, config]) => structuredClone(config)),
);

/** What stands where a field was. */
const junk = fc.oneof(
  fc.constantFrom(undefined, null, 0, -1, 1, 3, 7, 0.5, 2 ** 40, '', 'x', 'auto', true, false),
  fc.constantFrom([], {}, [1], [[]], { a: 1 }, ['sliding_attention'], Number.MAX_SAFE_INTEGER),
);

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The config with some fields, at any depth, replaced. */
const damaged = fc
  .tuple(configs, fc.array(fc.tuple(fc.nat(), junk), { minLength: 1, maxLength: 3 }))
  .map(([config, damages]) => {
    for (const [pick, value] of damages) {
      const places: [Record<string, unknown>, string][] = [];
      const collect = (record: Record<string, unknown>): void => {
        for (const [key, inner] of Object.entries(record)) {
          if (key === 'model_type') continue;
          places.push([record, key]);
          if (isRecord(inner)) collect(inner);
        }
      };
      collect(config);
      const [record, key] = places[pick % places.length] ?? [];
      if (record && key !== undefined) record[key] = structuredClone(value);
    }
    return config;
  });

const numbersOf = ({ layers, ...profile }: ModelProfile): number[] => [
  ...[profile.totalBytes, profile.embeddingBytes, profile.headBytes, profile.otherBytes],
  ...layers.flatMap(({ shardedBytes, replicatedBytes, activeParameters, experts, cache }) => [
    ...[shardedBytes, replicatedBytes, activeParameters, cache.elementsPerToken, cache.stateBytes],
    ...(experts ? [experts.bytesEach, experts.parametersEach, experts.perToken] : []),
  ]),
];

it('a config.json with any fields damaged gives a sound profile or says which file is wrong', () => {
  fc.assert(
    fc.property(damaged, (config) => {
      try {
        const profile = profileOf(config, { uri: 'm/config.json' });
        for (const value of numbersOf(profile)) assert.ok(Number.isFinite(value) && value >= 0);
        for (const { cache } of profile.layers) assert.ok(cache.shards >= 1);
        for (const { count } of profile.divisors) {
          assert.ok(Number.isInteger(count) && count >= 1, JSON.stringify(profile.divisors));
        }
      } catch (error) {
        assert.ok(error instanceof EspalierError && error.kind === 'terminal', String(error));
        assert.equal(error.facts['file'], 'm/config.json');
      }
    }),
    { numRuns: 4000 },
  );
});
