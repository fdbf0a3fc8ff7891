// Questions put both whole and streamed with the SDKs for Node: [name, {form: call}, behaviour of the service].
// A call takes the base URL of the service and a key, and gives what its program would see.
import { createRequire } from 'node:module';
import { aiParts, chatChunks, sorted, typedEvents } from './sdk_views.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const load = createRequire(process.env.LLMCACHE_SDK_NODE + '/package.json');
const OpenAI = load('openai').default;
const { zodResponseFormat } = load('openai/helpers/zod');
const Anthropic = load('@anthropic-ai/sdk').default;
const ai = load('ai');
const { createOpenAI } = load('@ai-sdk/openai');
const { createOpenAICompatible } = load('@ai-sdk/openai-compatible');
const { createAnthropic } = load('@ai-sdk/anthropic');
const { z } = load('zod');

const QUESTION = '什麼是快取？';
const USER = [{ role: 'user', content: QUESTION }];
const CITY = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city'] };
const NAMES = ['weather', 'tides'];
const TOOLS = NAMES.map((name) => ({ type: 'function', function: { name, description: name, parameters: CITY } }));
const CLAUDE_TOOLS = NAMES.map((name) => ({ name, description: name, input_schema: CITY }));
const RESPONSE_TOOLS = NAMES.map((name) => ({ type: 'function', name, description: name, parameters: CITY, strict: false }));
const THINKING = { thinking: { type: 'enabled', budget_tokens: 1024 }, max_tokens: 2048 };

const openai = (url, apiKey) => new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 0 });
const anthropic = (url, apiKey) => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });

// ---- openai -------------------------------------------------------------------------------------------------------

function chat(more = {}) {
  const ask = { model: 'm', messages: USER, ...more };
  const usage = { stream_options: { include_usage: true } };
  return {
    whole: (url, key) => openai(url, key).chat.completions.create(ask),
    stream: async (url, key) => chatChunks(await openai(url, key).chat.completions.create({ ...ask, ...usage, stream: true })),
    'stream, followed': (url, key) => openai(url, key).chat.completions.stream({ ...ask, ...usage }).finalChatCompletion(),
  };
}

// The SDK's helper keeps only the last delta of a text it does not know: what it sees depends on how a stream is cut.
function addedUp({ whole, stream }) {
  return { whole, stream };
}

function parsed() {
  const ask = { model: 'm', messages: USER, response_format: zodResponseFormat(z.object({ name: z.string(), people: z.number() }), 'city') };
  return { whole: (url, key) => openai(url, key).chat.completions.parse(ask) };
}

function response(more = {}) {
  const ask = { model: 'm', input: QUESTION, ...more };
  return {
    whole: (url, key) => openai(url, key).responses.create(ask),
    stream: async (url, key) => typedEvents(await openai(url, key).responses.create({ ...ask, stream: true })),
    'stream, followed': (url, key) => openai(url, key).responses.stream(ask).finalResponse(),
  };
}

function completion(more = {}) {
  return { whole: (url, key) => openai(url, key).completions.create({ model: 'm', prompt: 'Once', ...more }) };
}

function embedding(more = {}) {
  const create = (extra) => (url, key) => openai(url, key).embeddings.create({ model: 'e', input: ['a', 'b c'], ...more, ...extra });
  return { whole: create({}), floats: create({ encoding_format: 'float' }) };
}

// ---- @anthropic-ai/sdk ----------------------------------------------------------------------------------------------

function message(more = {}) {
  const ask = { model: 'c', max_tokens: 512, messages: USER, ...more };
  return {
    whole: (url, key) => anthropic(url, key).messages.create(ask),
    stream: async (url, key) => typedEvents(await anthropic(url, key).messages.create({ ...ask, stream: true })),
    'stream, followed': (url, key) => anthropic(url, key).messages.stream(ask).finalMessage(),
  };
}

// ---- ai -------------------------------------------------------------------------------------------------------------

const PROVIDERS = {
  chat: (url, apiKey) => createOpenAI({ baseURL: url + '/v1', apiKey }).chat('m'),
  responses: (url, apiKey) => createOpenAI({ baseURL: url + '/v1', apiKey }).responses('m'),
  compatible: (url, apiKey) => createOpenAICompatible({ name: 'any', baseURL: url + '/v1', apiKey, includeUsage: true, supportsStructuredOutputs: true })('m'),
  anthropic: (url, apiKey) => createAnthropic({ baseURL: url + '/v1', apiKey, generateId: () => 'id' })('c'),
};

// Ids and times of ai's own making, headers and the request's text are no part of the answer.
function ownLeftOut(value) {
  const own = ['headers', 'timestamp', 'request', 'messages', 'body'];
  if (Array.isArray(value)) return value.map(ownLeftOut);
  if (value === null || typeof value !== 'object') return value;
  const made = (key) => own.includes(key) || (key === 'id' && value.sourceType !== undefined);
  return Object.fromEntries(Object.entries(value).filter(([key]) => !made(key)).map(([key, item]) => [key, ownLeftOut(item)]));
}

const TOLD = ['text', 'reasoning', 'sources', 'toolCalls', 'finishReason', 'usage', 'response', 'providerMetadata', 'content', 'warnings'];

async function told(result) {
  const entries = await Promise.all(TOLD.map(async (name) => [name, await result[name]]));
  return ownLeftOut(sorted(Object.fromEntries(entries)));
}

const cityTool = ai.tool({ description: 'weather', inputSchema: z.object({ city: z.string(), days: z.number() }) });

function vercel(provider, more = {}) {
  const ask = (url, key) => ({ model: PROVIDERS[provider](url, key), prompt: QUESTION, maxRetries: 0, ...more });
  return {
    whole: async (url, key) => told(await ai.generateText(ask(url, key))),
    stream: async (url, key) => {
      const result = ai.streamText({ ...ask(url, key), onError: () => {} });
      const parts = await aiParts(result.fullStream);
      return { parts: ownLeftOut(sorted(parts)), told: await told(result) };
    },
  };
}

function structured(provider) {
  const output = ai.Output.object({ schema: z.object({ name: z.string(), people: z.number() }) });
  return {
    whole: async (url, key) => {
      const result = await ai.generateText({ model: PROVIDERS[provider](url, key), prompt: QUESTION, output, maxRetries: 0 });
      return { output: result.output, told: await told(result) };
    },
  };
}

function vercelEmbedding() {
  const model = (url, apiKey) => createOpenAI({ baseURL: url + '/v1', apiKey }).embedding('e');
  return {
    whole: async (url, key) => {
      const { embeddings, usage } = await ai.embedMany({ model: model(url, key), values: ['a', 'b c'], maxRetries: 0 });
      return { embeddings, usage };
    },
  };
}

const THINKS = { providerOptions: { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } } };
const CITED = [{ type: 'text', text: 'As said', citations: [{
  type: 'web_search_result_location', url: 'https://a.example', title: 't', encrypted_index: 'i', cited_text: 'x' }] }];

export const PAIRS = [
  ['chat', chat(), null],
  ['chat, two choices with logprobs', chat({ n: 2, logprobs: true, top_logprobs: 2 }), null],
  ['chat, tools', chat({ tools: TOOLS }), null],
  ['chat, two tools at once', chat({ tools: TOOLS, parallel_tool_calls: true }), null],
  ['chat, reasoning', addedUp(chat()), { reasoning: 'first, second' }],
  ['chat, fields unknown to all', addedUp(chat()), { extra: { score: { a: [1, 2] }, mood: 'fine ' } }],
  ['chat, parsed', parsed(), null],
  ['completion', completion(), null],
  ['completion, logprobs', completion({ logprobs: 2 }), null],
  ['response', response(), null],
  ['response, two tools at once', response({ tools: RESPONSE_TOOLS, parallel_tool_calls: true }), null],
  ['response, reasoning', response(), { reasoning: 'first, second' }],
  ['response, logprobs', response({ include: ['message.output_text.logprobs'] }), null],
  ['embeddings', embedding(), null],
  ['embeddings, short', embedding({ dimensions: 16 }), null],
  ['message', message(), null],
  ['message, two tools at once',
    message({ tools: CLAUDE_TOOLS, tool_choice: { type: 'auto', disable_parallel_tool_use: false } }), null],
  ['message, thinking', message(THINKING), { redacted_thinking: true }],
  ['message, citations', message(), { blocks: CITED }],
  ['message, brief usage', { stream: message().stream }, { brief_usage: true }],
  ...Object.keys(PROVIDERS).flatMap((provider) => [
    [`ai, ${provider}`, vercel(provider), null],
    // With tools, ai's anthropic provider sends another anthropic-beta in streams: another question.
    ...Object.entries(vercel(provider, { tools: { weather: cityTool } })).map(
      ([form, call]) => [`ai, ${provider}, tools, ${form}`, { [form]: call }, null]),
    [`ai, ${provider}, reasoning`, vercel(provider, THINKS), { reasoning: 'first, second', redacted_thinking: true }],
    [`ai, ${provider}, structured`, structured(provider), null],
  ]),
  ['ai, anthropic, citations', vercel('anthropic'), { blocks: CITED }],
  ['ai, chat, citations', vercel('chat'), { extra: { annotations: [{ type: 'url_citation', url_citation: {
    start_index: 0, end_index: 3, title: 't', url: 'https://a.example/' } }] } }],
  ['ai, embeddings', vercelEmbedding(), null],
  ...[400, 401, 404, 409, 429, 500, 529].flatMap((status) => [
    [`chat, ${status}`, { whole: chat().whole, stream: chat().stream }, { status }, false],
    [`message, ${status}`, { whole: message().whole, stream: message().stream }, { status }, false],
  ]),
  ['ai, chat, 429', vercel('chat'), { status: 429 }, false],
  ['ai, anthropic, 529', vercel('anthropic'), { status: 529 }, false],
  ['chat, error in the stream', { stream: chat().stream }, { error_after_events: 2 }, false],
  ['chat, cut', { stream: chat().stream }, { cut_after_events: 3 }, false],
  ['message, error in the stream', { stream: message().stream }, { error_after_events: 2 }, false],
  ['message, cut', { stream: message().stream }, { cut_after_events: 3 }, false],
  ['response, error in the stream', { stream: response().stream }, { error_after_events: 2 }, false],
];
