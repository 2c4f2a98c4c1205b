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

/** Where to connect: `config.json` if the page is served with one, else the page's own origin. */
export async function loadConfig() {
  let config = {};
  try {
    const answer = await fetch('config.json', { cache: 'no-store' });
    if (answer.ok) config = (await answer.json()) ?? {};
  } catch {
    // No configuration, or not JSON: the origin that served the page is the best guess.
  }
  const ws = new URL(typeof config.ws === 'string' ? config.ws : '/live', location.href);
  ws.protocol = ws.protocol.replace(/^http/, 'ws');
  const http = new URL(typeof config.http === 'string' ? config.http : '/', location.href);
  return { ws, http };
}

export function socketAddress({ ws }, token) {
  const address = new URL(ws);
  address.searchParams.set('ticket', token);
  return address.href;
}

/** One event with what was received, which the live feed leaves out. */
export async function fetchEvent({ http }, token, id) {
  const address = new URL(`${http.href.replace(/\/$/, '')}/v1/events/${encodeURIComponent(id)}`);
  const answer = await fetch(address, { headers: { authorization: `Bearer ${token}` }, cache: 'no-store' });
  if (!answer.ok) throw new Error(`The event was answered with ${answer.status}.`);
  return answer.json();
}

/**
 * Whether the token is refused. A browser hides the status with which a WebSocket was refused, so a
 * plain request has to tell a wrong token from a server that is away.
 */
export async function isTokenRefused({ http }, token) {
  const address = new URL(`${http.href.replace(/\/$/, '')}/v1/events?limit=1`);
  try {
    const answer = await fetch(address, { headers: { authorization: `Bearer ${token}` }, cache: 'no-store' });
    return answer.status === 401 || answer.status === 403;
  } catch {
    return false;
  }
}
