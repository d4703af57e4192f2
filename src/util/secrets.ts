// Keys that must never be shown: those of the environment and those given as options. Everything that is printed or logged passes
// through `redact`. Knows no output.

/** Variables whose values are secret. */
const VARIABLES = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "RZERO_API_KEY", "RZERO_JUDGE_KEY", "OPENAI_API_KEY", "TINKER_API_KEY"];
/** A shorter value would blot out ordinary text. */
const SHORTEST = 6;
const SHOWN = "[secret]";

const given = new Set<string>();

/** Adds a key that came as an option. */
export function keepSecret(value: string | undefined): void {
  if (value !== undefined && value.length >= SHORTEST) given.add(value);
}

/** The text without any secret, plain or as it stands in JSON and in addresses. */
export function redact(text: string): string {
  const secrets = [...given, ...VARIABLES.map((name) => process.env[name] ?? "")].filter(({ length }) => length >= SHORTEST);
  const forms = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]);
  return forms.reduce((clean, form) => clean.replaceAll(form, SHOWN), text);
}
