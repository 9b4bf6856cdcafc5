import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export const tinyConfig = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 16,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
};

export interface Tensor {
  dtype: string;
  shape: number[];
}

const bf16 = (...shape: number[]): Tensor => ({ dtype: 'BF16', shape });

/** All tensors of tinyConfig as bf16. */
export const tinyTensors = (): Record<string, Tensor> => {
  const layer = (index: number): [string, Tensor][] =>
    Object.entries({
      'input_layernorm.weight': bf16(64),
      'self_attn.q_proj.weight': bf16(64, 64),
      'self_attn.k_proj.weight': bf16(32, 64),
      'self_attn.v_proj.weight': bf16(32, 64),
      'self_attn.o_proj.weight': bf16(64, 64),
      'post_attention_layernorm.weight': bf16(64),
      'mlp.gate_proj.weight': bf16(128, 64),
      'mlp.up_proj.weight': bf16(128, 64),
      'mlp.down_proj.weight': bf16(64, 128),
    }).map(([name, tensor]) => [`model.layers.${index}.${name}`, tensor]);
  return {
    'model.embed_tokens.weight': bf16(16, 64),
    ...Object.fromEntries([...layer(0), ...layer(1)]),
    'model.norm.weight': bf16(64),
  };
};

export const tinyTokenizer = {
  model: {
    type: 'BPE',
    vocab: Object.fromEntries('abcdefghijklmno'.split('').map((piece, id) => [piece, id])),
  },
  added_tokens: [{ id: 15, content: '</s>' }],
};

const elementBytes: Record<string, number> = { BF16: 2, F16: 2, F32: 4, U32: 4 };

/** A safetensors file of zeros. */
export const safetensors = (tensors: Record<string, Tensor>, fill = 0): Buffer => {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape }]) => {
    const bytes = shape.reduce((product, size) => product * size, elementBytes[dtype] ?? 1);
    const begin = offset;
    offset += bytes;
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const header = Buffer.from(
    JSON.stringify({ __metadata__: { format: 'mlx' }, ...Object.fromEntries(entries) }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(offset, fill)]);
};

/** Files of a whole model folder; pass undefined for one to leave it out. */
export const tinyModel = (): Record<string, string | Buffer | undefined> => ({
  'config.json': JSON.stringify(tinyConfig),
  'tokenizer.json': JSON.stringify(tinyTokenizer),
  'model.safetensors': safetensors(tinyTensors()),
});

/** Writes the files to a folder that goes away with the test. */
export const writeFolder = async (
  context: TestContext,
  files: Record<string, string | Buffer | undefined>,
): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'espalier-model-'));
  context.after(async () => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    if (content !== undefined) await writeFile(join(folder, name), content);
  }
  return folder;
};
