// test_sdk_pairs.py for the SDKs of Node: node test_sdk_node.mjs MOCK SERVER [part of a name]
import { PAIRS } from './sdk_pairs.mjs';
import { sorted, unnumbered } from './sdk_views.mjs';

const [mock, server, only] = process.argv.slice(2);
let compared = 0;
let failed = 0;

async function control(path, body) {
  const reply = await fetch(`${mock}/_mock/${path}`, body && { method: 'POST', body: JSON.stringify(body) });
  return reply.json();
}

async function reset(behaviour) {
  await control('reset', {});
  if (behaviour) await control('behave', behaviour);
}

const calls = async () => (await control('counts')).calls;

// The object, or the error as its catcher sees it.
async function outcome(call, url, key) {
  try {
    return sorted(JSON.parse(JSON.stringify(await call(url, key))));
  } catch (error) {
    const { name, message, status, error: body, code, type, param, statusCode, responseBody, isRetryable } = error;
    const told = { thrown: name, message, status, body, code, type, param, statusCode, responseBody, isRetryable };
    return sorted(JSON.parse(JSON.stringify(told).replaceAll(url, '')));
  }
}

function same(what, expected, got) {
  const [left, right] = [unnumbered(expected), unnumbered(got)];
  compared++;
  if (left === right) return;
  let at = 0;
  while (left[at] === right[at]) at++;
  console.log(`FAIL ${what}\n  expected ...${left.slice(Math.max(at - 60, 0), at + 120)}\n  got      ...${right.slice(Math.max(at - 60, 0), at + 120)}`);
  failed++;
}

// `form` asked first, then every form: where the answer is kept, one call serves them all.
async function first(what, forms, form, direct, key, kept) {
  same(`${what}: ${form}, missed`, direct[form], await outcome(forms[form], server, key));
  let before = await calls();
  for (const again of Object.keys(forms)) {
    same(`${what}: ${again} after ${form}`, direct[again], await outcome(forms[again], server, key));
    const after = await calls();
    if (kept === (after !== before)) {
      console.log(`FAIL ${what}: ${again} after ${form} ${kept ? 'asked the service again' : 'came from the cache'}`);
      failed++;
    }
    before = after;
  }
}

for (const [number, [what, forms, behaviour, kept = true]] of PAIRS.entries()) {
  if (only && !what.includes(only)) continue;
  const direct = {};
  for (const [form, call] of Object.entries(forms)) {
    await reset(behaviour);
    direct[form] = await outcome(call, mock, `sk-node-${number}`);
    if (kept && direct[form].thrown) {
      console.log(`FAIL ${what}: ${form}, direct: ${JSON.stringify(direct[form])}`);
      failed++;
    }
  }
  for (const form of Object.keys(forms)) {
    await reset(behaviour);
    await first(what, forms, form, direct, `sk-node-${number}-${form.replace(', ', '-')}`, kept);
  }
}
console.log(`node ${process.version}: ${compared - failed} passed, ${failed} failed`);
process.exit(failed || !compared ? 1 : 0);
