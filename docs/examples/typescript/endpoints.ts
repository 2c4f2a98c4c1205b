// Three endpoints: bounces, inbound mail, and changes of the allow and deny lists.
//
//     npm install && npm run build
//     BOUNCES_SECRET=whsec_… INBOUND_SECRET=… LISTS_SECRET=… npm start
//
// They print what they would do, or append it to the file that OUTPUT names.

import { appendFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { Webhook } from 'standardwebhooks';

interface PosthornEvent {
  id: string;
  type: string;
  recipient: string | null;
  /** What was received, which may be anything. */
  data: unknown;
}

interface Endpoint {
  webhook: Webhook;
  handle: (event: PosthornEvent) => Promise<void>;
  /**
   * Events that are handled, or being handled, by id. A real one keeps the ids in its database, and
   * adds an id in the transaction that does the work.
   */
  handled: Map<string, Promise<void>>;
}

function endpoint(secret: string, handle: Endpoint['handle']): Endpoint {
  const value = process.env[secret];
  if (!value) throw new Error(`set ${secret}`);
  return { webhook: new Webhook(value), handle, handled: new Map() };
}

const endpoints = new Map([
  ['/bounces', endpoint('BOUNCES_SECRET', bounce)],
  ['/inbound', endpoint('INBOUND_SECRET', mail)],
  ['/lists', endpoint('LISTS_SECRET', listing)],
]);

async function bounce({ type, recipient }: PosthornEvent) {
  if (type === 'soft_bounce') await write(`${text(recipient)} could not be reached`);
  else await write(`${text(recipient)} gets no more mail: ${type}`);
}

async function mail({ data }: PosthornEvent) {
  const { from_email, subject, attachments } = fields(fields(data).msg);
  // PHP writes an empty map as an empty array.
  const count = Object.keys(fields(attachments)).length;
  await write(`mail from ${text(from_email)}: ${text(subject)} (${count} attachments)`);
}

async function listing({ type, recipient }: PosthornEvent) {
  // Such as `blacklist_add`; newer ones may say `denylist`.
  const [list = '', ...action] = type.split('_');
  const isDenied = ['blacklist', 'denylist'].includes(list);
  await write(`${isDenied ? 'deny' : 'allow'} list, ${action.join('_')}: ${text(recipient)}`);
}

/** The fields of an object or array; none of anything else. */
function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '(none)';
}

async function write(line: string) {
  if (process.env.OUTPUT) await appendFile(process.env.OUTPUT, `${line}\n`);
  else console.log(line);
}

async function receive(request: IncomingMessage): Promise<number> {
  const endpoint = endpoints.get(request.url ?? '');
  if (!endpoint) return 404;
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  // The signature is of these bytes; JSON that was parsed and written again has another one.
  const body = Buffer.concat(chunks).toString();
  try {
    endpoint.webhook.verify(body, request.headers as Record<string, string>);
  } catch {
    return 401;
  }
  await handleOnce(endpoint, JSON.parse(body));
  return 204;
}

/** An event is delivered again under the same id, for example when an answer was lost. */
async function handleOnce({ handle, handled }: Endpoint, event: PosthornEvent) {
  // Two attempts at once: the second waits for the first, and ends as it does.
  const handling = handled.get(event.id) ?? handle(event);
  handled.set(event.id, handling);
  try {
    await handling;
  } catch (error) {
    // Not handled, so not noted: the next attempt handles it.
    handled.delete(event.id);
    throw error;
  }
}

const server = createServer(async (request, response) => {
  response.statusCode = await receive(request).catch((error) => {
    console.error(error);
    return 500;
  });
  response.end();
});
server.listen(Number(process.env.PORT ?? 8888), '127.0.0.1', () => {
  const address = server.address();
  if (address && typeof address === 'object') {
    console.log(`listening on http://127.0.0.1:${address.port}`);
  }
});
