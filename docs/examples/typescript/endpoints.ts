// Three endpoints: bounces, inbound mail, and changes of the allow and deny lists.
//
//     npm install && npm run build
//     BOUNCES_SECRET=whsec_… INBOUND_SECRET=… LISTS_SECRET=… npm start

import { createServer, type IncomingMessage } from 'node:http';
import { Webhook } from 'standardwebhooks';

interface PosthornEvent {
  id: string;
  type: string;
  recipient: string | null;
  data: any;
}

interface Endpoint {
  webhook: Webhook;
  handle: (event: PosthornEvent) => void;
  /** The ids of what was handled; a real one keeps them in its database, with what it does. */
  handled: Set<string>;
}

function endpoint(secret: string, handle: Endpoint['handle']): Endpoint {
  const value = process.env[secret];
  if (!value) throw new Error(`set ${secret}`);
  return { webhook: new Webhook(value), handle, handled: new Set() };
}

const endpoints = new Map([
  ['/bounces', endpoint('BOUNCES_SECRET', bounce)],
  ['/inbound', endpoint('INBOUND_SECRET', mail)],
  ['/lists', endpoint('LISTS_SECRET', listing)],
]);

function bounce({ type, recipient }: PosthornEvent) {
  if (type === 'soft_bounce') console.log(`${recipient} could not be reached`);
  else console.log(`${recipient} gets no more mail: ${type}`);
}

function mail({ data }: PosthornEvent) {
  const { from_email, subject, attachments } = data.msg;
  const count = Object.keys(attachments ?? {}).length;
  console.log(`mail from ${from_email}: ${subject} (${count} attachments)`);
}

function listing({ type, recipient }: PosthornEvent) {
  // Such as `blacklist_add`; newer ones may say `denylist`.
  const [list = '', action] = type.split('_');
  const isDenied = ['blacklist', 'denylist'].includes(list);
  console.log(`${isDenied ? 'deny' : 'allow'} list, ${action}: ${recipient}`);
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
  const event: PosthornEvent = JSON.parse(body);
  // An answer that got lost makes it come again, with the same id.
  if (!endpoint.handled.has(event.id)) {
    endpoint.handled.add(event.id);
    endpoint.handle(event);
  }
  return 204;
}

const server = createServer(async (request, response) => {
  response.statusCode = await receive(request).catch(() => 500);
  response.end();
});
server.listen(Number(process.env.PORT ?? 8888), '127.0.0.1', () => {
  const address = server.address();
  if (address && typeof address === 'object') {
    console.log(`listening on http://127.0.0.1:${address.port}`);
  }
});
