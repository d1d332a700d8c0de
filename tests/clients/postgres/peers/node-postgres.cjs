// node-postgres (`pg` of npm) as a peer of drivers/peer_driver.py.

"use strict";

const fs = require("node:fs");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { Client, Pool } = require("pg");
const copy = require("pg-copy-streams");
const { Absent, Notifications, each, serve } = require("./serve.cjs");

serve(session, (error) => [error.code ?? "", error.message]);

function session() {
  let client;
  let config;
  let running;
  const statements = [];
  const heard = new Notifications();
  // Every value as the text that came; the driver's own values are what `carry` hands on.
  const asText = { rowMode: "array", types: { getTypeParser: () => (value) => value } };

  async function query(options) {
    running = client.query({ ...asText, ...options });
    return results(await running);
  }

  function results(result) {
    const list = Array.isArray(result) ? result : [result];
    return { results: list.map(({ rows, rowCount }) => ({ rows, affected: rowCount })) };
  }

  return {
    async open({ host, port, user, password, database, ca, tls }) {
      const ssl = tls ? { ca: fs.readFileSync(ca) } : false;
      config = { host, port, user, password, database, ssl };
      client = new Client(config);
      // An idle connection that the server ends must fail the next request, not the process.
      client.on("error", () => {});
      client.on("notification", ({ channel, payload }) => heard.push(channel, payload));
      await client.connect();
    },
    run: (text) => query({ text }),
    run_all: (text) => query({ text }),
    bind: ([text, values]) => query({ text, values }),
    prepare(text) {
      // Prepared when it is first used, as its users know it.
      return { statement: statements.push({ text, name: `named ${statements.length}` }) - 1 };
    },
    execute: ([statement, values]) => query({ ...statements[statement], values }),
    close() {},
    async carry([select, insert, binary]) {
      if (binary) throw new Absent("it writes text only");
      const { rows } = await client.query({ text: select, ...asText });
      await client.query(insert, rows[0]);
    },
    stream() {
      throw new Absent("it always reads whole results");
    },
    async copy_in([sql, data]) {
      await pipeline(Readable.from([data]), client.query(copy.from(sql)));
    },
    async copy_out(sql) {
      const parts = [];
      for await (const part of client.query(copy.to(sql))) parts.push(part);
      return { copied: Buffer.concat(parts).toString() };
    },
    async listen(channel) {
      await client.query(`LISTEN ${channel}`);
    },
    notification: async () => ({ notified: await heard.next() }),
    pipeline() {
      throw new Absent("it sends nothing ahead");
    },
    abandon() {
      throw new Absent("it has no way to drop a query that was sent");
    },
    async pooled([max, tasks, atOnce]) {
      const pool = new Pool({ ...config, max });
      const work = async (statements) => {
        const one = await pool.connect();
        try {
          let last;
          for (const text of statements) last = await one.query({ ...asText, text });
          return results(last).results[0];
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
      // The driver has no other call for it; of a client that runs nothing it would do nothing.
      const active = client._activeQuery;
      if (active) new Client(config).cancel(client, active);
    },
    quit() {
      client.connection.stream.destroy();
    },
  };
}
