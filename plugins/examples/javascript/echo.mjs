#!/usr/bin/env node
// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The echo plugin in JavaScript, with nothing but what node brings.
 *
 * plugind gives a plugin its duplex as standard input and output: JSON-RPC 2.0, one message a line. What is printed on
 * standard error is the log; a line may begin with its level (<3> error, <4> warning, <6> information, <7> debug).
 */
import { createInterface } from 'node:readline';

let context = {}; // what plugind/initialize said
const pending = new Map(); // request id -> timer of an answer that comes later

class Failure extends Error {
    constructor(code, message, data) {
        super(message);
        this.error = { code, message, data };
    }
}

// The inherited stream: stdout is a socket here, which /dev/stdout cannot open.
const write = message => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const log = (level, text) => process.stderr.write(`<${level}>${text}\n`);

const number = (params, key, fallback) => {
    const value = params?.[key] ?? fallback;
    if (!Number.isInteger(value) || value < 0)
        throw new Failure(-32602, `${key}: expected a whole number, 0 or more`);
    return value;
};

const text = (params, key, fallback) => {
    const value = params?.[key] ?? fallback;
    if (typeof value !== 'string')
        throw new Failure(-32602, `${key}: expected a string`);
    return value;
};

// Each is given the parameters and the request's id; what it returns, or what its promise resolves to, is the answer.
const methods = {
    'echo': params => params ?? null,
    'delay': (params, id) => {
        const ms = number(params, 'ms');
        return new Promise(resolve => pending.set(id, setTimeout(() => {
            pending.delete(id);
            resolve({ ms });
        }, ms)));
    },
    'fail': params => {
        throw new Failure(params?.code ?? 1, text(params, 'message', 'failed, as asked'), params?.data);
    },
    'notify': params => {
        const count = number(params, 'count', 1), method = text(params, 'method');
        for (let i = 0; i < count; i++)
            write({ method, params: params.params });
        return { sent: count };
    },
    'progress': (params, id) => {
        const steps = number(params, 'steps');
        for (let step = 1; step <= steps; step++)
            write({ method: 'plugind/progress', params: { id, value: { step, of: steps } } });
        return { steps };
    },
    'info': () => ({ pid: process.pid, session: context.session, dataDir: context.dataDir, configuration: context.configuration }),
    'log': params => {
        log(number(params, 'level', 6), text(params, 'message'));
        return null;
    },
    'crash': params => {
        process.kill(process.pid, number(params, 'signal', 6));
        return new Promise(() => {}); // the signal arrives before the loop turns
    },
    'exit': params => process.exit(number(params, 'status', 0)),

    'plugind/initialize': params => {
        context = params;
        return { protocol: 1, name: 'echo (JavaScript)', version: '1' };
    },
    'plugind/configure': params => {
        context.configuration = params.configuration;
        return {};
    },
    'plugind/ping': () => ({}),
    'plugind/shutdown': () => {
        pending.forEach(clearTimeout);
        return {};
    },
};

const answer = async ({ id, method, params }) => {
    try {
        if (!Object.hasOwn(methods, method))
            throw new Failure(-32601, `${method}: no such method`);
        write({ id, result: await methods[method](params, id) });
    } catch (failure) {
        write({ id, error: failure.error ?? { code: -32603, message: String(failure) } });
    }
};

const cancel = id => {
    if (pending.has(id)) {
        clearTimeout(pending.get(id));
        pending.delete(id);
        write({ id, error: { code: -32800, message: 'cancelled' } });
    }
};

// The end of its input is the end of a plugin.
createInterface({ input: process.stdin, crlfDelay: Infinity })
    .on('line', line => {
        const message = JSON.parse(line);
        if (message.method === 'plugind/cancel')
            cancel(message.params.id);
        else if (message.method !== undefined && message.id !== undefined)
            answer(message);
        else if (message.method !== undefined && !message.method.startsWith('plugind/'))
            write({ method: message.method, params: message.params }); // back to whoever listens
    })
    .on('close', () => process.exit(0));
