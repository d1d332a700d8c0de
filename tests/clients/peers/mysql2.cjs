// mysql2 (npm) as a peer of drivers/peer.py: one connection at a time, JSON a line each way.

"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const mysql = require("mysql2/promise");

let connection;
const statements = [];

const requests = {
  async open({ host, port, user, password, database, ca, tls }) {
    connection = await mysql.createConnection({
      host,
      port,
      user,
      password,
      database,
      ssl: tls ? { ca: fs.readFileSync(ca) } : undefined,
      multipleStatements: true,
      rowsAsArray: true,
      // Values as text wherever a JavaScript value would hold less than the server sent.
      supportBigNumbers: true,
      bigNumberStrings: true,
      dateStrings: true,
      jsonStrings: true,
      flags: ["+LOCAL_FILES"],
      infileStreamFactory: (path) => fs.createReadStream(path),
    });
    // An idle connection that the server ends must fail the next request, not the process.
    connection.on("error", () => {});
  },
  run: async (sql) => results(await connection.query(sql)),
  run_all: async (sql) => results(await connection.query(sql)),
  load: async (sql) => results(await connection.query(sql)),
  bind: async ([sql, args]) => results(await connection.query(sql, args)),
  async prepare(sql) {
    return { statement: statements.push(await connection.prepare(sql)) - 1 };
  },
  execute: async ([statement, args]) => results(await statements[statement].execute(args)),
  async close(statement) {
    await statements[statement].close();
  },
  async carry([select, insert, binary]) {
    const send = binary ? "execute" : "query";
    const [[row]] = await connection[send](select);
    await connection[send](insert, row);
  },
  async stream(sql) {
    const rows = [];
    for await (const row of connection.connection.query(sql).stream()) rows.push(row);
    return { results: [{ rows: rows.map(texts) }] };
  },
  async use(database) {
    await connection.changeUser({ database });
  },
  async ping() {
    await connection.ping();
  },
  async change_user([user, password, database]) {
    await connection.changeUser({ user, password, database });
  },
  async reset() {
    await connection.reset();
  },
  async leave() {
    connection?.destroy();
    connection = undefined;
    statements.length = 0;
  },
};

// The driver returns one result, or a list of them beside a list of their columns.
function results([result, columns]) {
  const isList = Array.isArray(columns) && columns.some((c) => c === undefined || Array.isArray(c));
  return { results: (isList ? result : [result]).map(described) };
}

function described(result) {
  if (Array.isArray(result)) return { rows: result.map(texts) };
  return { affected: result.affectedRows, last_id: result.insertId };
}

function texts(row) {
  return row.map((value) => (Buffer.isBuffer(value) ? value.toString() : value));
}

async function answer(line) {
  const [[name, argument]] = Object.entries(JSON.parse(line));
  try {
    return (await requests[name](argument)) ?? {};
  } catch (error) {
    return { refused: [error.errno ?? 0, error.message] };
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
  connection?.destroy();
}

main();
