// The lines of drivers/peer_driver.py: of each session one request after the other, but `cancel` at
// once. All sessions are in one process, which takes long to start.

"use strict";

const readline = require("node:readline");

// `begin` makes a session: a function for each request; `refused` takes code and message out of an
// error.
module.exports.serve = function serve(begin, refused) {
  const sessions = new Map();

  async function answer(requests, name, argument) {
    try {
      return (await requests[name](argument)) ?? {};
    } catch (error) {
      return error instanceof Absent ? { absent: error.message } : { refused: refused(error) };
    }
  }

  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const { session, ...request } = JSON.parse(line);
    const [[name, argument]] = Object.entries(request);
    if (!sessions.has(session)) sessions.set(session, { requests: begin(), last: Promise.resolve() });
    const one = sessions.get(session);
    if (name === "cancel") {
      one.requests.cancel();
      return;
    }
    one.last = one.last.then(async () => {
      const answered = await answer(one.requests, name, argument);
      if (name === "quit") sessions.delete(session);
      process.stdout.write(`${JSON.stringify({ session, ...answered })}\n`);
    });
  });
  lines.on("close", () => process.exit());
};

class Absent extends Error {}
module.exports.Absent = Absent;

// What `work` makes of each of the items: of all at once, or of one after the other.
module.exports.each = async function each(items, work, atOnce) {
  if (atOnce) return Promise.all(items.map(work));
  const made = [];
  for (const item of items) made.push(await work(item));
  return made;
};

// Notifications that came, and whoever waits for the next.
module.exports.Notifications = class Notifications {
  #heard = [];
  #waiting = [];

  push(channel, payload) {
    const waits = this.#waiting.shift();
    if (waits) waits([channel, payload]);
    else this.#heard.push([channel, payload]);
  }

  next() {
    if (this.#heard.length) return this.#heard.shift();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
};
