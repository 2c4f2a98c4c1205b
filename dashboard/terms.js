// The kinds in a filter's text. The server reads the whole language (docs/API.md, "Filters"); the page
// only finds the first term `type:…`, which the chips write.

// A term ends at white space that is not in quotes. A quote without an end reaches to the end.
const TERM = /(?:"(?:\\[^]|[^"\\])*"?|[^\s"])+/g;
const VALUE = /(?:"(?:\\[^]|[^"\\])*"?|[^,"])+/g;

/** `type:…` as it stands in the text: its place and its values, or null. */
function typeTerm(text) {
  for (const { 0: term, index } of text.matchAll(TERM)) {
    const [, list] = /^type:(.*)$/is.exec(term) ?? [];
    if (list === undefined) continue;
    const values = (list.match(VALUE) ?? []).map((written) => ({ written, kind: kindOf(written).toLowerCase() }));
    return { start: index, end: index + term.length, values };
  }
  return null;
}

/** What a value says, without its quotes. */
function kindOf(written) {
  const [, quoted] = /^"(.*)"$/s.exec(written) ?? [];
  return quoted?.replace(/\\([^])/g, '$1') ?? written;
}

function quoted(kind) {
  return /^\w[\w.-]*$/.test(kind) ? kind : `"${kind.replace(/[\\"]/g, '\\$&')}"`;
}

/** The kinds that the text asks for, in lower case. */
export function kindsIn(text) {
  return new Set(typeTerm(text)?.values.map(({ kind }) => kind));
}

/** The text with a kind added to those that it asks for, or taken out. */
export function withKind(text, kind) {
  const wanted = kind.toLowerCase();
  const term = typeTerm(text) ?? { start: text.length, end: text.length, values: [] };
  const others = term.values.filter((value) => value.kind !== wanted).map(({ written }) => written);
  const values = others.length < term.values.length ? others : [...others, quoted(wanted)];
  const parts = [text.slice(0, term.start), values.length > 0 ? `type:${values.join(',')}` : '', text.slice(term.end)];
  return parts
    .map((part) => part.trim())
    .filter(Boolean)
    .join(' ');
}

/**
 * The place that a refusal names, in characters of the text: `at 7` counts bytes of its UTF-8. Null when
 * it names none.
 */
export function placeOf(message, text) {
  const [, at] = /\bat (\d+)\b/.exec(message) ?? [];
  if (at === undefined) return null;
  const before = new TextEncoder().encode(text).subarray(0, Number(at));
  return new TextDecoder().decode(before).length;
}
