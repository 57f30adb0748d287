// State data as AWS has it: numbers keep their text, and intrinsic functions give what AWS gives. The interpreter's own
// functions drop backslashes, split their arguments at parentheses inside of strings, and know no objects in States.Format.

import { createHash, randomInt, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

// A number that JavaScript would write in another way, such as 0.0, is kept as a string that begins with this.
const NUMBER = `\u0000${randomUUID()} `;
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[-+.\deE]*/g;
const KEPT = new RegExp(JSON.stringify(NUMBER).slice(0, -1).replace('\\', '\\\\') + '([^"]*)"', 'g');

const isKept = value => typeof value === 'string' && value.startsWith(NUMBER);

const keep = token =>
  token[0] === '"' || token === '-0' || String(Number(token)) === token ? token : JSON.stringify(NUMBER + token);

// parse and stringify are JSON's, with the text of numbers kept.
export const parse = text => JSON.parse(text.replace(TOKENS, keep));
export const stringify = value => JSON.stringify(value)?.replace(KEPT, '$1');

// plain returns what the interpreter can compare and count with.
export const plain = value => (isKept(value) ? Number(value.slice(NUMBER.length)) : value);

// compile reads a call such as States.Format('{} at {}', $.symbol, 1) into a function of a function that looks up paths. It
// throws a text for people where the call is none or does what AWS doesn't take.
export function compile(call) {
  let at = 0;
  const next = pattern => {
    const [found] = new RegExp(`\\s*(?:${pattern})\\s*`, 'y').exec(call.slice(at)) ?? [];
    if (found !== undefined) at += found.length;
    return found?.trim();
  };
  const refuse = what => {
    throw new Error(`${call}: ${what}`);
  };

  function term() {
    let found;
    if ((found = next(String.raw`'(?:[^'\\]|\\[^])*'`))) return literal(found.slice(1, -1));
    if ((found = next(String.raw`\$(?:\[(?:'(?:[^'\\]|\\.)*'|"[^"]*"|[^\]'"])*\]|[^\s,()[\]])*`))) {
      const path = found;
      return lookUp => lookUp(path);
    }
    if ((found = next(String.raw`States\.\w+\s*\(`))) return application(found.slice('States.'.length, -1).trim());
    if ((found = next(String.raw`-?\d[-+.\deE]*|true|false|null`))) {
      const value = parse(found);
      return () => value;
    }
    return refuse(`an argument is expected at character ${at + 1}`);
  }

  function literal(text) {
    const illegal = /\\[^'{}\\]/.exec(text.replaceAll('\\\\', ''));
    if (illegal) refuse(`the escape ${illegal[0]} is illegal in a string; \\', \\{, \\} and \\\\ are not`);
    const value = text.replace(/\\([^])/g, '$1');
    return Object.assign(() => value, { text });
  }

  function application(name) {
    const [kinds, apply] = FUNCTIONS[name] ?? refuse(`there is no function States.${name}`);
    const args = [];
    while (!next('\\)')) {
      if (args.length > 0 && !next(',')) refuse(`a comma or ) is expected at character ${at + 1}`);
      args.push(term());
    }
    const letters = kinds.replace(/[?*]/, '');
    if (args.length < kinds.replace(/.[?*]/, '').length || (!kinds.endsWith('*') && args.length > letters.length)) {
      refuse(`${args.length} arguments are too many or too few for States.${name}`);
    }
    if (name === 'Format') return format(args);
    return lookUp => {
      const values = args.map((arg, i) => {
        const kind = letters[i] ?? letters.at(-1);
        const value = arg(lookUp);
        if (kind === 'x') return value;
        if (!KINDS[kind](plain(value))) {
          throw new Error(`Invalid arguments in States.${name}: argument ${i + 1} is ${stringify(value)}`);
        }
        return kind === 'n' ? Math.round(plain(value)) : plain(value); // AWS counts in whole numbers
      });
      return apply(...values);
    };
  }

  // format is States.Format, whose braces may be escaped in a template that stands in the definition.
  function format([template, ...args]) {
    const fixed = template.text !== undefined;
    if (fixed && /[{}]/.test(template.text.replace(/\\[^]|\{\}/g, ''))) refuse('a brace of the template is neither {} nor escaped');
    return lookUp => {
      const values = args.map(arg => write(arg(lookUp)));
      const text = fixed ? template.text : template(lookUp);
      if (typeof text !== 'string' || isKept(text)) {
        throw new Error(`Invalid arguments in States.Format: the template is ${stringify(text)}`);
      }
      let used = 0;
      const fill = (found, escaped) => (found === '{}' ? values[used++] : escaped);
      const result = text.replace(fixed ? /\{\}|\\([^])/g : /\{\}/g, fill);
      if (used !== values.length) throw new Error('the number of arguments is not the number of {} in States.Format');
      return result;
    };
  }

  const result = term();
  if (at < call.length) refuse(`nothing is expected after character ${at}`);
  return result;
}

// write writes a value into a text as AWS does: objects and lists as Java writes them.
function write(value) {
  if (isKept(value)) return value.slice(NUMBER.length);
  if (Array.isArray(value)) return `[${value.map(write).join(', ')}]`;
  if (value === null || typeof value !== 'object') return String(value);
  return `{${Object.entries(value).map(([key, item]) => `${key}=${write(item)}`).join(', ')}}`;
}

const short = text => {
  if (text.length > 10000) throw new Error('a text of more than 10,000 characters');
  return text;
};

const KINDS = {
  a: Array.isArray,
  b: value => typeof value === 'boolean',
  n: value => typeof value === 'number',
  o: value => value !== null && typeof value === 'object' && !Array.isArray(value),
  s: value => typeof value === 'string',
};

// FUNCTIONS are the functions by name, each with the kinds of its arguments (x takes anything): the last may come once or not
// at all (?) or any number of times (*).
const FUNCTIONS = {
  Format: ['sx*'],
  StringToJson: ['s', text => {
    if (text.trim() === '') return null;
    JSON.parse(text); // what it throws is about this text
    return parse(text);
  }],
  JsonToString: ['x', stringify],
  Array: ['x*', (...items) => items],
  ArrayPartition: ['an', (items, size) => {
    if (size < 1) throw new Error('Invalid arguments in States.ArrayPartition: the size of a chunk is less than 1');
    return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
  }],
  ArrayContains: ['ax', (items, wanted) => items.some(item => isDeepStrictEqual(item, wanted))],
  ArrayRange: ['nnn', (first, last, step) => {
    const length = Math.max(0, Math.floor((last - first) / step) + 1);
    if (step === 0 || length > 1000) {
      throw new Error('Invalid arguments in States.ArrayRange: it has no step or more than 1000 items');
    }
    return Array.from({ length }, (_, i) => first + i * step);
  }],
  ArrayGetItem: ['an', (items, i) => items[i] ?? null],
  ArrayLength: ['a', items => items.length],
  ArrayUnique: ['a', items => items.filter((item, i) => items.findIndex(other => isDeepStrictEqual(item, other)) === i)],
  Base64Encode: ['s', text => Buffer.from(short(text)).toString('base64')],
  Base64Decode: ['s', text => {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new Error('Invalid arguments in States.Base64Decode: it is not Base64');
    return Buffer.from(short(text), 'base64').toString();
  }],
  Hash: ['ss', (text, algorithm) => {
    if (!/^(MD5|SHA-(1|256|384|512))$/.test(algorithm)) {
      throw new Error(`Invalid arguments in States.Hash: ${algorithm} is not one of its algorithms`);
    }
    return createHash(algorithm.replace('-', '')).update(short(text)).digest('hex');
  }],
  JsonMerge: ['oob', (one, other, deep) => {
    if (deep) throw new Error('Invalid arguments in States.JsonMerge: a deep merge is not supported');
    return { ...one, ...other };
  }],
  // The same seed gives the same number here, though another one than on AWS.
  MathRandom: ['nnn?', (from, to, seed) => {
    if (from >= to) throw new Error('Invalid arguments in States.MathRandom: the end is not after the start');
    if (seed === undefined) return randomInt(from, to);
    return from + (createHash('sha256').update(String(seed)).digest().readUInt32BE() % (to - from));
  }],
  MathAdd: ['nn', (one, other) => one + other],
  StringSplit: ['ss', (text, separators) => {
    let parts = [text];
    for (const separator of separators) parts = parts.flatMap(part => part.split(separator));
    return parts.filter(part => part !== '');
  }],
  UUID: ['', randomUUID],
};
