// How a snapshot's weights come to a server: not at all (they are the server's own), as a LoRA adapter that is loaded beside them, or as
// a whole model that replaces them. Where a server tells what it has, it is asked. Knows no training and no pool.
// Sources: vLLM, "Dynamically serving LoRA adapters" (VLLM_ALLOW_RUNTIME_LORA_UPDATING); SGLang for RL, update_weights_from_disk.

import { EngineError } from "../../../util/errors.ts";
import { preview } from "../../../util/json.ts";
import { asObject, type ServerClient } from "./client.ts";
import type { ServerFacts } from "./wire.ts";

/** Weights that servers can be asked to have. */
export interface Weights {
  /** The same name means the same weights. */
  readonly name: string;
  /** They replace those of the server: whatever is drawn there from others must end first. */
  readonly exclusive: boolean;
  /** The model that requests name. */
  modelAt(facts: ServerFacts): string;
  /** Makes the server have them, and makes sure where it can. Errors: EngineError, TransportError. */
  load(client: ServerClient): Promise<void>;
  /** Lets the server forget them. Errors: as for `load`. */
  unload?(client: ServerClient): Promise<void>;
}

/** What the server was started with. */
export const ownWeights: Weights = {
  name: "own",
  exclusive: false,
  modelAt: (facts) => facts.model,
  load: async () => {},
};

/** A PEFT adapter in a directory that the server sees under the same path. */
export function adapterWeights(name: string, dir: string): Weights {
  return {
    name,
    exclusive: false,
    modelAt: () => name,
    load: async (client) => {
      // A server that outlived the client that loaded it still has it, and refuses a second time.
      if (await hasModel(client, name)) return;
      await client.load("/v1/load_lora_adapter", { lora_name: name, lora_path: dir });
      if (await hasModel(client, name)) return;
      throw new EngineError(
        `${client.target.url}: expected adapter ${name} among its models after loading, got none of that name.`,
      );
    },
    unload: async (client) => {
      await client.load("/v1/unload_lora_adapter", { lora_name: name });
    },
  };
}

/** A whole model in a directory that the server sees under the same path. */
export function modelWeights(name: string, dir: string): Weights {
  return {
    name,
    exclusive: true,
    modelAt: (facts) => facts.model,
    load: async (client) => {
      if ((await versionOf(client)) === name) return;
      await client.load("/update_weights_from_disk", { model_path: dir, weight_version: name, flush_cache: true });
      const version = await versionOf(client);
      if (version === undefined || version === name) return;
      throw new EngineError(`${client.target.url}: expected weights ${name} after loading, got ${preview(version)}.`);
    },
  };
}

/** Version of the weights that a server has; undefined where it does not tell. */
async function versionOf(client: ServerClient): Promise<unknown> {
  const reply = await client.get("/get_model_info");
  return reply.status === 200 ? asObject(reply)?.weight_version : undefined;
}

async function hasModel(client: ServerClient, name: string): Promise<boolean> {
  const reply = await client.get("/v1/models");
  const list = reply.status === 200 ? asObject(reply)?.data : undefined;
  return Array.isArray(list) && list.some((entry: { id?: unknown } | null) => entry?.id === name);
}
