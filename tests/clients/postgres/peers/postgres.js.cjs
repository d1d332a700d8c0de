// postgres.js (`postgres` of npm) as a peer of drivers/peer_driver.py.

"use strict";

const fs = require("node:fs");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const postgres = require("postgres");
const { Absent, Notifications, each, serve } = require("./serve.cjs");

serve(session, refused);

function session() {
  let sql;
  let options;
  let running;
  const statements = [];
  const heard = new Notifications();
  const listened = new Set();

  async function query(text, args, options) {
    running = sql.unsafe(text, args, options);
    if (!args) running = running.simple();
    const result = await running.raw();
    return { results: several(result).map(described) };
  }

  return {
    async open({ host, port, user, password, database, ca, tls }) {
      const ssl = tls ? { ca: fs.readFileSync(ca) } : false;
      const name = { user, password, database };
      options = { host, port, ...name, ssl, onnotice: () => {}, backoff: false };
      sql = postgres({ ...options, max: 1 });
      await sql`SELECT 1`;
    },
    run: (text) => query(text),
    run_all: (text) => query(text),
    bind: ([text, args]) => query(text, args),
    prepare(text) {
      // Prepared when it is first used, as its users know it.
      return { statement: statements.push(text) - 1 };
    },
    execute: ([statement, args]) => query(statements[statement], args, { prepare: true }),
    close() {},
    async carry([select, insert, binary]) {
      if (binary) throw new Absent("it writes text only");
      const [row] = await sql.unsafe(select).values();
      await sql.unsafe(insert, row);
    },
    async stream(text) {
      const rows = [];
      for await (const part of sql.unsafe(text).cursor(100)) {
        for (const row of part) rows.push(Object.values(row).map(String));
      }
      return { results: [{ rows }] };
    },
    async copy_in([text, data]) {
      await pipeline(Readable.from([data]), await sql.unsafe(text).writable());
    },
    async copy_out(text) {
      const parts = [];
      const stream = await sql.unsafe(text).readable();
      for await (const part of stream) parts.push(part);
      // Where the last parts came faster than they were read, the driver leaves its socket paused, and
      // waits for ever for the next answer.
      stream._read();
      return { copied: Buffer.concat(parts).toString() };
    },
    async listen(channel) {
      // On a connection of its own, which the driver opens for all channels. It would call a function
      // as often as it was given one.
      if (listened.has(channel)) return;
      listened.add(channel);
      await sql.listen(channel, (payload) => heard.push(channel, payload));
    },
    notification: async () => ({ notified: await heard.next() }),
    async pipeline(list) {
      const all = await Promise.allSettled(list.map(([text, args]) => query(text, args)));
      const part = ({ value, reason }) => (reason ? { refused: refused(reason) } : value.results[0]);
      return { results: all.map(part) };
    },
    abandon() {
      throw new Absent("it has no way to drop a query that was sent");
    },
    async pooled([max, tasks, atOnce]) {
      const pool = postgres({ ...options, max });
      const work = async (statements) => {
        const one = await pool.reserve();
        try {
          let last;
          for (const text of statements) last = await one.unsafe(text).simple().raw();
          return described(last);
        } finally {
          one.release();
        }
      };
      try {
        return { results: await each(tasks, work, atOnce) };
      } finally {
        await pool.end();
      }
    },
    cancel() {
      running?.cancel();
    },
    async quit() {
      await sql.end({ timeout: 0 });
    },
  };
}

// A simple query of several statements gives a list of results.
function several(result) {
  return result.length && result[0]?.command !== undefined ? result : [result];
}

function described(result) {
  const rows = result.map((row) => row.map((value) => value && value.toString()));
  return { rows, affected: result.count };
}

function refused(error) {
  return [error.code ?? "", error.message];
}
