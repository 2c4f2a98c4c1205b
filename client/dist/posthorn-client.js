// Made from client/src by `npm run build`. Apache-2.0.

// src/error.ts
var PosthornError = class extends Error {
  name = "PosthornError";
  /** The HTTP status, where there was an answer. */
  status;
  /** The server's code, as `bad_filter`; `superseded` for a subscription that a later one replaced. */
  code;
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
};
async function refusal(response) {
  const body = await response.json().catch(() => null);
  const { code = "http", message = `HTTP ${response.status}` } = body?.error ?? {};
  return new PosthornError(code, message, response.status);
}

// src/queue.ts
var Queue = class {
  #limit;
  #onFull;
  #onRoom;
  #batches = [];
  #size = 0;
  #isFull = false;
  /** Wakes those who wait in `next`. */
  #wakes = [];
  #isEnded = false;
  #error = null;
  /** Where the loop is: the position after the last batch that it took. */
  cursor;
  /**
   * `onFull` is told with each batch while more than `limit` events wait, and has to stop them from coming:
   * they may have been let in again for another reason. `onRoom` is told when half of them are gone.
   */
  constructor(cursor, limit, onFull, onRoom) {
    this.cursor = cursor;
    this.#limit = limit;
    this.#onFull = onFull;
    this.#onRoom = onRoom;
  }
  /** Adds what came, possibly nothing, and the position after it. */
  put(events, cursor) {
    if (this.#isEnded) return;
    this.#noLaterThan(cursor);
    const last = this.#batches.at(-1);
    if (events.length) {
      this.#batches.push({ events, cursor });
      this.#size += events.length;
      this.#wake();
      if (this.#size <= this.#limit) return;
      this.#isFull = true;
      this.#onFull();
    } else if (last) last.cursor = cursor;
    else this.cursor = cursor;
  }
  clear() {
    this.#batches = [];
    this.#size = 0;
    this.cursor = null;
    this.#makeRoom();
  }
  /** No more events come; what waits can still be taken. */
  end(error = null) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    this.#wake();
  }
  /** The next batch, as soon as there is one; none at the end. */
  async next() {
    for (; ; ) {
      const batch = this.#batches.shift();
      if (batch) {
        this.#size -= batch.events.length;
        this.cursor = batch.cursor;
        this.#makeRoom();
        return batch.events;
      }
      if (this.#error) throw this.#error;
      if (this.#isEnded) return;
      await new Promise((wake) => this.#wakes.push(wake));
    }
  }
  #wake() {
    for (const wake of this.#wakes.splice(0)) wake();
  }
  /** A gap takes the position back, also for what waits. */
  #noLaterThan(cursor) {
    const { cursor: newest } = this.#batches.at(-1) ?? this;
    if (!cursor || !newest || cursor >= newest) return;
    for (const place of [this, ...this.#batches]) {
      if (place.cursor && place.cursor > cursor) place.cursor = cursor;
    }
  }
  #makeRoom() {
    if (!this.#isFull || this.#size * 2 > this.#limit) return;
    this.#isFull = false;
    this.#onRoom();
  }
};

// src/surroundings.ts
function surroundings(given = {}) {
  const { WebSocket, document } = globalThis;
  return {
    WebSocket,
    // Called as methods of another object, a browser's own functions throw.
    fetch: (url, init) => fetch(url, init),
    setTimeout: (then, after_ms) => setTimeout(then, after_ms),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => Date.now(),
    random: Math.random,
    document,
    window: document && globalThis,
    ...given
  };
}
function tell(callback, ...what) {
  try {
    callback?.(...what);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
var Timers = class {
  #here;
  #timers = /* @__PURE__ */ new Map();
  constructor(here) {
    this.#here = here;
  }
  after(name, after_ms, then) {
    this.cancel(name);
    this.#timers.set(
      name,
      this.#here.setTimeout(() => {
        this.#timers.delete(name);
        then();
      }, after_ms)
    );
  }
  has(name) {
    return this.#timers.has(name);
  }
  /** Without a name, all of them. */
  cancel(...names) {
    for (const name of names.length ? names : this.#timers.keys()) {
      this.#here.clearTimeout(this.#timers.get(name));
      this.#timers.delete(name);
    }
  }
};

// src/feed.ts
var IDS = 1e4;
var Feed = class {
  /** Everything up to here was received. Null until the server told a position. */
  cursor;
  /** How many events to begin with where there is no cursor. */
  last;
  /** For `for await`; none where there is a callback. */
  queue;
  #onEvents;
  /** The cursors of the first replay while it runs, if it asked for the newest events. */
  #first;
  /** A later replay reads further back than what it follows, and finds what was not asked for: from before here. */
  #beginning = "";
  /** What was missed is not kept in full. The replay that says so may be cut off, and those after it know nothing of it. */
  #isLossy = false;
  #young = /* @__PURE__ */ new Set();
  #old = /* @__PURE__ */ new Set();
  constructor(cursor, last, onEvents, queue) {
    this.cursor = cursor;
    this.last = last;
    this.#first = cursor ? null : [];
    this.queue = queue;
    this.#onEvents = onEvents;
  }
  /** Moves on, never back. Cursors are ASCII, so comparing UTF-16 units compares bytes. */
  advance(cursor) {
    if (typeof cursor === "string" && cursor > (this.cursor ?? "")) this.move(cursor);
  }
  /** Moves, back as well. */
  move(cursor) {
    if (typeof cursor === "string") this.cursor = cursor;
  }
  /** Hands on those that were not seen before. Comes after the move: the position belongs to the events. */
  take({ events, replay, recovered } = {}) {
    if (recovered === false) this.#isLossy = true;
    const all = Array.isArray(events) ? events : [];
    const fresh = all.filter((event) => {
      if (typeof event?.id !== "string") return false;
      if (replay) this.#first?.push(event.cursor);
      return !(replay && event.cursor < this.#beginning) && this.#isNew(event.id);
    });
    if (this.queue) this.queue.put(fresh, this.cursor);
    else if (fresh.length) tell(this.#onEvents, fresh);
  }
  /** A replay is over. Answers whether some of what it should have had is not kept any more. */
  replayed() {
    const first = this.#first?.sort();
    if (first && first.length >= this.last) [this.#beginning = ""] = first;
    this.#first = null;
    const isLossy = this.#isLossy;
    this.#isLossy = false;
    return isLossy;
  }
  /** Begins anew with the newest events, so many. */
  reset(last) {
    this.cursor = null;
    this.last = last;
    this.#first = [];
    this.#beginning = "";
    this.#isLossy = false;
    this.#young = /* @__PURE__ */ new Set();
    this.#old = /* @__PURE__ */ new Set();
    this.queue?.clear();
  }
  /** Remembers the newest 10,000 ids at least, and 20,000 at most. */
  #isNew(id) {
    if (this.#young.has(id)) return false;
    const isNew = !this.#old.has(id);
    if (this.#young.size >= IDS) {
      this.#old = this.#young;
      this.#young = /* @__PURE__ */ new Set();
    }
    this.#young.add(id);
    return isNew;
  }
};

// src/link.ts
function address(base, parameters) {
  const url = new URL(base);
  for (const [name, value] of Object.entries(parameters)) {
    if (value) url.searchParams.set(name, value);
  }
  return url.href;
}

// src/http.ts
var OPEN_WITHIN_MS = 15e3;
var SILENCE_MS = 4e4;
var SETTLED_MS = 2e3;
var HAND_OVER_MS = 5e3;
var WAIT_S = 20;
var POLL_WITHIN_MS = (WAIT_S + 20) * 1e3;
var TICKET_MS = 4e4;
var POLL_EVERY_MS = 1e3;
var PAGE = 1e3;
var HttpLink = class {
  host;
  timers;
  #abort = new AbortController();
  #sent = null;
  constructor(host, ticket) {
    this.host = host;
    this.timers = new Timers(host.here);
    this.timers.after("open", OPEN_WITHIN_MS, () => host.lost(this));
    this.#start(this.#abort.signal, ticket);
  }
  close() {
    this.timers.cancel();
    this.#abort.abort();
  }
  wake(isOther) {
    if (isOther) this.host.again(this);
  }
  wished() {
    this.host.again(this);
  }
  /** A request is made with the wish if there is one, and its answer says whether it is granted. */
  async request(signal, base, ticket, more) {
    const { host } = this;
    const wish = this.#sent = host.wish;
    const after = wish?.last === void 0 ? host.feed.cursor : null;
    const url = address(base, { ticket: ticket.ticket, filter: (wish ?? host).filter, after, ...more });
    const answer = await host.here.fetch(url, { signal });
    if (!answer.ok) throw await refusal(answer);
    if (wish && !signal.aborted) host.granted(wish, wish.filter);
    this.#sent = null;
    return answer;
  }
  /** It brought something. */
  came(within_ms) {
    this.timers.cancel("open");
    this.timers.after("silence", within_ms, () => this.host.lost(this));
  }
  async #start(signal, ticket) {
    const { host } = this;
    try {
      await null;
      await this.run(signal, ticket);
      if (!signal.aborted) host.lost(this);
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
  }
  #failed(error) {
    const { host } = this;
    const { code } = error;
    const isRefused = code === "forbidden";
    if (code === "bad_cursor" && host.feed.cursor) host.startOver();
    else if (this.#sent && (isRefused || code === "bad_filter")) host.denied(this.#sent, error);
    else if (isRefused) return host.refused(error);
    else return host.lost(this, error);
    host.again(this);
  }
};
var StreamLink = class extends HttpLink {
  async run(signal, ticket) {
    const { host } = this;
    const { wish, data, feed, here } = host;
    const began = here.now();
    const answer = await this.request(signal, ticket.stream_url, ticket, {
      data: wish?.data ?? data ? "true" : null,
      last: wish?.last ?? (feed.cursor ? null : feed.last)
    });
    host.replaying(this);
    const onBytes = () => {
      if (!signal.aborted) this.came(SILENCE_MS);
    };
    for await (const { event, data: data2, id } of messages(answer.body, onBytes)) {
      if (signal.aborted) return;
      host.proved(this);
      if (here.now() - began > SETTLED_MS) host.settled();
      const message = JSON.parse(data2);
      feed.move(id || message.cursor);
      feed.take(message);
      if (message.type === "error") throw new PosthornError(message.code, message.message);
      if (message.type === "live") host.live();
      if (event === "reconnect") return here.now() - began < HAND_OVER_MS ? void 0 : host.again(this);
    }
  }
};
async function* messages(body, onBytes) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let message = {};
  for (; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        const { event, data, id } = message;
        message = {};
        if (data) yield { event, data, id };
        continue;
      }
      const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
      message[field] = field === "data" && message.data ? `${message.data}
${text}` : text;
    }
  }
}
var PollLink = class extends HttpLink {
  async run(signal, first) {
    const { host } = this;
    const { now } = host.here;
    let ticket = first;
    let until = now() + TICKET_MS;
    for (let isLive = false; ; ) {
      if (now() > until) {
        ticket = await host.ticket(signal);
        until = now() + TICKET_MS;
      }
      const asked = now();
      const answer = await this.request(signal, ticket.poll_url, ticket, { wait: isLive ? WAIT_S : "0", limit: PAGE });
      const page = await answer.json();
      if (signal.aborted) return;
      this.came(POLL_WITHIN_MS);
      if (!isLive) host.replaying(this);
      host.proved(this);
      host.feed.move(page.next);
      host.feed.take({ ...page, replay: true });
      if (page.more) continue;
      host.settled();
      if (!signal.aborted) host.live();
      if (isLive && !page.events.length && now() - asked < POLL_EVERY_MS) {
        await new Promise((done) => this.timers.after("sleep", POLL_EVERY_MS, done));
      }
      isLive = true;
    }
  }
};

// src/socket.ts
var OPEN_WITHIN_MS2 = 15e3;
var PING_EVERY_MS = 6e4;
var PONG_WITHIN_MS = 1e4;
var PONG_AFTER_WAKING_MS = 4e3;
var SILENCE_MS2 = 3e4;
var LOOKS_AFTER_MS = [2e3, 12e3];
var BETWEEN_LOOKS_MS = 1e4;
var LONGEST_URL = 4e3;
var PATIENCE_MS = 1e3;
var DENIALS = /^(bad_filter|forbidden|bad_request)$/;
function earlier(a, b) {
  return a && a < b ? a : b;
}
var SocketLink = class {
  #host;
  #timers;
  #socket = null;
  #isOpen = false;
  #isResuming = false;
  /** Reported while a resume was running; filled after it. */
  #gap = null;
  /** When the further looks are due. While there are any, live events do not move the cursor. */
  #looks = [];
  /** What is in force stands not in the address, or not all of it, and this server has not heard it yet. */
  #isUntold;
  /** The subscription that waits for its answer. */
  #sent = null;
  /** Live events may still be those of another filter. The next look brings what is left out. */
  #isMuted = false;
  constructor(host, ticket) {
    this.#host = host;
    this.#timers = new Timers(host.here);
    this.#isUntold = host.data;
    try {
      let url = address(ticket.url, { filter: host.filter });
      if (url.length > LONGEST_URL) {
        url = ticket.url;
        this.#isUntold = true;
      }
      const socket = new host.here.WebSocket(url);
      this.#socket = socket;
      socket.onopen = () => this.#opened();
      socket.onmessage = (message) => this.#received(message.data);
      socket.onclose = () => this.#lost();
      this.#timers.after("open", OPEN_WITHIN_MS2, () => this.#lost());
    } catch (error) {
      this.#timers.after("open", 0, () => this.#lost(error));
    }
  }
  close() {
    this.#timers.cancel();
    const socket = this.#socket;
    this.#socket = null;
    this.#goBack();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {
    };
    socket.close();
  }
  wake() {
    if (this.#isOpen) this.#ping(PONG_AFTER_WAKING_MS);
  }
  wished() {
    if (!this.#isOpen || this.#sent) return;
    if (!this.#isResuming) return this.#subscribe();
    this.#timers.after("patience", PATIENCE_MS, () => this.#host.again(this));
  }
  #opened() {
    this.#timers.cancel("open");
    this.#isOpen = true;
    this.#timers.after("ping", PING_EVERY_MS, () => this.#ping());
    this.#tellOrBegin();
  }
  #tellOrBegin() {
    if (this.#host.wish || this.#isUntold) this.#subscribe();
    else this.#begin();
  }
  #begin() {
    this.#host.replaying(this);
    this.#resume();
    this.#planLooks();
  }
  #subscribe() {
    const { wish, filter, data } = this.#host;
    this.#sent = wish ?? { filter, data, last: void 0 };
    this.#isMuted = true;
    this.#timers.cancel("look", "patience");
    this.#send({ action: "subscribe", filter: this.#sent.filter, data: this.#sent.data });
    this.#timers.after("subscribe", SILENCE_MS2, () => this.#lost());
  }
  #received(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof message?.type !== "string") return;
    this.#host.proved(this);
    switch (message.type) {
      case "events":
        return this.#events(message);
      case "continue":
        return this.#continue(message.cursor);
      case "live":
        return this.#live(message);
      case "subscribed":
        return this.#subscribed(message.filter);
      case "pong":
        return this.#timers.cancel("pong");
      case "gap":
        this.#timers.cancel("pong");
        return this.#fill(message.cursor);
      case "error":
        return this.#failed(message.code, message.message);
    }
  }
  #events(message) {
    const { replay, cursor } = message;
    const { feed } = this.#host;
    const isMuted = this.#isMuted;
    this.#look();
    if (replay) {
      feed.advance(cursor);
      this.#expectReplay();
    } else {
      if (isMuted) return;
      if (!this.#isResuming && this.#looks.length === 0) feed.advance(cursor);
    }
    feed.take(message);
  }
  #continue(cursor) {
    if (this.#host.wish) {
      this.#isResuming = false;
      return this.#subscribe();
    }
    this.#resume(cursor);
  }
  #live(message) {
    this.#isResuming = false;
    this.#timers.cancel("replay");
    this.#host.feed.move(message.cursor);
    this.#host.feed.take(message);
    this.#host.live();
    if (!this.#socket) return;
    const gap = this.#gap;
    this.#gap = null;
    if (gap) this.#fill(gap);
    else if (this.#host.wish && !this.#sent) this.#subscribe();
    else this.#look();
  }
  #fill(cursor) {
    if (this.#isResuming || this.#sent) {
      this.#gap = earlier(this.#gap, cursor);
      return;
    }
    this.#host.feed.move(cursor);
    this.#host.feed.take();
    this.#begin();
  }
  #subscribed(filter) {
    const sent = this.#sent;
    if (!sent) return;
    this.#isUntold = false;
    this.#answered(() => this.#host.granted(sent, filter));
  }
  #answered(tell2) {
    this.#sent = null;
    this.#timers.cancel("subscribe");
    tell2();
    if (!this.#socket) return;
    this.#goBack();
    this.#tellOrBegin();
  }
  /** To where a gap began that is still to be filled. Where everything begins anew there is none. */
  #goBack() {
    const { feed } = this.#host;
    if (this.#gap && feed.cursor) {
      feed.move(earlier(feed.cursor, this.#gap));
      feed.take();
    }
    this.#gap = null;
  }
  #failed(code, message) {
    const sent = this.#sent;
    if (sent && this.#host.wish && DENIALS.test(code)) {
      this.#answered(() => this.#host.denied(sent, new PosthornError(code, message)));
    } else if (code === "bad_cursor" && this.#host.feed.cursor) {
      this.#gap = null;
      this.#host.startOver();
      if (this.#socket) this.#begin();
    } else if (sent || this.#isResuming) this.#lost(new PosthornError(code, message));
  }
  #planLooks() {
    const now = this.#host.here.now();
    this.#looks = LOOKS_AFTER_MS.map((after_ms) => now + after_ms);
    this.#awaitLook();
  }
  #awaitLook() {
    const [due] = this.#looks;
    if (!due) return;
    this.#timers.after("look", Math.min(due - this.#host.here.now(), BETWEEN_LOOKS_MS), () => {
      this.#looks[0] = 0;
      this.#look();
    });
  }
  /** A further resume if it is time for one. Nobody needs to see it, so the state stays `live`. */
  #look() {
    const now = this.#host.here.now();
    const later = this.#looks.filter((due) => due > now);
    if (later.length === this.#looks.length) return;
    this.#host.settled();
    if (this.#isResuming || this.#sent) return;
    this.#looks = later;
    this.#isMuted = false;
    this.#resume();
    this.#awaitLook();
  }
  #resume(cursor = this.#host.feed.cursor) {
    this.#isResuming = true;
    this.#send({ action: "resume", ...cursor ? { cursor } : { last: this.#host.feed.last } });
    this.#expectReplay();
  }
  #expectReplay() {
    if (this.#isResuming) this.#timers.after("replay", SILENCE_MS2, () => this.#lost());
  }
  #ping(within_ms = PONG_WITHIN_MS) {
    this.#send({ action: "ping" });
    this.#timers.after("ping", PING_EVERY_MS, () => this.#ping());
    if (!this.#timers.has("pong")) this.#timers.after("pong", within_ms, () => this.#lost());
  }
  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }
  #lost(error) {
    this.#host.lost(this, error);
  }
};

// src/client.ts
var FIRST_WAIT_MS = 250;
var LONGEST_WAIT_MS = 15e3;
var TICKET_WITHIN_MS = 15e3;
var FAILURES = 2;
var PROBE_AFTER_MS = 5 * 6e4;
var PAUSE_HIDDEN_MS = 5 * 6e4;
var TICK_MS = 1e4;
var SLEPT_MS = 8e4;
var LINKS = { websocket: SocketLink, sse: StreamLink, poll: PollLink };
var closed = () => new PosthornError("stopped", "closed");
var Client = class {
  #options;
  here;
  #timers;
  feed;
  #transports;
  #state;
  filter = "";
  data = false;
  /** Asked for and not in force. The one that the options began with has nobody who waits for it. */
  wish = null;
  #link = null;
  /** A WebSocket that is tried while a fallback runs. */
  #probe = null;
  /** Ends a wait for a ticket. */
  #abort = null;
  #transport;
  #failures = 0;
  #attempt = 0;
  #tickedAt = 0;
  constructor(options) {
    this.#options = options;
    this.here = surroundings(options.surroundings);
    this.#timers = new Timers(this.here);
    this.#transports = options.transports ?? ["websocket", "sse", "poll"];
    this.#transport = this.#transports[0];
    this.#state = { name: "connecting", transport: this.#transport };
    const cursor = options.cursor ?? null;
    const queue = options.onEvents ? null : new Queue(cursor, options.buffer ?? 1e4, () => this.#pause("full"), () => this.#hasRoom());
    this.feed = new Feed(cursor, options.last ?? 100, options.onEvents, queue);
    const { filter = "", data = false } = options;
    if (filter || data) this.wish = { filter, data, last: void 0 };
    queueMicrotask(() => this.#begin());
  }
  get state() {
    return this.#state;
  }
  get cursor() {
    return (this.feed.queue ?? this.feed).cursor;
  }
  subscribe({ filter = "", data = false, last } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#state.name === "stopped") return reject(closed());
      this.wish?.reject?.(new PosthornError("superseded", "superseded"));
      this.wish = { filter, data, last, resolve, reject };
      this.#link?.wished();
    });
  }
  pause() {
    this.#pause("asked");
  }
  start() {
    if (!/^(paused|waiting|refused)/.test(this.#state.name)) return;
    this.#attempt = 0;
    this.#connect();
  }
  close() {
    if (this.#state.name === "stopped") return;
    this.#release();
    this.#timers.cancel();
    this.#listen("removeEventListener");
    this.enter("stopped");
    this.wish?.reject?.(closed());
    this.wish = null;
    this.feed.queue?.end();
  }
  async *[Symbol.asyncIterator]() {
    const { queue } = this.feed;
    if (!queue) throw new TypeError("onEvents takes them");
    try {
      for (let events; events = await queue.next(); ) yield events;
    } finally {
      this.close();
    }
  }
  #begin() {
    const { signal } = this.#options;
    if (this.#state.name === "stopped") return;
    if (signal?.aborted) return this.close();
    signal?.addEventListener("abort", () => this.close());
    this.#listen("addEventListener");
    this.#visibilityChanged();
    this.#tickedAt = this.here.now();
    this.#tick();
    if (this.#state.name === "connecting") this.#connect();
  }
  async #connect(state = "connecting") {
    this.#release();
    this.enter(state);
    const abort = this.#abort = new AbortController();
    this.#timers.after("ticket", TICKET_WITHIN_MS, () => this.#wait());
    let ticket;
    try {
      ticket = await this.ticket(abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) this.#noTicket(error);
      return;
    }
    if (abort.signal.aborted) return;
    this.#timers.cancel("ticket");
    this.#open(ticket);
  }
  #open(ticket) {
    const usable = this.#usable(ticket);
    const { length } = usable;
    if (length === 0) return this.#wait(new PosthornError("no_transport", "no transport"));
    let index = Math.max(0, usable.indexOf(this.#transport));
    if (this.#failures >= FAILURES) {
      index += 1;
      this.#failures = 0;
    }
    this.#failures += 1;
    this.#transport = usable[index % length];
    if (this.#state.name === "connecting") this.enter("connecting");
    this.#link = new LINKS[this.#transport](this, ticket);
  }
  #usable({ url, stream_url, poll_url }) {
    const addresses = { websocket: this.here.WebSocket && url, sse: stream_url, poll: poll_url };
    return this.#transports.filter((transport) => addresses[transport]);
  }
  async ticket(signal) {
    const answer = await this.#options.ticket({ signal });
    if (!answer.json) return answer;
    if (!answer.ok) throw await refusal(answer);
    return await answer.json();
  }
  #noTicket(error) {
    const { status, code = "unauthorized", message } = error;
    if (status !== 401 && status !== 403) return this.#wait(error);
    this.refused(new PosthornError(code, message, status));
  }
  proved(link) {
    this.#failures = 0;
    if (link === this.#probe) {
      this.#probe = null;
      this.#link?.close();
      this.#link = link;
      this.#transport = "websocket";
      this.#timers.cancel("probe");
      this.enter("replaying");
    }
    if (this.#transport === "websocket" || this.#timers.has("probe") || this.#probe) return;
    this.#timers.after("probe", PROBE_AFTER_MS * (1 + this.here.random()), () => this.#tryWebSocket());
  }
  async #tryWebSocket() {
    const { signal } = this.#abort = new AbortController();
    try {
      const ticket = await this.ticket(signal);
      if (!signal.aborted && this.#usable(ticket).includes("websocket")) this.#probe = new SocketLink(this, ticket);
    } catch {
    }
  }
  again(link) {
    if (link === this.#link) this.#connect(this.#state.name === "live" ? "live" : "connecting");
  }
  lost(link, error) {
    if (link === this.#link) return this.#wait(error);
    link.close();
    this.#probe = null;
  }
  #wait(error) {
    this.#release();
    const delay_ms = this.here.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    this.#timers.after("wait", delay_ms, () => this.#connect());
    this.enter("waiting", { until: this.here.now() + delay_ms, error });
  }
  refused(error) {
    this.#release();
    this.enter("refused", { error });
    this.feed.queue?.end(error);
  }
  #pause(why) {
    if (/^(stopped|refused)/.test(this.#state.name) || this.#isPaused("asked")) return;
    this.#release();
    this.enter("paused", { why });
  }
  /** Only a pause has a reason. */
  #isPaused(why) {
    return this.#state.why === why;
  }
  #hasRoom() {
    if (this.#isPaused("full")) this.start();
  }
  granted(wish, filter) {
    this.filter = filter;
    this.data = wish.data;
    if (wish.last !== void 0) this.#reset("filter", wish.last);
    if (wish !== this.wish) return;
    this.wish.resolve?.(filter);
    this.wish = null;
  }
  denied(wish, error) {
    if (wish !== this.wish) return;
    if (!this.wish.reject) return this.refused(error);
    this.wish.reject(error);
    this.wish = null;
  }
  startOver() {
    this.#reset("bad_cursor", this.feed.last);
  }
  settled() {
    this.#attempt = 0;
  }
  replaying(link) {
    if (link === this.#link) this.enter("replaying");
  }
  live() {
    const isLossy = this.feed.replayed();
    this.enter("live");
    if (isLossy) tell(this.#options.onLost);
  }
  #reset(why, last) {
    this.feed.reset(last);
    tell(this.#options.onReset, why);
  }
  /** Forgets the connection and what was planned for it. The position stays. */
  #release() {
    this.#timers.cancel("ticket", "wait", "probe");
    this.#abort?.abort();
    this.#abort = null;
    for (const link of [this.#link, this.#probe]) link?.close();
    this.#link = this.#probe = null;
  }
  enter(name, more) {
    const before = this.#state;
    if (before.name === name && before.transport === this.#transport && !more) return;
    this.#state = { name, transport: this.#transport, ...more };
    tell(this.#options.onState, this.#state);
  }
  /** `isOther`: the network may be another one, or its connections may be dead without a word. */
  #wake(isOther) {
    this.#tickedAt = this.here.now();
    if (this.#state.name === "waiting") this.start();
    else this.#link?.wake(isOther);
  }
  #tick() {
    const now = this.here.now();
    const hasSlept = now - this.#tickedAt > TICK_MS + SLEPT_MS;
    if (hasSlept) this.#wake(true);
    this.#tickedAt = now;
    this.#timers.after("tick", TICK_MS, () => this.#tick());
  }
  #visibilityChanged = () => {
    const { document } = this.here;
    const grace_ms = this.#options.pauseHidden ?? PAUSE_HIDDEN_MS;
    if (document?.hidden) {
      if (grace_ms !== false) this.#timers.after("hidden", grace_ms, () => this.#pause("hidden"));
      return;
    }
    this.#timers.cancel("hidden");
    if (this.#isPaused("hidden")) this.start();
    else if (document) this.#wake(false);
  };
  /** The network changed, a frozen page goes on, or one comes back from the history. */
  #cameBack = ({ persisted }) => {
    if (persisted !== false) this.#wake(true);
  };
  #listen(how) {
    const { document, window } = this.here;
    document?.[how]("visibilitychange", this.#visibilityChanged);
    document?.[how]("resume", this.#cameBack);
    window?.[how]("pageshow", this.#cameBack);
    window?.[how]("online", this.#cameBack);
  }
};
function connect(options) {
  return new Client(options);
}
export {
  PosthornError,
  connect
};
