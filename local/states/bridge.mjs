// Runs the executions of one state machine with aws-local-stepfunctions, for the Go package beside this file.
//
// Commands come as JSON lines on stdin, reports go as JSON lines to stdout; state data travels inside them as JSON
// text. One process serves all executions. This process alone decides races: a task is settled once, by its result,
// an answer to its token, its timeout or the end of its execution, whichever is seen here first (see settle).

import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';

import { compile, parse, plain, stringify } from './data.mjs';

const MAX_DATA_BYTES = 262144;
const MAX_HISTORY_EVENTS = 25000;
const MAX_TIMER_MS = 2147483647;
const NO_TIMEOUT_SECONDS = 99999999; // what AWS gives a task without TimeoutSeconds

// Node 20 has no Promise.withResolvers, which the interpreter calls for each task.
Promise.withResolvers ??= () => {
  let resolve, reject;
  const promise = new Promise((...functions) => ([resolve, reject] = functions));
  return { promise, resolve, reject };
};

// Node fires a longer timer at once, so that one runs several times in a row.
const nodeSetTimeout = globalThis.setTimeout;
globalThis.setTimeout = (callback, ms, ...args) => {
  let laps = Math.max(1, Math.ceil(ms / MAX_TIMER_MS));
  const timer = nodeSetTimeout(() => (--laps > 0 ? timer.refresh() : callback(...args)), ms / laps);
  return timer;
};

// The interpreter retries and catches an error unless these say otherwise. A JavaScript error of its own, such as a
// TypeError, is States.Runtime on AWS, which is neither retried nor caught; its ASL errors have their own values.
for (const property of ['isRetryable', 'isCatchable']) {
  Object.defineProperty(Error.prototype, property, { value: false, writable: true, configurable: true });
}

class TaskError extends Error {
  constructor(name, cause, terminal = name === 'States.Runtime') {
    super();
    // AWS gives a catcher null for a name or a cause that was not sent.
    this.name = name || null;
    this.message = cause || null;
    this.isRetryable = this.isCatchable = !terminal;
  }
}

// EvaluationError is a failure to read what a state asks for.
class EvaluationError extends TaskError {
  constructor(cause) {
    super('States.Runtime', cause);
  }
}

const dataLimitExceeded = what =>
  new TaskError(
    'States.DataLimitExceeded',
    `The state/task '${what}' returned a result with a size exceeding the maximum number of bytes service limit.`,
    true, // settle lets a state catch that its task's result is too large
  );

const tooLarge = text => Buffer.byteLength(text) > MAX_DATA_BYTES;

const runs = new Map(); // open executions by id
const tasks = new Map(); // open tasks by id
let lastTask = 0;

let machine;
let StatesTimeoutError;
let timeouts; // seconds, by the name of each task state
let waiting; // the names of the states that wait for a token
let retryIntervals; // milliseconds, by the name of each task state; empty for what the definition says
let JSONPath; // the interpreter's library of paths

const calls = new Map(); // intrinsic functions, compiled, by their text
const running = new AsyncLocalStorage(); // the execution that the interpreter is at
const CONTEXT = Symbol('context object'); // marks what the interpreter takes for it

// send writes one report. What the pipe doesn't take at once, Node keeps for it in order.
function send(report) {
  process.stdout.write(JSON.stringify({ ...report, at: Date.now() }) + '\n');
}

// record sends a report that stands for a number of history events and ends a run with too many: a cycle of states
// without a task never returns to the event loop, so nothing else could stop it.
function record(run, report, events = 1) {
  run.events += events;
  if (run.events >= MAX_HISTORY_EVENTS) {
    end(run, 'FAILED', 'States.Runtime', `The execution reached the maximum number of history events (${MAX_HISTORY_EVENTS}).`);
  } else {
    send({ ...report, run: run.id });
  }
}

// interpreter loads the interpreter without what it brings along and is not used here: the AWS SDK, with which it would
// call functions itself, and the validator where nothing is validated. To load these is most of its start.
function interpreter(validate) {
  const require = createRequire(import.meta.url);
  const unused = ['@aws-sdk/client-lambda', '@aws-sdk/credential-providers', ...(validate ? [] : ['asl-validator'])];
  try {
    for (const filename of unused.map(name => require.resolve(name))) {
      require.cache[filename] = { id: filename, filename, loaded: true, exports: {} };
    }
    const paths = createRequire(require.resolve('aws-local-stepfunctions'))('jsonpath-plus');
    return { ...require('aws-local-stepfunctions'), paths };
  } catch (error) {
    throw new Error(error.code === 'MODULE_NOT_FOUND' ? `${error.message} (npm ci installs it)` : error.stack);
  }
}

// prepare returns a definition's states as this bridge evaluates them. It reads every intrinsic function, and throws a
// text for people if AWS would refuse one.
function prepare(definition) {
  const states = parse(definition).States ?? {};
  for (const state of Object.values(states)) {
    for (const field of ['Parameters', 'ResultSelector']) {
      if (field in state) state[field] = template(state[field]);
    }
    for (const field of ['ErrorPath', 'CausePath']) {
      if (field in state) state[field] = call(state[field]);
    }
  }
  return states;
}

async function load({ definition, validate, retryMs }) {
  const prepared = prepare(definition); // before the interpreter is loaded, which takes longer
  const { StateMachine, paths } = interpreter(validate);
  StatesTimeoutError = await timeoutErrorOf(StateMachine);
  machine = new StateMachine(JSON.parse(definition), { validationOptions: { noValidate: !validate } }); // throws a text for people

  const { States } = machine.definition;
  ({ JSONPath } = paths);
  paths.JSONPath = look;

  for (const [name, state] of Object.entries(States)) {
    for (const field of ['Result', 'Parameters', 'ResultSelector', 'ErrorPath', 'CausePath']) {
      if (field in state) state[field] = prepared[name][field];
    }
    if (state.Choices) state.Choices = state.Choices.map(rule);
  }
  const named = Object.entries(States).filter(([, state]) => state.Type === 'Task');
  timeouts = new Map(named.map(([name, state]) => [name, state.TimeoutSeconds ?? NO_TIMEOUT_SECONDS]));
  retryIntervals = Object.fromEntries(retryMs ? named.map(([name]) => [name, retryMs]) : []);
  waiting = new Set(named.filter(([, state]) => state.Resource.endsWith('.waitForTaskToken')).map(([name]) => name));

  // Timeouts are kept here and in Go: the interpreter doesn't tell that a task timed out, and gives one without
  // TimeoutSeconds a minute.
  delete machine.definition.TimeoutSeconds;
  for (const [, state] of named) state.TimeoutSeconds = NO_TIMEOUT_SECONDS;

  // It takes the "$" of a ResultPath for a field's name; without ResultPath the result replaces the input as well.
  for (const state of Object.values(States)) {
    for (const place of [state, ...(state.Catch ?? [])]) {
      if (place.ResultPath === '$') delete place.ResultPath;
    }
  }
}

// call makes a path of an intrinsic function, so that look meets it, and throws a text for people if AWS would refuse it.
function call(text) {
  if (typeof text !== 'string' || !text.startsWith('States.')) return text;
  calls.set(text, compile(text));
  return `$${text}`;
}

function template(value) {
  if (Array.isArray(value)) return value.map(template);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, key.endsWith('.$') ? call(item) : template(item)]),
  );
}

// rule makes a rule of a Choice one that the interpreter gets right: it never finds tests such as IsNull for false true,
// and look has to know which path may lead nowhere.
function rule({ ...from }) {
  for (const key of ['And', 'Or']) if (from[key]) from[key] = from[key].map(rule);
  if (from.Not) from.Not = rule(from.Not);
  if ('IsPresent' in from) from.Variable = `$?${from.Variable}`;
  const [test] = Object.keys(from).filter(key => key.startsWith('Is') && from[key] === false);
  if (!test) return from;
  const { Next, ...tested } = from;
  return { Not: { ...tested, [test]: true }, Next };
}

// look is what the interpreter looks a path up with.
function look({ path, json }) {
  const run = running.getStore();
  const found = lookUp(run, json?.[CONTEXT] ? `$${path}` : path, json);
  const { Type } = machine.definition.States[run.state];
  return Type === 'Choice' || Type === 'Wait' ? plain(found) : found;
}

function lookUp(run, path, json) {
  if (path.startsWith('$States.')) {
    const text = path.slice(1);
    try {
      return calls.get(text)(argument => {
        const found = find(run, argument, json);
        if (found !== undefined) return found;
        throw new Error(`The JsonPath argument for the field '${argument}' could not be found in the input '${stringify(json)}'`);
      });
    } catch (error) {
      throw new EvaluationError(`The function '${text}' had the following error: ${error.message}`);
    }
  }
  if (path.startsWith('$?')) return find(run, path.slice(2), json);
  const found = find(run, path, json);
  if (found === undefined) throw new EvaluationError(missing(run, path, json));
  return found;
}

// find returns what a path leads to: a list if it may lead to many things, and undefined if it leads nowhere.
function find(run, path, json) {
  if (path.startsWith('$$')) return find(run, path.slice(1), contextOf(run));
  if (path === '$') return json;
  const found = json !== null && typeof json === 'object' ? JSONPath({ path, json, wrap: false }) : undefined;
  return found === undefined && /\.\.|\*|\[\?|\[[^'"\]]*[:,]/.test(path) ? [] : found;
}

// missing says as AWS does that a path leads nowhere.
function missing(run, path, json) {
  const state = machine.definition.States[run.state];
  if (state.Type === 'Choice') return `Invalid path '${path}': The choice state's condition path references an invalid value.`;
  const field = fieldOf(state, path);
  if (/\.\$$|^(Error|Cause)Path$/.test(field)) {
    const { Task, ...context } = contextOf(run); // no error has a token in it
    const input = stringify(json?.[CONTEXT] ? context : json);
    return `The JSONPath '${path}' specified for the field '${field}' could not be found in the input '${input}'`;
  }
  const root = path.startsWith('$$') ? contextOf(run) : json;
  const names = JSONPath.toPathArray(path.replace('$$', '$'));
  const up = length => JSONPath.toPathString(names.slice(0, length));
  const gone = names.findIndex((_, i) => find(run, up(i + 1), root) === undefined) + 1;
  const what = gone < names.length ? 'Missing property in path' : 'No results for path:';
  return `Invalid path '${path}' : ${what} ${up(gone)}`;
}

// fieldOf returns the name of the field that holds a path.
function fieldOf(value, path) {
  for (const [key, item] of Object.entries(value)) {
    const field = item === path ? key : item !== null && typeof item === 'object' && fieldOf(item, path);
    if (field) return field;
  }
}

// contextOf returns the context object as it is at this moment. A token belongs to the task that is performed right after.
function contextOf(run) {
  const token = tokenOf(run);
  return {
    Execution: run.execution,
    StateMachine: run.machine,
    State: { Name: run.state, EnteredTime: run.enteredTime, ...(timeouts.has(run.state) && { RetryCount: run.retries }) },
    ...(token && { Task: { Token: token } }),
  };
}

// timeoutErrorOf returns the class of the interpreter's timeout error, which it doesn't export: the only error that
// States.TaskFailed doesn't match.
async function timeoutErrorOf(StateMachine) {
  const task = { Type: 'Task', Resource: '', TimeoutSeconds: 0.001, End: true };
  const { result } = new StateMachine(
    { StartAt: 'Task', States: { Task: task } },
    { validationOptions: { noValidate: true } },
  ).run(null, { overrides: { taskResourceLocalHandlers: { Task: () => new Promise(() => {}) } } });
  return result.catch(error => error.cause.constructor);
}

function start({ run: id, arn, name, roleArn, machineArn, machineName, input: text }) {
  const input = parse(text);
  const run = {
    id,
    execution: { Id: arn, Input: input, StartTime: new Date().toISOString(), Name: name, RoleArn: roleArn, RedriveCount: 0 },
    machine: { Id: machineArn, Name: machineName },
    state: '',
    enteredTime: '',
    enteredEvent: 0, // id of the event
    retries: 0,
    token: undefined,
    task: undefined,
    events: 1,
    outcome: undefined,
  };
  runs.set(id, run);

  // The events of the interpreter are read too late to tell the context which state it is in. It looks each state up
  // by name as it enters it, which is the moment.
  const { definition } = machine;
  const States = new Proxy(definition.States, {
    get(states, name) {
      if (Object.hasOwn(states, name)) {
        Object.assign(run, { state: name, enteredTime: new Date().toISOString(), retries: 0, token: undefined });
      }
      return states[name];
    },
  });
  const view = Object.create(machine, { definition: { value: { ...definition, States } } });

  const handlers = {};
  for (const state of timeouts.keys()) handlers[state] = input => perform(run, state, input);

  const overrides = { taskResourceLocalHandlers: handlers, retryIntervalOverrides: retryIntervals };
  const execution = running.run(run, () => view.run(input, { context: { [CONTEXT]: true }, overrides }));
  run.abort = execution.abort;
  follow(run, execution).catch(error => {
    end(run, 'FAILED', 'States.Runtime', describe(error));
    finish(run);
  });
}

// tokenOf returns the token of the attempt that is about to be performed, if its state waits for one.
function tokenOf(run) {
  if (waiting.has(run.state)) return (run.token ??= randomBytes(48).toString('base64'));
}

// follow reports what the interpreter logs, and the end of the run once the log has ended.
async function follow(run, execution) {
  // The interpreter leaves the log open when it fails before the first state; aborting closes it.
  const result = execution.result.then(output => ({ output }), error => ({ error })).finally(execution.abort);

  for await (const event of execution.eventLogs) {
    if (run.outcome) break;
    if (event.type === 'StateEntered') {
      const { name, type, input } = event.state;
      record(run, { is: 'entered', state: name, stateType: type, data: stringify(input) });
      run.enteredEvent = run.events;
    } else if (event.type === 'StateExited') {
      const { name, type, output } = event.state;
      const data = stringify(output);
      if (tooLarge(data)) {
        const { name: error, message } = dataLimitExceeded(name);
        end(run, 'FAILED', error, message);
      } else {
        record(run, { is: 'exited', state: name, stateType: type, data });
      }
    }
  }

  const { output, error } = await result;
  if (!run.outcome && error) run.outcome = { status: 'FAILED', ...failure(run, error.cause ?? error) };
  run.outcome ??= { status: 'SUCCEEDED', data: stringify(output) };
  finish(run);
}

function finish(run) {
  runs.delete(run.id);
  send({ is: 'ended', run: run.id, ...run.outcome });
}

// failure returns the ASL error and cause of what the interpreter threw.
function failure(run, error) {
  if (error instanceof EvaluationError) return { error: error.name, cause: where(run) + error.message };
  if (error instanceof TaskError) return { error: error.name, cause: error.message };
  if (!Object.hasOwn(error, 'retryable')) return { error: 'States.Runtime', cause: where(run) + describe(error) };
  const state = machine.definition.States[run.state];
  if (!error.isCatchable) {
    return { error: error.name, cause: where(run) + (state.Type === 'Wait' ? explain(error.message) : error.message) };
  }
  if (state.Type !== 'Fail') return { error: error.name, cause: error.message };
  return {
    // The interpreter makes up what a Fail state leaves out.
    error: state.Error !== undefined || state.ErrorPath ? error.name : null,
    cause: state.Cause !== undefined || state.CausePath ? error.message : null,
  };
}

// where says as AWS does which state has failed.
function where({ state, enteredEvent }) {
  if (!enteredEvent) return '';
  return `An error occurred while executing the state '${state}' (entered at the event id #${enteredEvent}). `;
}

// explain words what the interpreter says of a Wait state's path to a wrong value as AWS does.
function explain(message) {
  const found = /^Path expression '(.*)' evaluated to (.*), but expected an? (timestamp|integer)/s.exec(message);
  if (!found) return message;
  const [, path, json, wanted] = found;
  const value = JSON.parse(json);
  const read = `${path} == ${typeof value === 'string' ? value : json}`;
  if (wanted === 'timestamp') {
    return `The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: ${read}`;
  }
  if (value < 0) return `The SecondsPath parameter references a negative value: ${read}`;
  return `The SecondsPath parameter cannot be parsed as a long value: ${read}`;
}

const describe = error => `An internal error occurred in state evaluation: ${error.name}: ${error.message}`;

// end ends a run from outside of its states. What the interpreter does with it afterwards is not reported.
function end(run, status, error, cause) {
  if (run.outcome) return;
  run.outcome = { status, error, cause };
  run.abort();
  if (run.task) close(run.task).reject(new TaskError(error, cause, true));
}

// perform is the interpreter's handler of all tasks: it is called with the resolved input of one attempt.
function perform(run, state, input) {
  if (run.outcome) throw new TaskError('States.Runtime', 'The execution has ended.'); // after the wait of a retry
  const data = stringify(input); // before the token is taken, which it may contain by reference
  const token = tokenOf(run);
  run.token = undefined;
  run.retries++;
  if (tooLarge(data)) throw dataLimitExceeded(state);

  return new Promise((resolve, reject) => {
    const task = { id: ++lastTask, run, state, resolve, reject };
    run.task = task;
    tasks.set(task.id, task);
    // The interpreter calls its handler before the log could be read: let it drain, so that the state is entered
    // before its task is scheduled.
    setImmediate(() => {
      if (!tasks.has(task.id)) return;
      const timedOut = () => settle(task, { timedOut: true, error: 'States.Timeout' });
      task.timer = setTimeout(timedOut, timeouts.get(state) * 1000);
      record(run, { is: 'task', task: task.id, state, data, token }, 2);
    });
  });
}

function close(task) {
  tasks.delete(task.id);
  clearTimeout(task.timer);
  task.run.task = undefined;
  return task;
}

// settle ends an open task with an output or an error, once.
function settle(task, { data, error, cause, timedOut }) {
  const { run } = close(task);
  let output;
  if (data !== undefined) {
    try {
      output = parse(data);
      data = stringify(output);
      if (tooLarge(data)) {
        const { Resource } = machine.definition.States[task.state];
        throw dataLimitExceeded(Resource.replace(/^arn:[^:]*:states:::([^:]*):.*/, '$1'));
      }
    } catch (thrown) {
      data = undefined;
      ({ error, cause } = failure(run, thrown));
    }
  }
  record(run, { is: 'settled', task: task.id, data, error, cause, timedOut });
  if (data !== undefined) return task.resolve(output);
  if (error !== 'States.Timeout') return task.reject(new TaskError(error, cause));
  task.reject(Object.assign(new StatesTimeoutError(), { message: cause ?? '' }));
}

const commands = {
  load: command => load(command).then(() => send({ is: 'ready' }), error => send({ is: 'invalid', cause: error.message })),
  start,
  settle({ task: id, reply, ...outcome }) {
    const task = tasks.get(id);
    if (task) settle(task, outcome);
    if (reply) send({ is: 'reply', reply, ok: task !== undefined }); // the history has the answer by now
  },
  submitted({ task: id, data }) {
    const task = tasks.get(id);
    if (task) record(task.run, { is: 'submitted', task: id, data });
  },
  stop({ run: id, status, error, cause }) {
    const run = runs.get(id);
    if (run) end(run, status, error, cause);
  },
};

// The process lives as long as its stdin: an interrupt from the terminal reaches the Go process too, which then
// closes it.
process.on('SIGINT', () => {});
process.stdout.on('error', () => process.exit(1));

let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('end', () => {
  if (runs.size > 0) process.exit(0); // otherwise no run has left anything behind that would keep Node from ending
});
process.stdin.on('data', chunk => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    const command = JSON.parse(line);
    commands[command.do](command);
  }
});
