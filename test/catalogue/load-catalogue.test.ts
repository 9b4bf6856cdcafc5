import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { EspalierError } from '../../src/base/errors.ts';
import { builtInEngine } from '../../src/catalogue/engine-capabilities.ts';
import { loadCatalogue } from '../../src/catalogue/load-catalogue.ts';
import { resolveMachine } from '../../src/catalogue/resolve-machine.ts';
import { writeFolder } from './tiny-model.ts';

const GiB = 2 ** 30;
const catalogue = loadCatalogue();
const engine = (name: string) => catalogue.engines.find((each) => each.name === name);
const resolve = (hardwareModel: string, memoryGiB: number, chip = '') =>
  resolveMachine(catalogue, { hardwareModel, chip, memoryBytes: memoryGiB * GiB });

describe('the catalogue', () => {
  it('has the engines that a deployment may name', () => {
    const names = catalogue.engines.map(({ name }) => name);
    assert.deepEqual(names, ['BuiltIn', 'MLX', 'EXO', 'LlamaCpp', 'Ollama', 'MLCLLM']);
  });

  it('says of the built-in engine what the code says', () => {
    const { version } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    );
    const builtIn = engine('BuiltIn');
    assert.equal(builtIn?.version, version);
    assert.deepEqual(builtIn?.tensor?.sizes, builtInEngine.tensor.sizes);
    assert.deepEqual(builtIn?.tensor?.interconnects, builtInEngine.tensor.interconnects);
    assert.deepEqual(builtIn?.architectures, builtInEngine.architectures);
    assert.equal(builtIn?.batchRows, builtInEngine.batchRows);
    assert.equal(builtIn?.kvElementBytes, builtInEngine.kvElementBytes);
  });

  it('names engines only as the schema of deployments does', () => {
    const crd = readFileSync(
      join(import.meta.dirname, '../../crds/modeldeployments.espalier.dev.yaml'),
      'utf8',
    );
    const [, names = ''] = /enum: \[Auto, (BuiltIn[^\]]*)\]/.exec(crd) ?? [];
    assert.deepEqual(
      new Set(names.split(', ')),
      new Set(catalogue.engines.map(({ name }) => name)),
    );
  });

  it('lets RDMA only through Thunderbolt 5', () => {
    for (const { thunderbolt, rdmaPorts } of catalogue.machines) {
      assert.equal(rdmaPorts > 0, thunderbolt === 'Thunderbolt5');
    }
  });

  it('keeps what EXO refuses: Gemma 4 in stages', () => {
    assert.ok(!engine('EXO')?.pipeline?.architectures.includes('gemma4'));
    assert.ok(engine('EXO')?.tensor?.architectures.includes('gemma4'));
  });
});

describe('a machine', () => {
  it('has the variant of its chip that goes with its memory', () => {
    assert.equal(resolve('Mac15,14', 512)?.chip.gpuCores, 80);
    assert.equal(resolve('Mac15,14', 96)?.chip.gpuCores, 60);
    assert.equal(resolve('Mac16,9', 36)?.chip.memoryBandwidthGBps, 410);
    assert.equal(resolve('Mac16,9', 128)?.chip.memoryBandwidthGBps, 546);
  });

  it('has the smaller variant where both are sold, and says so', () => {
    const found = resolve('Mac16,11', 48);
    assert.equal(found?.chip.gpuCores, 16);
    assert.match(found?.assumption ?? '', /M4 Pro with 16 GPU cores: .*the smallest/);
    assert.equal(resolve('Mac15,14', 512)?.assumption, undefined);
  });

  it('is found by its marketing name, or the chip alone', () => {
    assert.equal(resolve('Mac Studio (M5 Ultra, 2026)', 512)?.chip.gpuCores, 80);
    const byChip = resolve('', 64, 'Apple M4 Max');
    assert.deepEqual([byChip?.chip.gpuCores, byChip?.machine], [40, undefined]);
  });

  it('that is no Mac is not found', () => {
    assert.equal(resolve('Standard PC (Q35)', 64, 'x86_64'), undefined);
  });
});

const extended = async (context: TestContext, text: string) => {
  const folder = await writeFolder(context, { 'mine.yaml': text });
  return loadCatalogue([join(folder, 'mine.yaml')]);
};

const ownChip = `chips:
  - { chip: M9, gpuCores: 4, cpuCores: 4, memoryBandwidthGBps: 10, fp16TFLOPS: 1,
      hasMatmulUnits: true, dies: 1, source: mine }
`;

describe('a file of the user', () => {
  it('adds entries, and replaces those with the same key', async (context) => {
    const mine = await extended(context, ownChip);
    assert.equal(mine.chips.length, catalogue.chips.length + 1);
    const changed = await extended(
      context,
      ownChip.replace('chip: M9, gpuCores: 4', 'chip: M1, gpuCores: 8'),
    );
    assert.equal(changed.chips.length, catalogue.chips.length);
    assert.equal(
      changed.chips.find(({ chip, gpuCores }) => chip === 'M1' && gpuCores === 8)?.source,
      'mine',
    );
  });

  const wrong: [string, string, RegExp][] = [
    ['with an unknown field', `${ownChip}    # x\nmachine: []\n`, /the file: .*\("machine"\)/],
    ['without a source', ownChip.replace(', source: mine', ''), /chips\.0: .*source/],
    [
      'with a rate of nothing',
      ownChip.replace('fp16TFLOPS: 1', 'fp16TFLOPS: 0'),
      /chips\.0\.fp16TFLOPS: must be > 0/,
    ],
    ['that is no YAML', 'chips: [', /expected YAML/],
    ['that is empty', '', /the file: must be object/],
  ];
  for (const [what, text, message] of wrong) {
    it(`${what} is refused by file and place`, async (context) => {
      await assert.rejects(extended(context, text), (error) => {
        assert.ok(error instanceof EspalierError);
        assert.equal(error.code, 'CatalogueInvalid');
        assert.match(error.message, /mine\.yaml: /);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it('that is not there is refused by name', () => {
    assert.throws(() => loadCatalogue(['/does/not/exist.yaml']), /\/does\/not\/exist\.yaml/);
  });
});
