import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ggufTypeOf } from '../../src/catalogue/gguf-width.ts';
import { namedBy } from '../../src/catalogue/module-patterns.ts';
import { profileOf } from '../../src/catalogue/profile.ts';
import { configOf } from './published-models.ts';

const gigabytes = (bytes: number) => Math.round(bytes / 1e7) / 100;
const llama = configOf('Llama-2-7B');

describe('GGUF', () => {
  const names: [string, string | undefined][] = [
    ['llama-2-7b.Q4_K_M.gguf', 'Q4_K_M'],
    ['DeepSeek-R1-Q4_0.gguf', 'Q4_0'],
    ['Qwen3-8B-UD-IQ2_XXS-GGUF', 'IQ2_XXS'],
    ['Qwen3-8B-Q8_0', 'Q8_0'],
    ['model-F16.gguf', 'F16'],
    ['Qwen3-8B-bf16', undefined],
    ['Qwen3-8B-4bit', undefined],
  ];
  for (const [name, type] of names) {
    it(`type of "${name}" is ${type ?? 'not told'}`, () => assert.equal(ggufTypeOf(name), type));
  }

  const files: [string, string, number][] = [
    ['Llama-2-7B', 'F16', 13.48],
    ['Llama-2-7B', 'Q8_0', 7.16],
    ['Llama-2-7B', 'Q4_0', 3.83],
    ['Llama-3.3-70B', 'Q4_K_M', 42.51],
    ['DeepSeek-R1', 'Q4_K_M', 404.42],
  ];
  for (const [name, gguf, published] of files) {
    it(`of ${name} in ${gguf} is as large as the published file, within 2 %`, () => {
      const { totalBytes } = profileOf(configOf(name), { quantization: null, gguf });
      const off = Math.abs(totalBytes / 1e9 / published - 1);
      assert.ok(off < 0.02, `${gigabytes(totalBytes)} GB, published ${published}`);
    });
  }

  it('has no groups that a tensor rank could cut', () => {
    const { divisors } = profileOf(llama, { quantization: null, gguf: 'Q4_K_M' });
    assert.ok(divisors.every(({ reason }) => reason !== 'IndivisibleQuantizationGroups'));
  });

  it('of a type that nobody knows is refused', () => {
    assert.throws(() => profileOf({ ...llama, gguf: 'Q9_X' }), /GGUF type: expected one of .*Q9_X/);
  });
});

describe("MLX's block", () => {
  it('gives each named module its own width', () => {
    const plain = { bits: 4, group_size: 64 };
    const whole = profileOf(llama, { quantization: plain });
    const mixed = profileOf(llama, {
      quantization: {
        ...plain,
        'model.layers.0.mlp.down_proj': { bits: 8, group_size: 32 },
        'language_model.lm_head': false,
      },
    });
    const down = 4096 * 11_008;
    const more = (down * (8 + 1) - down * 4.5) / 8;
    assert.equal(mixed.layers[0]?.shardedBytes, (whole.layers[0]?.shardedBytes ?? 0) + more);
    assert.equal(mixed.headBytes, 32_000 * 4096 * 2);
    assert.ok(mixed.divisors.some(({ detail }) => detail === 'of 32 inputs each (groups of 32)'));
  });

  it('of a mode that nobody knows is refused by place', () => {
    const quantization = { bits: 4, group_size: 64, mode: 'nf4' };
    assert.throws(() => profileOf(llama, { quantization }), /quantization\.mode: expected affine/);
  });
});

const bytesOf = (block: object) =>
  profileOf({ ...llama, quantization_config: block }).layers[0]?.shardedBytes ?? 0;

describe("the hub's quantization_config", () => {
  const parameters = 4 * 4096 * 4096 + 3 * 4096 * 11_008;
  const cases: [string, object, number][] = [
    ['gptq', { quant_method: 'gptq', bits: 4, group_size: 128 }, 4 + 20 / 128],
    ['awq', { quant_method: 'awq', w_bit: 4, q_group_size: 64 }, 4 + 20 / 64],
    ['gptq by rows', { quant_method: 'gptq', bits: 4, group_size: -1 }, 4 + 20 / 128],
    ['a method with bits', { quant_method: 'auto-round', bits: 2, group_size: 64 }, 2 + 18 / 64],
    ['fp8', { quant_method: 'fp8', weight_block_size: [128, 128] }, 8 + 32 / 128 / 128],
    ['modelopt', { quant_method: 'modelopt', quant_algo: 'NVFP4' }, 4.5],
    [
      'compressed-tensors',
      {
        quant_method: 'compressed-tensors',
        config_groups: { group_0: { weights: { num_bits: 4, group_size: 32, type: 'int' } } },
      },
      4.5,
    ],
  ];
  for (const [method, block, bits] of cases) {
    it(`of ${method} takes ${bits} bits for each weight`, () =>
      assert.equal(bytesOf(block), (parameters * bits) / 8));
  }

  it('leaves what it excludes as floats', () => {
    const block = { quant_method: 'fp8', modules_to_not_convert: ['model.layers.0'] };
    assert.equal(bytesOf(block), 2 * parameters);
  });

  it('of a method that nobody knows leaves floats, and says so', () => {
    const quantization_config = { quant_method: 'magic', group_size: 'any' };
    const { layers, notes } = profileOf({ ...llama, quantization_config });
    assert.equal(layers[0]?.shardedBytes, 2 * parameters);
    assert.match(String(notes), /"magic" is not known and tells no bits: .* 16 bits/);
  });
});

describe('a pattern', () => {
  const cases: [string, string, boolean][] = [
    ['lm_head', 'lm_head', true],
    ['gate', 'model.layers.3.mlp.gate', true],
    ['gate', 'model.layers.3.mlp.gate_proj', false],
    ['model.layers.*.self_attn', 'model.layers.11.self_attn.q_proj', true],
    ['model.layers.1', 'model.layers.11.self_attn.q_proj', false],
    [String.raw`re:.*mlp\.(gate|up)_proj.*`, 'model.layers.0.mlp.up_proj', true],
    [String.raw`re:.*mlp\.(gate|up)_proj.*`, 'model.layers.0.mlp.experts.0.up_proj', false],
    ['language_model.model.layers.0', 'model.layers.0.mlp.up_proj', true],
  ];
  for (const [pattern, name, named] of cases) {
    it(`"${pattern}" ${named ? 'names' : 'does not name'} ${name}`, () =>
      assert.equal(namedBy([pattern])(name), named));
  }

  it('that could take for ever is passed over', () => {
    assert.equal(namedBy(['re:(a+)+$', 're:('])(`${'a'.repeat(60)}b`), false);
  });
});
