// A session on a Tinker server: what models and sampling sessions belong to, kept alive by a thread of its own, and made anew when the
// server has forgotten it. Knows no training.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { createSessionReply, parseValue } from "../../../tinker-wire/messages.ts";
import { API_PREFIX, MEDIA_TYPES } from "../../../tinker-wire/protocol.ts";
import { EngineError } from "../../../util/errors.ts";
import type { Connection } from "./connection.ts";
import type { HeartbeatData } from "./heartbeat-worker.ts";
import type { FormerSession } from "./request-journal.ts";
import { isLost } from "./retry.ts";

/** Numbers of models that a process takes without a note of it, for trials. */
const UNNOTED_MODELS = 64;
const HEARTBEAT_MS = 10_000;
/** The version of the public SDK whose requests ours are like. */
export const SDK_VERSION = "0.25.0";

/** See the file header. */
export class Session {
  readonly id: string;
  readonly #connection: Connection;
  readonly #heartbeat: Worker;
  #models: number;

  /** Opens a session, or goes on with `former` while the server knows it. Errors: TinkerError. */
  static async open(connection: Connection, former?: FormerSession): Promise<Session> {
    if (former !== undefined && (await isAlive(connection, former.id)))
      return new Session(connection, former.id, former.lastModel + 1 + UNNOTED_MODELS);
    const body = { tags: ["rzero"], user_metadata: null, sdk_version: SDK_VERSION, type: "create_session" };
    const reply = parseValue(createSessionReply, await connection.post("/create_session", body), "/create_session");
    if (reply.error_message !== undefined)
      throw new EngineError(`/create_session: expected a session, got: ${reply.error_message.slice(0, 300)}`);
    return new Session(connection, reply.session_id, 0);
  }

  private constructor(connection: Connection, id: string, firstModel: number) {
    this.id = id;
    this.#connection = connection;
    this.#models = firstModel;
    this.#heartbeat = startHeartbeat(connection, id);
  }

  /** Whether the server still knows it. */
  isAlive(): Promise<boolean> {
    return isAlive(this.#connection, this.id);
  }

  /** A number that no other model of the session has. */
  nextModel(): number {
    return this.#models++;
  }

  async close(): Promise<void> {
    await this.#heartbeat.terminate();
  }
}

async function isAlive(connection: Connection, id: string): Promise<boolean> {
  try {
    await connection.post("/session_heartbeat", { session_id: id, type: "session_heartbeat" });
    return true;
  } catch (error) {
    if (isLost(error)) return false;
    throw error;
  }
}

function startHeartbeat(connection: Connection, id: string): Worker {
  const data: HeartbeatData = {
    address: `${connection.options.url}${API_PREFIX}/session_heartbeat`,
    headers: { ...connection.keyHeader, "content-type": MEDIA_TYPES.json },
    body: JSON.stringify({ session_id: id, type: "session_heartbeat" }),
    everyMs: HEARTBEAT_MS,
  };
  const here = fileURLToPath(import.meta.url);
  const built = join(dirname(here), "..", "..", "..", "..", "dist", "engine", "remote", "tinker");
  const file = join(here.endsWith(".ts") ? built : dirname(here), "heartbeat-worker.js");
  if (!existsSync(file)) throw new EngineError(`${file}: expected the compiled worker, got none. Run npm run build.`);
  const worker = new Worker(file, { workerData: data });
  worker.unref();
  worker.on("error", () => {});
  return worker;
}
