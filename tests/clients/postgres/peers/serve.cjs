// The lines of drivers/peer_driver.py: one request after the other, but `cancel` at once.

"use strict";

const readline = require("node:readline");

// `requests` has a function for each request; `refused` takes code and message out of an error.
module.exports.serve = function serve(requests, refused) {
  async function answer(name, argument) {
    try {
      return (await requests[name](argument)) ?? {};
    } catch (error) {
      return error instanceof Absent ? { absent: error.message } : { refused: refused(error) };
    }
  }

  let last = Promise.resolve();
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const [[name, argument]] = Object.entries(JSON.parse(line));
    if (name === "cancel") {
      requests.cancel();
      return;
    }
    last = last.then(async () => {
      process.stdout.write(`${JSON.stringify(await answer(name, argument))}\n`);
    });
  });
  lines.on("close", () => last.then(() => process.exit()));
};

class Absent extends Error {}
module.exports.Absent = Absent;

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
