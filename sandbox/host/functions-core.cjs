// What `require('@azure/functions-core')` gives the app: the package exists only inside a Functions worker.
module.exports = globalThis[Symbol.for('sandbox.functions-core')];
