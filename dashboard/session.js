// Who we are and where the feed is.

const KEY = 'posthorn.token';

// The token in case that storage is switched off.
let remembered = null;

/**
 * The token, or null. It comes in the fragment, which no server sees, and moves from there into the
 * tab's session storage: it survives a reload, and an address that is copied, bookmarked or shown on a
 * screen does not give it away.
 */
export function takeToken() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get('token');
  if (given) {
    keepToken(given);
    history.replaceState(null, '', location.pathname + location.search);
    return given;
  }
  try {
    return sessionStorage.getItem(KEY) ?? remembered;
  } catch {
    return remembered;
  }
}

export function keepToken(token) {
  remembered = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage is switched off or full: the token lasts as long as the page.
  }
}

/** Where things are: as `config.json` says if the page is served with one, else under the page's own origin. */
export async function loadConfig() {
  let config = {};
  try {
    const answer = await fetch('config.json', { cache: 'no-store' });
    if (answer.ok) config = (await answer.json()) ?? {};
  } catch {
    // No configuration, or not JSON: the origin that served the page is the best guess.
  }
  const address = (given) => (typeof given === 'string' ? new URL(given, location.href) : null);
  const ws = address(config.ws);
  if (ws) ws.protocol = ws.protocol.replace(/^http/, 'ws');
  return { http: address(config.http) ?? new URL('/', location.href), ws, tail: address(config.tail) };
}

function request({ http }, token, path, more = {}) {
  const address = new URL(`${http.href.replace(/\/$/, '')}${path}`);
  return fetch(address, { headers: { authorization: `Bearer ${token}` }, cache: 'no-store', ...more });
}

/**
 * A ticket, or the answer that there is none. Where the configuration names an address, it is better than
 * the ticket's: it is the one under which this browser sees the server, through a tunnel for example.
 */
export async function fetchTicket(config, token, signal) {
  const answer = await request(config, token, '/v1/tickets', { method: 'POST', signal });
  if (!answer.ok) return answer;
  const ticket = await answer.json();
  if (config.ws) {
    const url = new URL(config.ws);
    url.searchParams.set('ticket', ticket.ticket);
    ticket.url = url.href;
  }
  if (config.tail) {
    for (const name of ['stream_url', 'poll_url']) {
      if (ticket[name]) ticket[name] = new URL(new URL(ticket[name]).pathname, config.tail).href;
    }
  }
  return ticket;
}

/** One event with what was received, which the live feed leaves out. */
export async function fetchEvent(config, token, id) {
  const answer = await request(config, token, `/v1/events/${encodeURIComponent(id)}`);
  if (!answer.ok) throw new Error(`The event was answered with ${answer.status}.`);
  return answer.json();
}
