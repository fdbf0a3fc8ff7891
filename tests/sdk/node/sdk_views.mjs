// What a program sees of the SDKs' objects, as plain data that can be compared: sdk_views.py for Node.

// Text of all that is not counted or made up anew with each call. Two direct calls differ in the rest too.
export function unnumbered(value) {
  return JSON.stringify(sorted(value))
    .replace(/mock\d{6}/g, 'mock')
    .replace(/"(created(_at|At)?|completed_at)":\d+(\.\d+)?/g, '"$1":0')
    .replace(/"obfuscation":"[^"]*"/g, '"obfuscation":""');
}

export function sorted(value) {
  if (value instanceof Error) return { error: value.name, text: value.message };
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object' || value instanceof Date) return value;
  return Object.fromEntries(Object.keys(value).sort().filter((key) => value[key] !== undefined).map((key) => [key, sorted(value[key])]));
}

// Joins a delta of a chat message into what was said so far.
function addUp(into, delta) {
  for (const [key, item] of Object.entries(delta ?? {})) {
    if (item === null) into[key] ??= null;
    else if (Array.isArray(item)) {
      into[key] ??= [];
      for (const piece of item) {
        const same = piece.index === undefined ? undefined : into[key].find((one) => one.index === piece.index);
        if (same) addUp(same, piece);
        else into[key].push(structuredClone(piece));
      }
    } else if (typeof item === 'object') addUp((into[key] ??= {}), item);
    else if (typeof item === 'string' && !['role', 'type', 'id', 'format'].includes(key)) into[key] = (into[key] ?? '') + item;
    else into[key] = item;
  }
}

export async function chatChunks(stream) {
  const choices = {};
  const seen = {};
  for await (const chunk of stream) {
    for (const { delta, logprobs, ...rest } of chunk.choices) {
      const into = (choices[rest.index] ??= { delta: {}, logprobs: [] });
      addUp(into.delta, delta);
      into.logprobs.push(...(logprobs?.content ?? []));
      Object.assign(into, Object.fromEntries(Object.entries(rest).filter(([, item]) => item !== null)));
    }
    const { choices: _, obfuscation: __, ...rest } = chunk;
    Object.assign(seen, Object.fromEntries(Object.entries(rest).filter(([, item]) => item !== null)));
  }
  return { choices, ...seen };
}

// Events of messages and responses: their kinds in order, texts added up by their place, all else as it is.
export async function typedEvents(stream) {
  const kinds = [];
  const parts = {};
  for await (const event of stream) {
    const { type, sequence_number: _, obfuscation: __, ...rest } = structuredClone(event);
    if (type === 'ping') continue;
    const place = [type, rest.index, rest.delta?.type, rest.output_index, rest.content_index, rest.summary_index].join(' ');
    const text = typeof rest.delta === 'string' ? rest.delta
      : rest.delta?.text ?? rest.delta?.thinking ?? rest.delta?.partial_json;
    if (text === '') continue;
    if (text === undefined) (parts[place] ??= []).push(rest);
    else {
      const into = (parts[place] ??= { text: '', logprobs: [] });
      into.text += text;
      into.logprobs.push(...(rest.logprobs ?? []));
    }
    if (kinds.at(-1) !== place) kinds.push(place);
  }
  return { kinds, parts };
}

// The parts of ai's stream: deltas added up by their id.
export async function aiParts(stream) {
  const kinds = [];
  const parts = [];
  for await (const part of stream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'raw') continue;
    const last = parts.at(-1);
    const { text, delta, ...rest } = part;
    if (part.type.endsWith('-delta')) {
      if ((text ?? delta) === '' && !part.providerMetadata) continue;
      if (last?.type === part.type && last.id === part.id) {
        last.said += text ?? delta;
        Object.assign(last, rest);
      } else parts.push({ ...rest, said: text ?? delta });
    } else parts.push(part);
    if (kinds.at(-1) !== part.type) kinds.push(part.type);
  }
  return { kinds, parts };
}
