// One Tinker server, met: its key accepted, its models and limits read, a session open. Everything that can be wrong with the
// configuration is told here, before any work. Knows nothing of training.

import { capabilitiesReply, clientConfigReply, parseValue } from "../../../tinker-wire/messages.ts";
import { type Codec, EXTENSIONS, type Extension } from "../../../tinker-wire/protocol.ts";
import { ConfigError, DataError, errorText } from "../../../util/errors.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { Limiter } from "./limiter.ts";
import type { GradientForm } from "./passes.ts";
import type { FormerSession } from "./request-journal.ts";
import { TinkerError } from "./retry.ts";
import { SDK_VERSION, Session } from "./session.ts";

/** What the configuration wants of a server. */
export interface ServerWishes {
  /** Its name of the base model; absent: the only one it has. */
  readonly model?: string;
  /** New tokens of the longest completion; more than the server's context is an error at once. */
  readonly longest?: number;
  /** Sampling requests at once, at most. */
  readonly concurrency: number;
  /** Variable that the key was read from, for messages. */
  readonly keyName: string;
}

/** Limits of one training request. */
export interface RequestLimits {
  readonly sequences: number;
  readonly bytes: number;
}

/** A server that was never there is told soon: its address may be wrong. */
const FIRST_PATIENCE_MS = 15_000;
/** Where a server tells no limits. */
const DEFAULT_LIMITS: RequestLimits = { sequences: 1024, bytes: 32 * 2 ** 20 };

/** See the file header. */
export class Server {
  readonly connection: Connection;
  readonly model: string;
  /** Longest sequence; absent where the server does not say. */
  readonly context: number | undefined;
  readonly extensions: ReadonlySet<Extension>;
  readonly limits: RequestLimits;
  /** Of sampling requests. */
  readonly limiter: Limiter;
  /** Codec of training requests. */
  codec: Codec = "json";
  /** How it is given gradients. */
  form: GradientForm = { loss: "cross_entropy", reduction: "sum", mask: false };
  /** When it tells the id of a new model, as last seen. */
  tellsModelId: "at once" | "in the result" = "at once";
  /** Policies that train here. */
  policies = 0;
  readonly #formerSession: FormerSession | undefined;
  readonly #claimed = new Set<string>();
  #session: Promise<Session> | undefined;
  #samplers = 0;

  /**
   * Meets a server. `formerSession`: the session of an earlier process, to go on with while it lives.
   * Errors: ConfigError (key, model, context, no such protocol), TinkerError (not reached).
   */
  static async connect(options: ConnectionOptions, wishes: ServerWishes, formerSession?: FormerSession): Promise<Server> {
    const connection = new Connection(options);
    connection.patienceMs = Math.min(options.patienceMs, FIRST_PATIENCE_MS);
    try {
      const told = await clientConfig(connection);
      const { supported_models } = parseValue(
        capabilitiesReply,
        await connection.get("/get_server_capabilities"),
        "/get_server_capabilities",
      );
      const { model, context } = chooseModel(supported_models, wishes, options.url);
      const extensions = new Set(EXTENSIONS.filter((name) => told.rzero_extensions?.includes(name)));
      const limits = {
        sequences: told.fwdbwd_max_chunk_len ?? DEFAULT_LIMITS.sequences,
        bytes: told.fwdbwd_max_chunk_bytes_count ?? DEFAULT_LIMITS.bytes,
      };
      const server = new Server(
        connection,
        { model, context, extensions, limits },
        { formerSession, concurrency: wishes.concurrency },
      );
      await server.session();
      connection.patienceMs = options.patienceMs;
      return server;
    } catch (error) {
      connection.close();
      throw explained(error, options, wishes);
    }
  }

  private constructor(
    connection: Connection,
    met: Pick<Server, "model" | "context" | "extensions" | "limits">,
    { formerSession, ...options }: { formerSession: FormerSession | undefined; concurrency: number },
  ) {
    this.connection = connection;
    this.model = met.model;
    this.context = met.context;
    this.extensions = met.extensions;
    this.limits = met.limits;
    this.limiter = new Limiter(options.concurrency, () => connection.refusals);
    this.#formerSession = formerSession;
  }

  /** The session; opened again when the last `renew` found it gone. Errors: TinkerError. */
  session(): Promise<Session> {
    this.#session ??= Session.open(this.connection, this.#formerSession);
    const opening = this.#session;
    opening.catch(() => {
      if (this.#session === opening) this.#session = undefined;
    });
    return opening;
  }

  /** Makes sure that the session is one that the server knows. Errors: TinkerError. */
  async renew(): Promise<void> {
    const opened = this.#session;
    const session = await this.session();
    if (await session.isAlive()) return;
    await session.close();
    if (this.#session !== opened) return;
    this.#session = Session.open(this.connection);
    await this.session();
  }

  /** Marks a model as in use; false when it is already. */
  claim(model: string): boolean {
    if (this.#claimed.has(model)) return false;
    this.#claimed.add(model);
    return true;
  }

  /** A number for a sampling session of a base model. */
  nextSampler(): number {
    return 2 ** 30 + this.#samplers++;
  }

  async close(): Promise<void> {
    this.connection.close();
    const session = await this.#session?.catch(() => undefined);
    await session?.close();
  }
}

/** The flags of a server; those without the endpoint have none. */
async function clientConfig(connection: Connection) {
  try {
    const reply = await connection.post("/client/config", { sdk_version: SDK_VERSION });
    return parseValue(clientConfigReply, reply, "/client/config");
  } catch (error) {
    if (error instanceof TinkerError && (error.status === 404 || error.status === 405))
      return parseValue(clientConfigReply, {}, "");
    throw error;
  }
}

type SupportedModels = { model_name?: string; max_context_length?: number }[];

function chooseModel(
  supported: SupportedModels,
  { model, longest }: ServerWishes,
  url: string,
): { model: string; context: number | undefined } {
  const names = supported.flatMap(({ model_name }) => (model_name === undefined ? [] : [model_name]));
  const chosen = model ?? (names.length === 1 ? names[0] : undefined);
  const shown = names.length > 20 ? `${names.slice(0, 20).join(", ")} and ${names.length - 20} more` : names.join(", ");
  if (chosen === undefined || !names.includes(chosen))
    throw new ConfigError(`engine.model: expected a model of ${url} (${shown || "it has none"}), got ${chosen ?? "none"}.`);
  const context = supported.find(({ model_name }) => model_name === chosen)?.max_context_length;
  if (context !== undefined && longest !== undefined && longest >= context)
    throw new ConfigError(
      `sampling.maxTokens: expected less than the context of ${chosen} on ${url} (${context} tokens), got ${longest}. Lower it.`,
    );
  return { model: chosen, context };
}

/** Errors of the first requests in terms of the configuration. */
function explained(error: unknown, { url, key }: ConnectionOptions, { keyName }: ServerWishes): unknown {
  if (error instanceof TinkerError && (error.status === 401 || error.status === 403)) {
    const got = key === undefined ? `none (the variable ${keyName} is not set)` : `one that is refused (status ${error.status})`;
    return new ConfigError(`engine.apiKeyEnv: expected a key that ${url} accepts, got ${got}.`);
  }
  if ((error instanceof TinkerError && error.status !== undefined && error.status < 500) || error instanceof DataError)
    return new ConfigError(`engine.url: expected a server of the Tinker protocol at ${url}, got: ${errorText(error)}`);
  return error;
}
