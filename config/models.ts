import { readdirSync, readFileSync } from 'node:fs';
import * as z from 'zod';

import { Fault } from '../protocols/faults.ts';
import { modelSchema } from './schema/model.ts';
import type { Model } from './schema/model.ts';

const FOLDER = new URL('./models/', import.meta.url);

/** Every model of machine in `config/models`, by id. Read once; a file that breaks the schema is a Fault (CONFIG_INVALID). */
export const MODELS: ReadonlyMap<string, Model> = readModels();

/** The model of this id. Throws CONFIG_INVALID when there is none. */
export function loadModel(id: string): Model {
  const model = MODELS.get(id);
  if (!model) throw new Fault('CONFIG_INVALID', `no model ${id}; known: ${[...MODELS.keys()].join(', ')}`);
  return model;
}

/** A model from the text of its file, named for messages. Throws CONFIG_INVALID. */
export function parseModel(name: string, text: string): Model {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new Fault('CONFIG_INVALID', `${name}: ${String(error)}`, { cause: error });
  }
  const parsed = modelSchema.safeParse(raw);
  if (!parsed.success) throw new Fault('CONFIG_INVALID', `${name}: ${z.prettifyError(parsed.error)}`);
  const model = parsed.data;
  if (`${model.id}.json` !== name) throw new Fault('CONFIG_INVALID', `${name}: holds the model ${model.id}`);
  if (model.kind === 'asic') {
    const rising = model.rungs.every((rung, i) => i === 0 || rung.powerW > (model.rungs[i - 1]?.powerW ?? 0));
    const highestW = model.rungs.at(-1)?.powerW ?? 0;
    if (!rising) throw new Fault('CONFIG_INVALID', `${name}: rungs must rise in power`);
    if (highestW > model.ratedW) throw new Fault('CONFIG_INVALID', `${name}: a rung above ratedW`);
  }
  return model;
}

function readModels(): ReadonlyMap<string, Model> {
  const names = readdirSync(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .sort();
  const models = names.map((name) => parseModel(name, readFileSync(new URL(name, FOLDER), 'utf8')));
  return new Map(models.map((model) => [model.id, model]));
}
