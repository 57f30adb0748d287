// Runs the executions of one state machine with aws-local-stepfunctions, for the Go package beside this file.
//
// Commands come as JSON lines on stdin, reports go as JSON lines to stdout; state data travels inside them as JSON
// text. One process serves all executions. This process alone decides races: a task is settled once, by its result,
// an answer to its token, its timeout or the end of its execution, whichever is seen here first (see settle).

import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';

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

// Node fires a longer timer at once. 24 days are beyond any local run, so waits are capped there.
const nodeSetTimeout = globalThis.setTimeout;
globalThis.setTimeout = (callback, ms, ...args) => nodeSetTimeout(callback, Math.min(ms, MAX_TIMER_MS), ...args);

// The interpreter retries and catches an error unless these say otherwise. A JavaScript error of its own, such as a
// TypeError, is States.Runtime on AWS, which is neither retried nor caught; its ASL errors have their own values.
for (const property of ['isRetryable', 'isCatchable']) {
  Object.defineProperty(Error.prototype, property, { value: false, writable: true, configurable: true });
}

const TERMINAL = new Set(['States.Runtime', 'States.DataLimitExceeded']);

class TaskError extends Error {
  constructor(name, cause, terminal = TERMINAL.has(name)) {
    super();
    // AWS gives a catcher null for a name or a cause that was not sent.
    this.name = name || null;
    this.message = cause || null;
    this.isRetryable = this.isCatchable = !terminal;
  }
}

const dataLimitExceeded = what =>
  new TaskError(
    'States.DataLimitExceeded',
    `The state/task '${what}' returned a result with a size exceeding the maximum number of bytes service limit.`,
  );

const tooLarge = text => Buffer.byteLength(text) > MAX_DATA_BYTES;

const runs = new Map(); // open executions by id
const tasks = new Map(); // open tasks by id
let lastTask = 0;

let machine;
let StateMachine;
let StatesTimeoutError;
let timeouts; // seconds, by the name of each task state
let waiting; // the names of the states that wait for a token
let retryIntervals; // milliseconds, by the name of each task state; empty for what the definition says
let endings; // what Fail states say that intrinsic functions put together, as Parameters by the state's name

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
    return require('aws-local-stepfunctions');
  } catch (error) {
    throw new Error(error.code === 'MODULE_NOT_FOUND' ? `${error.message} (npm ci installs it)` : error.stack);
  }
}

async function load({ definition, validate, retryMs }) {
  ({ StateMachine } = interpreter(validate));
  StatesTimeoutError = await timeoutErrorOf();
  machine = new StateMachine(JSON.parse(definition), { validationOptions: { noValidate: !validate } }); // throws a text for people

  const { States } = machine.definition;
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

  // It takes the functions in a Fail state's paths for JSONPath, so they are kept from it (see ending).
  endings = new Map();
  for (const [name, state] of Object.entries(States)) {
    const parameters = {};
    for (const key of ['Error', 'Cause']) {
      const path = state.Type === 'Fail' ? state[`${key}Path`] : undefined;
      if (!path?.startsWith('States.')) continue;
      parameters[`${key.toLowerCase()}.$`] = path;
      delete state[`${key}Path`];
    }
    if (Object.keys(parameters).length > 0) endings.set(name, parameters);
  }
}

// timeoutErrorOf returns the class of the interpreter's timeout error, which it doesn't export: the only error that
// States.TaskFailed doesn't match.
async function timeoutErrorOf() {
  const task = { Type: 'Task', Resource: '', TimeoutSeconds: 0.001, End: true };
  const { result } = new StateMachine(
    { StartAt: 'Task', States: { Task: task } },
    { validationOptions: { noValidate: true } },
  ).run(null, { overrides: { taskResourceLocalHandlers: { Task: () => new Promise(() => {}) } } });
  return result.catch(error => error.cause.constructor);
}

function start({ run: id, arn, name, roleArn, machineArn, machineName, input }) {
  const run = { id, state: '', enteredTime: '', retries: 0, token: undefined, task: undefined, events: 1, outcome: undefined };
  runs.set(id, run);

  // The interpreter copies the context's top level and keeps what is nested, so these getters are read whenever
  // Parameters are evaluated. A token belongs to the task that is performed right after. (A path to all of
  // $$.State, not to one of its fields, is read when the data is used, which may be in the next state.)
  const context = {
    Execution: { Id: arn, Name: name, RoleArn: roleArn },
    StateMachine: { Id: machineArn, Name: machineName },
    State: {
      get Name() { return run.state; },
      get EnteredTime() { return run.enteredTime; },
      get RetryCount() { return run.retries; },
    },
    Task: {
      get Token() { return tokenOf(run); },
    },
  };

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

  run.context = context;
  const overrides = { taskResourceLocalHandlers: handlers, retryIntervalOverrides: retryIntervals };
  const execution = view.run(JSON.parse(input), { context, overrides });
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
      run.input = input;
      record(run, { is: 'entered', state: name, stateType: type, data: JSON.stringify(input) });
    } else if (event.type === 'StateExited') {
      const { name, type, output } = event.state;
      const data = JSON.stringify(output);
      if (tooLarge(data)) {
        const { name: error, message } = dataLimitExceeded(name);
        end(run, 'FAILED', error, message);
      } else {
        record(run, { is: 'exited', state: name, stateType: type, data });
      }
    }
  }

  const { output, error } = await result;
  if (!run.outcome && error) run.outcome = { status: 'FAILED', ...failure(run, error.cause ?? error), ...(await ending(run)) };
  run.outcome ??= { status: 'SUCCEEDED', data: JSON.stringify(output) };
  finish(run);
}

function finish(run) {
  runs.delete(run.id);
  send({ is: 'ended', run: run.id, ...run.outcome });
}

// failure returns the ASL error and cause of what the interpreter threw.
function failure(run, error) {
  if (error instanceof TaskError) return { error: error.name, cause: error.message };
  if (!Object.hasOwn(error, 'retryable')) return { error: 'States.Runtime', cause: describe(error) };
  const state = machine.definition.States[run.state];
  if (state.Type !== 'Fail' || !error.isCatchable) return { error: error.name, cause: error.message };
  return {
    // The interpreter makes up what a Fail state leaves out.
    error: state.Error !== undefined || state.ErrorPath ? error.name : null,
    cause: state.Cause !== undefined || state.CausePath ? error.message : null,
  };
}

// ending evaluates the functions that the Fail state of a run has, with the Parameters of a Pass state.
async function ending(run) {
  const Parameters = endings.get(run.state);
  if (!Parameters) return {};
  const definition = { StartAt: 'Pass', States: { Pass: { Type: 'Pass', Parameters, End: true } } };
  const pass = new StateMachine(definition, { validationOptions: { noValidate: true } });
  try {
    return await pass.run(run.input, { context: run.context }).result;
  } catch (error) {
    return { error: 'States.Runtime', cause: describe(error.cause ?? error) };
  }
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
  const data = JSON.stringify(input); // before the token is taken, which it may contain by reference
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
  const { Resource } = machine.definition.States[task.state];
  let output;
  if (data !== undefined) {
    try {
      output = JSON.parse(data);
      data = JSON.stringify(output);
      if (tooLarge(data)) throw dataLimitExceeded(Resource);
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
